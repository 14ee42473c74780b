//! The page: `/`, and what it asks for below `/api/`.
//!
//! ```text
//!   browser -- /api/... --> Page --> Lookout --- questions ---> a thread of its own --> Sight (the ensemble)
//!      ^                     |          ^                                |
//!      +--- one page of rows +          +------- the latest Glance ------+
//! ```
//!
//! | file | what |
//! |---|---|
//! | `seen` | what is seen of the ensemble, as values, and the trait of what sees it |
//! | `lookout` | looks while somebody wants to know, as often for many viewers as for one |
//! | `query` | which rows of which page are asked for |
//! | `shown` | what is told of it, bounded and made printable |
//! | `live` | server-sent events |
//! | `order` | what somebody may have a task do who shows the token for it |
//! | `files` | the page itself: markup, style and script |
//!
//! A browser shows no token by itself when it opens a page. So the files are given to everybody, and the script asks for the token
//! and shows it with each request. A cookie would be sent by itself, also with a request that another site has made up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use soloist_core::journal::Journal;
use soloist_core::roster::Roster;
use soloist_core::secret::Secret;
use soloist_core::text;
use tokio::sync::Semaphore;

use crate::answer::{self, Answer, placed, plain, respond};

mod files;
mod live;
mod lookout;
mod order;
mod query;
mod seen;
mod shown;

pub use seen::{Detail, Glance, HostRow, Look, Order, PlanRow, Readied, Row, Sight};

pub(crate) use files::file;
use live::Streams;
use lookout::{Lookout, Trouble};
use order::Orders;
use query::Query;

const JSON: &str = "application/json";

/// How long an answer waits for the ensemble.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// How many answers there are at once. Each may have megabytes, and whoever reads slowly keeps it.
const ANSWERS_MAX: usize = 8;

/// The page, and what it shows.
#[derive(Debug)]
pub(crate) struct Page {
    context: Arc<Context>,
    streams: Streams,
    orders: Option<Orders>,
    /// The answers that may still be begun.
    answers: Arc<Semaphore>,
}

/// What the page may do besides showing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// Whether values of a task's state are shown to who asks for them.
    pub tells_values: bool,
    /// What whoever gives an order has to show. Without it there are none.
    pub orders: Option<&'a Secret>,
}

/// What an answer is made from.
#[derive(Debug)]
struct Context {
    host: Arc<str>,
    roster: Arc<Roster>,
    journal: Option<Arc<Journal>>,
    lookout: Lookout,
    /// Values of a task's state are told to who asks for them.
    tells_values: bool,
}

/// How much may be told to who asks: where everybody is answered, nothing that a plugin wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// It has shown a token, or runs on this machine.
    Known,
    /// Anybody.
    Anybody,
}

/// What is said of orders to who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayOrder {
    /// There are none.
    No,
    /// They are taken from who shows another token.
    WithToken,
    /// This one may give them.
    Yes,
}

/// What is asked for below `/api/`.
enum Asked<'a> {
    Tasks,
    Terms,
    Live,
    Task(&'a str),
    State(&'a str),
}

impl Page {
    /// The page of a host that looks at the ensemble so.
    ///
    /// # Errors
    /// There is no thread that could look.
    pub(crate) fn new(
        host: Arc<str>,
        roster: Arc<Roster>,
        journal: Option<Arc<Journal>>,
        look: Box<dyn Look>,
        settings: Settings<'_>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            context: Arc::new(Context {
                host,
                roster,
                journal,
                lookout: Lookout::begin(look)?,
                tells_values: settings.tells_values,
            }),
            streams: Streams::default(),
            orders: settings.orders.map(Orders::new),
            answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
        })
    }

    /// Whether a request shows the token for orders: whoever does may read as well.
    pub(crate) fn may_order(&self, request: &Parts) -> bool {
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.may(request))
    }

    /// Carries an order out. None if the host takes none, or if this is something else.
    pub(crate) async fn order<B>(&self, request: &Parts, body: B) -> Option<Response<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let orders = self.orders.as_ref()?;
        if !request.uri.path().starts_with("/api/order/") {
            return None;
        }
        Some(orders.give(&self.context, request, body).await)
    }

    /// Answers what is asked for below `/api/`.
    pub(crate) async fn answer(&self, request: &Parts, reader: Reader) -> Response<Answer> {
        if is_of_another_site(&request.headers) {
            let text = "this is for the page of this host alone\n";
            return answer::whole(plain(StatusCode::FORBIDDEN, text));
        }
        let Some(asked) = asked(request.uri.path()) else {
            return answer::whole(plain(StatusCode::NOT_FOUND, NOTHING));
        };
        let Some(query) = Query::read(request.uri.query().unwrap_or_default()) else {
            return answer::whole(plain(StatusCode::BAD_REQUEST, query::USAGE));
        };
        if matches!(asked, Asked::Live) {
            let may_order = match &self.orders {
                None => MayOrder::No,
                Some(orders) if orders.may(request) => MayOrder::Yes,
                Some(_) => MayOrder::WithToken,
            };
            let hello = self.context.hello(reader, may_order);
            return self.streams.begin(&self.context, query, reader, hello);
        }
        let told = tokio::time::timeout(ANSWER_TIME, self.context.tell(&asked, &query, reader));
        let told = told.await.unwrap_or(Err(Trouble::Slow));
        let body = told.and_then(|told| {
            let place = Arc::clone(&self.answers).try_acquire_owned();
            let place = place.map_err(|_| Trouble::Busy)?;
            Ok(placed(encoded(&told), place))
        });
        answer::whole(match body {
            Ok(body) => respond(StatusCode::OK, JSON, body),
            Err(trouble) => trouble.answer(),
        })
    }
}

impl Context {
    async fn tell(
        &self,
        asked: &Asked<'_>,
        query: &Query,
        reader: Reader,
    ) -> Result<Value, Trouble> {
        match asked {
            Asked::Tasks => {
                let seen = self.lookout.fresh(Instant::now()).await?;
                Ok(shown::tasks(&seen, query, reader, &self.leases()))
            }
            Asked::Terms => {
                let seen = self.lookout.fresh(Instant::now()).await?;
                let rows = query.rows(&seen.glance.tasks);
                let names = rows.page.iter().map(|row| row.task.clone()).collect();
                let ended = self.lookout.terms(names).await?;
                Ok(shown::terms(&rows.page, &ended, reader))
            }
            Asked::Task(name) => {
                let detail = self.lookout.task(&decoded(name)?).await?;
                let detail = detail.ok_or(Trouble::NoTask)?;
                Ok(shown::task(&detail, reader, &self.leases(), None))
            }
            Asked::State(name) => {
                if reader == Reader::Anybody || !self.tells_values {
                    return Err(Trouble::ValuesHidden);
                }
                let key = query.key.as_deref().ok_or(Trouble::NoTask)?;
                let value = self.lookout.value(&decoded(name)?, key).await?;
                Ok(shown::value(&value.ok_or(Trouble::NoTask)?))
            }
            Asked::Live => Err(Trouble::Slow),
        }
    }

    /// What the page has to know once.
    fn hello(&self, reader: Reader, may_order: MayOrder) -> Value {
        json!({
            "host": &*self.host,
            "version": env!("CARGO_PKG_VERSION"),
            "values": self.tells_values && reader == Reader::Known,
            "orders": match may_order {
                MayOrder::No => "none",
                MayOrder::WithToken => "token",
                MayOrder::Yes => "given",
            },
            "lines": self.journal.is_some() && reader == Reader::Known,
        })
    }

    fn leases(&self) -> shown::Leases {
        shown::Leases::of(&self.host, &self.roster)
    }
}

impl Trouble {
    fn answer(self) -> Response<Bytes> {
        let status = match self {
            Self::NoTask => StatusCode::NOT_FOUND,
            Self::ValuesHidden => StatusCode::FORBIDDEN,
            Self::Busy | Self::Slow | Self::Ensemble(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut text = text::printable(&self.to_string()).into_owned();
        text.push('\n');
        respond(status, answer::TEXT, text)
    }
}

const NOTHING: &str = "nothing here: ask for /api/tasks, /api/terms, /api/task/TASK, /api/state/TASK?key=KEY or /api/live\n";

fn asked(path: &str) -> Option<Asked<'_>> {
    match path.strip_prefix("/api/")? {
        "tasks" => Some(Asked::Tasks),
        "terms" => Some(Asked::Terms),
        "live" => Some(Asked::Live),
        other => match other.split_once('/')? {
            ("task", name) => Some(Asked::Task(name)),
            ("state", name) => Some(Asked::State(name)),
            _ => None,
        },
    }
}

/// The name of a task, as a path writes it. One that no task can have is that of none.
fn decoded(written: &str) -> Result<String, Trouble> {
    let name = percent_decode_str(written).decode_utf8();
    let name = name.map_err(|_| Trouble::NoTask)?;
    if is_name(&name) {
        Ok(name.into_owned())
    } else {
        Err(Trouble::NoTask)
    }
}

/// Whether a task may be called that: what has other characters would be another path in the ensemble.
fn is_name(name: &str) -> bool {
    const BYTES_MAX: usize = 256;
    let is_of_node = |it: char| {
        it != '/'
            && !it.is_control()
            && !matches!(it, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
    };
    name.len() <= BYTES_MAX && !name.chars().all(|it| it == '.') && name.chars().all(is_of_node)
}

fn encoded(told: &Value) -> String {
    // A value of JSON can be written as JSON.
    text::json(told).unwrap_or_default()
}

/// Whether a browser says that a page of another site asks. It could not read the answer, and would still have it made.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| site != b"same-origin" && site != b"none")
        || headers.contains_key(header::ORIGIN) && !is_own(headers)
}

/// Whether the origin that is named is this host, under the name by which it is asked.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|it: &HeaderValue| it.to_str().ok())
    };
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, named)| named.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
