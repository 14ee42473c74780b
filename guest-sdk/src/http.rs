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
//!         let request = http::Request::post(url).json(&true)?.idempotency_key(order.id).retries(3);
//!         let answer = request.send().await?.error_for_status()?;
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
//! - A crate like `reqwest` or `hyper` cannot work in a plugin: their runtime, tokio's, has no sockets there. This module is
//!   what to use instead.
//! - When demotion begins, requests under way are cut and new ones are refused, in `on_demoted` too.

use std::time::Duration;

mod error;
#[cfg(target_family = "wasm")]
pub(crate) mod exchange;
mod request;
mod response;
mod send;
mod url;

pub use error::{Error, Refused};
pub use request::Request;
pub use response::Response;
#[cfg(not(target_family = "wasm"))]
pub(crate) use response::header_text;

/// How long a request may take, redirections and all, unless it says otherwise.
///
/// ```
/// use soloist_sdk::http::{Request, TIMEOUT};
///
/// let patient = Request::get("https://shop.example/report").timeout(10 * TIMEOUT);
/// ```
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes of an answer are read, unless the request says otherwise.
///
/// ```
/// use soloist_sdk::http::{BODY_BYTES, Request};
///
/// let large = Request::get("https://shop.example/catalogue").body_max(4 * BODY_BYTES);
/// ```
pub const BODY_BYTES: usize = 8 << 20;

/// How many redirections are followed, unless the request says otherwise.
///
/// ```
/// use soloist_sdk::http::{REDIRECTS, Request};
///
/// let strict = Request::get("https://shop.example/login").redirects(0);
/// let lenient = Request::get("https://shop.example/old").redirects(2 * REDIRECTS);
/// ```
pub const REDIRECTS: u32 = 5;

/// Gets what is at `url`.
///
/// ```
/// use soloist_sdk::http;
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|_| Answer::text("ready"));
/// let answer = test.block_on(http::get("https://api.example.com/health")).unwrap();
/// assert_eq!((answer.status, answer.text().as_str()), (200, "ready"));
/// ```
///
/// # Errors
/// [`Error`]; an answer with a status that tells of an error is an answer.
pub async fn get(url: impl Into<String>) -> Result<Response, Error> {
    Request::get(url).send().await
}
