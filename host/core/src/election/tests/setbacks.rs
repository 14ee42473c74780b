//! What fails or is refused: how it is tried again, and when a host makes way.

use super::*;

/// Refused as often as that, whoever is at the head of the queue makes way; and stays away ever longer.
#[test]
fn a_head_of_the_queue_that_cannot_elect_makes_way_ever_longer() {
    let mut election = electing();
    let mut time = 0;
    for _ in 0..2 {
        assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
        time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
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
    let mut rests = Vec::new();
    for _ in 0..7 {
        let actions = feed(&mut election, now(time), [Input::Refused]);
        let [Action::AnnounceRest(rest), Action::Release { term: None }] = actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!(feed(&mut election, now(time), [Input::Released]), []);
        let at = election.wake_at(at(time)).unwrap().as_nanos() / 1_000_000;
        assert_eq!(u128::from(at - time), rest.as_millis());
        rests.push(rest.as_secs());
        time = at;
        assert_eq!(
            feed(&mut election, now(time), [Input::Timer]),
            [Action::Look]
        );
        let actions = feed(
            &mut election,
            now(time),
            [Input::Joined, head(record(1, true))],
        );
        assert_eq!(
            actions,
            [Action::Elect {
                over: record(1, true)
            }]
        );
    }
    assert_eq!(rests, [5, 10, 20, 40, 80, 120, 120]);
    // Once it is elected, all that is over.
    let actions = feed(&mut election, now(time), [Input::Elected(term(2))]);
    assert_eq!(actions[1], Action::Activate(term(2)));
    feed(
        &mut election,
        now(time),
        [Input::Stopped, Input::Released, head(record(2, true))],
    );
    assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
}

#[test]
fn a_host_in_the_queue_that_may_not_read_it_makes_way_and_one_outside_tries_on() {
    let mut standing = election();
    feed(
        &mut standing,
        now(0),
        [Input::SessionStarted, behind("c-7"), Input::Awaiting],
    );
    let mut outside = election();
    feed(&mut outside, now(0), [Input::SessionStarted]);
    for attempt in 1..=10_u64 {
        let time = now(attempt * 20_000);
        let refused = [Input::Changed, Input::Refused];
        let released = feed(&mut standing, time, refused.clone());
        assert_eq!(
            released.contains(&Action::Release { term: None }),
            attempt == 3,
            "attempt {attempt}"
        );
        if attempt == 3 {
            break;
        }
        feed(
            &mut standing,
            now(attempt * 20_000 + 15_000),
            [Input::Timer],
        );
    }
    for attempt in 1..=10_u64 {
        assert_eq!(
            feed(&mut outside, now(attempt * 20_000), [Input::Refused]),
            []
        );
        assert_eq!(
            feed(&mut outside, now(attempt * 20_000 + 15_000), [Input::Timer]),
            [Action::Look]
        );
    }
}

#[test]
fn a_release_that_is_refused_lets_the_session_go() {
    let mut election = leading();
    let resign = Input::Resign {
        stay_out: Duration::from_secs(60),
    };
    feed(&mut election, now(0), [resign, Input::Stopped]);
    let mut time = 0;
    for _ in 0..2 {
        assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
        time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        assert_eq!(
            feed(&mut election, now(time), [Input::Timer]),
            [Action::Release {
                term: Some(term(2))
            }]
        );
    }
    assert_eq!(
        feed(&mut election, now(time), [Input::Refused]),
        [Action::LeaveSession]
    );
    assert_eq!(election.wake_at(at(time)), None);
    assert_eq!(
        feed(
            &mut election,
            now(time),
            [Input::SessionEnded, Input::SessionStarted]
        ),
        []
    );
    assert_eq!(election.wake_at(at(time)), Some(at(60_000)));
    // In the next session it is tried again first.
    feed(
        &mut election,
        now(60_000),
        [
            Input::Timer,
            head(record(2, true)),
            Input::Elected(term(3)),
            Input::Stopped,
        ],
    );
    assert_eq!(feed(&mut election, now(60_000), [Input::Refused]), []);
}

/// Every session that is let go ends all that its host does.
#[test]
fn a_host_that_lets_its_sessions_go_rests_ever_longer_until_a_release_succeeds() {
    let mut election = leading();
    let mut time = 0;
    let mut leave = |election: &mut Election| {
        assert_eq!(
            feed(election, now(time), [Input::Stopped]),
            [Action::Release {
                term: Some(term(2))
            }]
        );
        let refused: Vec<_> = (0..3)
            .flat_map(|_| feed(election, now(time), [Input::Refused]))
            .collect();
        assert_eq!(refused.last(), Some(&Action::LeaveSession));
        feed(
            election,
            now(time),
            [Input::SessionEnded, Input::SessionStarted],
        );
        let rest = election.wake_at(at(time)).unwrap().as_nanos() / 1_000_000_000 - time / 1000;
        time += 10_000_000;
        feed(
            election,
            now(time),
            [Input::Timer, head(record(1, true)), Input::Elected(term(2))],
        );
        rest
    };
    let rests: Vec<_> = (0..12).map(|_| leave(&mut election)).collect();
    assert_eq!(
        rests,
        [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    );
    feed(
        &mut election,
        now(500_000_000),
        [Input::Stopped, Input::Released, Input::Timer],
    );
    feed(
        &mut election,
        now(500_000_000),
        [head(record(1, true)), Input::Elected(term(2))],
    );
    assert_eq!(leave(&mut election), 5);
}

#[test]
fn failures_are_retried_ever_more_slowly_and_for_ever() {
    let mut election = election();
    feed(&mut election, now(0), [Input::SessionStarted]);
    let mut time = 0;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        feed(&mut election, now(time), [Input::Failed]);
        let at = election.wake_at(at(1)).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        assert_eq!(
            feed(&mut election, now(time), [Input::Timer]),
            [Action::Look]
        );
    }
    assert_eq!(pauses[..4], [100, 200, 400, 800]);
    assert_eq!(pauses[11], 10_000);
}
