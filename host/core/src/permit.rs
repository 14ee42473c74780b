//! A leader's permission to have effects: the one thing that every import of a plugin looks at.
//!
//! The lease of the session decides how long it lasts; the contender can end it earlier. It is never given back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{self, Moment};
use crate::meter::{Effect, Outcome, TaskMeter};
use crate::pulse::Pulse;
use crate::spans::{Begun, TermTrace, tracer};
use crate::term::Term;

/// The moment until which a session's lease lasts, written by the lease keeper and read by every permit of that session.
///
/// A new session gets a new one: what was granted under an expired session can never be revived.
#[derive(Clone, Debug)]
pub struct SharedDeadline(Arc<watch::Sender<Moment>>);

impl Default for SharedDeadline {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Moment::default())))
    }
}

impl SharedDeadline {
    /// The moment at which effects end, as known now.
    pub fn get(&self) -> Moment {
        *self.0.borrow()
    }

    /// Ends the lease now, if it has not ended before: the deadline goes on telling when it did.
    pub fn end(&self) {
        let now = clock::now();
        self.0
            .send_modify(|deadline| *deadline = now.min(*deadline));
    }

    /// Moves the deadline, to a later moment or to an earlier one.
    pub fn set(&self, deadline: Moment) {
        self.0.send_replace(deadline);
    }
}

/// How much a plugin may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// All that was granted.
    Held,
    /// Demotion has begun: no new effects, but log, clock, and the fenced state, so that work can be put away.
    Draining,
    /// Nothing.
    Revoked,
}

/// A plugin wanted to go on after its permit had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leadership has ended: the lease is over or was revoked")]
pub struct LeaseLost;

/// The permission of one activation to have effects. Clones share it.
#[derive(Clone, Debug)]
pub struct Permit {
    deadline: SharedDeadline,
    phase: Arc<watch::Sender<Phase>>,
    meter: Option<Arc<TaskMeter>>,
    trace: Option<Arc<TermTrace>>,
    pulse: Pulse,
}

impl Permit {
    /// A permit that lasts as long as the session's lease.
    pub fn new(deadline: SharedDeadline) -> Self {
        Self {
            deadline,
            phase: Arc::new(watch::Sender::new(Phase::Held)),
            meter: None,
            trace: None,
            pulse: Pulse::default(),
        }
    }

    /// The same permit, for somebody whose calls are measured.
    #[must_use]
    pub fn measured(self, meter: Option<Arc<TaskMeter>>) -> Self {
        Self { meter, ..self }
    }

    /// The same permit, for the plugin of this term: its effects are reported as spans, if this process reports any.
    #[must_use]
    pub fn traced(self, term: &Term) -> Self {
        let trace = tracer().map(|_| Arc::new(TermTrace::of(term)));
        Self { trace, ..self }
    }

    /// What measures the calls of whoever holds this, if they are measured.
    pub fn meter(&self) -> Option<&Arc<TaskMeter>> {
        self.meter.as_ref()
    }

    /// The signs of life of whoever holds this.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Counts an effect, if effects are measured, which took no time.
    pub fn count(&self, effect: Effect, outcome: Outcome) {
        self.finish(self.begin(), effect, outcome);
    }

    /// An effect begins. None if effects are not traced.
    pub fn begin(&self) -> Option<Begun> {
        self.trace.as_ref().map(|_| Begun::now())
    }

    /// What a request says of the effect that it is, as the header `traceparent`.
    pub fn trace_parent(&self, begun: Option<Begun>) -> Option<String> {
        Some(self.trace.as_ref()?.parent(begun?))
    }

    /// Counts an effect, if effects are measured, and reports its span, if they are traced.
    pub fn finish(&self, begun: Option<Begun>, effect: Effect, outcome: Outcome) {
        if let Some(meter) = &self.meter {
            meter.effect(effect, outcome);
        }
        if let (Some(trace), Some(begun), Some(tracer)) = (&self.trace, begun, tracer()) {
            tracer.report(trace.effect(effect, outcome, begun));
        }
    }

    /// Checks the permit for a call of the plugin, and measures how much is left of the lease.
    ///
    /// # Errors
    /// See [`Permit::check`].
    pub fn enter(&self) -> Result<Phase, LeaseLost> {
        let Some(meter) = &self.meter else {
            return self.check();
        };
        let left = self.deadline.get().saturating_since(clock::now());
        let phase = *self.phase.borrow();
        if phase == Phase::Revoked || left.is_zero() {
            meter.called(Duration::ZERO);
            return Err(LeaseLost);
        }
        meter.called(left);
        Ok(phase)
    }

    /// Says whether an effect may happen now, and of which kind.
    ///
    /// # Errors
    /// [`LeaseLost`] once the deadline has passed or the permit was revoked.
    pub fn check(&self) -> Result<Phase, LeaseLost> {
        match *self.phase.borrow() {
            Phase::Revoked => Err(LeaseLost),
            phase if clock::now() < self.deadline.get() => Ok(phase),
            _ => Err(LeaseLost),
        }
    }

    /// When the permit ends unless the lease is renewed.
    pub fn deadline(&self) -> Moment {
        self.deadline.get()
    }

    /// Begins the end: from here on only what puts work away is allowed. Does nothing to a permit already revoked.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends the permit now, for good.
    pub fn revoke(&self) {
        self.advance(Phase::Revoked);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            if forward {
                *phase = to;
            }
            forward
        });
    }

    /// Waits until the permit has ended, by revocation or because the lease ran out.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn ended(&self) {
        self.past(Phase::Draining).await;
    }

    /// Waits until effects end: until demotion begins, or the permit has ended without one.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn effects_ended(&self) {
        self.past(Phase::Held).await;
    }

    async fn past(&self, last: Phase) {
        let mut phase = self.phase.subscribe();
        let mut moved = self.deadline.0.subscribe();
        while self.check().is_ok_and(|phase| phase <= last) {
            let deadline = *moved.borrow_and_update();
            tokio::select! {
                () = clock::sleep_until(deadline) => {}
                _ = moved.changed() => {}
                // The senders live in `self`, so these cannot fail.
                _ = phase.wait_for(|phase| *phase > last) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit_for(time: Duration) -> Permit {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + time);
        Permit::new(deadline)
    }

    #[test]
    fn a_permit_ends_at_its_deadline_and_moves_with_it() {
        let permit = permit_for(Duration::ZERO);
        assert_eq!(permit.check(), Err(LeaseLost));
        permit.deadline.set(clock::now() + Duration::from_secs(60));
        assert_eq!(permit.check(), Ok(Phase::Held));
    }

    #[test]
    fn a_lease_that_is_ended_tells_when_it_did() {
        let permit = permit_for(Duration::from_secs(600));
        let before = clock::now();
        permit.deadline.end();
        assert_eq!(permit.check(), Err(LeaseLost));
        let ended = permit.deadline();
        assert!(before <= ended && ended <= clock::now(), "{ended:?}");
        permit.deadline.end();
        assert_eq!(permit.deadline(), ended, "it does not end again");
    }

    #[tokio::test]
    async fn a_deadline_that_moves_closer_is_not_slept_through() {
        let permit = permit_for(Duration::from_secs(600));
        let ended = permit.ended();
        tokio::pin!(ended);
        assert!(futures::poll!(&mut ended).is_pending());
        permit.deadline.set(clock::now());
        ended.await;
    }

    #[test]
    fn phases_only_go_forward() {
        let permit = permit_for(Duration::from_secs(60));
        permit.drain();
        assert_eq!(permit.check(), Ok(Phase::Draining));
        permit.revoke();
        assert_eq!(permit.check(), Err(LeaseLost));
        permit.drain();
        assert_eq!(permit.check(), Err(LeaseLost));
    }

    #[tokio::test]
    async fn effects_end_when_demotion_begins_and_with_the_permit() {
        let permit = permit_for(Duration::from_secs(600));
        let effects_ended = permit.effects_ended();
        tokio::pin!(effects_ended);
        assert!(futures::poll!(&mut effects_ended).is_pending());
        permit.drain();
        effects_ended.await;
        assert!(futures::poll!(std::pin::pin!(permit.ended())).is_pending());
        permit_for(Duration::from_millis(1)).effects_ended().await;
    }

    #[tokio::test]
    async fn ended_resolves_on_revocation_and_on_expiry() {
        let permit = permit_for(Duration::from_secs(600));
        let waiter = tokio::spawn({
            let permit = permit.clone();
            async move { permit.ended().await }
        });
        permit.revoke();
        waiter.await.unwrap();
        permit_for(Duration::from_millis(1)).ended().await;
    }
}
