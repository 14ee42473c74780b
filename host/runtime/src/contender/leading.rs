//! What the leader of a deployed task knows of the rollout, and what it does next.
//!
//! It goes by the newest record of what it has read or written itself and what the host has heard. After a write it decides
//! nothing before it knows a record that is newer than the one it wrote over.

use std::future::pending;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::activation::Notice;
use crate::rollout::{Heard, Known, Rollout};
use soloist_coordination::rollout::{RecordSnapshot, RolloutError, RolloutNodes, Written};
use soloist_core::backoff::Backoff;
use soloist_core::cause::Cause;
use soloist_core::clock::{self, Moment};
use soloist_core::digest::Digest;
use soloist_core::pulse::Pulse;
use soloist_core::records::{Generation, RolloutRecord, timestamp};
use soloist_core::restart::PluginFailed;
use soloist_core::rollout::{Leader, Next, Participant, Plugin, Progress, Purpose, Seen, View};

mod heard;

use heard::{News, news, prepared, ready_timeout};

/// The first pause after something could not be read or written, and the longest.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often in a row something may fail before a leader whose plugin does not run lets another host try.
const ATTEMPTS_MAX: u32 = 6;
/// How often a leader looks who is ready: the longer nothing changes, the less often.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// A leader's part in the rollout of its task, in one term.
pub(super) struct Leading {
    host: String,
    /// The number of the generation that the term runs.
    number: u64,
    /// No record is gone by that has a lower data version.
    least: i32,
    purpose: Purpose,
    settings: soloist_core::rollout::Settings,
    known: watch::Receiver<Known>,
    nodes: RolloutNodes,
    leader: Option<Leader>,
    /// The record. None while it has to be read.
    record: Option<RecordSnapshot>,
    /// Who stands and who is ready, as far as that has been read and matters.
    hosts: Option<Vec<Participant>>,
    run: Run,
    /// The plugin's signs of life.
    pulse: Pulse,
    /// The host knows something that was not looked at.
    has_news: bool,
    /// When to look again, whatever happens.
    wake: Option<Moment>,
    retry_at: Option<Moment>,
    retries: Backoff,
    look_at: Option<Moment>,
    looks: Backoff,
    /// How far the hosts were when that was said last.
    told: Option<Progress>,
    /// The term ends: nothing is decided any more.
    is_over: bool,
}

/// What has become of the plugin in this term.
#[derive(Clone, Debug)]
enum Run {
    Idle,
    Running(Moment),
    Restarting(u32, Cause),
    Completed,
    Resigning,
    Failed(PluginFailed),
}

/// What a leader is to do now.
pub(super) enum Step {
    /// Nothing, until something happens.
    Wait,
    /// Say how far hosts are with the generation of that number.
    Tell(u64, Progress),
    /// Ask the ensemble for something, and whether that is to be finished even if the term ends meanwhile.
    Ask(BoxFuture<'static, Answer>, bool),
    /// Start the plugin.
    Activate,
    /// Give the term back. That is the record by which it was decided, if there is one.
    GiveBack(soloist_core::rollout::GiveBack, Option<Box<RolloutRecord>>),
    /// Mark the task as failed.
    Fail(PluginFailed),
}

/// What came of a request.
pub(super) enum Answer {
    Read(Result<(RecordSnapshot, Option<Vec<Participant>>), RolloutError>),
    Wrote {
        before: Box<RolloutRecord>,
        after: Box<RolloutRecord>,
        written: Result<Written, RolloutError>,
    },
}

/// What follows from an answer.
pub(super) enum Heeded {
    /// This record was written over that one.
    Changed(Box<RolloutRecord>, Box<RolloutRecord>),
    /// Nothing to tell.
    Nothing,
    /// The ensemble says that the term is over.
    TermOver,
    /// It has failed. Another host is to try, if this one cannot.
    Failed(RolloutError, bool),
}

impl Leading {
    /// The part of a leader that was elected for the generation of that number, when the manifest had that data version.
    pub(super) fn begin(
        host: &str,
        (number, least): (u64, i32),
        rollout: &Rollout,
        nodes: RolloutNodes,
    ) -> Self {
        Self {
            host: host.to_owned(),
            number,
            least,
            purpose: rollout.purpose,
            settings: rollout.settings,
            known: rollout.known.clone(),
            nodes,
            leader: None,
            record: None,
            hosts: None,
            run: Run::Idle,
            pulse: Pulse::default(),
            has_news: true,
            wake: None,
            retry_at: None,
            retries: Backoff::new(RETRY, RETRY_MAX),
            look_at: None,
            looks: Backoff::new(LOOK, LOOK_MAX),
            told: None,
            is_over: false,
        }
    }

    /// The same, if its election has written the record, which has that data version now.
    pub(super) fn having_written(mut self, record: Box<RolloutRecord>, version: i32) -> Self {
        // What the host has heard of before is older.
        self.has_news = !matches!(&self.known.borrow_and_update().record,
            Heard::Record(_, heard) if *heard < version);
        self.record = Some(RecordSnapshot::Record(record, version));
        self.least = version;
        self
    }

    /// Decides nothing any more.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// The plugin is started.
    pub(super) fn activated(&mut self) {
        self.run = Run::Running(clock::now());
    }

    /// The plugin that is started gives these signs of life.
    pub(super) fn follow(&mut self, pulse: &Pulse) {
        self.pulse = pulse.clone();
    }

    /// Takes note of what the activation says.
    pub(super) fn notice(&mut self, notice: &Notice) {
        match notice {
            // What has completed stays so until it fails, however often it is run again.
            Notice::Running { .. } if matches!(self.run, Run::Completed | Run::Resigning) => {}
            Notice::Running { since } => self.run = Run::Running(*since),
            Notice::Restarting {
                failures, cause, ..
            } => {
                self.run = Run::Restarting(*failures, cause.clone());
            }
            Notice::Completed => self.run = Run::Completed,
            Notice::ResignRequested { .. } => self.run = Run::Resigning,
            Notice::Failed(failed) => self.run = Run::Failed(failed.clone()),
            Notice::Healthy | Notice::Stuck | Notice::Stopped { .. } => {}
        }
    }

    /// Waits until there is something new to decide by, or until it is time.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn stirred(&mut self) {
        if self.is_over {
            return pending().await;
        }
        let wake = self.wake;
        tokio::select! {
            Ok(()) = self.known.changed() => self.has_news = true,
            Some(()) = futures::future::OptionFuture::from(wake.map(clock::sleep_until)) => self.wake = None,
            else => pending().await,
        }
    }

    /// What is to be done now. To be called while no request is under way.
    pub(super) fn next(&mut self) -> Step {
        let now = clock::now();
        if self.is_over || self.retry_at.is_some_and(|at| now < at) {
            return Step::Wait;
        }
        self.retry_at = None;
        self.hear();
        let Some(record) = &self.record else {
            return self.look();
        };
        if !needs_hosts(self.purpose, record) {
            (self.hosts, self.look_at, self.told) = (None, None, None);
            self.looks.reset();
        } else if self.hosts.is_none() || self.look_at.is_none_or(|at| now >= at) {
            return self.look();
        }
        self.decide(now)
    }

    /// Takes in what the host has heard of the record, if that is newer. Where that cannot be told, the record is read.
    fn hear(&mut self) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        let known = self.known.borrow_and_update();
        match news(&known.record, self.record.as_ref(), self.least) {
            News::Same => {}
            News::Newer(newer) => self.record = Some(newer),
            News::Unclear => self.record = None,
        }
    }

    /// Reads the record, and who stands and is ready.
    fn look(&mut self) -> Step {
        let (nodes, purpose) = (self.nodes.clone(), self.purpose);
        let read = async move {
            let record = nodes.read().await?;
            let hosts = if needs_hosts(purpose, &record) {
                Some(nodes.hosts().await?)
            } else {
                None
            };
            Ok((record, hosts))
        };
        Step::Ask(read.map(Answer::Read).boxed(), false)
    }

    fn decide(&mut self, now: Moment) -> Step {
        let Some(snapshot) = &self.record else {
            return Step::Wait;
        };
        let record = match snapshot {
            RecordSnapshot::Record(record, _) => Some(&**record),
            _ => None,
        };
        let leader = self.leader.get_or_insert_with(|| {
            let named = record.and_then(|it| it.named().find(|it| it.number == self.number));
            // If the record does not name it any more, another one is the current one.
            let generation = named.unwrap_or(Generation {
                number: self.number,
                sha256: Digest::of(&[]),
            });
            Leader::new(&self.host, generation, self.purpose, self.settings)
        });
        let known = self.known.borrow();
        let prepared = prepared(record, &known);
        let view = View {
            record: match snapshot {
                RecordSnapshot::Nothing => Seen::Nothing,
                RecordSnapshot::Unreadable(_) => Seen::Unreadable,
                RecordSnapshot::Record(record, _) => Seen::Record(record),
            },
            hosts: self.hosts.as_deref().unwrap_or_default(),
            prepared: &prepared,
            plugin: self.run.plugin(self.pulse.last(now)),
            ready_timeout: ready_timeout(record, &known),
            at: &timestamp(),
        };
        let next = leader.next(now, &view);
        drop(known);
        self.step(next)
    }

    fn step(&mut self, next: Next) -> Step {
        let (before, over) = match &self.record {
            Some(RecordSnapshot::Record(record, version)) => (Some(record.clone()), *version),
            _ => (None, 0),
        };
        let wanted = before.as_ref().and_then(|record| record.wanted);
        let nodes = self.nodes.clone();
        match next {
            Next::Activate => Step::Activate,
            Next::GiveBack(why) => Step::GiveBack(why, before),
            Next::Fail => match &self.run {
                Run::Failed(failed) => Step::Fail(failed.clone()),
                // Only what has failed is marked.
                _ => Step::Wait,
            },
            Next::Wait { until, progress } => {
                self.wake = until.into_iter().chain(self.look_at).min();
                match (progress, wanted) {
                    (Some(progress), Some(wanted)) if self.told.as_ref() != Some(&progress) => {
                        self.told = Some(progress.clone());
                        Step::Tell(wanted.number, progress)
                    }
                    _ => Step::Wait,
                }
            }
            Next::Write(after) => ask(before, after, true, async move |after| {
                nodes.write(&after, over).await
            }),
            Next::Copy(after) => ask(before, after, false, async move |after| {
                nodes.copy(&after, over).await
            }),
            Next::Restore(after) => ask(before, after, false, async move |after| {
                nodes.restore(&after, over).await
            }),
            Next::Drop(after) => ask(before, after, false, async move |after| {
                nodes.drop_copy(&after, over).await
            }),
        }
    }

    /// What was to be written over the record may have been: only a newer one counts, or what is read now.
    fn forget(&mut self) {
        if let Some(RecordSnapshot::Record(_, version)) = self.record.take() {
            self.least = version.saturating_add(1);
        }
    }

    /// Takes in an answer.
    pub(super) fn heed(&mut self, answer: Answer) -> Heeded {
        let now = clock::now();
        match answer {
            Answer::Read(Ok((record, hosts))) => {
                self.retries.reset();
                if self.hosts != hosts {
                    self.looks.reset();
                }
                self.look_at = Some(now + self.looks.step());
                (self.record, self.hosts) = (Some(record), hosts);
                Heeded::Nothing
            }
            Answer::Wrote {
                before,
                after,
                written: Ok(Written::Done(version)),
            } => {
                self.retries.reset();
                self.record = Some(RecordSnapshot::Record(after.clone(), version));
                Heeded::Changed(before, after)
            }
            Answer::Wrote {
                written: Ok(Written::Overtaken),
                ..
            } => {
                self.forget();
                Heeded::Nothing
            }
            Answer::Wrote {
                written: Ok(Written::TermOver),
                ..
            } => {
                self.is_over = true;
                Heeded::TermOver
            }
            Answer::Read(Err(error))
            | Answer::Wrote {
                written: Err(error),
                ..
            } => {
                self.forget();
                let retry_at = now + self.retries.step();
                (self.retry_at, self.wake) = (Some(retry_at), Some(retry_at));
                let runs = !matches!(self.run, Run::Idle | Run::Failed(_) | Run::Resigning);
                Heeded::Failed(error, !runs && self.retries.steps() >= ATTEMPTS_MAX)
            }
        }
    }
}

/// Whether it matters to a leader who stands and who is ready.
fn needs_hosts(purpose: Purpose, record: &RecordSnapshot) -> bool {
    purpose == Purpose::TakeBack
        || match record {
            RecordSnapshot::Record(record, _) => record.wanted.is_some(),
            RecordSnapshot::Unreadable(_) => true,
            RecordSnapshot::Nothing => false,
        }
}

fn ask<F>(
    before: Option<Box<RolloutRecord>>,
    after: RolloutRecord,
    is_finished: bool,
    doing: impl FnOnce(RolloutRecord) -> F,
) -> Step
where
    F: Future<Output = Result<Written, RolloutError>> + Send + 'static,
{
    // Whoever has no record changes none.
    let Some(before) = before else {
        return Step::Wait;
    };
    let done = doing(after.clone());
    let answer = done.map(|written| Answer::Wrote {
        before,
        after: Box::new(after),
        written,
    });
    Step::Ask(answer.boxed(), is_finished)
}

impl Run {
    fn plugin(&self, alive: Moment) -> Plugin<'_> {
        match self {
            Self::Idle => Plugin::Idle,
            Self::Running(since) => Plugin::Running {
                since: *since,
                alive,
            },
            Self::Restarting(failures, cause) => Plugin::Restarting {
                failures: *failures,
                cause,
            },
            Self::Completed => Plugin::Completed,
            Self::Resigning => Plugin::Resigning,
            Self::Failed(failed) => Plugin::Failed(failed),
        }
    }
}
