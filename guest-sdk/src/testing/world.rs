//! What is around a plugin in a test, and which world a call of the plugin belongs to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::answer::{Answer, Request};
use super::clock::Clock;
use super::kept::Kept;
use super::slots::Slots;
use crate::{Level, Term, export};

thread_local! {
    /// The world whose plugin this thread polls.
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// A line that the plugin has logged.
///
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Level, warn};
///
/// let test = Harness::new();
/// test.block_on(async { warn!(left = 3, "running short") });
///
/// let line = &test.logs()[0];
/// assert_eq!((line.level, line.message.as_str()), (Level::Warn, "running short"));
/// assert_eq!(line.field("left"), Some("3"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// Its fields, in the order in which they were given.
    pub fields: Vec<(String, String)>,
    /// When it was written, on the clock of the test, which begins at zero.
    pub at: Duration,
}

impl Line {
    pub(super) fn new(
        at: Duration,
        level: Level,
        message: &str,
        fields: &[(String, String)],
    ) -> Self {
        Self {
            level,
            message: message.to_owned(),
            fields: fields.to_vec(),
            at,
        }
    }

    /// The value of a field, if it is there.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(found, _)| found == name)?;
        Some(value)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:5} {}", self.at, self.level, self.message)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// Whether the plugin leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Idle,
    Leads,
    /// Demotion has begun: the plugin may run until then.
    Demoting {
        until: u64,
    },
}

type Server = Box<dyn FnMut(&Request) -> Answer>;

/// Everything around a plugin.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) began: Cell<SystemTime>,
    pub(super) task: RefCell<String>,
    pub(super) config: RefCell<BTreeMap<String, String>>,
    pub(super) kept: RefCell<Kept>,
    pub(super) slots: RefCell<Slots>,
    pub(super) state_takes: Cell<Duration>,
    pub(super) server: RefCell<Option<Server>>,
    pub(super) requests: RefCell<Vec<Request>>,
    pub(super) logs: RefCell<Vec<Line>>,
    pub(super) lease: Cell<Duration>,
    pub(super) demote_timeout: Cell<Duration>,
    /// How often the plugin still hears that it need not stop, if that has an end.
    pub(super) asks: Cell<Option<u64>>,
    pub(super) terms: Cell<u64>,
    pub(super) standing: Cell<Standing>,
    pub(super) resigned: RefCell<Option<String>>,
}

/// Has the calls of this thread answered by another world while it lives.
pub(super) struct Entered {
    world: Option<Rc<World>>,
    term: Option<Term>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.world.take());
        export::replace_term(self.term.take());
    }
}

impl World {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            clock: Clock::default(),
            // The same in every run: midnight, the first day of 2026.
            began: Cell::new(UNIX_EPOCH + Duration::from_secs(1_767_225_600)),
            task: RefCell::new("test".into()),
            config: RefCell::default(),
            kept: RefCell::default(),
            slots: RefCell::default(),
            state_takes: Cell::default(),
            server: RefCell::default(),
            requests: RefCell::default(),
            logs: RefCell::default(),
            lease: Cell::new(Duration::from_secs(10)),
            demote_timeout: Cell::new(Duration::from_secs(2)),
            asks: Cell::default(),
            terms: Cell::new(0),
            standing: Cell::new(Standing::Idle),
            resigned: RefCell::default(),
        })
    }

    /// The world that this thread is in.
    ///
    /// # Panics
    /// Panics outside of a harness, where nothing answers `call`.
    pub(super) fn of(call: &str) -> Rc<Self> {
        Self::current().unwrap_or_else(|| {
            panic!(
                "`{call}` was called outside of a harness, where nothing answers it. In a test, run what calls it with \
                 `soloist_sdk::testing::Harness::new().block_on(...)`, or elect the plugin with `.elect::<Plugin>()`"
            )
        })
    }

    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(super) fn enter(self: &Rc<Self>) -> Entered {
        Entered {
            world: CURRENT.replace(Some(Rc::clone(self))),
            term: export::replace_term(Some(self.term())),
        }
    }

    /// The term under way, the last one, or the first.
    pub(super) fn term(&self) -> Term {
        let number = self.terms.get().max(1);
        Term {
            number,
            // Not the number: whoever mistakes one for the other shall see it.
            fencing_token: 100 + 7 * number,
            task: self.task.borrow().clone(),
            host: format!("host-{number}"),
        }
    }

    /// The monotonic clock, `time` from now.
    pub(super) fn after(&self, time: Duration) -> u64 {
        self.clock.now().saturating_add(nanos(time))
    }

    pub(super) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let at = Duration::from_nanos(self.clock.now());
        let line = Line::new(at, level, message, fields);
        // The test's runner shows it if the test fails.
        println!("{line}");
        self.logs.borrow_mut().push(line);
    }

    pub(super) fn ask(&self, request: Request) -> Answer {
        let Request { method, url, .. } = &request;
        let Some(mut server) = self.server.take() else {
            panic!(
                "the plugin sent {method} {url}, and nothing answers it in this test: say what does with \
                 `Harness::http(|request| Answer::status(200))`"
            );
        };
        let answer = server(&request);
        self.server.replace(Some(server));
        self.requests.borrow_mut().push(request);
        answer
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
