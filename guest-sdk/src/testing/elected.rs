//! A plugin in its term.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::drive::{Drive, Driven, settle};
use super::world::{Standing, World};
use crate::export::Stage;
use crate::{Demotion, Plugin, Term};

/// How often the clock may move for a plugin that is to run to its end.
const MOVES_MAX: u32 = 10_000_000;

/// A plugin that leads, or has led. Dropping it is what [`kill`](Self::kill) does.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Demotion, Plugin, Result, Term, info, sleep};
///
/// #[derive(Default)]
/// struct Nap;
///
/// impl Plugin for Nap {
///     async fn on_elected(&mut self, _: Term) -> Result {
///         sleep(Duration::from_secs(60)).await;
///         Err("overslept".into())
///     }
///
///     async fn on_demoted(&mut self, reason: Demotion) {
///         info!("woken: {reason}");
///     }
/// }
///
/// let test = Harness::new();
/// let mut nap = test.elect::<Nap>();
/// nap.advance(Duration::from_secs(59));
/// assert!(nap.leads() && nap.outcome().is_none());
/// nap.demote(Demotion::LeaseExpiring);
/// assert_eq!(test.messages(), ["woken: lease-expiring"]);
///
/// assert_eq!(test.elect::<Nap>().finish(), Err("overslept".into()));
/// ```
pub struct Elected<P: Plugin> {
    world: Rc<World>,
    stage: Rc<Stage<P>>,
    work: Driven<'static, Result<(), String>>,
    farewell: Option<Driven<'static, ()>>,
    term: Term,
    /// Whether this plugin is the one that `world` is about.
    stands: bool,
    was_cut: bool,
}

impl<P: Plugin> fmt::Debug for Elected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elected")
            .field("term", &self.term)
            .field("leads", &self.leads())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

impl<P: Plugin> Drop for Elected<P> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<P: Plugin> Elected<P> {
    pub(super) fn begin(world: Rc<World>) -> Self {
        assert!(
            world.standing.get() == Standing::Idle,
            "a plugin leads already, in term {}: demote it, kill it or drop it before another is elected",
            world.terms.get()
        );
        world.terms.set(world.terms.get() + 1);
        world.standing.set(Standing::Leads);
        world.resigned.take();
        let stage = Rc::new(Stage::<P>::default());
        let term = world.term();
        let work = Driven::new({
            let (stage, term) = (Rc::clone(&stage), term.clone());
            async move { stage.on_elected(term).await }
        });
        let mut begun = Self {
            world,
            stage,
            work,
            farewell: None,
            term,
            stands: true,
            was_cut: false,
        };
        begun.settle();
        begun
    }

    /// The term.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// Whether the term goes on: it was not demoted, has not resigned, and was not killed. A plugin that has returned leads
    /// on, as with `on_complete = "hold"`.
    pub fn leads(&self) -> bool {
        self.stands && self.world.standing.get() == Standing::Leads
    }

    /// What `on_elected` has returned: nothing as long as it runs, or if demotion has cut it off where it waited.
    pub fn outcome(&self) -> Option<Result<(), String>> {
        self.work.output().filter(|_| !self.was_cut).cloned()
    }

    /// Lets time pass: everything that the plugin waits for happens in its order, each at its time.
    pub fn advance(&mut self, time: Duration) {
        let until = self.world.after(time);
        self.settle();
        while self.world.clock.step(until) {
            self.settle();
        }
        self.world.clock.set(until);
    }

    /// Lets time pass until `on_elected` returns, and gives what it returns.
    ///
    /// # Panics
    /// Panics if it never does: it waits for nothing that comes, it resigns, or the clock was moved ten million times.
    pub fn finish(&mut self) -> Result<(), String> {
        for _ in 0..MOVES_MAX {
            self.settle();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            assert!(
                self.leads(),
                "the term ended before `on_elected` returned: there is no outcome"
            );
            assert!(
                self.world.clock.step(u64::MAX),
                "`on_elected` waits for something that is not the clock, and nothing else in this test wakes it"
            );
        }
        panic!(
            "`on_elected` has not returned after {MOVES_MAX} waits, at {:?} on the clock of the test: if it is meant to run \
             for ever, use `advance`",
            Duration::from_nanos(self.world.clock.now())
        );
    }

    /// Ends the term as a host does: drops `on_elected` where it waits, then runs `on_demoted`. A plugin whose `on_elected`
    /// has failed is not told.
    ///
    /// # Panics
    /// Panics if the plugin has not stopped after the [`demote_timeout`](super::Harness::demote_timeout), when a host would
    /// stop it by force; and if it does not lead.
    pub fn demote(&mut self, reason: Demotion) {
        assert!(self.leads(), "the plugin does not lead any more");
        let timeout = self.world.demote_timeout.get();
        let until = self.world.after(timeout);
        self.world.standing.set(Standing::Demoting { until });
        self.was_cut = !self.work.is_over();
        if !matches!(self.work.output(), Some(Err(_))) {
            let stage = Rc::clone(&self.stage);
            self.farewell = Some(Driven::new(async move { stage.on_demoted(reason).await }));
        }
        self.settle_all();
        while !self.has_stopped() && self.world.clock.step(until) {
            self.settle_all();
        }
        let has_stopped = self.has_stopped();
        self.end();
        assert!(
            has_stopped,
            "`on_demoted` had not returned after {timeout:?}: a host would have stopped the plugin by force. Do less, \
             look at `remaining()`, or raise `demote_timeout`"
        );
    }

    /// Ends the term at once, without a word to the plugin: its host has died, or its lease was lost.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use soloist_sdk::testing::Harness;
    /// use soloist_sdk::{Plugin, Result, Term, sleep, state};
    ///
    /// #[derive(Default)]
    /// struct Count;
    ///
    /// impl Plugin for Count {
    ///     async fn on_elected(&mut self, _: Term) -> Result {
    ///         for number in state::get::<u32>("done").await?.unwrap_or(0).. {
    ///             sleep(Duration::from_secs(1)).await;
    ///             state::set("done", &(number + 1)).await?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = Harness::new();
    /// for _ in 0..2 {
    ///     let mut leader = test.elect::<Count>();
    ///     leader.advance(Duration::from_secs(3));
    ///     leader.kill();
    /// }
    /// // The second leader went on where the first one was lost.
    /// assert_eq!(test.state("done"), Some(6));
    /// ```
    pub fn kill(&mut self) {
        self.end();
    }

    fn has_stopped(&self) -> bool {
        self.work.is_over() && self.farewell.as_ref().is_none_or(Driven::is_over)
    }

    /// Polls the plugin until it waits, and demotes it if it has resigned.
    fn settle(&mut self) {
        if !self.leads() {
            return;
        }
        self.settle_all();
        let resigned = self.world.resigned.borrow().is_some();
        if resigned {
            self.demote(Demotion::Resigned);
        }
    }

    fn settle_all(&mut self) {
        let mut driven: Vec<&mut dyn Drive> = vec![&mut self.work];
        driven.extend(self.farewell.iter_mut().map(|it| it as &mut dyn Drive));
        settle(&self.world, &mut driven);
    }

    fn end(&mut self) {
        if !self.stands {
            return;
        }
        self.stands = false;
        self.was_cut |= !self.work.is_over();
        self.work.cut(&self.world);
        if let Some(farewell) = &mut self.farewell {
            farewell.cut(&self.world);
        }
        self.world.standing.set(Standing::Idle);
    }
}
