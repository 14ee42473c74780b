//! What the tests of the machine share: inputs, and machines on their way.

use std::time::Duration;

use super::*;
use crate::term::FencingToken;

mod corners;
mod delay;
mod draining;
mod leading;
mod master;
mod queue;
mod renewal;
mod retry;
mod setbacks;
mod shutdown;
mod withdrawal;

const BUDGET: Duration = Duration::from_secs(2);

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// A moment with a lease that lasts ten seconds more.
fn now(millis: u64) -> Now {
    Now {
        time: at(millis),
        deadline: at(millis + 10_000),
    }
}

fn term(number: u64) -> Term {
    Term {
        number,
        fencing_token: FencingToken(100 + number),
        task: "report".into(),
        host: "a".into(),
        record_version: i32::try_from(number).unwrap(),
    }
}

fn record(number: u64, released: bool) -> Record {
    Record {
        number,
        version: i32::try_from(number).unwrap(),
        history: 7,
        host: Some("b".into()),
        released,
    }
}

fn another(out_of_turn: bool) -> Appointed {
    Appointed::Another {
        candidate: "c-9".into(),
        out_of_turn,
    }
}

fn head(record: Record) -> Input {
    Input::Looked(Queue {
        ahead: Some(0),
        predecessor: None,
        appointed: Appointed::Nobody,
        record,
    })
}

fn behind(predecessor: &str) -> Input {
    Input::Looked(Queue {
        ahead: Some(1),
        predecessor: Some(predecessor.into()),
        appointed: Appointed::Nobody,
        record: record(1, false),
    })
}

fn election() -> Election {
    Election::new(Settings {
        demote_timeout: BUDGET,
        successor_delay: Duration::ZERO,
    })
}

/// Feeds inputs and gives the actions that followed the last.
fn feed(election: &mut Election, now: Now, inputs: impl IntoIterator<Item = Input>) -> Vec<Action> {
    inputs
        .into_iter()
        .map(|input| election.handle(now, input))
        .last()
        .unwrap_or_default()
}

/// A machine at the head of the queue that has asked to be elected.
fn electing() -> Election {
    let mut election = election();
    let actions = feed(
        &mut election,
        now(0),
        [Input::SessionStarted, head(record(1, true))],
    );
    assert_eq!(
        actions,
        [Action::Elect {
            over: record(1, true)
        }]
    );
    election
}

/// A machine whose plugin runs in term 2.
fn leading() -> Election {
    let mut election = electing();
    let actions = feed(&mut election, now(0), [Input::Elected(term(2))]);
    assert_eq!(
        actions,
        [
            Action::AnnounceElected(term(2)),
            Action::Activate(term(2)),
            Action::ReadMaster
        ]
    );
    assert_eq!(
        feed(
            &mut election,
            now(0),
            [Input::MasterSeen(Holder::Me(term(2)))]
        ),
        []
    );
    election
}

/// A machine at the head of the queue after a term that was lost, and its master node gone, as is read at `time`.
fn delaying(election: &mut Election, time: u64) {
    assert_eq!(
        feed(election, now(time), [head(record(1, false))]),
        [Action::ReadMaster]
    );
    assert_eq!(election.wake_at(at(time + 10_000)), None);
    assert_eq!(
        feed(election, now(time), [Input::MasterSeen(Holder::Nobody)]),
        []
    );
    assert_eq!(election.wake_at(at(time + 10_000)), Some(at(time + 3_000)));
}

fn delayed() -> Election {
    let mut election = Election::new(Settings {
        demote_timeout: BUDGET,
        successor_delay: Duration::from_secs(3),
    });
    feed(&mut election, now(0), [Input::SessionStarted]);
    election
}
