//! Answers in the place of servers, as `soloist test` has them: for what is granted, and as long as the term lasts.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use soloist_core::term::Demotion;
use soloist_dev::testbed::PATIENCE;
use soloist_sandbox::AnswerHttp;

use super::case::Case;

/// Answers some URLs, has the requests to others wait, and refuses none by itself.
#[derive(Debug)]
struct Answers {
    known: BTreeMap<&'static str, &'static str>,
    asked: Mutex<Vec<String>>,
    waits: Sender<Waits>,
}

/// What becomes of a request that waits.
#[derive(Debug, PartialEq, Eq)]
enum Waits {
    Begins,
    IsDropped,
}

struct Waiting(Sender<Waits>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.send(Waits::IsDropped);
    }
}

impl Answers {
    fn new(known: &[(&'static str, &'static str)]) -> (Arc<Self>, Receiver<Waits>) {
        let (waits, seen) = mpsc::channel();
        let answers = Self {
            known: known.iter().copied().collect(),
            asked: Mutex::default(),
            waits,
        };
        (Arc::new(answers), seen)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl AnswerHttp for Answers {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Option<Response<Bytes>>> {
        let url = request.uri().to_string();
        let known = self.known.get(&*url).copied();
        self.asked.lock().unwrap().push(url);
        let waits = self.waits.clone();
        Box::pin(async move {
            match known {
                Some("") => None,
                Some(body) => Some(Response::new(Bytes::from_static(body.as_bytes()))),
                None => {
                    let _ = waits.send(Waits::Begins);
                    let _waiting = Waiting(waits);
                    std::future::pending().await
                }
            }
        })
    }
}

#[test]
fn an_answer_needs_the_grant_of_a_request() {
    let (answers, _) = Answers::new(&[
        ("http://shop.example/a", "hi"),
        ("http://shop.example/b", ""),
    ]);
    let case = Case::new("get")
        .http("http://shop.example")
        .answers(&answers);
    let outcome = case.get("http://shop.example/a http://shop.example/b http://bank.example/a");
    let [answered, unanswered, refused] = &outcome.lines[..] else {
        panic!("{:?}", outcome.lines)
    };
    assert_eq!(answered, "200 hi");
    assert!(unanswered.contains("ConnectionRefused"), "{unanswered}");
    assert!(refused.starts_with("refused"), "{refused}");
    let told = outcome.refusal();
    assert!(told.contains("http = [\"http://bank.example\"]"), "{told}");
    assert_eq!(
        answers.asked(),
        ["http://shop.example/a", "http://shop.example/b"]
    );
}

#[test]
fn an_answer_that_is_waited_for_is_cut_when_demotion_begins_and_none_comes_after_that() {
    let (answers, waits) = Answers::new(&[]);
    let case = Case::new("http-hold")
        .http("http://shop.example")
        .answers(&answers)
        .set("url", "http://shop.example/slow")
        .set("then", "http");
    let mut tested = case.start();
    assert_eq!(waits.recv_timeout(PATIENCE), Ok(Waits::Begins));
    assert!(waits.try_recv().is_err(), "it ends too early");
    tested.activation().demote(Demotion::Shutdown);
    assert_eq!(waits.recv_timeout(PATIENCE), Ok(Waits::IsDropped));
    let held = tested.wait_for("plugin-log", "held: ", 1);
    let held = held["message"].as_str().unwrap();
    assert!(held.contains("ErrorCode::ConnectionTerminated"), "{held}");
    let new = tested.wait_for("plugin-log", "new: ", 1);
    let new = new["message"].as_str().unwrap();
    assert!(new.contains("refused"), "{new}");
    assert!(!tested.stopped());
    assert_eq!(answers.asked(), ["http://shop.example/slow"]);
}
