//! The answers to the plugin's requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, Response, Uri};
use soloist_core::schedule::Time;
use soloist_sandbox::AnswerHttp;

use super::recorder::{Made, Recorder, What, fingerprint};
use super::script::Answer;

/// The header that makes a request that is sent again the same one.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that lets a server refuse an old leader.
const FENCING_TOKEN: &str = "soloist-fencing-token";

/// The script's answers, each with how often it is still given. The recorder hears of the requests.
#[derive(Debug)]
pub(super) struct Answers {
    answers: Mutex<Vec<Answer>>,
    recorder: Arc<Recorder>,
}

impl Answers {
    pub(super) fn new(answers: Vec<Answer>, recorder: Arc<Recorder>) -> Self {
        Self {
            answers: Mutex::new(answers),
            recorder,
        }
    }
}

fn is_for(answer: &Answer, method: &Method, url: &Uri) -> bool {
    answer.url == *url
        && answer.times != Some(0)
        && answer.method.as_ref().is_none_or(|wanted| wanted == method)
}

/// Whether a request names a slot, by its key, which ends with the slot's time, or by that time.
fn names(head: &Parts, body: &[u8], slot: Time) -> bool {
    let needles = [slot.to_string(), slot.as_secs().to_string()];
    let is_in = |text: &[u8]| {
        needles
            .iter()
            .any(|needle| text.windows(needle.len()).any(|it| it == needle.as_bytes()))
    };
    is_in(&unescaped(&head.uri.to_string()))
        || head.headers.values().any(|value| is_in(value.as_bytes()))
        || is_in(body)
}

/// A URL without its escapes, such as `%3A`.
fn unescaped(url: &str) -> Vec<u8> {
    let (mut rest, mut text) = (url.as_bytes(), Vec::new());
    while let [first, more @ ..] = rest {
        let escaped = match (first, more) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low))
            }
            _ => None,
        };
        let byte = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        text.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    text
}

impl AnswerHttp for Answers {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Option<Response<Bytes>>> {
        let (head, body) = request.into_parts();
        let claimed = self.recorder.claimed().into_iter();
        let names = claimed
            .filter(|(_, slot)| names(&head, &body, *slot))
            .map(|(schedule, _)| schedule);
        let names = names.collect();
        let mut answers = self
            .answers
            .lock()
            .expect("nobody panics while it holds the lock");
        let answer = answers
            .iter_mut()
            .find(|answer| is_for(answer, &head.method, &head.uri));
        let status = answer.as_ref().map(|answer| answer.status);
        let header = head.headers.get(IDEMPOTENCY_KEY);
        self.recorder.note(What::Sent(Made {
            idempotency_key: header.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            has_token: head.headers.contains_key(FENCING_TOKEN),
            method: head.method,
            url: head.uri,
            body: fingerprint(&body[..]),
            is_answered: status.is_some(),
            is_done: status.is_some_and(|status| status.as_u16() < 400),
            names,
        }));
        let answer = answer.map(|answer| {
            answer.times = answer.times.map(|times| times.saturating_sub(1));
            let mut response = Response::new(answer.body.clone());
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers.clone();
            (answer.after, response)
        });
        Box::pin(async move {
            let (after, response): (Duration, _) = answer?;
            tokio::time::sleep(after).await;
            Some(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_slot_in_its_url_a_header_or_its_body() {
        let slot = Time::from_secs(1_767_236_400);
        let named = |url: &str, header: &str, body: &str| {
            let request = Request::post(url).header("x-slot", header).body(());
            let (head, ()) = request.expect("a request").into_parts();
            names(&head, body.as_bytes(), slot)
        };
        assert!(named("http://a/task%2Fmain%402026-01-01T03:00:00Z", "", ""));
        assert!(named("http://a/?at=2026-01-01T03%3A00%3a00Z", "", ""));
        assert!(named("http://a/", "task/main@2026-01-01T03:00:00Z", ""));
        assert!(named("http://a/", "", "{\"slot\":1767236400}"));
        assert!(!named("http://a/%", "%2", "2026-01-01T04:00:00Z"));
    }
}
