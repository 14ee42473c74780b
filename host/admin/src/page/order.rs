//! Orders: what somebody may have a task do who shows another token than the one for reading.
//!
//! An order is a `POST` with that token in a header. A browser sends such a header only for a page that may ask this host for
//! anything, which is its own: no other site can make it give an order, whatever the browser keeps.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use soloist_core::records::DETAIL_MAX_CHARS;
use soloist_core::secret::Secret;
use soloist_core::text::printable;
use tokio::sync::Semaphore;

use super::lookout::Trouble;
use super::seen::Order;
use super::{Context, decoded, is_name, is_of_another_site};
use crate::answer::{self, plain, respond};
use crate::token::Token;

/// The longest order, in bytes, and how long it may take to arrive.
const BODY_BYTES_MAX: usize = 4096;
const BODY_TIME: Duration = Duration::from_secs(10);
/// How many orders are carried out at once.
pub(super) const ORDERS_MAX: usize = 4;
/// How long an answer waits for what comes of an order.
const ORDER_TIME: Duration = Duration::from_secs(30);

const USAGE: &str = "write {\"order\": \"resign\", \"pause\", \"resume\" or \"rollback\", \"to\": HOST (resign), \"reason\": TEXT}\n";

/// Who may give orders, and how many are under way.
#[derive(Debug)]
pub(super) struct Orders {
    token: Token,
    places: Semaphore,
}

impl Order {
    /// Reads an order. None if it is none.
    fn read(body: &[u8]) -> Option<Self> {
        let order: Self = serde_json::from_slice(body).ok()?;
        let (Self::Resign { reason, .. }
        | Self::Pause { reason }
        | Self::Resume { reason }
        | Self::Rollback { reason }) = &order;
        let is_short = |reason: &String| reason.chars().count() <= DETAIL_MAX_CHARS;
        let fits = reason.as_ref().is_none_or(is_short);
        let to = match &order {
            Self::Resign { to: Some(to), .. } => is_name(to),
            _ => true,
        };
        (fits && to).then_some(order)
    }
}

impl Orders {
    pub(super) fn new(token: &Secret) -> Self {
        Self {
            token: Token::of(token),
            places: Semaphore::new(ORDERS_MAX),
        }
    }

    /// Whether a request shows the token for orders.
    pub(super) fn may(&self, request: &Parts) -> bool {
        self.token.is_shown_by(&request.headers)
    }

    /// Carries an order out, if whoever gives it may.
    pub(super) async fn give<B>(
        &self,
        context: &Context,
        request: &Parts,
        body: B,
    ) -> Response<Bytes>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if is_of_another_site(&request.headers) {
            let text = "orders are taken from the page of this host alone\n";
            return plain(StatusCode::FORBIDDEN, text);
        }
        if !self.may(request) {
            let text = "show the token for orders: Authorization: Bearer TOKEN\n";
            return plain(StatusCode::UNAUTHORIZED, text);
        }
        if request.method != Method::POST {
            return plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "orders are given with POST\n",
            );
        }
        let kind = request.headers.get(header::CONTENT_TYPE);
        if kind.is_none_or(|kind| kind != "application/json") {
            let text = "an order is JSON: Content-Type: application/json\n";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
        let name = request.uri.path().strip_prefix("/api/order/");
        let Some(Ok(task)) = name.map(decoded) else {
            return plain(StatusCode::NOT_FOUND, "no task can have that name\n");
        };
        let body = Limited::new(body, BODY_BYTES_MAX).collect();
        let body = tokio::time::timeout(BODY_TIME, body).await;
        let order = match body {
            Ok(Ok(body)) => Order::read(&body.to_bytes()),
            _ => None,
        };
        let Some(order) = order else {
            return plain(StatusCode::BAD_REQUEST, USAGE);
        };
        let Ok(_place) = self.places.try_acquire() else {
            return Trouble::Busy.answer();
        };
        tracing::warn!(
            "`listen`: somebody with the token for orders has task {} {}",
            printable(&task),
            order.name()
        );
        let done = context.lookout.order(task, order);
        match tokio::time::timeout(ORDER_TIME, done).await {
            Ok(Ok(Ok(done))) => respond(StatusCode::OK, answer::TEXT, line(&done)),
            Ok(Ok(Err(refused))) => respond(StatusCode::CONFLICT, answer::TEXT, line(&refused)),
            Ok(Err(trouble)) => trouble.answer(),
            Err(_) => Trouble::Slow.answer(),
        }
    }
}

fn line(text: &str) -> String {
    format!("{}\n", printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_it_says_and_no_more() {
        let resign = Order::read(br#"{"order":"resign","to":"b","reason":"kernel"}"#);
        let (to, reason) = (Some("b".into()), Some("kernel".into()));
        assert_eq!(resign, Some(Order::Resign { to, reason }));
        assert_eq!(
            Order::read(br#"{"order":"pause"}"#),
            Some(Order::Pause { reason: None })
        );
        let long = format!(r#"{{"order":"pause","reason":"{}"}}"#, "x".repeat(201));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"order":"undeploy"}"#,
            r#"{"order":"pause","to":"b"}"#,
            r#"{"order":"resign","to":"../b"}"#,
            r#"{"order":"resign","to":7}"#,
            &long,
        ] {
            assert_eq!(Order::read(bad.as_bytes()), None, "{bad}");
        }
    }
}
