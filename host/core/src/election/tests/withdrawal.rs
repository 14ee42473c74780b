//! A host that stands for a task no more, while its session goes on.

use super::*;
use crate::election::setbacks::LAST_RELEASES;

#[test]
fn a_withdrawal_stops_the_plugin_and_gives_everything_back() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [Input::Withdraw]),
        [Action::Demote(Demotion::Shutdown)]
    );
    assert_eq!(
        feed(&mut election, now(1), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
    assert_eq!(
        feed(&mut election, now(2), [Input::Released]),
        [Action::AnnounceReleased(term(2)), Action::Finish]
    );
    assert_eq!(
        feed(&mut super::election(), now(0), [Input::Withdraw]),
        [Action::Finish]
    );
}

/// The session may live on: what was left behind in it would keep everybody from the task.
#[test]
fn a_withdrawal_outwaits_the_lease_and_every_failure_until_all_is_given_back() {
    let mut election = leading();
    feed(&mut election, now(0), [Input::Withdraw, Input::Stopped]);
    let over = Now {
        time: at(20_000),
        deadline: at(10_000),
    };
    for _ in 0..2 * LAST_RELEASES {
        assert_eq!(feed(&mut election, over, [Input::Failed, Input::Timer]), []);
    }
    let later = Now {
        time: at(60_000),
        deadline: at(70_000),
    };
    let release = Action::Release {
        term: Some(term(2)),
    };
    assert_eq!(feed(&mut election, later, [Input::Timer]), [release]);
    let mut expired = election.clone();
    assert_eq!(
        feed(&mut expired, later, [Input::SessionEnded]),
        [Action::Finish]
    );
    assert_eq!(
        feed(&mut election, later, [Input::Released]),
        [Action::AnnounceReleased(term(2)), Action::Finish]
    );
}

#[test]
fn a_withdrawal_waits_for_what_is_under_way_and_a_shutdown_can_overtake_it() {
    let mut electing = electing();
    assert_eq!(feed(&mut electing, now(0), [Input::Withdraw]), []);
    let over = Now {
        time: at(10_000),
        deadline: at(10_000),
    };
    assert_eq!(feed(&mut electing, over, [Input::Timer]), []);
    let mut shut_down = electing.clone();
    assert_eq!(
        feed(&mut shut_down, over, [Input::Shutdown]),
        [Action::Finish]
    );
    assert_eq!(
        feed(&mut electing, over, [Input::Elected(term(2))]),
        [
            Action::AnnounceElected(term(2)),
            Action::Release {
                term: Some(term(2))
            }
        ]
    );
}

#[test]
fn the_stage_tells_how_far_a_host_is() {
    let mut election = election();
    let steps = [
        (Input::SessionStarted, Stage::Standby),
        (head(record(1, true)), Stage::Electing),
        (Input::Elected(term(2)), Stage::Leading),
        (Input::Withdraw, Stage::Stopping),
        (Input::Stopped, Stage::Releasing),
        (Input::Released, Stage::Finished),
    ];
    assert_eq!(election.stage(), Stage::Away);
    for (input, stage) in steps {
        election.handle(now(0), input);
        assert_eq!(election.stage(), stage);
    }
}
