//! The latest lines about each task, for whoever asks the host for them. Bounded: the oldest lines go first.
//!
//! The threads that lead and that run plugins add lines under a short lock. Whoever reads them has a thread of its own.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// How much is kept of one task, in bytes.
pub const TASK_BYTES_MAX: usize = 256 << 10;
/// How much is kept of all tasks together, in bytes.
pub const ALL_BYTES_MAX: usize = 32 << 20;
/// What a line takes besides its text, in bytes, about.
const LINE_OVERHEAD: usize = 128;

/// The latest lines of a host about its tasks.
#[derive(Debug)]
pub struct Journal {
    /// Tells the journals of two processes apart.
    epoch: u64,
    bounds: Bounds,
    kept: Mutex<Kept>,
}

/// How much is kept, in bytes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    task: usize,
    all: usize,
}

#[derive(Debug, Default)]
struct Kept {
    tasks: BTreeMap<Arc<str>, Lines>,
    /// Of which task each line is, in the order in which they came.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    bytes: usize,
}

/// The lines of one task.
#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    /// How many lines there ever were.
    added: u64,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Line {
    place: u64,
    at: SystemTime,
    text: Arc<str>,
}

impl Line {
    fn bytes(&self) -> usize {
        self.text.len() + LINE_OVERHEAD
    }
}

/// A place in the lines of one task: how many lines there were before it, and in which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    epoch: u64,
    number: u64,
}

/// It is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a journal")]
pub struct BadCursor;

/// Which lines of a task are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The lines that came later than those that were read. One of another process counts as none.
    pub after: Option<Cursor>,
    /// The lines from this time on.
    pub since: Option<SystemTime>,
    /// The latest of them, so many at most.
    pub tail: Option<usize>,
}

/// Lines of a task, the oldest first.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The lines, as they were added.
    pub lines: Vec<Arc<str>>,
    /// Where the lines begin that come later.
    pub next: Cursor,
    /// How many lines after [`Wanted::after`], or ever if it is none, are kept no more.
    pub missed: u64,
}

impl Journal {
    /// A journal without lines. `epoch` is a number that no earlier process of this host had.
    pub fn new(epoch: u64) -> Self {
        Self::bounded(epoch, TASK_BYTES_MAX, ALL_BYTES_MAX)
    }

    fn bounded(epoch: u64, task: usize, all: usize) -> Self {
        let bounds = Bounds { task, all };
        Self {
            epoch,
            bounds,
            kept: Mutex::default(),
        }
    }

    /// Keeps a line about a task. One that is longer than what is kept of a task counts, and is not kept.
    pub fn add(&self, task: &str, at: SystemTime, text: String) {
        self.lock().add(task, at, text.into(), self.bounds);
    }

    /// Reads lines of a task. None if there never was one.
    pub fn read(&self, task: &str, wanted: &Wanted) -> Option<Excerpt> {
        let kept = self.lock();
        let lines = kept.tasks.get(task)?;
        let oldest = lines.added - lines.kept.len() as u64;
        let after = wanted.after.filter(|after| after.epoch == self.epoch);
        let from = after.map_or(0, |after| after.number);
        let skipped = usize::try_from(from.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let later = lines.kept.iter().skip(skipped);
        let mut found: Vec<_> = later
            .filter(|line| wanted.since.is_none_or(|since| line.at >= since))
            .map(|line| Arc::clone(&line.text))
            .collect();
        if let Some(tail) = wanted.tail {
            found.drain(..found.len().saturating_sub(tail));
        }
        Some(Excerpt {
            lines: found,
            next: Cursor {
                epoch: self.epoch,
                number: lines.added,
            },
            missed: oldest.saturating_sub(from),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // At the worst a line is missing, whoever panicked while holding it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, task: &str, at: SystemTime, text: Arc<str>, bounds: Bounds) {
        let name = match self.tasks.get_key_value(task) {
            Some((name, _)) => Arc::clone(name),
            None => task.into(),
        };
        let place = self.next;
        let line = Line { place, at, text };
        let bytes = line.bytes();
        let lines = self.tasks.entry(Arc::clone(&name)).or_default();
        lines.added += 1;
        if bytes > bounds.task {
            // Whoever reads on has to hear that something is missing.
            while self.drop_oldest_of(&name) {}
            return;
        }
        self.next += 1;
        lines.kept.push_back(line);
        lines.bytes += bytes;
        self.bytes += bytes;
        self.order.insert(place, Arc::clone(&name));
        while self.tasks[&name].bytes > bounds.task {
            self.drop_oldest_of(&name);
        }
        while self.bytes > bounds.all
            && let Some(oldest) = self.order.first_entry()
        {
            let task = Arc::clone(oldest.get());
            self.drop_oldest_of(&task);
        }
    }

    fn drop_oldest_of(&mut self, task: &str) -> bool {
        let lines = self.tasks.get_mut(task);
        let Some((lines, oldest)) = lines.and_then(|it| it.kept.pop_front().map(|line| (it, line)))
        else {
            return false;
        };
        lines.bytes -= oldest.bytes();
        self.bytes -= oldest.bytes();
        self.order.remove(&oldest.place);
        true
    }
}

/// Reads a time for [`Wanted::since`]: RFC 3339, or nearly.
pub fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text).ok()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.number)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, number) = text.split_once('-').ok_or(BadCursor)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| BadCursor)?,
            number: number.parse().map_err(|_| BadCursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn texts(excerpt: &Excerpt) -> Vec<&str> {
        excerpt.lines.iter().map(|line| &**line).collect()
    }

    fn all(journal: &Journal, task: &str) -> Vec<String> {
        let read = journal.read(task, &Wanted::default()).unwrap();
        texts(&read).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn whoever_reads_on_sees_each_line_once_and_hears_of_those_that_are_gone() {
        let journal = Journal::bounded(7, 3 * (LINE_OVERHEAD + 1), usize::MAX);
        assert!(journal.read("a", &Wanted::default()).is_none());
        for (second, line) in (1..).zip(["1", "2"]) {
            journal.add("a", at(second), line.into());
        }
        let first = journal.read("a", &Wanted::default()).unwrap();
        assert_eq!((texts(&first), first.missed), (vec!["1", "2"], 0));
        let on = |from: &Excerpt| {
            let after = Some(from.next.to_string().parse().unwrap());
            let wanted = Wanted {
                after,
                ..Wanted::default()
            };
            journal.read("a", &wanted).unwrap()
        };
        assert_eq!((on(&first).lines.len(), on(&first).missed), (0, 0));
        for (second, line) in (3..).zip(["3", "4", "5", "6"]) {
            journal.add("a", at(second), line.into());
        }
        let next = on(&first);
        assert_eq!((texts(&next), next.missed), (vec!["4", "5", "6"], 1));
        assert_eq!(on(&next).lines.len(), 0);
        let wanted = |since, tail| Wanted {
            since,
            tail,
            ..Wanted::default()
        };
        let read = |wanted| journal.read("a", &wanted).unwrap().lines.len();
        assert_eq!(read(wanted(Some(at(5)), None)), 2);
        assert_eq!(read(wanted(Some(at(5)), Some(1))), 1);
        assert_eq!(read(wanted(None, Some(0))), 0);
    }

    #[test]
    fn a_place_in_the_journal_of_another_process_is_none_in_this_one() {
        let (old, new) = (Journal::new(1), Journal::new(2));
        old.add("a", at(1), "old".into());
        new.add("a", at(2), "new".into());
        let after = Some(old.read("a", &Wanted::default()).unwrap().next);
        let wanted = Wanted {
            after,
            ..Wanted::default()
        };
        assert_eq!(texts(&new.read("a", &wanted).unwrap()), ["new"]);
        assert_eq!(old.read("a", &wanted).unwrap().lines.len(), 0);
        for bad in ["", "1", "-", "g-1", "1-x", "1-99999999999999999999", "1--1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
        let far: Cursor = "2-18446744073709551615".parse().unwrap();
        let wanted = Wanted {
            after: Some(far),
            ..Wanted::default()
        };
        assert_eq!(new.read("a", &wanted).unwrap().lines.len(), 0);
    }

    #[test]
    fn what_one_task_says_costs_others_nothing_until_there_is_too_much_of_all() {
        let line = LINE_OVERHEAD + 1;
        let journal = Journal::bounded(1, 2 * line, 3 * line);
        journal.add("quiet", at(1), "q".into());
        for _ in 0..100 {
            journal.add("loud", at(2), "l".into());
        }
        assert_eq!(all(&journal, "quiet"), ["q"]);
        assert_eq!(all(&journal, "loud"), ["l", "l"]);
        journal.add("third", at(3), "t".into());
        assert_eq!(all(&journal, "quiet"), [""; 0]);
        assert_eq!(journal.read("quiet", &Wanted::default()).unwrap().missed, 1);
        assert_eq!(all(&journal, "third"), ["t"]);
        let kept = journal.lock();
        assert_eq!((kept.bytes, kept.order.len()), (3 * line, 3));
    }

    #[test]
    fn a_line_that_is_too_long_counts_as_one_that_is_gone() {
        let journal = Journal::bounded(1, 2 * LINE_OVERHEAD, usize::MAX);
        journal.add("a", at(1), "short".into());
        journal.add("a", at(2), "x".repeat(1_000));
        let read = journal.read("a", &Wanted::default()).unwrap();
        assert_eq!((read.lines.len(), read.missed), (0, 2));
        journal.add("a", at(3), "after".into());
        assert_eq!(all(&journal, "a"), ["after"]);
        assert_eq!(journal.lock().bytes, LINE_OVERHEAD + 5);
    }
}
