//! What a test sets up, and looks at afterwards.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Request};
use super::drive::{Driven, settle};
use super::elected::Elected;
use super::world::{Line, World, nanos};
use crate::{Plugin, bridges};

/// Everything around a plugin in a test: it outlives the terms, as an ensemble does.
///
/// Each method that sets something up gives the same harness again, so that they can be chained; they can be called later as
/// well, while a plugin leads. A clone is the same harness.
///
/// ```
/// use soloist_sdk::config;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new().task("report").config("greeting", "hello");
/// assert_eq!(test.block_on(async { config("greeting") }).as_deref(), Some("hello"));
/// ```
#[derive(Clone)]
pub struct Harness {
    world: Rc<World>,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("now", &self.now())
            .field("standing", &self.world.standing.get())
            .finish_non_exhaustive()
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// A task without configuration and without state, that nobody leads. Its clock stands at zero, its calendar at
    /// midnight (UTC) of the first day of 2026.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    ///
    /// let test = Harness::new();
    /// assert!(test.now().is_zero() && test.messages().is_empty());
    /// ```
    pub fn new() -> Self {
        bridges::install();
        Self {
            world: World::new(),
        }
    }

    /// Sets the name of the task; `test` otherwise.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::term;
    ///
    /// let test = Harness::new().task("report");
    /// assert_eq!(test.block_on(async { term().task }), "report");
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn task(&self, name: &str) -> Self {
        name.clone_into(&mut self.world.task.borrow_mut());
        self.clone()
    }

    /// Sets an entry of the task's configuration.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::config;
    ///
    /// let test = Harness::new().config("limit", 5);
    /// let limit = test.block_on(async { config::get_as::<u8>("limit") });
    /// assert_eq!(limit.unwrap(), Some(5));
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "what is written in place reads better"
    )]
    pub fn config(&self, key: &str, value: impl ToString) -> Self {
        let mut config = self.world.config.borrow_mut();
        config.insert(key.to_owned(), value.to_string());
        self.clone()
    }

    /// Has `server` answer every request from now on.
    ///
    /// ```
    /// use soloist_sdk::http;
    /// use soloist_sdk::testing::{Answer, Harness};
    ///
    /// let mut asked = 0;
    /// let test = Harness::new().http(move |_| {
    ///     asked += 1;
    ///     if asked < 3 { Answer::status(503) } else { Answer::text("ready") }
    /// });
    /// for status in [503, 503, 200] {
    ///     let answer = test.block_on(http::get("http://a.example")).unwrap();
    ///     assert_eq!(answer.status, status);
    /// }
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn http(&self, server: impl FnMut(&Request) -> Answer + 'static) -> Self {
        self.world.server.replace(Some(Box::new(server)));
        self.clone()
    }

    /// Says when the slots of the schedule of that name are, counted from the beginning of the test: what a host computes from
    /// a cron expression. Slots of a fixed rate need not be said.
    ///
    /// What becomes of late slots follows the host's rules, without jitter; a run of the real file shows the rest.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use soloist_sdk::schedule;
    /// use soloist_sdk::testing::Harness;
    ///
    /// let hours = Duration::from_hours;
    /// let test = Harness::new().slots("main", [hours(3), hours(27)]);
    /// test.block_on(async {
    ///     let nights = schedule::cron("0 3 * * *", "UTC");
    ///     for night in ["2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"] {
    ///         let slot = nights.next().await.unwrap();
    ///         assert_eq!((slot.to_string().as_str(), slot.attempt()), (night, 1));
    ///         slot.done().await.unwrap();
    ///     }
    /// });
    /// assert_eq!(test.now(), hours(27));
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn slots(&self, schedule: &str, slots: impl IntoIterator<Item = Duration>) -> Self {
        let mut slots: Vec<u64> = slots.into_iter().map(nanos).collect();
        slots.sort_unstable();
        let mut known = self.world.slots.borrow_mut();
        known.given.insert(schedule.to_owned(), slots);
        drop(known);
        self.clone()
    }

    /// Writes an entry of the state, as a term before would have.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::state;
    ///
    /// let test = Harness::new().set_state("count", &4);
    /// assert_eq!(test.block_on(state::get::<u32>("count")).unwrap(), Some(4));
    /// ```
    ///
    /// # Panics
    /// Panics if the state does not take it.
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn set_state(&self, key: &str, value: &(impl Serialize + ?Sized)) -> Self {
        let value = serde_json::to_vec(value).expect("the value is not for JSON");
        let outcome = self.world.kept.borrow_mut().set(key, value);
        outcome.unwrap_or_else(|error| panic!("the state does not take {key:?}: {error:?}"));
        self.clone()
    }

    /// Has every call to the state fail for this reason, as it does when the ensemble refuses access; `None` ends that.
    ///
    /// ```
    /// use soloist_sdk::state;
    /// use soloist_sdk::testing::Harness;
    ///
    /// let test = Harness::new().refuse_state(Some("no quorum"));
    /// let error = test.block_on(state::set("a", &1)).unwrap_err();
    /// assert_eq!(error.to_string(), "the state is unavailable: no quorum");
    ///
    /// test.refuse_state(None);
    /// assert_eq!(test.block_on(state::set("a", &1)).unwrap(), 1);
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn refuse_state(&self, reason: Option<&str>) -> Self {
        self.world.kept.borrow_mut().refusal = reason.map(str::to_owned);
        self.clone()
    }

    /// Sets how long a call to the state takes; nothing otherwise. A demotion within that time finds the plugin there.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::state;
    /// use std::time::Duration;
    ///
    /// let test = Harness::new().state_takes(Duration::from_secs(2));
    /// test.block_on(state::set("a", &1)).unwrap();
    /// assert_eq!(test.now(), Duration::from_secs(2));
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn state_takes(&self, time: Duration) -> Self {
        self.world.state_takes.set(time);
        self.clone()
    }

    /// Sets the time of day at which the clock of the test stood at zero.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::time;
    /// use std::time::UNIX_EPOCH;
    ///
    /// let test = Harness::new().began(UNIX_EPOCH);
    /// assert_eq!(test.block_on(async { time::now() }), UNIX_EPOCH);
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn began(&self, time: SystemTime) -> Self {
        self.world.began.set(time);
        self.clone()
    }

    /// Has [`should_stop`](crate::should_stop) say so after it was asked so often, as if demotion began then: a plugin that
    /// computes lets the test do nothing meanwhile. It never does otherwise, until the plugin is demoted.
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn stop_after(&self, asks: u64) -> Self {
        self.world.asks.set(Some(asks));
        self.clone()
    }

    /// Sets what [`remaining`](crate::remaining) says while the plugin leads; 10 seconds otherwise.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::remaining;
    /// use std::time::Duration;
    ///
    /// let test = Harness::new().lease(Duration::from_secs(3));
    /// assert_eq!(test.block_on(async { remaining() }), Duration::from_secs(3));
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn lease(&self, time: Duration) -> Self {
        self.world.lease.set(time);
        self.clone()
    }

    /// Sets how long a plugin may take to stop; 2 seconds otherwise, as a host's `demote_timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::{Demotion, Plugin, Result, Term, sleep};
    ///
    /// #[derive(Default)]
    /// struct Slow;
    ///
    /// impl Plugin for Slow {
    ///     async fn on_elected(&mut self, _: Term) -> Result {
    ///         std::future::pending().await
    ///     }
    ///
    ///     async fn on_demoted(&mut self, _: Demotion) {
    ///         sleep(Duration::from_secs(5)).await;
    ///     }
    /// }
    ///
    /// let test = Harness::new().demote_timeout(Duration::from_secs(10));
    /// test.elect::<Slow>().demote(Demotion::Shutdown);
    /// assert_eq!(test.now(), Duration::from_secs(5));
    /// ```
    #[allow(clippy::return_self_not_must_use, reason = "it is the same harness")]
    pub fn demote_timeout(&self, time: Duration) -> Self {
        self.world.demote_timeout.set(time);
        self.clone()
    }

    /// Begins a term: runs `on_elected` until it waits or returns. Each term has the next number, a greater token, and a
    /// host of its own.
    ///
    /// # Panics
    /// Panics if another plugin of this harness leads. Whatever panics in the plugin fails the test.
    pub fn elect<P: Plugin>(&self) -> Elected<P> {
        Elected::begin(Rc::clone(&self.world))
    }

    /// Runs a future to its end, in time that passes as fast as the future waits.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::sleep;
    /// use std::time::Duration;
    ///
    /// let test = Harness::new();
    /// let sum = test.block_on(async {
    ///     sleep(Duration::from_hours(1)).await;
    ///     1 + 1
    /// });
    /// assert_eq!((sum, test.now()), (2, Duration::from_hours(1)));
    /// ```
    ///
    /// # Panics
    /// Panics if the future waits for something that never comes.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut driven = Driven::new(future);
        loop {
            settle(&self.world, &mut [&mut driven]);
            if driven.is_over() {
                break;
            }
            assert!(
                self.world.clock.step(u64::MAX),
                "the future waits for something that is not the clock, and nothing else in this test wakes it"
            );
        }
        driven
            .into_output()
            .expect("a future that is over has an output")
    }

    /// How far the clock of the test has moved.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.world.clock.now())
    }

    /// Every line that was logged, in order.
    pub fn logs(&self) -> Vec<Line> {
        self.world.logs.borrow().clone()
    }

    /// What every line that was logged says, without fields, in order.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::info;
    ///
    /// let test = Harness::new();
    /// test.block_on(async { info!(n = 1, "one"); });
    /// assert_eq!(test.messages(), ["one"]);
    /// ```
    pub fn messages(&self) -> Vec<String> {
        let logs = self.world.logs.borrow();
        logs.iter().map(|line| line.message.clone()).collect()
    }

    /// Every request that was sent, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.world.requests.borrow().clone()
    }

    /// The value of a key of the state, if it is there.
    ///
    /// # Panics
    /// Panics if the value is not JSON of this type.
    pub fn state<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = self.world.kept.borrow().peek(key)?;
        let value = serde_json::from_slice(&value);
        Some(value.unwrap_or_else(|error| {
            panic!("{key:?} in the state is not JSON of the type expected: {error}")
        }))
    }

    /// The keys of the state, sorted.
    ///
    /// ```
    /// use soloist_sdk::testing::Harness;
    ///
    /// let test = Harness::new().set_state("b", &1).set_state("a", &2);
    /// assert_eq!(test.state_keys(), ["a", "b"]);
    /// assert_eq!(test.state::<u32>("b"), Some(1));
    /// ```
    pub fn state_keys(&self) -> Vec<String> {
        self.world.kept.borrow().keys()
    }

    /// Why the plugin has resigned in the last term, if it has.
    pub fn resigned(&self) -> Option<String> {
        self.world.resigned.borrow().clone()
    }
}
