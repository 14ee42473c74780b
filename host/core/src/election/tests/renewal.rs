//! Another generation of the task takes over.

use super::*;

fn renewed() -> Input {
    Input::Renewed(Settings {
        demote_timeout: BUDGET / 2,
        successor_delay: Duration::ZERO,
    })
}

#[test]
fn a_leader_hands_its_term_over_and_stands_again_at_once() {
    let mut election = leading();
    assert_eq!(
        feed(&mut election, now(0), [renewed()]),
        [Action::Demote(Demotion::Resigned)]
    );
    // Only once: it is stopping already.
    assert_eq!(feed(&mut election, now(0), [renewed()]), []);
    assert_eq!(
        feed(&mut election, now(1), [Input::Stopped]),
        [Action::Release {
            term: Some(term(2))
        }]
    );
    assert_eq!(
        feed(&mut election, now(2), [Input::Released]),
        [Action::AnnounceReleased(term(2)), Action::Look]
    );
}

#[test]
fn whatever_kept_the_host_out_of_the_queue_does_no_more() {
    let stay_out = Duration::from_secs(3600);
    let resigns = [Input::Resign { stay_out }];
    let inputs = [Input::Stopped, Input::Released];
    // While the plugin stops, while the term is given back, and after that.
    for told in 0..=inputs.len() {
        let mut election = leading();
        feed(&mut election, now(0), resigns.clone());
        feed(&mut election, now(1), inputs[..told].iter().cloned());
        feed(&mut election, now(2), [renewed()]);
        feed(&mut election, now(3), inputs[told..].iter().cloned());
        assert_eq!(election.stage(), Stage::Standby, "{told}");
    }
}

#[test]
fn a_standby_keeps_its_place_and_goes_by_the_new_settings() {
    let mut election = election();
    feed(
        &mut election,
        now(0),
        [Input::SessionStarted, behind("x"), Input::Awaiting],
    );
    assert_eq!(feed(&mut election, now(0), [renewed()]), []);
    assert_eq!(election.stage(), Stage::Standby);
    feed(
        &mut election,
        now(1),
        [Input::Changed, Input::Outdated, head(record(1, true))],
    );
    feed(
        &mut election,
        now(1),
        [
            Input::Elected(term(2)),
            Input::MasterSeen(Holder::Me(term(2))),
        ],
    );
    assert_eq!(election.wake_at(at(10_000)), Some(at(9_000)));
}
