//! Which of a host's sessions a task is in: pure, no IO.
//!
//! A session holds only so much, see [`WATCHED_BYTES_MAX`](soloist_core::records::WATCHED_BYTES_MAX). A task stays in the session that it came to, for as long as anybody
//! needs it there. A session that nobody needs ends, except for the first, which stands for the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The number of a host's first session.
pub(super) const FIRST: u32 = 1;

/// The tasks of a host, each in its session.
#[derive(Debug)]
pub(super) struct Seats {
    bytes_max: usize,
    sessions: BTreeMap<u32, Session>,
    tasks: BTreeMap<Arc<str>, Seat>,
}

/// What tasks have of one session.
#[derive(Debug, Default)]
struct Session {
    bytes: usize,
    /// The times that demotions may take, and how often each.
    demotions: BTreeMap<Duration, usize>,
}

/// A task in a session.
#[derive(Debug)]
struct Seat {
    session: u32,
    bytes: usize,
    /// How often it is needed.
    uses: usize,
}

/// What follows when a task is needed there once less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// Nobody needs that session any more.
    Empty(u32),
}

impl Seats {
    /// No tasks. Each session holds what takes so many bytes, unless a single task takes more.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            sessions: BTreeMap::from([(FIRST, Session::default())]),
            tasks: BTreeMap::new(),
        }
    }

    /// The session of a task whose watches take so many bytes. It is needed there until it [leaves](Self::leave), as often as it
    /// has come. A new session is the one of the lowest number that there is not.
    pub(super) fn come(&mut self, task: &Arc<str>, bytes: usize) -> u32 {
        if let Some(seat) = self.tasks.get_mut(task) {
            seat.uses += 1;
            return seat.session;
        }
        let max = self.bytes_max;
        let has_room = |session: &Session| session.bytes == 0 || session.bytes + bytes <= max;
        let found = self.sessions.iter().find(|(_, it)| has_room(it));
        let number = found.map_or_else(|| self.unused(), |(number, _)| *number);
        self.sessions.entry(number).or_default().bytes += bytes;
        let seat = Seat {
            session: number,
            bytes,
            uses: 1,
        };
        self.tasks.insert(Arc::clone(task), seat);
        number
    }

    /// The task is needed in its session once less.
    pub(super) fn leave(&mut self, task: &str) -> Left {
        let Some(seat) = self.tasks.get_mut(task) else {
            return Left::Nothing;
        };
        seat.uses -= 1;
        if seat.uses > 0 {
            return Left::Nothing;
        }
        let Some(Seat { session, bytes, .. }) = self.tasks.remove(task) else {
            return Left::Nothing;
        };
        let Some(left) = self.sessions.get_mut(&session) else {
            return Left::Nothing;
        };
        left.bytes -= bytes;
        if left.bytes > 0 || session == FIRST {
            return Left::Nothing;
        }
        self.sessions.remove(&session);
        Left::Empty(session)
    }

    /// Which session the task is in.
    pub(super) fn session_of(&self, task: &str) -> Option<u32> {
        Some(self.tasks.get(task)?.session)
    }

    /// The demotion of a task takes so long, instead of what was said before. Gives the session, and the longest time that a
    /// demotion in it takes now.
    pub(super) fn demotion(
        &mut self,
        task: &str,
        before: Option<Duration>,
        now: Option<Duration>,
    ) -> Option<(u32, Duration)> {
        let number = self.tasks.get(task)?.session;
        let demotions = &mut self.sessions.get_mut(&number)?.demotions;
        if let Some(now) = now {
            *demotions.entry(now).or_default() += 1;
        }
        if let Some(before) = before
            && let Some(count) = demotions.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                demotions.remove(&before);
            }
        }
        let longest = demotions.last_key_value();
        Some((number, longest.map(|(time, _)| *time).unwrap_or_default()))
    }

    fn unused(&self) -> u32 {
        (FIRST..=u32::MAX)
            .find(|number| !self.sessions.contains_key(number))
            .unwrap_or(FIRST)
    }
}

#[cfg(test)]
mod tests {
    use soloist_core::records::WATCHED_BYTES_MAX;

    use super::*;

    fn come(seats: &mut Seats, task: &str, bytes: usize) -> u32 {
        seats.come(&Arc::from(task), bytes)
    }

    #[test]
    fn a_session_is_filled_before_there_is_another_and_no_task_moves() {
        let mut seats = Seats::new(30);
        let tasks = ["a", "b", "c", "d", "e", "f", "g"];
        let numbers: Vec<_> = tasks
            .iter()
            .map(|task| come(&mut seats, task, 10))
            .collect();
        assert_eq!(numbers, [1, 1, 1, 2, 2, 2, 3]);
        assert_eq!(seats.leave("b"), Left::Nothing);
        assert_eq!(come(&mut seats, "h", 10), 1, "there is room again");
        assert_eq!(
            tasks.map(|task| seats.session_of(task)),
            [Some(1), None, Some(1), Some(2), Some(2), Some(2), Some(3)]
        );
    }

    #[test]
    fn a_session_ends_with_its_last_task_except_for_the_first() {
        let mut seats = Seats::new(10);
        assert_eq!(come(&mut seats, "a", 10), 1);
        assert_eq!(come(&mut seats, "b", 10), 2);
        assert_eq!(come(&mut seats, "b", 10), 2, "it is needed twice");
        assert_eq!(come(&mut seats, "c", 10), 3);
        assert_eq!(seats.leave("b"), Left::Nothing);
        assert_eq!(seats.leave("b"), Left::Empty(2));
        assert_eq!(seats.leave("b"), Left::Nothing, "it is not there");
        assert_eq!(seats.leave("a"), Left::Nothing);
        assert_eq!(come(&mut seats, "d", 10), 1);
        assert_eq!(come(&mut seats, "e", 10), 2, "the lowest number is free");
    }

    #[test]
    fn a_task_that_is_too_large_for_any_session_has_one_of_its_own() {
        let mut seats = Seats::new(30);
        assert_eq!(come(&mut seats, "small", 10), 1);
        assert_eq!(come(&mut seats, "large", 1000), 2);
        assert_eq!(come(&mut seats, "tiny", 1), 1);
        assert_eq!(come(&mut seats, "large too", 1000), 3);
    }

    #[test]
    fn a_session_has_time_for_its_longest_demotion_alone() {
        let mut seats = Seats::new(20);
        let seconds = |number| Some(Duration::from_secs(number));
        for (task, time) in [("a", 5), ("b", 2), ("c", 9)] {
            come(&mut seats, task, 10);
            seats.demotion(task, None, seconds(time));
        }
        let longest = |seats: &mut Seats, task| seats.demotion(task, None, None);
        assert_eq!(longest(&mut seats, "b"), Some((1, Duration::from_secs(5))));
        assert_eq!(longest(&mut seats, "c"), Some((2, Duration::from_secs(9))));
        let shorter = seats.demotion("a", seconds(5), seconds(1));
        assert_eq!(shorter, Some((1, Duration::from_secs(2))));
        seats.demotion("b", seconds(2), None);
        assert_eq!(longest(&mut seats, "a"), Some((1, Duration::from_secs(1))));
        assert_eq!(seats.demotion("nobody", None, seconds(1)), None);
    }

    /// What the limit is for: ten thousand tasks with names of usual length, and the longest there are.
    #[test]
    fn sessions_are_as_many_as_ten_thousand_tasks_need() {
        for (bytes, at_most) in [(320, 25), (2_000, 154)] {
            let mut seats = Seats::new(WATCHED_BYTES_MAX);
            let last = (0..10_000).map(|number| come(&mut seats, &number.to_string(), bytes));
            assert_eq!(last.max(), Some(at_most));
            assert!(
                seats
                    .sessions
                    .values()
                    .all(|it| it.bytes <= WATCHED_BYTES_MAX)
            );
        }
    }
}
