//! `/logs/TASK`: the latest lines about a task, as the host keeps them, one object of JSON a line.
//!
//! Whoever wants to follow asks again and again, with the place that the answer before has named. So an answer is never larger
//! than what is kept of a task, and no connection is held open for one who waits.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use soloist_core::journal::{Journal, Wanted};
use tokio::sync::Semaphore;

use crate::answer::{placed, plain, respond};

/// How many answers with lines there are at once. Whoever reads slowly keeps one.
const ANSWERS_MAX: usize = 16;

const LINES: &str = "application/x-ndjson";
/// Where the lines begin that come later: what `after` takes.
pub(crate) const NEXT: HeaderName = HeaderName::from_static("soloist-log-next");
/// How many lines between `after` and the first of the answer are gone.
pub(crate) const MISSED: HeaderName = HeaderName::from_static("soloist-log-missed");

/// What is kept of the lines about tasks.
#[derive(Debug)]
pub(crate) struct Logs {
    journal: Arc<Journal>,
    answers: Arc<Semaphore>,
}

impl Logs {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        let answers = Arc::new(Semaphore::new(ANSWERS_MAX));
        Self { journal, answers }
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Answers with lines of the task of this name, of which `query` says which.
    pub(crate) fn answer(&self, written: &str, query: Option<&str>) -> Response<Bytes> {
        let Some(wanted) = wanted(query.unwrap_or_default()) else {
            let text = "this takes tail=NUMBER, since=TIME (RFC 3339) and after=PLACE\n";
            return plain(StatusCode::BAD_REQUEST, text);
        };
        let name = percent_decode_str(written).decode_utf8();
        let read = name.ok().and_then(|name| self.journal.read(&name, &wanted));
        let Some(read) = read else {
            let text = "this host has said nothing about a task of that name\n";
            return plain(StatusCode::NOT_FOUND, text);
        };
        let Ok(place) = Arc::clone(&self.answers).try_acquire_owned() else {
            let text = "others read as many lines as may be read at once: try again\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        let mut text = String::with_capacity(read.lines.iter().map(|line| line.len() + 1).sum());
        for line in &read.lines {
            text.push_str(line);
            text.push('\n');
        }
        let mut answer = respond(StatusCode::OK, LINES, placed(text, place));
        let headers = answer.headers_mut();
        if let Ok(next) = HeaderValue::from_str(&read.next.to_string()) {
            headers.insert(NEXT, next);
        }
        headers.insert(MISSED, HeaderValue::from(read.missed));
        answer
    }
}

/// Reads what is wanted. None if it cannot be understood.
fn wanted(query: &str) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        match name {
            "tail" => wanted.tail = Some(value.parse().ok()?),
            "since" => wanted.since = Some(time(&value)?),
            "after" => wanted.after = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(wanted)
}

fn time(text: &str) -> Option<SystemTime> {
    soloist_core::journal::time(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn logs() -> Logs {
        let journal = Arc::new(Journal::new(7));
        for second in 1..=3 {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            journal.add("daily report", at, format!("{{\"n\":{second}}}"));
        }
        Logs::new(journal)
    }

    fn told(answer: &Response<Bytes>) -> (u16, String) {
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), text)
    }

    #[test]
    fn the_lines_that_are_asked_for_come_with_the_place_to_go_on_from() {
        let logs = logs();
        let ask = |query| logs.answer("daily%20report", query);
        let all = ask(None);
        assert_eq!(
            told(&all),
            (200, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n".into())
        );
        assert_eq!(
            (&all.headers()[NEXT], &all.headers()[MISSED]),
            (
                &HeaderValue::from_static("7-3"),
                &HeaderValue::from_static("0")
            )
        );
        assert_eq!(told(&ask(Some("tail=1"))).1, "{\"n\":3}\n");
        assert_eq!(told(&ask(Some("after=7-3"))), (200, String::new()));
        let since = "since=1970-01-01T00%3A00%3A02Z&tail=9";
        assert_eq!(told(&ask(Some(since))).1, "{\"n\":2}\n{\"n\":3}\n");
        assert_eq!(logs.answer("nobody", None).status(), 404);
        assert_eq!(logs.answer("%ff", None).status(), 404);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let logs = logs();
        for bad in [
            "tail",
            "tail=x",
            "tail=-1",
            "since=now",
            "after=1",
            "x=1",
            "tail=%ff",
        ] {
            assert_eq!(
                told(&logs.answer("daily%20report", Some(bad))).0,
                400,
                "{bad}"
            );
        }
    }

    #[test]
    fn only_so_many_answers_are_kept_and_a_place_is_free_when_one_is_dropped() {
        let logs = logs();
        let ask = || logs.answer("daily%20report", None);
        let mut kept: Vec<_> = (0..ANSWERS_MAX).map(|_| ask()).collect();
        assert!(kept.iter().all(|answer| answer.status() == 200));
        assert_eq!(ask().status(), 503);
        kept.pop();
        assert_eq!(ask().status(), 200);
    }
}
