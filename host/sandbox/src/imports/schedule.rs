//! The import `schedule`: waits for slots, claims them, completes them.
//!
//! Which slot is next is decided in [`soloist_core::schedule`]. What is here reads the record, waits, writes what was
//! decided over the very record that was read, and knows which slots this run has claimed.

mod runs;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wasmtime::component::{Accessor, HasData, Linker};

use self::runs::Runs;
use crate::contract::bindings::schedule::{self as wit, Error, Slot};
use crate::contract::bindings::state::{Operation, Refusal};
use crate::imports::state::{StateAccess, written};
use crate::log::PluginLog;
use soloist_core::clock::TaskClock;
use soloist_core::event::{About, Event};
use soloist_core::permit::{LeaseLost, Phase};
use soloist_core::schedule::{self, Claim, Missed, Now, Record, Schedule, Then, Time};
use soloist_core::state::{self as kept, RecordWrite, StateError};
use soloist_core::term::Term;

/// A slot that is claimed so long after it was due is late.
const LATE: Duration = Duration::from_secs(10);

/// The schedules of a task as one attempt has them. Clones share them.
#[derive(Clone)]
pub(crate) struct ScheduleAccess {
    state: StateAccess,
    /// Whether `on_elected` runs.
    is_elected: watch::Receiver<bool>,
    term: Arc<Term>,
    clock: TaskClock,
    log: PluginLog,
    runs: Runs,
}

impl ScheduleAccess {
    pub(crate) fn new(
        state: StateAccess,
        is_elected: watch::Receiver<bool>,
        term: Arc<Term>,
        clock: TaskClock,
        log: PluginLog,
    ) -> Self {
        Self {
            state,
            is_elected,
            term,
            clock,
            log,
            runs: Runs::default(),
        }
    }
}

/// What the import works on.
pub(crate) struct ScheduleView<'a>(pub(crate) &'a ScheduleAccess);

struct Import;

impl HasData for Import {
    type Data<'a> = ScheduleView<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ScheduleView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, Import>(linker, view)
}

impl wit::Host for ScheduleView<'_> {}

impl<T> wit::HostWithStore<T> for Import {
    async fn next(
        accessor: &Accessor<T, Self>,
        schedule: wit::Schedule,
    ) -> wasmtime::Result<Result<Slot, Error>> {
        let access = accessor.with(|mut store| store.get().0.clone());
        ended(access.next(schedule).await)
    }

    async fn complete(
        accessor: &Accessor<T, Self>,
        slot: Slot,
        writes: Vec<Operation>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let access = accessor.with(|mut store| store.get().0.clone());
        ended(access.complete(&slot, writes).await)
    }
}

/// Why a call came to nothing.
enum Stop {
    /// The guest is told.
    Told(Error),
    /// The term has ended.
    Ended(wasmtime::Error),
}

impl From<LeaseLost> for Stop {
    fn from(lost: LeaseLost) -> Self {
        Self::Ended(lost.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

fn ended<R>(outcome: Result<R, Stop>) -> wasmtime::Result<Result<R, Error>> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Stop::Told(error)) => Ok(Err(error)),
        Err(Stop::Ended(lost)) => Err(lost),
    }
}

impl ScheduleAccess {
    /// Waits until a slot is due, and claims it. Nothing is claimed once demotion has begun.
    async fn next(&self, asked: wit::Schedule) -> Result<Slot, Stop> {
        let schedule = self.runs.schedule(&self.term.task, asked.into())?;
        let name = schedule.name();
        let waiting = self.runs.wait(&schedule)?;
        let waiting_since = self.now();
        let mut is_told = false;
        loop {
            if self.state.permit().check()? != Phase::Held {
                return Err(self.is_ending().await);
            }
            let (read, record) = self.read(name).await?;
            let now = Now {
                time: self.now(),
                waiting_since,
                busy: waiting.busy(),
                token: self.term.fencing_token.0,
            };
            let decision = schedule.decide(record.as_ref(), now);
            if let Some(record) = decision.record {
                match self
                    .write(name, read, &record, Vec::new(), Phase::Held)
                    .await?
                {
                    Ok(()) => {}
                    Err(refusal) if is_outdated(&refusal) => continue,
                    Err(refusal) => return Err(unwritten(refusal.error).into()),
                }
            }
            // What is not written down is found again, and a plugin decides how often.
            for missed in decision.missed {
                self.report(name, missed);
            }
            match decision.then {
                Then::Run(claim) => {
                    waiting.claimed(claim, now.time);
                    self.count("schedule_slots", "run");
                    if now.time.saturating_since(claim.at) > LATE {
                        self.count("schedule_slots_late", "");
                    }
                    return Ok(slot(&schedule, claim));
                }
                Then::Again => {}
                Then::Wait(until) => {
                    waiting.is_idle();
                    if let Some(ahead) = decision.ahead
                        && !std::mem::replace(&mut is_told, true)
                    {
                        let node = node(name);
                        self.log.warn(
                            &format!(
                                "slots of the schedule {name} were claimed that are {ahead:.0?} ahead of this host's \
                                 clock: none is due before {until}. Set the clock right, or delete the {node}"
                            ),
                            "schedule",
                        );
                    }
                    tokio::select! {
                        () = self.clock.sleep_until_date(until.into()) => {}
                        () = self.state.permit().effects_ended() => {}
                    }
                }
            }
        }
    }

    /// What a call comes to once demotion has begun. While `on_elected` runs, an error could end it before the plugin hears of
    /// its demotion, as a failure: the call waits on, and the plugin gives it up.
    async fn is_ending(&self) -> Stop {
        // The sender lies beside this in the store.
        let _ = self.is_elected.clone().wait_for(|running| !running).await;
        let reason = "demotion has begun: no slot is claimed any more";
        Error::Unavailable(reason.into()).into()
    }

    fn now(&self) -> Time {
        self.clock.date().into()
    }

    /// Completes a slot that this run has claimed, and does the writes.
    async fn complete(&self, slot: &Slot, writes: Vec<Operation>) -> Result<(), Stop> {
        let operations: Vec<kept::Operation> = writes.into_iter().map(Into::into).collect();
        if let Err(refusal) = self.state.check_sizes(&operations) {
            return Err(Error::Refused(refusal.into()).into());
        }
        let name = &slot.schedule;
        let run = self.runs.claimed(slot)?;
        loop {
            let (read, record) = self.read(name).await?;
            let completed = record.and_then(|record| schedule::complete(&record, run.claim()));
            let Some(completed) = completed else {
                run.is_over();
                let reason = format!("the slot {} has been completed already", slot.key);
                return Err(Error::OutOfTurn(reason).into());
            };
            match self
                .write(name, read, &completed, operations.clone(), Phase::Draining)
                .await?
            {
                Ok(()) => {
                    run.is_over();
                    self.count("schedule_slots", "completed");
                    return Ok(());
                }
                Err(refusal) if is_outdated(&refusal) => {}
                Err(refusal) => return Err(Error::Refused(Refusal::from(refusal)).into()),
            }
        }
    }

    /// The record of a schedule: as it stands, and what it says.
    async fn read(&self, name: &str) -> Result<(Option<Vec<u8>>, Option<Record>), Stop> {
        let name_read = name.to_owned();
        let read = self
            .state
            .call(None, |state| state.read_schedule(name_read))
            .await
            .map_err(Stop::Ended)?
            .map_err(unwritten)?;
        let record = read.as_deref().map(Record::decode).transpose();
        let record = record.map_err(|error| {
            let reason = format!("the {} cannot be used: {error}", node(name));
            Error::Unavailable(reason)
        })?;
        Ok((read, record))
    }

    /// Writes a record, unless the term is past `latest` by the time that the plugin may write: then the record is to be decided
    /// anew.
    async fn write(
        &self,
        name: &str,
        over: Option<Vec<u8>>,
        record: &Record,
        operations: Vec<kept::Operation>,
        latest: Phase,
    ) -> Result<Result<(), kept::Refusal>, Stop> {
        let record = record.encode();
        let bytes = name.len() + record.len() + written(&operations);
        let write = RecordWrite {
            schedule: name.to_owned(),
            over,
            record,
        };
        let permit = self.state.permit().clone();
        self.state
            .call(Some(bytes), |state| {
                if permit.check().is_ok_and(|phase| phase <= latest) {
                    state.write_schedule(write, operations)
                } else {
                    Box::pin(async { Err(StateError::Changed(None).into()) })
                }
            })
            .await
            .map_err(Stop::Ended)
    }

    /// Counts a slot, if slots are measured.
    fn count(&self, kind: &'static str, what: &'static str) {
        if let Some(meter) = self.state.permit().meter() {
            meter.count(kind, what, 1);
        }
    }

    fn report(&self, schedule: &str, missed: Missed) {
        let schedule = schedule.to_owned();
        About::Term(&self.term).report(&Event::SlotsMissed { schedule, missed });
    }
}

/// Whether the record is not the one that was read: it has to be decided anew.
fn is_outdated(refusal: &kept::Refusal) -> bool {
    refusal.at.is_none() && matches!(refusal.error, StateError::Changed(_))
}

/// How a record is named to people.
fn node(name: &str) -> String {
    format!("node schedules/{name} of the task")
}

/// What becomes of a refusal that is about the record itself.
fn unwritten(error: StateError) -> Error {
    match error {
        StateError::TooMany => Error::TooMany,
        StateError::Unavailable(reason) => Error::Unavailable(reason),
        error => Error::Unavailable(error.to_string()),
    }
}

fn slot(schedule: &Schedule, claim: Claim) -> Slot {
    Slot {
        schedule: schedule.name().to_owned(),
        key: schedule.key(claim.at),
        time: claim.at.as_secs(),
        attempt: claim.attempt,
        missed: claim.missed,
    }
}
