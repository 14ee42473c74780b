//! The driver: what a script says is done, step by step, through one term after another.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use soloist_core::clock::{self, Moment, TaskClock};
use soloist_core::event::Event;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::state::StateError;
use soloist_core::term::{Demotion, FencingToken, Term};
use soloist_runtime::activation::{Activation, ActivationSettings, Notice};
use soloist_sandbox::Plugin;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::answers::{Answers, Made};
use super::calls::{Calls, Entries, Point, Strike};
use super::expect::{self, Found};
use super::lived::{Lived, Subject, Traces, Unmet};
use super::patience::{Patience, STEP_MAX};
use super::record::{self, Record};
use super::script::{Act, Expectation, Script, Standing, StateMode, Step};
use crate::testbed::Memory;

/// Longer than any life.
const LEASE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// What a host has to do at once is done when this has passed and nobody has anything left to do.
const SETTLE: Duration = Duration::from_millis(1);
/// When the session of a host that has died is over.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The host that takes over after a failover that is not in the script.
const SUCCESSOR: &str = "successor";

/// The plugin computes without end, or the system does not come back from what it asked for.
struct Stalled;

/// Goes through a script.
pub fn live(subject: &Subject, script: &Script) -> Lived {
    live_with(subject, script, None)
}

/// Goes through a script; a failover strikes at that call.
///
/// # Panics
/// Panics if the system gives no thread.
pub(super) fn live_with(subject: &Subject, script: &Script, at: Option<Point>) -> Lived {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let _simulated = clock::simulate();
        let mut life = Life::begin(subject, script, at);
        let stalled = life.play(script).await.is_err();
        life.end(stalled).await
    })
}

/// The term under way.
struct Tenure {
    leader: Arc<Activation>,
    deadline: SharedDeadline,
    notices: mpsc::UnboundedReceiver<Notice>,
}

struct Life<'a> {
    settings: ActivationSettings,
    task: Arc<str>,
    plugin: Arc<Plugin>,
    memory: Arc<Memory>,
    answers: Arc<Answers>,
    calls: Arc<Calls>,
    _record: Record,
    patience: Patience,
    script: &'a Script,
    at: Option<Point>,
    began: Moment,
    terms: u64,
    tenure: Option<Tenure>,
    standing: Option<Standing>,
    taken_over: Option<(u64, Entries)>,
    failures: usize,
    was_forced: bool,
    unmet: Vec<Unmet>,
}

impl<'a> Life<'a> {
    fn begin(subject: &Subject, script: &'a Script, at: Option<Point>) -> Self {
        let memory = Arc::new(Memory::default());
        let answers = Arc::new(Answers::new(script.answers.clone()));
        let calls = Arc::new(Calls::new(Arc::clone(&memory), at));
        let plugin = subject.plugin.tried(
            TaskClock::simulated(script.date),
            answers.clone(),
            calls.clone(),
        );
        Self {
            settings: subject.settings,
            task: Arc::clone(&subject.task),
            plugin: Arc::new(plugin),
            memory,
            answers,
            calls,
            _record: Record::begin(),
            patience: Patience::new(),
            script,
            at,
            began: clock::now(),
            terms: 0,
            tenure: None,
            standing: None,
            taken_over: None,
            failures: 0,
            was_forced: false,
            unmet: Vec::new(),
        }
    }

    async fn play(&mut self, script: &Script) -> Result<(), Stalled> {
        for step in &script.steps {
            self.patience.begin();
            let done = self.step(step).await;
            if done.is_err() {
                let limit = STEP_MAX.as_secs();
                let what = format!(
                    "this step took more than {limit} s of real time: the plugin computes without end, or waits for \
                     something that is not simulated"
                );
                self.blame(step, what);
            }
            self.blame_failures(step);
            done?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stalled> {
        match &step.act {
            Act::Elect(host) => {
                if self.tenure.is_some() && self.calls.has_struck() {
                    self.demote(Demotion::Shutdown).await?;
                }
                if self.tenure.is_some() {
                    let what = "another host leads still: end its term before, with `demote`, `lose-lease` or `kill`";
                    self.blame(step, what.to_owned());
                    return Ok(());
                }
                self.elect(host);
                self.pass(SETTLE).await
            }
            Act::Advance(time) => self.pass(*time).await,
            Act::Demote(reason) => {
                if !self.leads(step) {
                    return Ok(());
                }
                let forced_before = self.was_forced;
                self.demote(*reason).await?;
                if self.was_forced && !forced_before && !self.script.expects("revoked") {
                    let limit = humantime::format_duration(self.settings.demote_timeout);
                    let what = format!(
                        "the plugin did not stop within {limit} (`demote_timeout`) of its demotion: it was stopped by force"
                    );
                    self.blame(step, what);
                }
                Ok(())
            }
            Act::LoseLease => {
                if let Some(tenure) = &self.tenure {
                    tenure.deadline.end();
                }
                self.after_the_end(step).await
            }
            Act::Kill => {
                if let Some(tenure) = &self.tenure {
                    tenure.leader.revoke();
                }
                self.after_the_end(step).await
            }
            Act::State(mode) => {
                self.memory.answer();
                match mode {
                    StateMode::Answer => {}
                    StateMode::Refuse => {
                        let why = "the script refuses it".to_owned();
                        self.memory.refuse(StateError::Unavailable(why));
                    }
                    StateMode::Hold => drop(self.memory.held.send_replace(true)),
                }
                self.pass(SETTLE).await
            }
            Act::Set(entries) => {
                for (key, value) in entries {
                    if let Err(error) = self.memory.put(key, value.as_bytes()) {
                        self.blame(step, format!("state {key:?} cannot be set: {error}"));
                    }
                }
                self.calls.rest();
                Ok(())
            }
            Act::Expect(expected) => {
                self.expect(step, expected);
                Ok(())
            }
        }
    }

    /// Whether there is a leader whose term a step can end; says so where there is none.
    fn leads(&mut self, step: &Step) -> bool {
        let leads = self.tenure.is_some();
        if !leads && !self.calls.has_struck() {
            let what = "no host leads: the term has ended by itself, or there was none".to_owned();
            self.blame(step, what);
        }
        leads
    }

    async fn after_the_end(&mut self, step: &Step) -> Result<(), Stalled> {
        if self.leads(step) {
            self.stopped().await?;
        }
        Ok(())
    }

    fn elect(&mut self, host: &str) {
        self.calls.rest();
        self.terms += 1;
        let number = self.terms;
        let term = Term {
            number,
            fencing_token: FencingToken(1000 + number),
            task: Arc::clone(&self.task),
            host: host.into(),
            record_version: i32::try_from(number).unwrap_or(i32::MAX),
        };
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + LEASE);
        let (sender, notices) = mpsc::unbounded_channel();
        let leader = Arc::new(Activation::start(
            &Handle::current(),
            Arc::clone(&self.plugin),
            self.settings,
            term,
            Permit::new(deadline.clone()),
            self.memory.clone(),
            sender,
        ));
        self.calls.led_by(Some(Arc::clone(&leader)));
        self.standing = Some(Standing::Running);
        self.tenure = Some(Tenure {
            leader,
            deadline,
            notices,
        });
    }

    async fn demote(&mut self, reason: Demotion) -> Result<(), Stalled> {
        if let Some(tenure) = &self.tenure {
            tenure.leader.demote(reason);
        }
        self.stopped().await
    }

    /// Waits until the term is over.
    async fn stopped(&mut self) -> Result<(), Stalled> {
        while self.tenure.is_some() {
            tokio::select! {
                biased;
                notice = next(&mut self.tenure) => self.heed(&notice),
                () = self.patience.over() => return Err(Stalled),
            }
        }
        if self.calls.has_struck() {
            self.note_takeover();
        }
        Ok(())
    }

    /// Lets time pass.
    async fn pass(&mut self, time: Duration) -> Result<(), Stalled> {
        let end = clock::now() + time;
        loop {
            tokio::select! {
                biased;
                notice = next(&mut self.tenure) => self.heed(&notice),
                () = self.calls.struck.notified() => self.fail_over().await?,
                () = self.patience.over() => return Err(Stalled),
                () = clock::sleep_until(end) => return Ok(()),
            }
        }
    }

    /// Another host takes over, where the script knows nothing of it.
    async fn fail_over(&mut self) -> Result<(), Stalled> {
        if self.taken_over.is_some() {
            return Ok(());
        }
        self.stopped().await?;
        self.note_takeover();
        if self.at.is_some_and(|point| point.strike == Strike::Kill) {
            tokio::time::sleep(SESSION_TIMEOUT).await;
        }
        self.elect(SUCCESSOR);
        Ok(())
    }

    fn note_takeover(&mut self) {
        let term = self.terms + 1;
        self.taken_over
            .get_or_insert_with(|| (term, self.memory.entries()));
    }

    /// Does what a host does when its plugin says something.
    fn heed(&mut self, notice: &Notice) {
        match notice {
            Notice::Completed | Notice::Healthy | Notice::Stuck => {}
            Notice::ResignRequested { .. } | Notice::Failed(_) => {
                if let Some(tenure) = &self.tenure {
                    tenure.leader.demote(Demotion::Resigned);
                }
            }
            Notice::Stopped { by_force } => {
                self.calls.led_by(None);
                self.calls.rest();
                self.tenure = None;
                self.standing = Some(if *by_force {
                    Standing::Revoked
                } else {
                    Standing::Demoted
                });
                // A host that was killed while it demoted its plugin says nothing about the plugin.
                let is_struck = self.calls.has_struck()
                    && self.taken_over.is_none()
                    && self.at.is_some_and(|point| point.strike != Strike::Demote);
                let is_forced =
                    |event: &Event| matches!(event, Event::Revoked { drained: true, .. });
                self.was_forced |= !is_struck && record::of_term(self.terms).iter().any(is_forced);
            }
        }
    }

    fn expect(&mut self, step: &Step, expected: &Expectation) {
        // A failover changes what is written and asked for, and when. What it leaves is judged at the end.
        if self.calls.has_struck() {
            return;
        }
        let found = Found {
            told: &record::of_term(self.terms),
            state: &self.memory.entries(),
            requests: self.answers.made().len(),
            standing: self.standing,
        };
        for what in expect::unmet(expected, &found) {
            self.blame(step, what);
        }
    }

    /// Blames the plugin for every failure since the step before, unless the script expects failures.
    fn blame_failures(&mut self, step: &Step) {
        let failures = failures(&record::since(0));
        let new = failures.get(self.failures..).unwrap_or_default().to_vec();
        self.failures = failures.len();
        if !self.script.expects("plugin-failed") {
            for failure in new {
                self.blame(step, format!("the plugin failed: {failure}"));
            }
        }
    }

    fn blame(&mut self, step: &Step, what: String) {
        let place = step.place.clone();
        self.unmet.push(Unmet { place, what });
    }

    /// Whoever expected something of a request that nothing answered wants to know that first.
    fn blame_answers(&mut self) {
        let made = self.answers.made();
        let unanswered = made.iter().find(|made| !made.is_answered);
        if let Some(Made { method, url, .. }) = unanswered
            && !self.unmet.is_empty()
        {
            let what = format!(
                "no [[answer]] of the script was for {method} {url}: the connection was refused"
            );
            self.unmet.push(Unmet { place: None, what });
        }
    }

    async fn end(mut self, stalled: bool) -> Lived {
        self.blame_answers();
        if let Some(tenure) = &self.tenure
            && !stalled
        {
            tenure.leader.revoke();
            self.patience.begin();
            let _ = self.stopped().await;
        }
        if self.calls.has_struck() {
            self.note_takeover();
        }
        self.calls.rest();
        let taken_over = self.taken_over.take();
        let after = taken_over.as_ref().map_or(u64::MAX, |(term, _)| *term);
        Lived {
            terms: self.terms,
            passed: clock::now().saturating_since(self.began),
            unmet: self.unmet,
            traces: Traces {
                imports: self.calls.imports(),
                states: self.calls.states(),
                made: self.answers.made(),
                end: self.memory.entries(),
                has_struck: self.calls.has_struck(),
                taken_over: taken_over.map(|(_, entries)| entries),
                failures: failures(&record::since(after)),
                was_forced: self.was_forced,
                stalled,
            },
        }
    }
}

fn failures(told: &[Event]) -> Vec<String> {
    let failed = told
        .iter()
        .filter(|event| matches!(event, Event::PluginFailed { .. }));
    failed.map(|event| event.message().into_owned()).collect()
}

async fn next(tenure: &mut Option<Tenure>) -> Notice {
    match tenure {
        Some(tenure) => match tenure.notices.recv().await {
            Some(notice) => notice,
            // It never comes back.
            None => pending().await,
        },
        None => pending().await,
    }
}
