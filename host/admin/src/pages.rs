//! What is asked for, and who may ask.
//!
//! A request is a method, a path and headers; its body is never read. All of that comes from outside, so what is told of a
//! mistake repeats none of it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, uri::Authority};
use http_body::Body;
use percent_encoding::percent_decode_str;
use soloist_core::guardian::Past;
use soloist_core::journal::Journal;
use soloist_core::roster::Roster;
use soloist_core::secret::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{self, Answer, TEXT, plain, respond};
use crate::logs::Logs;
use crate::page::{self, Look, Page, Reader, Settings};
use crate::token::Token;
use crate::told::Told;
use crate::{health, metrics};

const JSON: &str = "application/json";

/// How many answers with metrics there are at once. Each of 10,000 tasks takes kilobytes of one, and who reads slowly keeps it.
const METRICS_MAX: usize = 8;

/// What the listener shows.
#[derive(Debug)]
pub struct Pages {
    host: Arc<str>,
    roster: Arc<Roster>,
    told: Arc<Told>,
    admission: Admission,
    /// What the guardian has seen before, if there is one.
    past: Option<Past>,
    logs: Option<Logs>,
    page: Option<Page>,
    /// The answers with metrics that may still be begun.
    scrapes: Arc<Semaphore>,
}

/// An answer with metrics, one of so many until it is dropped.
struct Scrape {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Scrape {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// What the connection has shown of whoever asks. It is an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A certificate that one of those in `listen_client_ca` vouches for.
    Certificate,
}

/// Who may ask, and what they have to have shown.
#[derive(Debug)]
pub(crate) struct Admission {
    guard: Guard,
    wants_certificate: bool,
}

/// Who may ask.
#[derive(Debug)]
enum Guard {
    /// Whoever shows the token.
    Token(Token),
    /// Everybody who can reach the address.
    Open,
    /// Whoever could connect: with a certificate, or on this machine by a name that the certificate of this host is for.
    Known,
    /// Everybody on this machine. A page of a browser that runs here, whose name leads here, is not meant.
    Local,
}

impl Pages {
    /// The pages of a host. `is_open`: whoever can reach the address may ask, if there is no token.
    pub fn new(
        host: Arc<str>,
        roster: Arc<Roster>,
        told: Arc<Told>,
        token: Option<&Secret>,
        is_open: bool,
    ) -> Self {
        Self {
            host,
            roster,
            told,
            admission: Admission::new(token, is_open),
            past: None,
            logs: None,
            page: None,
            scrapes: Arc::new(Semaphore::new(METRICS_MAX)),
        }
    }

    /// The same pages, and the lines of this journal.
    #[must_use]
    pub fn with_lines(self, journal: Arc<Journal>) -> Self {
        Self {
            logs: Some(Logs::new(journal)),
            ..self
        }
    }

    /// The same pages, and one for people, of what is seen so.
    ///
    /// # Errors
    /// There is no thread that could look.
    pub fn with_page(self, look: Box<dyn Look>, settings: Settings<'_>) -> io::Result<Self> {
        let (host, roster) = (Arc::clone(&self.host), Arc::clone(&self.roster));
        let journal = self.logs.as_ref().map(|logs| Arc::clone(logs.journal()));
        let page = Page::new(host, roster, journal, look, settings)?;
        let page = Some(page);
        Ok(Self { page, ..self })
    }

    /// Answers a request, also for what the ensemble has to be asked for.
    pub(crate) async fn answer_in_time<B>(&self, request: &Parts, body: B) -> Response<Answer>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(page) = &self.page
            && self.admission.admit_asked_here(request).is_ok()
            && let Some(answer) = page.order(request, body).await
        {
            return answer::whole(answer);
        }
        match &self.page {
            Some(page) if is_read(request) && request.uri.path().starts_with("/api/") => {
                let reader = match &self.admission.guard {
                    Guard::Open => Reader::Anybody,
                    Guard::Token(_) | Guard::Known | Guard::Local => Reader::Known,
                };
                match self.admission.admit(request) {
                    Err(refused) if !page.may_order(request) => answer::whole(*refused),
                    // Who may give orders may read, if it has not come by a name that leads here.
                    Err(_) if self.admission.admit_asked_here(request).is_err() => {
                        answer::whole(self.answer(request))
                    }
                    _ => page.answer(request, reader).await,
                }
            }
            _ => answer::whole(self.answer(request)),
        }
    }

    /// The same pages of a process that has a guardian, which has seen this before.
    #[must_use]
    pub fn with_guardian(self, past: Option<Past>) -> Self {
        Self { past, ..self }
    }

    pub(crate) fn over_tls(self, wants_certificate: bool) -> Self {
        let admission = self.admission.over_tls(wants_certificate);
        Self { admission, ..self }
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Parts) -> Response<Bytes> {
        if let Err(refused) = read_only(request) {
            return *refused;
        }
        // A browser shows no token when it opens a page. These files are the same for everybody.
        if self.page.is_some()
            && let Some(file) = page::file(request.uri.path())
        {
            return file;
        }
        // Probes have no token, and learn nothing but a word.
        match request.uri.path() {
            "/livez" => return words(health::live(&self.roster)),
            "/readyz" => return words(health::ready(&self.roster, &self.told.heard())),
            _ => {}
        }
        if let Err(refused) = self.admission.admit(request) {
            return *refused;
        }
        match request.uri.path() {
            "/metrics" => self.metrics(),
            path => match (path.strip_prefix("/leader/"), path.strip_prefix("/logs/")) {
                (Some(task), _) => self.leader(task),
                (_, Some(task)) => self.lines(task, request.uri.query()),
                _ => plain(StatusCode::NOT_FOUND, NOTHING),
            },
        }
    }

    fn metrics(&self) -> Response<Bytes> {
        let Ok(place) = Arc::clone(&self.scrapes).try_acquire_owned() else {
            let text = "others read as many metrics as may be read at once: try again\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        let scrape = Scrape {
            text: metrics::render(
                &self.host,
                &self.roster,
                &self.told.heard(),
                self.past.as_ref(),
            ),
            _place: place,
        };
        let body = Bytes::from_owner(scrape);
        respond(StatusCode::OK, metrics::CONTENT_TYPE, body)
    }

    fn leader(&self, written: &str) -> Response<Bytes> {
        let name = percent_decode_str(written).decode_utf8();
        let task = name.ok().and_then(|name| self.roster.task(&name));
        let Some(task) = task else {
            return plain(
                StatusCode::NOT_FOUND,
                "this host stands for no task of that name\n",
            );
        };
        let (status, told) = health::leader(&self.host, &task);
        respond(status, JSON, format!("{told}\n"))
    }

    /// What plugins write is for whoever runs them: an address that is open to all tells none of it.
    fn lines(&self, task: &str, query: Option<&str>) -> Response<Bytes> {
        match (&self.logs, &self.admission.guard) {
            (None, _) => plain(StatusCode::NOT_FOUND, NOTHING),
            (Some(_), Guard::Open) => plain(StatusCode::FORBIDDEN, UNGUARDED),
            (Some(logs), _) => logs.answer(task, query),
        }
    }
}

impl Admission {
    pub(crate) fn new(token: Option<&Secret>, is_open: bool) -> Self {
        let guard = match token {
            Some(token) => Guard::Token(Token::of(token)),
            None if is_open => Guard::Open,
            None => Guard::Local,
        };
        Self {
            guard,
            wants_certificate: false,
        }
    }

    /// Who may ask over TLS. A browser that comes by a name that leads here does not take the certificate for that of the name.
    pub(crate) fn over_tls(self, wants_certificate: bool) -> Self {
        let guard = match self.guard {
            Guard::Local => Guard::Known,
            Guard::Open if wants_certificate => Guard::Known,
            guard => guard,
        };
        Self {
            guard,
            wants_certificate,
        }
    }

    /// What holds of every request, whatever it shows in its head.
    fn admit_asked_here(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        self.admit_connection(request)?;
        match &self.guard {
            Guard::Local => self.admit(request),
            Guard::Open | Guard::Known | Guard::Token(_) => Ok(()),
        }
    }

    /// What the connection has to have shown.
    fn admit_connection(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        if self.wants_certificate && request.extensions.get() != Some(&Shown::Certificate) {
            let text = "show a certificate of those in listen_client_ca\n";
            return Err(Box::new(plain(StatusCode::FORBIDDEN, text)));
        }
        Ok(())
    }

    pub(crate) fn admit(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        self.admit_connection(request)?;
        match &self.guard {
            Guard::Open | Guard::Known => Ok(()),
            Guard::Token(token) if token.is_shown_by(&request.headers) => Ok(()),
            Guard::Token(_) => {
                let mut refused = plain(
                    StatusCode::UNAUTHORIZED,
                    "show the token: Authorization: Bearer TOKEN\n",
                );
                let scheme = HeaderValue::from_static("Bearer");
                refused
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
                Err(Box::new(refused))
            }
            Guard::Local if is_local(&request.headers) => Ok(()),
            Guard::Local => Err(Box::new(plain(
                StatusCode::MISDIRECTED_REQUEST,
                "ask by address or as localhost, or have the host listen with a token\n",
            ))),
        }
    }
}

fn is_read(request: &Parts) -> bool {
    request.method == Method::GET || request.method == Method::HEAD
}

/// Refuses what is no request to read.
pub(crate) fn read_only(request: &Parts) -> Result<(), Box<Response<Bytes>>> {
    if is_read(request) {
        return Ok(());
    }
    let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    let allowed = HeaderValue::from_static("GET, HEAD");
    refused.headers_mut().insert(header::ALLOW, allowed);
    Err(Box::new(refused))
}

const NOTHING: &str =
    "nothing here: ask for /metrics, /livez, /readyz, /leader/TASK or /logs/TASK\n";
const UNGUARDED: &str = "lines of plugins are told where a token or a certificate is asked for, or on this machine alone: set listen_token_file or listen_client_ca\n";

/// Whether the request names an address, or localhost, as what it asks. A name could be one whose owner has it lead here, so
/// that a browser takes this for a page of that owner.
fn is_local(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(named), None) = (named.next(), named.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(named.as_bytes()) else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn words((status, text): health::Answer) -> Response<Bytes> {
    respond(status, TEXT, text)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;
    use soloist_core::records::TaskPaths;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn pages(token: Option<&str>, is_open: bool) -> (Pages, soloist_core::roster::Enlisted) {
        let roster = Arc::new(Roster::default());
        let told = Arc::new(Told::new(Arc::clone(&roster)));
        let name: Arc<str> = "daily report/é".into();
        let task = roster.enlist(&name, &Arc::new(TaskPaths::new("/s", "x", None)));
        let token = token.map(|token| Secret::new(token.into()));
        let pages = Pages::new("alpha".into(), roster, told, token.as_ref(), is_open);
        (pages, task)
    }

    fn ask(pages: &Pages, method: &str, path: &str, headers: &[(&str, &[u8])]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        pages.answer(&parts).status().as_u16()
    }

    #[test]
    fn a_token_is_asked_for_by_all_that_tells_more_than_a_word() {
        let (pages, _task) = pages(Some(TOKEN), false);
        let right = format!("Bearer {TOKEN}");
        let lower = format!("bearer {TOKEN}");
        let basic = format!("Basic {TOKEN}");
        let longer = format!("Bearer {TOKEN}x");
        for path in [
            "/metrics",
            "/leader/nobody",
            "/logs/nobody",
            "/",
            "/../metrics",
        ] {
            for wrong in [
                &[][..],
                &[("authorization", &b""[..])],
                &[("authorization", b"Bearer")],
                &[("authorization", b"Bearer ")],
                &[("authorization", &right.as_bytes()[..right.len() - 1])],
                &[("authorization", longer.as_bytes())],
                &[("authorization", basic.as_bytes())],
                &[("authorization", b"Bearer \xff\xfe")],
                &[
                    ("authorization", right.as_bytes()),
                    ("authorization", right.as_bytes()),
                ],
            ] {
                assert_eq!(ask(&pages, "GET", path, wrong), 401, "{path} {wrong:?}");
            }
        }
        for right in [&right, &lower] {
            let shown = [("authorization", right.as_bytes())];
            assert_eq!(ask(&pages, "GET", "/metrics", &shown), 200);
            assert_eq!(ask(&pages, "GET", "/leader/nobody", &shown), 404);
        }
        assert_eq!(ask(&pages, "GET", "/livez", &[]), 503);
        assert_eq!(ask(&pages, "POST", "/metrics", &[]), 405);
    }

    #[test]
    fn lines_are_told_to_who_shows_the_token_and_on_this_machine_and_to_nobody_else() {
        let journal = Arc::new(Journal::new(1));
        journal.add("a", std::time::SystemTime::UNIX_EPOCH, "{}".into());
        let bearer = format!("Bearer {TOKEN}");
        let shown = [("authorization", bearer.as_bytes()), ("host", b"localhost")];
        for (token, is_open, headers, status) in [
            (Some(TOKEN), true, &shown[..], 200),
            (Some(TOKEN), true, &shown[1..], 401),
            (None, true, &shown[1..], 403),
            (None, false, &shown[1..], 200),
            (None, false, &[("host", &b"evil.example"[..])], 421),
        ] {
            let (pages, _task) = pages(token, is_open);
            let told = |pages| ask(&pages, "GET", "/logs/a?tail=1", headers);
            assert_eq!(told(pages.with_lines(Arc::clone(&journal))), status);
        }
        let (without, _task) = pages(None, false);
        assert_eq!(ask(&without, "GET", "/logs/a", &shown[1..]), 404);
    }

    #[test]
    fn only_so_many_answers_with_metrics_are_kept_and_a_place_is_free_when_one_is_dropped() {
        let (pages, _task) = pages(None, true);
        let mut kept: Vec<_> = (0..METRICS_MAX).map(|_| pages.metrics()).collect();
        assert!(kept.iter().all(|answer| answer.status() == StatusCode::OK));
        assert_eq!(ask(&pages, "GET", "/metrics", &[]), 503);
        assert_eq!(ask(&pages, "GET", "/leader/nobody", &[]), 404);
        kept.pop();
        assert_eq!(ask(&pages, "GET", "/metrics", &[]), 200);
        assert_eq!(ask(&pages, "GET", "/metrics", &[]), 200);
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_no_way_in_for_a_browser() {
        let (pages, _task) = pages(None, false);
        for named in [
            "127.0.0.1:9464",
            "localhost",
            "LocalHost:9464",
            "[::1]:9464",
            "10.0.0.1",
        ] {
            assert_eq!(
                ask(&pages, "GET", "/metrics", &[("host", named.as_bytes())]),
                200
            );
        }
        for named in [
            "evil.example:9464",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
            "\u{e9}",
        ] {
            let status = ask(&pages, "GET", "/metrics", &[("host", named.as_bytes())]);
            assert_eq!(status, 421, "{named}");
        }
        let (open, _task) = self::pages(None, true);
        assert_eq!(
            ask(&open, "GET", "/metrics", &[("host", b"hosts.example")]),
            200
        );
    }

    #[test]
    fn a_task_is_asked_for_by_its_name_as_a_path_writes_it() {
        let (pages, _task) = pages(None, true);
        let status = |path: &str| ask(&pages, "GET", path, &[]);
        assert_eq!(status("/leader/daily%20report%2F%C3%A9"), 503);
        assert_eq!(status("/leader/daily%20report/%C3%A9"), 503);
        for unknown in [
            "/leader/",
            "/leader/daily",
            "/leader/%ff",
            "/leader/%",
            "/leader",
        ] {
            assert_eq!(status(unknown), 404, "{unknown}");
        }
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        /// Whatever is asked for, and with whatever headers: there is an answer, it repeats nothing, and without the token it is no
        /// page that asks for one.
        #[test]
        fn whatever_is_asked_there_is_an_answer_that_repeats_nothing(
            path in "/(leader/|logs/|metrics|livez|readyz)?[!-~]{0,60}",
            value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..], 0..80),
            name in "(host|authorization|x-[a-z]{1,9})",
        ) {
            let (pages, _task) = pages(Some(TOKEN), false);
            let request = Request::builder().uri(&path);
            let value = HeaderValue::from_bytes(&value).unwrap();
            // What is no path does not get this far.
            let Ok(request) = request.header(&name, value).body(()) else {
                return Ok(());
            };
            let (parts, ()) = request.into_parts();
            let answer = pages.answer(&parts);
            let is_probe = ["/livez", "/readyz"].contains(&parts.uri.path());
            prop_assert_eq!(answer.status().as_u16(), if is_probe { 503 } else { 401 });
            let body = String::from_utf8(answer.body().to_vec()).unwrap();
            prop_assert!(path.len() < 12 || !body.contains(&path));
            let (open, _task) = self::pages(None, true);
            prop_assert!(open.answer(&parts).status().as_u16() != 401);
        }
    }
}
