//! What a plugin asks of servers in a test, and what they answer.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::header_text;

/// A request as the server sees it.
///
/// ```
/// use soloist_sdk::http;
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|_| Answer::status(204));
/// test.block_on(http::Request::put("http://stock.example/7").body("12").send()).unwrap();
///
/// let request = &test.requests()[0];
/// assert_eq!((request.method.as_str(), request.url.as_str()), ("PUT", "http://stock.example/7"));
/// assert_eq!(request.header("content-length"), Some("2"));
/// assert!(request.header("soloist-fencing-token").is_some());
/// assert_eq!(request.json::<u32>(), 12);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// The headers, with those that a host adds.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Panics if it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let Self { method, url, .. } = self;
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("the body of {method} {url} is not the JSON expected: {error}")
        })
    }
}

/// What a server answers in a test.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::http;
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|request| match request.url.as_str() {
///     "http://a.example/orders" => Answer::json(&[1, 2]).header("etag", "v1"),
///     "http://a.example/slow" => Answer::text("at last").after(Duration::from_secs(60)),
///     "http://a.example/dead" => Answer::fails("connection refused"),
///     "http://a.example/secret" => Answer::refused(),
///     _ => Answer::status(404),
/// });
/// test.block_on(async {
///     let orders = http::get("http://a.example/orders").await.unwrap();
///     assert_eq!(orders.json::<Vec<u32>>().unwrap(), [1, 2]);
///     assert_eq!(orders.header("etag"), Some("v1"));
///     assert!(matches!(http::get("http://a.example/slow").await, Err(http::Error::TimedOut { .. })));
///     assert!(matches!(http::get("http://a.example/dead").await, Err(http::Error::Failed { .. })));
///     assert!(matches!(http::get("http://a.example/secret").await, Err(http::Error::Refused { .. })));
///     assert_eq!(http::get("http://a.example/other").await.unwrap().status, 404);
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "an answer is returned from the closure given to `Harness::http`"]
pub struct Answer {
    pub(super) kind: Kind,
    pub(super) after: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Answered {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    Failed(String),
    Refused,
}

impl Answer {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            after: Duration::ZERO,
        }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Answered {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Status 200 and a body.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// Status 200 and `value` as JSON.
    ///
    /// # Panics
    /// Panics if the value cannot be written as JSON.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_vec(value).expect("the value of an answer is not for JSON");
        Self::text(body).header("content-type", "application/json")
    }

    /// No answer: the connection fails for this reason.
    pub fn fails(reason: impl Into<String>) -> Self {
        Self::new(Kind::Failed(reason.into()))
    }

    /// No answer: the host does not let the request out, for want of a grant.
    pub fn refused() -> Self {
        Self::new(Kind::Refused)
    }

    /// Sets the body.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Kind::Answered { body, .. } = &mut self.kind {
            *body = bytes.into();
        }
        self
    }

    /// Adds a header.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "what is written in place reads better"
    )]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        if let Kind::Answered { headers, .. } = &mut self.kind {
            headers.push((name.to_ascii_lowercase(), value.to_string().into_bytes()));
        }
        self
    }

    /// Has the answer come after that time on the clock of the test.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}
