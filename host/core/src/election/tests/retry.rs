//! An operator has a task tried again that has failed for good.

use super::*;

const REST: Duration = Duration::from_secs(3600);

/// A host that rests after its term.
fn resting() -> Election {
    let mut election = leading();
    let ends = [
        Input::Resign { stay_out: REST },
        Input::Stopped,
        Input::Released,
    ];
    feed(&mut election, now(0), ends);
    assert_eq!(election.stage(), Stage::Away);
    election
}

#[test]
fn a_host_that_rests_stands_again_at_once() {
    let mut election = resting();
    assert_eq!(feed(&mut election, now(1), [Input::Timer]), []);
    assert_eq!(feed(&mut election, now(1), [Input::Retry]), [Action::Look]);
}

#[test]
fn a_host_without_a_session_or_that_is_drained_stands_again_when_it_can() {
    let mut election = resting();
    let told = [Input::SessionEnded, Input::Retry];
    assert_eq!(feed(&mut election, now(1), told), []);
    let began = feed(&mut election, now(2), [Input::SessionStarted]);
    assert_eq!(began, [Action::Look]);
    let mut election = resting();
    let told = [Input::Drain { keep: false }, Input::Retry];
    assert_eq!(feed(&mut election, now(1), told), []);
    assert_eq!(
        feed(&mut election, now(2), [Input::Undrain]),
        [Action::Look]
    );
}

#[test]
fn to_a_host_that_does_not_rest_the_order_means_nothing() {
    let mut election = leading();
    assert_eq!(feed(&mut election, now(1), [Input::Retry]), []);
    assert_eq!(election.stage(), Stage::Leading);
    feed(&mut election, now(1), [Input::Resign { stay_out: REST }]);
    assert_eq!(feed(&mut election, now(2), [Input::Retry]), []);
    feed(&mut election, now(3), [Input::Stopped, Input::Released]);
    assert_eq!(election.stage(), Stage::Away);
}
