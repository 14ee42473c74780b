//! A host that is to end.

use super::*;
use crate::election::setbacks::LAST_RELEASES;

/// It does not let its session go for it: that ends with the process.
#[test]
fn a_release_that_cannot_be_done_does_not_hold_up_a_shutdown_for_ever() {
    for setback in [Input::Failed, Input::Refused] {
        let mut election = leading();
        feed(&mut election, now(0), [Input::Shutdown, Input::Stopped]);
        let mut time = 0;
        for attempt in 1.. {
            let actions = feed(&mut election, now(time), [setback.clone()]);
            if actions == [Action::Finish] {
                assert_eq!(attempt, LAST_RELEASES);
                break;
            }
            assert_eq!(actions, []);
            time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
            assert_eq!(
                feed(&mut election, now(time), [Input::Timer]),
                [Action::Release {
                    term: Some(term(2))
                }]
            );
        }
        assert!(time < 15_000, "{setback:?}: {time} ms");
    }
}

#[test]
fn shutdown_gives_the_place_in_the_queue_back() {
    let mut waiting = election();
    feed(
        &mut waiting,
        now(0),
        [Input::SessionStarted, behind("c-7"), Input::Awaiting],
    );
    assert_eq!(
        feed(&mut waiting, now(0), [Input::Shutdown]),
        [Action::Release { term: None }]
    );
    assert_eq!(
        feed(&mut waiting, now(0), [Input::Released]),
        [Action::Finish]
    );

    let mut electing = electing();
    assert_eq!(feed(&mut electing, now(0), [Input::Shutdown]), []);
    let actions = feed(&mut electing, now(0), [Input::Elected(term(2))]);
    assert_eq!(
        actions,
        [
            Action::AnnounceElected(term(2)),
            Action::Release {
                term: Some(term(2))
            }
        ]
    );

    assert_eq!(
        feed(&mut election(), now(0), [Input::Shutdown]),
        [Action::Finish]
    );
}

#[test]
fn shutdown_does_not_outwait_the_lease_when_nothing_is_answered() {
    let mut waiting = election();
    feed(
        &mut waiting,
        now(0),
        [
            Input::SessionStarted,
            behind("c-7"),
            Input::Awaiting,
            Input::Shutdown,
        ],
    );
    assert_eq!(waiting.wake_at(at(10_000)), Some(at(10_000)));
    let over = Now {
        time: at(10_000),
        deadline: at(10_000),
    };
    assert_eq!(feed(&mut waiting, over, [Input::Timer]), [Action::Finish]);
}
