//! A request, before it is sent.

use std::time::Duration;

use serde::Serialize;

use super::url::Url;
use super::{BODY_BYTES, Error, REDIRECTS, TIMEOUT};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request that is being made up.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::http::Request;
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|_| Answer::status(201));
/// let answer = test.block_on(async {
///     Request::post("https://api.example.com/orders")
///         .header("authorization", "Bearer abc")
///         .json(&["tea"])?
///         .timeout(Duration::from_secs(5))
///         .idempotency_key("shop/2026-11-26")
///         .retries(3)
///         .send()
///         .await
/// });
/// assert_eq!(answer.unwrap().status, 201);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(super) timeout: Duration,
    pub(crate) body_max: usize,
    pub(super) redirects: u32,
    pub(super) retries: u32,
}

impl Request {
    /// A request with any method, such as `PATCH`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: TIMEOUT,
            body_max: BODY_BYTES,
            redirects: REDIRECTS,
            retries: 0,
        }
    }

    /// Asks for what is at `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Hands something to `url`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Puts something at `url`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// Deletes what is at `url`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "what is written in place reads better"
    )]
    pub fn header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers
            .push((name.into(), value.to_string().into_bytes()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to `value` as JSON, and says so in the header `content-type`.
    ///
    /// # Errors
    /// [`Error::Encode`]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(Error::Encode)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Sets how long it may take, redirections and all; with [`retries`](Self::retries), each attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes of an answer are read.
    pub fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = bytes;
        self
    }

    /// Sets how many redirections are followed. With 0 an answer that redirects is an answer.
    pub fn redirects(mut self, max: u32) -> Self {
        self.redirects = max;
        self
    }

    /// Has it sent again, so many times at most, when it did not get through: it failed on the way or took too long, or the
    /// server answered 408, 425, 429, 502, 503 or 504. What the last attempt gives is what [`send`](Self::send) returns.
    ///
    /// The first pause is half a second; each further one is twice as long, up to a minute, or as long as the server asks for in
    /// `Retry-After`, up to a minute.
    ///
    /// What came too late may have been done all the same. So only a request that can be done twice without harm is sent
    /// again: `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT` and `DELETE`, and any with an
    /// [`idempotency_key`](Self::idempotency_key). Others are sent once.
    pub fn retries(mut self, max: u32) -> Self {
        self.retries = max;
        self
    }

    /// Sets the header `Idempotency-Key`: a server that knows the key has done what is asked, and does it no second time.
    ///
    /// Take a key that the next leader would take for the same work too, made of the task and what is worked on, like
    /// `billing/2026-11-26`; not of the term, and not a random one.
    pub fn idempotency_key(self, key: impl ToString) -> Self {
        self.header(IDEMPOTENCY_KEY, key)
    }

    /// Whether it can be done twice without harm.
    pub(super) fn can_be_repeated(&self) -> bool {
        let is_safe = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
            .contains(&self.method.to_ascii_uppercase().as_str());
        let mut names = self.headers.iter().map(|(name, _)| name);
        is_safe || names.any(|name| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY))
    }

    /// Makes it the request that follows a redirection.
    pub(super) fn turn(&mut self, status: u16, target: String) -> Result<(), Error> {
        let asks_anew = status == 303 && self.method != "HEAD"
            || matches!(status, 301 | 302) && self.method == "POST";
        if asks_anew {
            self.method = "GET".into();
            self.body.clear();
            self.headers
                .retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        if Url::parse(&self.url)?.origin() != Url::parse(&target)?.origin() {
            // What was said to one server in confidence is not for another.
            let secret = |name: &str| {
                ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str())
            };
            self.headers.retain(|(name, _)| !secret(name));
        }
        self.url = target;
        Ok(())
    }

    /// The headers as the server sees them, but for those that the host adds.
    pub(crate) fn sent_headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers = self.headers.clone();
        let has_length = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let has_body =
            !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&self.method.as_str());
        if has_body && !has_length {
            // A length that is known spares the server what a stream would ask of it.
            headers.push((
                "content-length".into(),
                self.body.len().to_string().into_bytes(),
            ));
        }
        headers
    }

    /// The parts of the URL, if its scheme is one that can be asked.
    pub(crate) fn target(&self) -> Result<Url<'_>, Error> {
        let url = Url::parse(&self.url)?;
        match url.scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Ok(url),
            _ => Err(self.invalid("the scheme is neither http nor https")),
        }
    }

    pub(crate) fn invalid(&self, reason: &'static str) -> Error {
        Error::Invalid {
            url: self.url.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_in_confidence_stays_with_its_server() {
        let request = Request::post("https://a.example/x")
            .header("Authorization", "secret")
            .header("x", 1)
            .body("b");
        let turned = |status, target: &str| {
            let mut request = request.clone();
            request.turn(status, target.into()).unwrap();
            let names: Vec<_> = request.headers.into_iter().map(|(name, _)| name).collect();
            (request.method, names.join(" "), request.body.len())
        };
        assert_eq!(
            turned(307, "https://A.example:443/y"),
            ("POST".into(), "Authorization x".into(), 1)
        );
        assert_eq!(
            turned(308, "http://a.example/y"),
            ("POST".into(), "x".into(), 1)
        );
        assert_eq!(
            turned(302, "https://b.example/y"),
            ("GET".into(), "x".into(), 0)
        );
        assert_eq!(
            turned(303, "https://a.example/y"),
            ("GET".into(), "Authorization x".into(), 0)
        );
    }
}
