//! A host that an operator drains, and its return.

use super::*;

const ALL: Input = Input::Drain { keep: false };
const KEEP: Input = Input::Drain { keep: true };

#[test]
fn a_leader_hands_its_term_over_and_does_not_stand_until_it_is_drained_no_more() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [ALL]),
        [Action::Demote(Demotion::Resigned)]
    );
    // The order may be heard again, after a reconnection.
    assert_eq!(feed(&mut election, now(0), [ALL]), []);
    assert!(!election.is_drained());
    assert_eq!(
        feed(&mut election, now(1), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
    assert!(!election.is_drained());
    assert_eq!(
        feed(&mut election, now(2), [Input::Released]),
        [Action::AnnounceReleased(term(2))]
    );
    assert!(election.is_drained());
    assert_eq!(election.wake_at(at(10_000)), None);
    for input in [Input::Timer, Input::Changed, Input::Reconnected] {
        assert_eq!(feed(&mut election, now(60_000), [input]), []);
    }
    let again = [Input::SessionEnded, Input::SessionStarted];
    assert_eq!(feed(&mut election, now(60_000), again), []);
    assert_eq!(
        feed(&mut election, now(60_000), [Input::Undrain]),
        [Action::Look]
    );
    assert!(!election.is_drained());
}

#[test]
fn a_host_that_is_told_to_keep_its_term_does_so_and_stands_no_more_after_it() {
    let mut election = leading();
    assert_eq!(feed(&mut election, now(0), [KEEP]), []);
    assert_eq!(
        (election.stage(), election.is_drained()),
        (Stage::Leading, false)
    );
    let mut drained = election.clone();
    assert_eq!(
        feed(&mut drained, now(0), [ALL]),
        [Action::Demote(Demotion::Resigned)]
    );
    let stay_out = Duration::ZERO;
    feed(&mut election, now(1), [Input::Resign { stay_out }]);
    feed(&mut election, now(1), [Input::Stopped, Input::Released]);
    assert!(election.is_drained());
    assert_eq!(
        feed(&mut election, now(2), [Input::Undrain]),
        [Action::Look]
    );
}

#[test]
fn a_standby_leaves_the_queue_wherever_it_is_in_it() {
    let mut waiting = election();
    let stands = [Input::SessionStarted, behind("x"), Input::Awaiting];
    feed(&mut waiting, now(0), stands);
    let mut retrying = waiting.clone();
    feed(&mut retrying, now(0), [Input::Changed, Input::Failed]);
    let mut delayed = delayed();
    delaying(&mut delayed, 0);
    for (mut election, order) in [(waiting, ALL), (retrying, KEEP), (delayed, KEEP)] {
        assert_eq!(
            feed(&mut election, now(0), [order]),
            [Action::Release { term: None }]
        );
        assert_eq!(feed(&mut election, now(1), [Input::Released]), []);
        assert!(election.is_drained());
    }
}

#[test]
fn whatever_was_asked_for_before_is_given_back() {
    let looking = || {
        let mut election = election();
        feed(&mut election, now(0), [Input::SessionStarted]);
        election
    };
    for answer in [head(record(1, true)), behind("x"), Input::Joined] {
        let mut election = looking();
        assert_eq!(feed(&mut election, now(0), [ALL]), []);
        assert_eq!(
            feed(&mut election, now(0), [answer]),
            [Action::Release { term: None }]
        );
    }
    // An election under way may have been won: no plugin sees that term.
    for order in [ALL, KEEP] {
        let mut election = electing();
        assert_eq!(feed(&mut election, now(0), [order]), []);
        let released = Action::Release {
            term: Some(term(2)),
        };
        assert_eq!(
            feed(&mut election, now(0), [Input::Elected(term(2))]),
            [Action::AnnounceElected(term(2)), released]
        );
    }
    let mut election = electing();
    feed(&mut election, now(0), [ALL, Input::Failed]);
    assert_eq!(election.stage(), Stage::Releasing);
}

#[test]
fn a_host_that_is_drained_before_it_begins_does_not_begin_and_ends_when_it_is_told_to() {
    let mut election = election();
    assert_eq!(
        feed(&mut election, now(0), [ALL, Input::SessionStarted]),
        []
    );
    assert!(election.is_drained());
    for end in [Input::Withdraw, Input::Shutdown] {
        let mut ending = election.clone();
        assert_eq!(feed(&mut ending, now(0), [end]), [Action::Finish]);
    }
    assert_eq!(
        feed(&mut election, now(0), [Input::Undrain]),
        [Action::Look]
    );
}

/// The order may be taken back before all of it is done.
#[test]
fn a_host_that_is_drained_no_more_while_it_gives_its_term_back_stands_again_after_that() {
    let mut election = leading();
    feed(&mut election, now(0), [ALL, Input::Undrain]);
    assert_eq!(election.stage(), Stage::Stopping);
    feed(&mut election, now(0), [Input::Stopped]);
    assert_eq!(
        feed(&mut election, now(0), [Input::Released]),
        [Action::AnnounceReleased(term(2)), Action::Look]
    );
}
