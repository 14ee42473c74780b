//! What else a machine wants, and does, in each of its states: found by mutation, one sentence for each that had survived.

use super::*;

fn resign(seconds: u64) -> Input {
    Input::Resign {
        stay_out: Duration::from_secs(seconds),
    }
}

#[test]
fn a_machine_wants_to_be_woken_only_when_there_is_something_to_do() {
    let deadline = at(10_000);
    assert_eq!(
        election().wake_at(deadline),
        None,
        "there is no session to look with"
    );
    let mut electing = electing();
    assert_eq!(electing.wake_at(deadline), None, "the answer is waited for");
    feed(&mut electing, now(0), [Input::Shutdown]);
    assert_eq!(
        electing.wake_at(deadline),
        Some(deadline),
        "but not beyond the lease, at a shutdown"
    );
    let mut releasing = leading();
    feed(&mut releasing, now(0), [resign(0), Input::Stopped]);
    assert_eq!(releasing.wake_at(deadline), None);
    feed(&mut releasing, now(0), [Input::Failed]);
    assert_eq!(releasing.wake_at(deadline), Some(at(100)));
    feed(&mut releasing, now(0), [Input::Shutdown]);
    assert_eq!(releasing.wake_at(at(50)), Some(at(50)));
}

#[test]
fn a_release_that_failed_is_tried_again_in_time_and_not_before() {
    let mut election = leading();
    let release = [Action::Release {
        term: Some(term(2)),
    }];
    assert_eq!(
        feed(&mut election, now(0), [resign(0), Input::Stopped]),
        release
    );
    assert_eq!(feed(&mut election, now(0), [Input::Failed]), []);
    assert_eq!(feed(&mut election, now(99), [Input::Timer]), []);
    assert_eq!(feed(&mut election, now(100), [Input::Timer]), release);
    assert_eq!(
        feed(&mut election, now(200), [Input::Timer]),
        [],
        "it is under way"
    );
}

#[test]
fn a_leader_whose_reading_failed_reads_again_in_time_and_not_before() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Changed]),
        [Action::ReadMaster]
    );
    assert_eq!(feed(&mut election, now(0), [Input::Failed]), []);
    assert_eq!(election.wake_at(at(10_000)), Some(at(100)));
    assert_eq!(feed(&mut election, now(99), [Input::Timer]), []);
    assert_eq!(
        feed(&mut election, now(100), [Input::Timer]),
        [Action::ReadMaster]
    );
    let lost = Input::MasterSeen(Holder::MeWithoutPlace);
    assert_eq!(
        feed(&mut election, now(101), [lost]),
        [Action::Demote(Demotion::NodeLost)]
    );
}

#[test]
fn the_active_term_is_that_of_a_plugin_that_may_run() {
    assert_eq!(electing().active_term(), None);
    let mut election = leading();
    assert_eq!(election.active_term(), Some(&term(2)));
    feed(&mut election, now(0), [resign(0)]);
    assert_eq!(election.active_term(), Some(&term(2)));
    feed(&mut election, now(0), [Input::Stopped]);
    assert_eq!(election.active_term(), None);
}

#[test]
fn the_end_of_the_session_revokes_a_plugin_that_is_stopping_already() {
    let mut election = leading();
    feed(&mut election, now(0), [resign(0)]);
    assert_eq!(
        feed(&mut election, now(0), [Input::SessionEnded]),
        [Action::Revoke]
    );
}

#[test]
fn the_end_of_the_session_changes_nothing_for_a_host_that_is_away_or_has_finished() {
    let mut away = leading();
    feed(
        &mut away,
        now(0),
        [
            resign(60),
            Input::Stopped,
            Input::Released,
            Input::SessionEnded,
        ],
    );
    assert_eq!(feed(&mut away, now(1), [Input::SessionStarted]), []);
    assert_eq!(away.wake_at(at(10_000)), Some(at(60_000)));
    let mut finished = election();
    assert_eq!(
        feed(&mut finished, now(0), [Input::Shutdown]),
        [Action::Finish]
    );
    assert_eq!(
        feed(
            &mut finished,
            now(0),
            [Input::SessionStarted, Input::SessionEnded]
        ),
        []
    );
}

#[test]
fn a_plugin_that_ended_without_being_asked_to_is_given_back() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
}

#[test]
fn a_shutdown_gives_back_whatever_the_machine_waits_for() {
    let release = [Action::Release { term: None }];
    let mut delaying = delayed();
    super::delaying(&mut delaying, 0);
    assert_eq!(feed(&mut delaying, now(0), [Input::Shutdown]), release);
    let mut retrying = election();
    feed(
        &mut retrying,
        now(0),
        [Input::SessionStarted, Input::Failed],
    );
    assert_eq!(feed(&mut retrying, now(0), [Input::Shutdown]), release);
    for answer in [Input::Joined, Input::Gone, head(record(1, true))] {
        let mut looking = election();
        feed(&mut looking, now(0), [Input::SessionStarted]);
        assert_eq!(
            feed(&mut looking, now(0), [Input::Shutdown]),
            [],
            "the answer is waited for"
        );
        assert_eq!(feed(&mut looking, now(0), [answer]), release);
    }
    // What is brought by an answer that came after all is given back as well.
    for answer in [Input::MasterSeen(Holder::Other("c".into())), Input::Failed] {
        let mut electing = electing();
        feed(&mut electing, now(0), [Input::Shutdown]);
        assert_eq!(feed(&mut electing, now(0), [answer]).last(), release.last());
    }
}

#[test]
fn a_step_that_succeeds_makes_the_next_failure_the_first() {
    let mut election = election();
    feed(
        &mut election,
        now(0),
        [Input::SessionStarted, Input::Failed],
    );
    feed(&mut election, now(100), [Input::Timer, Input::Failed]);
    assert_eq!(election.wake_at(at(10_000)), Some(at(300)));
    feed(
        &mut election,
        now(300),
        [Input::Timer, behind("c-7"), Input::Awaiting, Input::Failed],
    );
    assert_eq!(election.wake_at(at(10_000)), Some(at(400)));
}
