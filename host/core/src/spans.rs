//! Spans: how long a term and each of its effects took, for a collector of traces (OpenTelemetry).
//!
//! The ids of a term's span follow from the term, so whatever acts in a term knows its span without being told. Who reports a
//! span never waits: a span for which there is no room is counted, and dropped.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::clock;
use crate::meter::{Effect, Outcome};
use crate::term::Term;

mod collector;

pub use collector::{Collector, CollectorError};

/// How many spans wait at most.
const WAITING_MAX: usize = 8192;

/// The tracer of this process. It is global for the reason that the subscribers of events are.
static TRACER: OnceLock<Arc<Tracer>> = OnceLock::new();

/// Takes spans to whoever sends them.
#[derive(Debug)]
pub struct Tracer {
    waiting: mpsc::Sender<Span>,
    outcomes: [AtomicU64; Sent::ALL.len()],
}

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The collector has taken it.
    Sent,
    /// The collector could not be reached, or did not take it.
    Failed,
    /// There was no room for it.
    Dropped,
}

impl Sent {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    /// How it is called in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Something that took its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to: a term.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span within which it was.
    pub parent: Option<[u8; 8]>,
    /// What it was.
    pub name: &'static str,
    /// Whether it was a request to somebody else.
    pub is_request: bool,
    /// When it began, by the wall clock.
    pub begun: SystemTime,
    /// When it ended, by the wall clock.
    pub ended: SystemTime,
    /// The term in which it was.
    pub term: Term,
    /// One more word about it, with its name.
    pub detail: Option<(&'static str, &'static str)>,
    /// Whether it failed.
    pub has_failed: bool,
}

/// The span of a term, as far as it follows from the term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermTrace {
    trace: [u8; 16],
    id: [u8; 8],
    term: Term,
}

/// An effect that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    id: [u8; 8],
    at: SystemTime,
}

/// Has this process report spans from here on, to whoever has what is returned. None if it does so already.
pub fn start() -> Option<(Arc<Tracer>, mpsc::Receiver<Span>)> {
    let (waiting, spans) = mpsc::channel(WAITING_MAX);
    let tracer = Arc::new(Tracer {
        waiting,
        outcomes: Default::default(),
    });
    TRACER.set(Arc::clone(&tracer)).ok()?;
    Some((tracer, spans))
}

/// The tracer of this process, if it reports spans.
pub fn tracer() -> Option<&'static Arc<Tracer>> {
    TRACER.get()
}

impl Tracer {
    /// Reports a span. It never waits.
    pub fn report(&self, span: Span) {
        if self.waiting.try_send(span).is_err() {
            self.count(Sent::Dropped, 1);
        }
    }

    /// So many spans had that outcome.
    pub fn count(&self, sent: Sent, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.outcomes[sent as usize].fetch_add(spans, Ordering::Relaxed);
    }

    /// How many spans had each outcome.
    pub fn counts(&self) -> [(Sent, u64); Sent::ALL.len()] {
        Sent::ALL.map(|sent| (sent, self.outcomes[sent as usize].load(Ordering::Relaxed)))
    }
}

impl TermTrace {
    /// The span of this term.
    pub fn of(term: &Term) -> Self {
        let mut digest = Sha256::new();
        for text in [&term.task, &term.host] {
            digest.update(text.len().to_le_bytes());
            digest.update(text.as_bytes());
        }
        digest.update(term.number.to_le_bytes());
        digest.update(term.fencing_token.0.to_le_bytes());
        let digest = digest.finalize();
        let (mut trace, mut id) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&digest[..16]);
        id.copy_from_slice(&digest[16..24]);
        Self {
            trace,
            id,
            term: term.clone(),
        }
    }

    /// What a request says of an effect that is under way, in the header `traceparent`.
    pub fn parent(&self, begun: Begun) -> String {
        format!("00-{}-{}-01", hex(&self.trace), hex(&begun.id))
    }

    /// The span of an effect of the term.
    pub fn effect(&self, effect: Effect, outcome: Outcome, begun: Begun) -> Span {
        Span {
            trace: self.trace,
            id: begun.id,
            parent: Some(self.id),
            name: effect.name(),
            is_request: effect == Effect::Http,
            begun: begun.at,
            ended: clock::wall(),
            term: self.term.clone(),
            detail: Some(("soloist.outcome", outcome.name())),
            has_failed: outcome != Outcome::Done,
        }
    }

    /// The span of the term itself, which ended for that reason.
    pub fn whole(self, begun: SystemTime, reason: &'static str) -> Span {
        Span {
            trace: self.trace,
            id: self.id,
            parent: None,
            name: "term",
            is_request: false,
            begun,
            ended: clock::wall(),
            term: self.term,
            detail: Some(("soloist.end", reason)),
            has_failed: false,
        }
    }
}

impl Begun {
    /// Something begins now.
    pub fn now() -> Self {
        static SALT: LazyLock<std::hash::RandomState> = LazyLock::new(Default::default);
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // An id of zeros would be none.
        let id = SALT.hash_one(number).max(1).to_be_bytes();
        Self {
            id,
            at: clock::wall(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::FencingToken;

    fn term(number: u64) -> Term {
        Term {
            number,
            fencing_token: FencingToken(number + 100),
            task: "report".into(),
            host: "a".into(),
            record_version: 0,
        }
    }

    #[test]
    fn the_ids_of_a_term_follow_from_it_and_each_effect_has_one_of_its_own() {
        let (one, again, other) = (
            TermTrace::of(&term(1)),
            TermTrace::of(&term(1)),
            TermTrace::of(&term(2)),
        );
        assert_eq!(one, again);
        assert!(one.trace != other.trace && one.id != other.id);
        let (first, second) = (Begun::now(), Begun::now());
        assert_ne!(first.id, second.id);
        let span = one.effect(Effect::Http, Outcome::Lease, first);
        assert_eq!((span.trace, span.parent), (one.trace, Some(one.id)));
        assert!(span.has_failed && span.begun <= span.ended);
        let parent = one.parent(first);
        let parts: Vec<_> = parent.split('-').map(str::len).collect();
        assert_eq!(parts, [2, 32, 16, 2], "{parent}");
        assert!(parent.contains(&hex(&span.id)));
    }

    #[test]
    fn spans_for_which_there_is_no_room_are_counted_and_nobody_waits() {
        let (waiting, mut spans) = mpsc::channel(2);
        let tracer = Tracer {
            waiting,
            outcomes: Default::default(),
        };
        for _ in 0..5 {
            tracer.report(TermTrace::of(&term(1)).whole(clock::wall(), "resigned"));
        }
        assert!(spans.try_recv().is_ok());
        assert_eq!(tracer.counts()[Sent::Dropped as usize], (Sent::Dropped, 3));
    }
}
