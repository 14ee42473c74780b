//! The queue: standing in it, waiting one's turn, and the handover from the one before.

use super::*;

#[test]
fn an_election_rests_on_a_record_as_it_is_or_as_its_release_leaves_it() {
    let read = record(4, false);
    let given_back = read.clone().given_back();
    assert!(read.leads_to(&read) && read.leads_to(&given_back));
    assert!(!given_back.leads_to(&read) && !read.leads_to(&record(5, false)));
}

#[test]
fn a_new_session_looks_joins_and_looks_again() {
    let mut election = election();
    assert_eq!(
        election.handle(now(0), Input::SessionStarted),
        [Action::Look]
    );
    let nowhere = Queue {
        ahead: None,
        predecessor: None,
        appointed: false,
        record: Record::default(),
    };
    assert_eq!(
        election.handle(now(0), Input::Looked(nowhere)),
        [Action::Join]
    );
    assert_eq!(election.handle(now(0), Input::Joined), [Action::Look]);
}

#[test]
fn whoever_stands_behind_watches_its_predecessor_only_and_looks_when_it_goes() {
    let mut election = election();
    let actions = feed(
        &mut election,
        now(0),
        [Input::SessionStarted, behind("c-7")],
    );
    let standby = Action::AnnounceStandby {
        ahead: 1,
        leader: Some("b".into()),
    };
    assert_eq!(actions, [standby, Action::AwaitPredecessor("c-7".into())]);
    assert_eq!(feed(&mut election, now(0), [Input::Awaiting]), []);
    assert_eq!(
        feed(&mut election, now(0), [Input::Reconnected]),
        [Action::Look]
    );
    // The same place again is not announced again.
    assert_eq!(
        feed(&mut election, now(0), [behind("c-7")]),
        [Action::AwaitPredecessor("c-7".into())]
    );
    assert_eq!(feed(&mut election, now(0), [Input::Gone]), [Action::Look]);
}

#[test]
fn whoever_stands_right_behind_the_leader_elects_at_once_over_what_its_release_leaves() {
    let waiting = || {
        let mut election = election();
        feed(
            &mut election,
            now(0),
            [Input::SessionStarted, behind("c-7"), Input::Awaiting],
        );
        election
    };
    let mut election = waiting();
    let over = record(1, false).given_back();
    assert_eq!(
        (over.number, over.version, over.history, over.released),
        (1, 2, 9, true)
    );
    assert_eq!(
        feed(&mut election, now(0), [Input::Changed]),
        [Action::Elect { over: over.clone() }]
    );
    // The leader was lost instead, or somebody else was named: what is there has to be read.
    assert_eq!(
        feed(&mut election.clone(), now(0), [Input::Outdated]),
        [Action::Look]
    );
    // Only its candidate is gone, and it still holds the node: then that is waited for, and nothing is foreseen.
    let held = Input::MasterSeen(Holder::Other("b".into()));
    assert_eq!(
        feed(&mut election, now(0), [held, Input::Changed]),
        [Action::Look]
    );
    // Without time on its lease it would have to demote at once.
    let late = Now {
        time: at(9_000),
        deadline: at(10_000),
    };
    assert_eq!(feed(&mut waiting(), late, [Input::Changed]), [Action::Look]);
}

/// Found by the model: a leader that never heard of its election, and whose master node was deleted, is elected again.
#[test]
fn no_number_of_elections_over_lost_terms_leaves_what_a_release_leaves() {
    let seen = record(5, false);
    let foreseen = seen.clone().given_back();
    for elections in 0..1_000 {
        let versions = (seen.version + elections, seen.history + elections);
        assert_ne!(
            versions,
            (foreseen.version, foreseen.history),
            "{elections} elections"
        );
        let released = (versions.0 + 1, versions.1 + RELEASE_WRITES);
        assert_eq!(
            released == (foreseen.version, foreseen.history),
            elections == 0,
            "{elections} elections and a release"
        );
    }
}

#[test]
fn nothing_is_foreseen_by_those_further_back_or_when_nobody_leads() {
    let queue = |ahead, record| {
        Input::Looked(Queue {
            ahead: Some(ahead),
            predecessor: Some("c-7".into()),
            appointed: false,
            record,
        })
    };
    for looked in [
        queue(2, record(1, false)),
        queue(1, record(1, true)),
        queue(1, Record::default()),
    ] {
        let mut election = election();
        feed(
            &mut election,
            now(0),
            [Input::SessionStarted, looked, Input::Awaiting],
        );
        assert_eq!(
            feed(&mut election, now(0), [Input::Changed]),
            [Action::Look]
        );
    }
}

#[test]
fn without_time_on_the_lease_nobody_is_elected() {
    let mut election = election();
    let late = Now {
        time: at(9_000),
        deadline: at(10_000),
    };
    let actions = feed(
        &mut election,
        late,
        [Input::SessionStarted, head(record(1, true))],
    );
    assert_eq!(actions, [Action::Release { term: None }]);
    assert_eq!(feed(&mut election, late, [Input::Released]), []);
    assert_eq!(election.wake_at(late.deadline), Some(at(9_100)));
    let mut election = electing();
    let actions = feed(&mut election, late, [Input::Elected(term(2))]);
    assert_eq!(
        actions,
        [
            Action::AnnounceElected(term(2)),
            Action::Release {
                term: Some(term(2))
            }
        ]
    );
}

#[test]
fn a_host_without_a_lease_stands_ever_more_seldom() {
    let mut election = election();
    let mut time = 0;
    let mut pauses = Vec::new();
    feed(&mut election, now(0), [Input::SessionStarted]);
    for _ in 0..4 {
        let late = Now {
            time: at(time),
            deadline: at(time),
        };
        assert_eq!(
            feed(&mut election, late, [head(record(1, true))]),
            [Action::Release { term: None }]
        );
        feed(&mut election, late, [Input::Released]);
        let at = election.wake_at(late.deadline).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        assert_eq!(
            feed(&mut election, now(time), [Input::Timer]),
            [Action::Look]
        );
    }
    assert_eq!(pauses, [100, 200, 400, 800]);
}

#[test]
fn whoever_stands_before_the_appointed_successor_steps_back() {
    let mut election = election();
    let queue = Queue {
        ahead: Some(0),
        predecessor: None,
        appointed: true,
        record: record(1, true),
    };
    let actions = feed(
        &mut election,
        now(0),
        [Input::SessionStarted, Input::Looked(queue)],
    );
    assert_eq!(actions, [Action::StepBack]);
    assert_eq!(feed(&mut election, now(0), [Input::Joined]), [Action::Look]);
}

#[test]
fn whoever_may_have_been_elected_gives_that_back_before_it_steps_back() {
    let mut election = electing();
    feed(&mut election, now(0), [Input::Failed]);
    let queue = Queue {
        ahead: Some(0),
        predecessor: None,
        appointed: true,
        record: record(1, true),
    };
    let actions = feed(
        &mut election,
        now(1_000),
        [Input::Timer, Input::Looked(queue)],
    );
    assert_eq!(actions, [Action::Release { term: None }]);
}
