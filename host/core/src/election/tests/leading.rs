//! How leadership ends.

use super::*;

#[test]
fn a_leader_whose_candidate_was_deleted_stops_and_stands_anew() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Changed]),
        [Action::ReadMaster]
    );
    let actions = feed(
        &mut election,
        now(0),
        [Input::MasterSeen(Holder::MeWithoutPlace)],
    );
    assert_eq!(actions, [Action::Demote(Demotion::NodeLost)]);
    // The master node is what holds the next one back now: it is kept until the plugin has stopped.
    assert_eq!(feed(&mut election, now(1), [Input::Changed]), []);
    assert_eq!(
        feed(&mut election, now(1), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
    let actions = feed(&mut election, now(2), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Look]);
}

#[test]
fn the_node_is_released_only_after_the_plugin_has_stopped() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Shutdown]),
        [Action::Demote(Demotion::Shutdown)]
    );
    for hint in [Input::Changed, Input::Timer, Input::Failed] {
        assert_eq!(feed(&mut election, now(1), [hint]), []);
    }
    assert_eq!(
        feed(&mut election, now(2), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
    let actions = feed(&mut election, now(3), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Finish]);
}

#[test]
fn demotion_begins_a_demote_budget_before_the_deadline_and_a_renewed_lease_puts_it_off() {
    let mut election = leading();
    assert_eq!(election.wake_at(at(10_000)), Some(at(8_000)));
    assert_eq!(
        election.handle(
            Now {
                time: at(8_000),
                deadline: at(11_000)
            },
            Input::Timer
        ),
        []
    );
    assert_eq!(election.wake_at(at(11_000)), Some(at(9_000)));
    let due = Now {
        time: at(9_000),
        deadline: at(11_000),
    };
    assert_eq!(
        election.handle(due, Input::Timer),
        [Action::Demote(Demotion::LeaseExpiring)]
    );
}

#[test]
fn a_lost_node_demotes_and_says_how_it_was_lost() {
    for (holder, reason) in [
        (Holder::Nobody, Demotion::NodeLost),
        (Holder::Unowned, Demotion::NodeLost),
        (Holder::MeWithoutTerm, Demotion::NodeLost),
        (Holder::MeWithoutPlace, Demotion::NodeLost),
        (Holder::Me(term(3)), Demotion::NodeLost),
        (Holder::Other("c".into()), Demotion::Replaced),
    ] {
        let mut election = leading();
        assert_eq!(
            feed(&mut election, now(0), [Input::Changed]),
            [Action::ReadMaster]
        );
        assert_eq!(
            feed(&mut election, now(0), [Input::MasterSeen(holder)]),
            [Action::Demote(reason)]
        );
    }
}

#[test]
fn a_change_during_a_read_is_read_again() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Changed]),
        [Action::ReadMaster]
    );
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), []);
    assert_eq!(
        feed(
            &mut election,
            now(0),
            [Input::MasterSeen(Holder::Me(term(2)))]
        ),
        [Action::ReadMaster]
    );
}

#[test]
fn the_end_of_the_session_revokes_and_nothing_is_stood_for_before_the_plugin_is_gone() {
    let mut election = leading();
    let actions = feed(&mut election, now(0), [Input::SessionEnded]);
    assert_eq!(
        actions,
        [Action::Demote(Demotion::LeaseExpiring), Action::Revoke]
    );
    assert_eq!(feed(&mut election, now(0), [Input::SessionStarted]), []);
    let actions = feed(&mut election, now(0), [Input::Stopped]);
    assert_eq!(
        actions,
        [Action::Release {
            term: Some(term(2))
        }]
    );
    let actions = feed(&mut election, now(0), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Look]);
}

#[test]
fn whoever_resigns_stays_out_for_the_time_asked() {
    let mut election = leading();
    let resign = Input::Resign {
        stay_out: Duration::from_secs(60),
    };
    assert_eq!(
        feed(&mut election, now(0), [resign]),
        [Action::Demote(Demotion::Resigned)]
    );
    feed(&mut election, now(1), [Input::Stopped]);
    assert_eq!(
        feed(&mut election, now(2), [Input::Released]),
        [Action::AnnounceReleased(term(2))]
    );
    assert_eq!(election.wake_at(at(10_000)), Some(at(60_000)));
    assert_eq!(
        feed(&mut election, now(60_000), [Input::Timer]),
        [Action::Look]
    );
}

#[test]
fn a_session_that_ends_does_not_shorten_the_time_for_which_a_host_stays_out() {
    let mut election = leading();
    let resign = Input::Resign {
        stay_out: Duration::from_secs(60),
    };
    feed(
        &mut election,
        now(0),
        [resign, Input::Stopped, Input::SessionEnded],
    );
    assert_eq!(feed(&mut election, now(1), [Input::SessionStarted]), []);
    assert_eq!(election.wake_at(at(10_000)), Some(at(60_000)));
}
