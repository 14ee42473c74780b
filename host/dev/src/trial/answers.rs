//! The answers to the plugin's requests.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use soloist_sandbox::AnswerHttp;

use super::script::Answer;

/// How many requests are kept: the plugin is refused more.
const REQUESTS_MAX: usize = 100_000;
/// The header that makes a request that is sent again the same one.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that lets a server refuse an old leader.
const FENCING_TOKEN: &str = "soloist-fencing-token";

/// A request that the plugin has made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) body: Bytes,
    pub(super) idempotency_key: Option<Bytes>,
    pub(super) has_token: bool,
    pub(super) is_answered: bool,
}

impl Made {
    /// Whether it may change something at the server.
    pub(super) fn has_effect(&self) -> bool {
        ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method)
    }
}

/// The script's answers, each with how often it is still given, and the requests so far.
#[derive(Debug)]
pub(super) struct Answers(Mutex<(Vec<Answer>, Vec<Made>)>);

impl Answers {
    pub(super) fn new(answers: Vec<Answer>) -> Self {
        Self(Mutex::new((answers, Vec::new())))
    }

    pub(super) fn made(&self) -> Vec<Made> {
        self.lock().1.clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Answer>, Vec<Made>)> {
        self.0
            .lock()
            .expect("nobody panics while it holds the lock")
    }
}

fn is_for(answer: &Answer, method: &Method, url: &Uri) -> bool {
    answer.url == *url
        && answer.times != Some(0)
        && answer.method.as_ref().is_none_or(|wanted| wanted == method)
}

impl AnswerHttp for Answers {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Option<Response<Bytes>>> {
        let (head, body) = request.into_parts();
        let mut lock = self.lock();
        let (answers, made) = &mut *lock;
        if made.len() == REQUESTS_MAX {
            return Box::pin(async { None });
        }
        let answer = answers
            .iter_mut()
            .find(|answer| is_for(answer, &head.method, &head.uri));
        let header = head.headers.get(IDEMPOTENCY_KEY);
        made.push(Made {
            idempotency_key: header.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            has_token: head.headers.contains_key(FENCING_TOKEN),
            method: head.method,
            url: head.uri,
            body,
            is_answered: answer.is_some(),
        });
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
