//! The delay of a successor after a term that was lost.

use super::*;

#[test]
fn a_successor_waits_unless_the_term_before_was_released() {
    let mut after_crash = delayed();
    delaying(&mut after_crash, 0);
    assert_eq!(feed(&mut after_crash, now(2_999), [Input::Timer]), []);
    let actions = feed(&mut after_crash, now(3_000), [Input::Timer]);
    assert_eq!(
        actions,
        [Action::Elect {
            over: record(1, false)
        }]
    );
    for orderly in [record(1, true), Record::default()] {
        let actions = feed(&mut delayed(), now(0), [head(orderly.clone())]);
        assert_eq!(actions, [Action::Elect { over: orderly }]);
    }
}

/// Found by the model: a leader whose candidate was deleted, and then lost as well, was followed without any delay.
#[test]
fn a_successor_begins_to_wait_when_the_master_node_is_gone() {
    let mut election = delayed();
    let held = Input::MasterSeen(Holder::Other("b".into()));
    let actions = feed(&mut election, now(0), [head(record(1, false)), held]);
    assert_eq!(
        actions,
        [Action::AnnounceStandby {
            ahead: 0,
            leader: Some("b".into())
        }]
    );
    assert_eq!(
        feed(&mut election, now(9_000), [Input::Changed]),
        [Action::Look]
    );
    delaying(&mut election, 9_000);
}

#[test]
fn a_successor_that_cannot_read_the_master_node_or_holds_it_does_not_wait() {
    let mut election = delayed();
    assert_eq!(
        feed(
            &mut election,
            now(0),
            [head(record(1, false)), Input::Failed]
        ),
        []
    );
    assert_eq!(
        feed(&mut election, now(100), [Input::Timer]),
        [Action::Look]
    );
    let mine = Input::MasterSeen(Holder::Me(term(1)));
    let actions = feed(&mut election, now(100), [head(record(1, false)), mine]);
    assert_eq!(
        actions[..2],
        [Action::AnnounceElected(term(1)), Action::Activate(term(1))]
    );
}

/// Found by the model: numbers begin anew when strangers delete what tells them, and a term of the same number was followed
/// without any delay.
#[test]
fn a_delay_that_is_over_counts_for_that_record_alone() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(&mut election, now(3_000), [Input::Timer, Input::Outdated]);
    assert_eq!(actions, [Action::Look]);
    let anew = head(Record {
        version: 5,
        ..record(1, false)
    });
    assert_eq!(
        feed(&mut election, now(3_000), [anew]),
        [Action::ReadMaster]
    );
}

/// Found by the model: what tells the numbers was deleted, and term by term the records became the same again.
#[test]
fn a_delay_that_is_over_is_forgotten_with_the_next_record() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(&mut election, now(3_000), [Input::Timer, Input::Outdated]);
    assert_eq!(actions, [Action::Look]);
    let other = Queue {
        ahead: Some(1),
        predecessor: Some("c-9".into()),
        appointed: Appointed::Nobody,
        record: record(2, false),
    };
    let actions = feed(
        &mut election,
        now(3_000),
        [Input::Looked(other), Input::Awaiting, Input::Reconnected],
    );
    assert_eq!(actions.last(), Some(&Action::Look), "{actions:?}");
    delaying(&mut election, 9_000);
}

#[test]
fn a_successor_whose_session_ends_while_it_waits_waits_again() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(
        &mut election,
        now(1_000),
        [Input::SessionEnded, Input::SessionStarted],
    );
    assert_eq!(actions, [Action::Look]);
    delaying(&mut election, 1_000);
    let actions = feed(&mut election, now(4_000), [Input::Timer]);
    assert_eq!(
        actions,
        [Action::Elect {
            over: record(1, false)
        }]
    );
    // The delay is over, whatever becomes of the election.
    let actions = feed(
        &mut election,
        now(4_000),
        [Input::Outdated, head(record(1, false))],
    );
    assert_eq!(
        actions,
        [Action::Elect {
            over: record(1, false)
        }]
    );
}

/// Found by the model: the session that waited had won the election of that very term and never heard of it, somebody deleted
/// the master node, and the term's last node, the candidate, went when the session ended. The host followed at once.
#[test]
fn a_delay_that_is_over_is_forgotten_with_the_session() {
    let mut election = delayed();
    let unanswered = feed(
        &mut election,
        now(0),
        [head(record(0, true)), Input::Failed],
    );
    assert_eq!(unanswered, []);
    feed(&mut election, now(100), [Input::Timer]);
    delaying(&mut election, 100);
    let actions = feed(&mut election, now(3_100), [Input::Timer]);
    let over = record(1, false);
    assert_eq!(actions, [Action::Elect { over }]);
    let ended = [Input::Failed, Input::SessionEnded, Input::SessionStarted];
    assert_eq!(feed(&mut election, now(5_000), ended), [Action::Look]);
    delaying(&mut election, 5_000);
}
