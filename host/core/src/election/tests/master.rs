//! What the master node says to the head of the queue, and elections whose answer was lost.

use super::*;

#[test]
fn a_master_node_held_by_another_is_waited_for_and_its_holder_named() {
    let mut election = electing();
    let held = Input::MasterSeen(Holder::Other("c".into()));
    assert_eq!(
        feed(&mut election, now(0), [held]),
        [Action::AnnounceStandby {
            ahead: 0,
            leader: Some("c".into())
        }]
    );
    assert_eq!(
        feed(&mut election, now(0), [Input::Changed]),
        [Action::Look]
    );
}

#[test]
fn a_master_node_that_no_session_owns_is_not_waited_for() {
    let mut election = electing();
    let mut pauses = Vec::new();
    let mut time = 0;
    for _ in 0..12 {
        assert_eq!(
            feed(
                &mut election,
                now(time),
                [Input::MasterSeen(Holder::Unowned)]
            ),
            []
        );
        let at = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        let actions = feed(
            &mut election,
            now(time),
            [Input::Timer, head(record(1, true))],
        );
        assert_eq!(
            actions,
            [Action::Elect {
                over: record(1, true)
            }]
        );
    }
    assert_eq!((&pauses[..3], pauses[11]), (&[100, 200, 400][..], 10_000));
}

#[test]
fn an_election_whose_answer_was_lost_is_adopted() {
    let mut election = electing();
    assert_eq!(feed(&mut election, now(0), [Input::Failed]), []);
    let retry_at = election.wake_at(at(10_000)).unwrap();
    let later = now(retry_at.as_nanos() / 1_000_000);
    assert_eq!(feed(&mut election, later, [Input::Timer]), [Action::Look]);
    assert_eq!(
        feed(&mut election, later, [head(record(2, false))]),
        [Action::Elect {
            over: record(2, false)
        }]
    );
    let actions = feed(
        &mut election,
        later,
        [Input::MasterSeen(Holder::Me(term(2)))],
    );
    assert_eq!(
        actions[..2],
        [Action::AnnounceElected(term(2)), Action::Activate(term(2))]
    );
}

#[test]
fn an_election_whose_answer_and_candidate_were_lost_is_given_back_before_the_queue_is_joined() {
    let mut election = electing();
    feed(&mut election, now(0), [Input::Failed]);
    let retry_at = election.wake_at(at(10_000)).unwrap();
    let later = now(retry_at.as_nanos() / 1_000_000);
    assert_eq!(feed(&mut election, later, [Input::Timer]), [Action::Look]);
    let nowhere = || Queue {
        ahead: None,
        predecessor: None,
        appointed: Appointed::Nobody,
        record: record(2, false),
    };
    assert_eq!(
        feed(&mut election, later, [Input::Looked(nowhere())]),
        [Action::Release { term: None }]
    );
    assert_eq!(
        feed(&mut election, later, [Input::Released]),
        [Action::Look]
    );
    assert_eq!(
        feed(&mut election, later, [Input::Looked(nowhere())]),
        [Action::Join]
    );
}

/// A host that has joined the queue twice has another candidate further back.
#[test]
fn an_election_whose_answer_and_first_candidate_were_lost_is_given_back_before_anybody_is_waited_for()
 {
    let mut election = electing();
    let actions = feed(&mut election, now(0), [Input::Failed]);
    assert_eq!(actions, []);
    let actions = feed(&mut election, now(1_000), [Input::Timer, behind("c-9")]);
    assert_eq!(actions, [Action::Release { term: None }]);
    // Once that is done it waits its turn like everybody else.
    assert_eq!(
        feed(&mut election, now(1_000), [Input::Released]),
        [Action::Look]
    );
    let actions = feed(&mut election, now(1_000), [behind("c-9")]);
    assert_eq!(
        actions.last(),
        Some(&Action::AwaitPredecessor("c-9".into()))
    );
}

#[test]
fn a_host_that_sees_the_master_node_in_another_hand_does_not_hold_it() {
    let mut election = electing();
    let held = Input::MasterSeen(Holder::Other("c".into()));
    feed(&mut election, now(0), [Input::Failed]);
    let inputs = [
        Input::Timer,
        head(record(1, true)),
        held,
        Input::Changed,
        behind("c-9"),
    ];
    let actions = feed(&mut election, now(1_000), inputs);
    assert_eq!(
        actions.last(),
        Some(&Action::AwaitPredecessor("c-9".into()))
    );
}

#[test]
fn a_master_node_of_ours_without_a_term_or_a_candidate_is_given_back() {
    for holder in [Holder::MeWithoutTerm, Holder::MeWithoutPlace] {
        let mut election = electing();
        let actions = feed(&mut election, now(0), [Input::MasterSeen(holder)]);
        assert_eq!(actions, [Action::Release { term: None }]);
    }
}
