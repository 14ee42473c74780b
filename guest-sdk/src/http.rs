//! HTTP, to what the task's configuration grants.
//!
//! ```no_run
//! use serde::Deserialize;
//! use soloist_sdk::{Result, http};
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     id: u64,
//! }
//!
//! async fn work() -> Result {
//!     let orders: Vec<Order> = http::get("https://api.example.com/orders").await?.json()?;
//!     for order in orders {
//!         let url = format!("https://api.example.com/orders/{}/done", order.id);
//!         let answer = http::Request::post(url).header("idempotency-key", order.id).json(&true)?.send().await?;
//!         soloist_sdk::info!(status = answer.status, "order {}", order.id);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - The task's `[task.allow]` needs `http = ["https://api.example.com"]`. Redirections are followed, and each step has to
//!   be granted.
//! - Every request tells the server of the task and its fencing token, in the headers `Soloist-Task` and
//!   `Soloist-Fencing-Token`, unless the configuration says otherwise: a server that remembers the highest token can refuse
//!   a leader that is not the last one any more.
//! - When demotion begins, requests under way are cut and new ones are refused, in `on_demoted` too.

use std::cell::Cell;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imports;
use crate::time::timeout;

mod error;
#[cfg(target_family = "wasm")]
pub(crate) mod exchange;
mod url;

pub use error::{Error, Refused};
use url::Url;

/// How long a request may take, redirections and all, unless it says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes of an answer are read, unless the request says otherwise.
pub const BODY_BYTES: usize = 8 << 20;

/// How many redirections are followed, unless the request says otherwise.
pub const REDIRECTS: u32 = 5;

/// Gets what is at `url`.
///
/// # Errors
/// [`Error`]; an answer with a status that tells of an error is an answer.
pub async fn get(url: impl Into<String>) -> Result<Response, Error> {
    Request::get(url).send().await
}

/// A request that is being made up.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    timeout: Duration,
    pub(crate) body_max: usize,
    redirects: u32,
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

    /// Sets how long it may take, redirections and all.
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

    /// Sends it, and reads the whole answer.
    ///
    /// When the future is dropped the request is cut; the server may have done what was asked all the same.
    ///
    /// # Errors
    /// [`Error`]; an answer with a status that tells of an error is an answer.
    pub async fn send(mut self) -> Result<Response, Error> {
        let limit = self.timeout;
        let at = Cell::new(String::new());
        timeout(limit, self.follow(&at)).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                url: at.take(),
                timeout: limit,
            })
        })
    }

    /// Sends it to wherever the servers point. What is asked at the moment is kept in `at`.
    async fn follow(&mut self, at: &Cell<String>) -> Result<Response, Error> {
        let mut left = self.redirects;
        loop {
            at.set(self.url.clone());
            let answer = imports::exchange(self).await?;
            let target = answer
                .header("location")
                .filter(|_| matches!(answer.status, 301 | 302 | 303 | 307 | 308));
            let Some(target) = target.filter(|_| self.redirects > 0) else {
                return Ok(answer);
            };
            let target = Url::parse(&self.url)?.join(target);
            if left == 0 {
                return Err(Error::TooManyRedirects { url: target });
            }
            left -= 1;
            self.turn(answer.status, target)?;
        }
    }

    /// Makes it the request that follows a redirection.
    fn turn(&mut self, status: u16, target: String) -> Result<(), Error> {
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

/// What a server has answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers, the names in lower case. Those of one name stand together, in the order in which they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Where it comes from: the last one, if there were redirections.
    pub url: String,
}

impl Response {
    /// Whether the status tells of success: 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON of any type that serde can read.
    ///
    /// # Errors
    /// [`Error::Decode`]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode {
            url: self.url.clone(),
            source,
        })
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
