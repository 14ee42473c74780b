//! Where a host is in a task, for whoever asks at this moment.

use super::{Leaderless, RolloutSight};
use crate::clock::{self, Moment};
use crate::election::Stage;
use crate::permit::{Permit, Phase};
use crate::term::Term;

/// Where a host is in a task.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How far its contender is.
    pub stage: Stage,
    /// Since when.
    pub since: Moment,
    /// How many candidates stand before it, as last read.
    pub ahead: Option<usize>,
    /// The term that it was elected for, until that is given back.
    pub term: Option<Term>,
    /// When that began here.
    pub elected: Option<Moment>,
    /// The number of the generation that it does, or would do, if the task was deployed.
    pub generation: Option<u64>,
    /// How far the rollout of the task is, if it was deployed.
    pub rollout: RolloutSight,
    /// What the plugin of the term may do.
    pub permit: Option<Permit>,
    /// How long nobody led.
    pub leaderless: Leaderless,
}

impl Standing {
    /// Whether the plugin may have effects at this moment: nothing tells it but the permit itself.
    pub fn leads(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(|permit| permit.check() == Ok(Phase::Held))
    }

    /// The plugin of the term, which began at `elected`, may have effects from here on. Whoever reads that it leads reads the
    /// stage and the term with it.
    pub fn activated(&mut self, term: &Term, elected: Moment, permit: Permit) {
        self.at(Stage::Leading, true, clock::now());
        self.term = Some(term.clone());
        self.elected = Some(elected);
        self.permit = Some(permit);
    }

    /// The contender is at another stage. `session`: it has a session, so that it knows what it knows.
    pub fn at(&mut self, stage: Stage, session: bool, now: Moment) {
        if self.stage != stage {
            (self.stage, self.since) = (stage, now);
        }
        match stage {
            // It stands at the head of the queue: nobody else can lead.
            Stage::Electing => self.leaderless.know(!session, now),
            // Of a task for which it does not stand, it hears when it looks.
            Stage::Away | Stage::Full if session => {}
            Stage::Away
            | Stage::Full
            | Stage::Standby
            | Stage::Leading
            | Stage::Stopping
            | Stage::Releasing
            | Stage::Finished => self.leaderless.know(true, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::permit::SharedDeadline;
    use crate::term::FencingToken;

    #[test]
    fn whoever_leads_says_in_which_term_at_the_same_time() {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + Duration::from_secs(60));
        let term = Term {
            number: 2,
            fencing_token: FencingToken(77),
            task: "report".into(),
            host: "a".into(),
            record_version: 5,
        };
        let mut standing = Standing::default();
        standing.at(Stage::Electing, true, clock::now());
        standing.activated(&term, clock::now(), Permit::new(deadline));
        assert!(standing.leads());
        assert_eq!(standing.stage, Stage::Leading);
        assert_eq!(standing.term, Some(term));
    }

    #[test]
    fn leadership_ends_with_the_permit_whoever_is_told() {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + Duration::from_secs(60));
        let permit = Permit::new(deadline.clone());
        let standing = Standing {
            stage: Stage::Leading,
            permit: Some(permit.clone()),
            ..Standing::default()
        };
        assert!(standing.leads());
        deadline.set(clock::now());
        assert!(!standing.leads());
        deadline.set(clock::now() + Duration::from_secs(60));
        assert!(standing.leads());
        permit.drain();
        assert!(!standing.leads(), "{standing:?}");
    }

    #[test]
    fn the_head_of_the_queue_counts_and_whoever_stands_behind_it_does_not() {
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let mut standing = Standing::default();
        standing.at(Stage::Standby, true, at(1));
        standing.at(Stage::Electing, true, at(10));
        standing.at(Stage::Leading, true, at(13));
        assert_eq!(standing.leaderless.total(at(20)), Duration::from_secs(3));
        // A host that rests has looked, and nobody leads; then its session ends, and it knows nothing.
        standing.at(Stage::Away, true, at(20));
        standing.leaderless.know(false, at(21));
        standing.at(Stage::Away, true, at(22));
        standing.at(Stage::Away, false, at(23));
        assert_eq!(standing.leaderless.total(at(30)), Duration::from_secs(5));
        assert_eq!(standing.since, at(20));
    }
}
