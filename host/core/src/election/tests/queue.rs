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
        appointed: Appointed::Nobody,
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
            appointed: Appointed::Nobody,
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
fn whoever_stands_before_an_appointed_successor_of_an_earlier_release_steps_back() {
    let mut election = election();
    let queue = Queue {
        ahead: Some(0),
        predecessor: None,
        appointed: another(false),
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
        appointed: another(false),
        record: record(1, true),
    };
    let actions = feed(
        &mut election,
        now(1_000),
        [Input::Timer, Input::Looked(queue)],
    );
    assert_eq!(actions, [Action::Release { term: None }]);
}

fn standing(ahead: usize, appointed: Appointed) -> Input {
    Input::Looked(Queue {
        ahead: Some(ahead),
        predecessor: (ahead > 0).then(|| "c-7".into()),
        appointed,
        record: record(1, true),
    })
}

#[test]
fn whoever_stands_before_the_appointed_successor_wakes_it_until_it_leads_or_is_gone() {
    let mut election = election();
    let wakes = [Action::AwaitAppointed("c-9".into())];
    let looked = || standing(0, another(true));
    let actions = feed(&mut election, now(0), [Input::SessionStarted, looked()]);
    assert_eq!(actions, wakes);
    assert_eq!(feed(&mut election, now(0), [Input::Awaiting]), []);
    assert_eq!(election.wake_at(at(10_000)), Some(at(1_000)));
    assert_eq!(feed(&mut election, now(999), [Input::Timer]), []);
    assert_eq!(
        feed(&mut election, now(1_000), [Input::Timer]),
        [Action::Look]
    );
    assert_eq!(feed(&mut election, now(1_000), [looked()]), wakes);
    // It is gone: nobody is appointed any more.
    let mut gone = election.clone();
    assert_eq!(feed(&mut gone, now(1_100), [Input::Gone]), [Action::Look]);
    let over = record(1, true);
    assert_eq!(
        feed(&mut gone, now(1_100), [head(over.clone())]),
        [Action::Elect { over }]
    );
    // It leads, and stands before this host.
    let actions = feed(&mut election, now(1_100), [Input::Awaiting, Input::Changed]);
    assert_eq!(actions, [Action::Look]);
    feed(&mut election, now(1_100), [behind("c-9"), Input::Awaiting]);
    assert_eq!(election.wake_at(at(10_000)), None);
}

#[test]
fn whoever_is_appointed_is_elected_where_it_stands_over_the_record_that_names_it() {
    let mut election = election();
    let looked = || standing(3, Appointed::ThisHost);
    let elects = [Action::Elect {
        over: record(1, true),
    }];
    assert_eq!(
        feed(&mut election, now(0), [Input::SessionStarted, looked()]),
        elects
    );
    // It does not know what came of it: it tries again, and does not give way.
    let actions = feed(&mut election, now(0), [Input::Failed, Input::Timer]);
    assert_eq!(actions, []);
    assert_eq!(
        feed(&mut election, now(1_000), [Input::Timer]),
        [Action::Look]
    );
    assert_eq!(feed(&mut election, now(1_000), [looked()]), elects);
    // Without time on its lease it leaves the queue, so that others need not wait for it.
    let late = Now {
        time: at(9_000),
        deadline: at(10_000),
    };
    let mut late_one = super::election();
    let actions = feed(&mut late_one, late, [Input::SessionStarted, looked()]);
    assert_eq!(actions, [Action::Release { term: None }]);
}

#[test]
fn only_whoever_is_appointed_takes_the_head_and_only_over_the_record_that_says_so() {
    let queue = |ahead, appointed| Queue {
        ahead,
        predecessor: None,
        appointed,
        record: record(1, true),
    };
    let over = record(1, true);
    assert!(queue(Some(2), Appointed::ThisHost).takes_the_head(&over));
    assert!(!queue(Some(2), Appointed::ThisHost).takes_the_head(&record(2, true)));
    assert!(!queue(Some(0), Appointed::ThisHost).takes_the_head(&over));
    assert!(!queue(None, Appointed::ThisHost).takes_the_head(&over));
    assert!(!queue(Some(2), Appointed::Nobody).takes_the_head(&over));
    assert!(!queue(Some(2), another(true)).takes_the_head(&over));
}

#[test]
fn a_host_that_has_no_room_leaves_the_queue_until_there_is_room() {
    let mut election = electing();
    let actions = feed(&mut election, now(0), [Input::Full]);
    assert_eq!(actions, [Action::Release { term: None }]);
    feed(&mut election, now(0), [Input::Released]);
    assert_eq!(election.stage(), Stage::Full);
    assert_eq!(election.wake_at(at(10_000)), None);
    let actions = feed(
        &mut election,
        now(0),
        [Input::SessionEnded, Input::SessionStarted],
    );
    assert_eq!(actions, []);
    assert_eq!(feed(&mut election, now(0), [Input::Room]), [Action::Look]);
    // What is said too late means nothing.
    let mut leads = leading();
    assert_eq!(feed(&mut leads, now(0), [Input::Full, Input::Yield]), []);
    assert_eq!(leads.stage(), Stage::Leading);
}

#[test]
fn a_host_that_would_rather_not_lead_lets_the_next_one_lead() {
    let mut election = electing();
    assert_eq!(
        feed(&mut election, now(0), [Input::Yield]),
        [Action::StepBack]
    );
    assert_eq!(feed(&mut election, now(0), [Input::Joined]), [Action::Look]);
    // Nobody else stands, and it is asked again.
    let over = record(1, true);
    assert_eq!(
        feed(&mut election, now(0), [head(over.clone())]),
        [Action::Elect { over }]
    );
    // What it may hold it gives back first.
    let mut unsure = electing();
    feed(&mut unsure, now(0), [Input::Failed]);
    feed(
        &mut unsure,
        now(1_000),
        [Input::Timer, head(record(1, true))],
    );
    let actions = feed(&mut unsure, now(1_000), [Input::Yield]);
    assert_eq!(actions, [Action::Release { term: None }]);
}
