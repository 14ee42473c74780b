//! What is asked for.
//!
//! A request is a method, a path and headers; its body is never read. All of that comes from outside, so what is told of a
//! mistake repeats none of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use percent_encoding::percent_decode_str;
use soloist_core::guardian::Past;
use soloist_core::journal::Journal;
use soloist_core::roster::Roster;
use soloist_core::secret::Secret;
use tokio::sync::Semaphore;

use crate::admission::{Admission, is_read, read_only};
use crate::answer::{self, Answer, TEXT, placed, plain, respond};
use crate::logs::Logs;
use crate::page::{self, Look, Page, Reader, Settings};
use crate::told::Told;
use crate::{health, metrics};

const JSON: &str = "application/json";

/// How many answers with metrics there are at once. Each of 10,000 tasks takes kilobytes of one, and who reads slowly keeps it.
const METRICS_MAX: usize = 8;

const NOTHING: &str =
    "nothing here: ask for /metrics, /livez, /readyz, /leader/TASK or /logs/TASK\n";
const UNGUARDED: &str = "lines of plugins are told where a token or a certificate is asked for, or on this machine alone: set listen_token_file or listen_client_ca\n";

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
                let reader = if self.admission.is_open() {
                    Reader::Anybody
                } else {
                    Reader::Known
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

    /// The same pages at another address than was configured: nobody is answered but probes.
    #[must_use]
    pub fn for_nobody(self) -> Self {
        Self {
            admission: Admission::nobody(),
            page: None,
            ..self
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
        let text = metrics::render(
            &self.host,
            &self.roster,
            &self.told.heard(),
            self.past.as_ref(),
        );
        respond(StatusCode::OK, metrics::CONTENT_TYPE, placed(text, place))
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
        match &self.logs {
            None => plain(StatusCode::NOT_FOUND, NOTHING),
            Some(_) if self.admission.is_open() => plain(StatusCode::FORBIDDEN, UNGUARDED),
            Some(logs) => logs.answer(task, query),
        }
    }
}

fn words((status, text): health::Answer) -> Response<Bytes> {
    respond(status, TEXT, text)
}

#[cfg(test)]
mod tests;
