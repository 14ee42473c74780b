//! How many requests for tasks a session has under way, and which come first.
//!
//! A request waits in the session's connection behind all that were sent before it, and a heartbeat does too. So only a few are
//! sent at a time, however many tasks there are. Heartbeats ask for no turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// How many requests for tasks are under way at once.
const REQUESTS_MAX: usize = 48;
/// How many of them may be such as can wait.
const PATIENT_MAX: u32 = 32;

/// How many of all sessions of a host may be under way at once. A server that has a thousand requests in hand
/// (`zookeeper.globalOutstandingLimit`) reads nothing more of connections that send any, the heartbeats in them included.
const TOGETHER_MAX: usize = 160;

/// The turns of one session.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    patient: Arc<Semaphore>,
    together: Together,
}

/// What the sessions of a host share.
#[derive(Clone, Debug)]
pub(super) struct Together(Arc<Semaphore>);

impl Default for Together {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOGETHER_MAX)))
    }
}

/// Leave to have one request under way, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _together: Option<OwnedSemaphorePermit>,
    _one: Option<OwnedSemaphorePermit>,
    _patient: Option<OwnedSemaphorePermit>,
}

/// How much depends on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Nobody leads, or a leader does not know whether it still does.
    Urgent,
    /// Somebody else leads, as far as is known: a host begins to look at the queue.
    Patient,
    /// What began as a patient one goes on: a host that has looked joins, looks where it stands, and watches whom it stands
    /// behind. It comes before those who have not begun. Otherwise a host with ten thousand tasks would have joined all queues
    /// before it led the first task.
    Begun,
}

impl Turns {
    /// The turns of a session beside others.
    pub(super) fn among(together: &Together) -> Self {
        Self {
            all: Arc::new(Semaphore::new(REQUESTS_MAX)),
            patient: Arc::new(Semaphore::new(PATIENT_MAX as usize)),
            together: together.clone(),
        }
    }

    /// Waits for a turn: those of the same urgency come in order, and few patient ones are in the way of another one. What has
    /// begun is little, because each of it began as a patient one.
    pub(super) async fn turn(&self, urgency: Urgency) -> Turn {
        let patient = match urgency {
            Urgency::Urgent | Urgency::Begun => None,
            Urgency::Patient => one(Arc::clone(&self.patient).acquire_owned().await),
        };
        let own = one(Arc::clone(&self.all).acquire_owned().await);
        Turn {
            _together: one(Arc::clone(&self.together.0).acquire_owned().await),
            _one: own,
            _patient: patient,
        }
    }

    /// Lets nothing that can wait begin for so long, from when what is under way of it has been answered.
    pub(super) fn hold(&self, time: Duration) {
        let patient = Arc::clone(&self.patient);
        tokio::spawn(async move {
            let all = patient.acquire_many_owned(PATIENT_MAX).await;
            tokio::time::sleep(time).await;
            drop(all);
        });
    }
}

/// Nobody closes the semaphores.
fn one(permit: Result<OwnedSemaphorePermit, AcquireError>) -> Option<OwnedSemaphorePermit> {
    permit.ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// The turn, if nobody has to wait for it. Tokio would have a task that takes many wait for others.
    fn at_once(turns: &Turns, urgency: Urgency) -> Option<Turn> {
        tokio::task::unconstrained(turns.turn(urgency)).now_or_never()
    }

    #[tokio::test]
    async fn a_few_are_under_way_and_patient_ones_leave_room_for_urgent_ones() {
        let turns = Turns::among(&Together::default());
        let mut patient = Vec::new();
        while let Some(turn) = at_once(&turns, Urgency::Patient) {
            patient.push(turn);
        }
        let mut urgent = Vec::new();
        while let Some(turn) = at_once(&turns, Urgency::Urgent) {
            urgent.push(turn);
        }
        assert_eq!(patient.len(), PATIENT_MAX as usize);
        assert_eq!(patient.len() + urgent.len(), REQUESTS_MAX);
        patient.pop();
        assert!(turns.turn(Urgency::Urgent).now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_sessions_of_a_host_have_fewer_together_than_each_may_have() {
        let together = Together::default();
        let sessions: Vec<_> = (0..10).map(|_| Turns::among(&together)).collect();
        let mut under_way = Vec::new();
        for turns in &sessions {
            while let Some(turn) = at_once(turns, Urgency::Urgent) {
                under_way.push(turn);
            }
        }
        assert_eq!(under_way.len(), TOGETHER_MAX);
        assert!(at_once(&sessions[9], Urgency::Urgent).is_none());
        under_way.pop();
        assert!(at_once(&sessions[9], Urgency::Urgent).is_some());
    }

    #[tokio::test]
    async fn what_has_begun_does_not_wait_behind_all_that_has_not() {
        let turns = Turns::among(&Together::default());
        let mut patient = Vec::new();
        while let Some(turn) = at_once(&turns, Urgency::Patient) {
            patient.push(turn);
        }
        let mut waiting: Vec<_> = (0..1000)
            .map(|_| Box::pin(turns.turn(Urgency::Patient)))
            .collect();
        assert!(waiting.iter_mut().all(|it| it.now_or_never().is_none()));
        assert!(turns.turn(Urgency::Begun).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_does_so_after_a_reconnection_and_what_cannot_does_not() {
        let turns = Turns::among(&Together::default());
        turns.hold(Duration::from_secs(3));
        tokio::task::yield_now().await;
        assert!(turns.turn(Urgency::Patient).now_or_never().is_none());
        assert!(turns.turn(Urgency::Urgent).now_or_never().is_some());
        let began = tokio::time::Instant::now();
        turns.turn(Urgency::Patient).await;
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}
