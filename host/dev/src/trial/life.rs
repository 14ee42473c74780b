//! The driver: what a script says is done, step by step, through one term after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use soloist_core::clock::{self, Moment, TaskClock};
use soloist_core::event::Event;
use soloist_core::state::StateError;
use soloist_core::term::Demotion;
use soloist_runtime::activation::Notice;
use soloist_sandbox::SeededRandom;

use super::answers::Answers;
use super::calls::Calls;
use super::expect::{self, Found};
use super::lived::{Early, Lived, Subject, TakenOver, Traces, Unmet};
use super::patience::Patience;
use super::point::{Point, Strike};
use super::record::{self, Record};
use super::recorder::{KEPT_BYTES_MAX, Recorder, What};
use super::script::{Act, Expectation, Script, StateMode, Step};
use super::terms::Terms;
use super::verdict::{Verdict, told};
use super::watched::WatchedState;
use crate::testbed::Memory;

/// What a host has to do at once is done when this has passed and nobody has anything left to do.
const SETTLE: Duration = Duration::from_millis(1);
/// When the session of a host that has died is over.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The host that takes over after a failover that is not in the script.
const SUCCESSOR: &str = "successor";

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
        let end_early = life.play().await.err();
        life.end(end_early).await
    })
}

struct Life<'a> {
    subject: &'a Subject,
    script: &'a Script,
    at: Option<Point>,
    surroundings: Surroundings,
    terms: Terms,
    /// What the host has found that took over after the failover.
    taken_over: Option<TakenOver>,
    verdict: Verdict,
}

/// What is around the plugin as long as the life lasts.
struct Surroundings {
    began: Moment,
    memory: Arc<Memory>,
    recorder: Arc<Recorder>,
    calls: Arc<Calls>,
    patience: Patience,
    _record: Record,
}

impl<'a> Life<'a> {
    fn begin(subject: &'a Subject, script: &'a Script, at: Option<Point>) -> Self {
        let memory = Arc::new(Memory::default());
        let recorder = Arc::new(Recorder::new(KEPT_BYTES_MAX));
        let answers = Answers::new(script.answers.clone(), Arc::clone(&recorder));
        let calls = Arc::new(Calls::new(Arc::clone(&memory), Arc::clone(&recorder), at));
        let plugin = Arc::new(subject.plugin.tried(
            TaskClock::simulated(script.date),
            SeededRandom::new(subject.seed),
            Arc::new(answers),
            calls.clone(),
        ));
        let state = WatchedState::new(Arc::clone(&memory), Arc::clone(&recorder));
        Self {
            subject,
            script,
            at,
            terms: Terms::new(
                Arc::clone(&plugin),
                subject.settings,
                Arc::clone(&subject.task),
                Arc::new(state),
            ),
            surroundings: Surroundings {
                began: clock::now(),
                memory,
                recorder,
                calls,
                patience: Patience::new(plugin),
                _record: Record::begin(),
            },
            taken_over: None,
            verdict: Verdict::default(),
        }
    }

    async fn play(&mut self) -> Result<(), Early> {
        let script = self.script;
        for step in &script.steps {
            self.surroundings.patience.begin();
            let done = self.step(step).await;
            if let Err(early) = done {
                self.blame(step, told(early));
            }
            self.blame_failures(step);
            done?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Early> {
        match &step.act {
            Act::Elect(host) => {
                if self.terms.is_led() && self.has_struck() {
                    self.demote(Demotion::Shutdown).await?;
                }
                if self.terms.is_led() {
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
                let forced_before = self.verdict.was_forced;
                self.demote(*reason).await?;
                if self.verdict.was_forced && !forced_before && !self.script.expects("revoked") {
                    let limit = humantime::format_duration(self.subject.settings.demote_timeout);
                    let what = format!(
                        "the plugin did not stop within {limit} (`demote_timeout`) of its demotion: it was stopped by force"
                    );
                    self.blame(step, what);
                }
                Ok(())
            }
            Act::LoseLease => {
                self.terms.lose_lease();
                self.after_the_end(step).await
            }
            Act::Kill => {
                self.terms.revoke();
                self.after_the_end(step).await
            }
            Act::State(mode) => {
                let memory = &self.surroundings.memory;
                memory.answer();
                match mode {
                    StateMode::Answer => {}
                    StateMode::Refuse => {
                        let why = "the script refuses it".to_owned();
                        memory.refuse(StateError::Unavailable(why));
                    }
                    StateMode::Hold => drop(memory.held.send_replace(true)),
                }
                self.pass(SETTLE).await
            }
            Act::Set(entries) => {
                for (key, value) in entries {
                    if let Err(error) = self.surroundings.memory.put(key, value.as_bytes()) {
                        self.blame(step, format!("state {key:?} cannot be set: {error}"));
                    }
                }
                self.surroundings.calls.rest();
                Ok(())
            }
            Act::Expect(expected) => {
                self.expect(step, expected);
                Ok(())
            }
        }
    }

    fn has_struck(&self) -> bool {
        self.surroundings.calls.has_struck()
    }

    /// Whether there is a leader whose term a step can end; says so where there is none.
    fn leads(&mut self, step: &Step) -> bool {
        let leads = self.terms.is_led();
        if !leads && !self.has_struck() {
            let what = "no host leads: the term has ended by itself, or there was none".to_owned();
            self.blame(step, what);
        }
        leads
    }

    async fn after_the_end(&mut self, step: &Step) -> Result<(), Early> {
        if self.leads(step) {
            self.stopped().await?;
        }
        Ok(())
    }

    fn elect(&mut self, host: &str) {
        let Surroundings {
            calls, recorder, ..
        } = &self.surroundings;
        calls.rest();
        recorder.note(What::TermBegan);
        calls.led_by(Some(self.terms.elect(host)));
    }

    async fn demote(&mut self, reason: Demotion) -> Result<(), Early> {
        self.terms.demote(reason);
        self.stopped().await
    }

    /// Waits until the term is over.
    async fn stopped(&mut self) -> Result<(), Early> {
        while self.terms.is_led() {
            tokio::select! {
                biased;
                notice = self.terms.notice() => self.heed(&notice),
                early = self.surroundings.is_over() => return Err(early),
            }
        }
        if self.has_struck() {
            self.note_takeover();
        }
        Ok(())
    }

    /// Lets time pass.
    async fn pass(&mut self, time: Duration) -> Result<(), Early> {
        let end = clock::now() + time;
        loop {
            tokio::select! {
                biased;
                notice = self.terms.notice() => self.heed(&notice),
                () = self.surroundings.calls.struck.notified() => self.fail_over().await?,
                early = self.surroundings.is_over() => return Err(early),
                () = clock::sleep_until(end) => return Ok(()),
            }
        }
    }

    /// Another host takes over, where the script knows nothing of it.
    async fn fail_over(&mut self) -> Result<(), Early> {
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
        let (term, memory) = (self.terms.count() + 1, &self.surroundings.memory);
        self.taken_over.get_or_insert_with(|| TakenOver {
            term,
            entries: memory.entries(),
            fingerprint: memory.fingerprint().0,
        });
    }

    /// Does what a host does when its plugin says something.
    fn heed(&mut self, notice: &Notice) {
        match notice {
            Notice::Running { .. }
            | Notice::Restarting { .. }
            | Notice::Completed
            | Notice::Healthy
            | Notice::Stuck => {}
            Notice::ResignRequested { .. } | Notice::Failed(_) => {
                self.terms.demote(Demotion::Resigned);
            }
            Notice::Stopped { by_force } => {
                let Surroundings {
                    calls, recorder, ..
                } = &self.surroundings;
                calls.led_by(None);
                calls.rest();
                recorder.note(What::TermEnded);
                self.terms.end(*by_force);
                // A host that was killed while it demoted its plugin says nothing about the plugin.
                let is_struck = self.has_struck()
                    && self.taken_over.is_none()
                    && self.at.is_some_and(|point| point.strike != Strike::Demote);
                let is_forced =
                    |event: &Event| matches!(event, Event::Revoked { drained: true, .. });
                let (told, _) = record::of_term(self.terms.count());
                self.verdict.was_forced |= !is_struck && told.iter().any(is_forced);
            }
        }
    }

    fn expect(&mut self, step: &Step, expected: &Expectation) {
        // A failover changes what is written and asked for, and when. What it leaves is judged at the end.
        if self.has_struck() {
            return;
        }
        let (told, is_whole) = record::of_term(self.terms.count());
        let found = Found {
            told: &told,
            is_whole,
            state: &self.surroundings.memory.entries(),
            requests: self.surroundings.recorder.requests(),
            standing: self.terms.standing(),
        };
        for what in expect::unmet(expected, &found) {
            self.blame(step, what);
        }
    }

    /// Blames the plugin for every failure since the step before, unless the script expects failures.
    fn blame_failures(&mut self, step: &Step) {
        let failures = record::failures();
        let new = failures.get(self.verdict.failures..).unwrap_or_default();
        self.verdict.failures = failures.len();
        if !self.script.expects("plugin-failed") {
            let mut times = BTreeMap::<_, usize>::new();
            for failed in new {
                *times.entry(&failed.message).or_default() += 1;
            }
            for (message, times) in times {
                let times = match times {
                    1 => String::new(),
                    times => format!(" ({times} times)"),
                };
                self.blame(step, format!("{message}{times}"));
            }
        }
    }

    fn blame(&mut self, step: &Step, what: String) {
        let place = step.place.clone();
        self.verdict.add(Unmet { place, what });
    }

    async fn end(mut self, end_early: Option<Early>) -> Lived {
        let recorder = &self.surroundings.recorder;
        self.verdict.blame_answers(recorder.unanswered());
        self.verdict.blame_sockets(recorder.has_called("sockets"));
        if self.terms.is_led() && end_early != Some(Early::Stalled) {
            self.terms.revoke();
            self.surroundings.patience.begin();
            let _ = self.stopped().await;
        }
        if self.has_struck() {
            self.note_takeover();
        }
        self.surroundings.calls.rest();
        let taken_over = self.taken_over.take();
        let after = taken_over.as_ref().map_or(0, |it| it.term);
        let failures = record::failures().into_iter();
        let failures = failures.filter(|failed| failed.term >= after);
        let failures = failures.map(|failed| failed.message).collect();
        Lived {
            terms: self.terms.count(),
            passed: clock::now().saturating_since(self.surroundings.began),
            unmet: self.verdict.unmet,
            traces: Traces {
                kept: self.surroundings.recorder.take(),
                end: self.surroundings.memory.entries(),
                has_struck: self.surroundings.calls.has_struck(),
                taken_over,
                failures,
                was_forced: self.verdict.was_forced,
                end_early,
            },
        }
    }
}

impl Surroundings {
    /// Resolves when the life has to end before its end.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    async fn is_over(&self) -> Early {
        if self.recorder.is_full() {
            return Early::Full;
        }
        tokio::select! {
            () = self.recorder.full.notified() => Early::Full,
            () = self.patience.over() => Early::Stalled,
        }
    }
}
