//! Examples of all events. Tests compare the documents with them.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Level;

use super::{Event, Origin, PluginLine, Seconds, SessionId};
use crate::cause::Cause;
use crate::digest::Digest;
use crate::placement::Why;
use crate::schedule::{Missed, MissedCause, Time};
use crate::term::Demotion;

const PAUSE: Duration = Duration::from_millis(1500);

impl Event {
    /// An example of every event, with every field that the event can have. There is one line of a plugin's log for each
    /// [`Origin`].
    pub fn examples() -> Vec<Self> {
        [of_sessions(), of_tasks(), of_rollouts()].concat()
    }
}

fn of_sessions() -> Vec<Event> {
    let text = || String::from("why");
    let session = SessionId(0x1234);
    let retry_in = Some(Seconds(PAUSE));
    vec![
        Event::SessionConnecting {
            servers: "zk:2181".into(),
        },
        Event::SessionConnected {
            session,
            session_timeout: Seconds(Duration::from_secs(10)),
            again: false,
        },
        Event::SessionReadOnly {
            text: text(),
            retry_in,
        },
        Event::SessionDisconnected { lease: PAUSE },
        Event::SessionShortened {
            server: "zk:2181".into(),
            session_timeout: Seconds(Duration::from_secs(6)),
            before: Duration::from_secs(10),
        },
        Event::SessionAuthFailed {
            text: text(),
            retry_in,
        },
        Event::SessionExpired { session },
        Event::SessionClosed {
            session,
            how: "is closed".into(),
        },
        Event::SessionError {
            text: text(),
            retry_in,
        },
        Event::SessionTlsReloaded,
        Event::SessionTlsNotReloaded { problem: text() },
        Event::AclCorrected {
            nodes: 2,
            node: "/soloist".into(),
        },
        Event::AclDiffers {
            nodes: 2,
            node: "/soloist".into(),
            hint: String::new(),
        },
        Event::HostListening {
            address: "127.0.0.1:9464".into(),
            over_tls: true,
        },
        Event::HostTlsReloaded,
        Event::HostTlsNotReloaded { problem: text() },
        Event::Reloaded {
            added: 1,
            removed: 2,
            replaced: 3,
            unchanged: 4,
            changes: "added a; removed b, c; replaced d, e, f".into(),
        },
        Event::NotReloaded { problem: text() },
        Event::HostDraining {
            by: "ann@ops".into(),
            reason: Some(text()),
            keep: false,
        },
        Event::HostDrained,
        Event::HostUndrained,
        Event::HostDied {
            how: "killed: signal 9".into(),
            restart_in: retry_in,
        },
        Event::GivenBack {
            terms: 1,
            places: 2,
            nodes: 3,
            left: 0,
            took: Seconds(PAUSE),
        },
        Event::GuardianLost,
    ]
}

fn of_tasks() -> Vec<Event> {
    let line = |origin| {
        Event::PluginLog(PluginLine {
            level: Level::INFO,
            text: "a line".into(),
            origin,
        })
    };
    vec![
        Event::DeployError {
            text: "what".into(),
            retry_in: Some(Seconds(Duration::from_secs(5))),
        },
        Event::GenerationReady {
            generation: 7,
            digest: Digest::of(b""),
        },
        Event::GenerationUnready {
            generation: 7,
            reason: "why".into(),
            retry_in: Seconds(Duration::from_secs(5)),
        },
        Event::NotStanding {
            reason: "why".into(),
        },
        Event::Standby {
            ahead: 1,
            leader: Some("b".into()),
        },
        Event::Elected { number: 7 },
        Event::Moved {
            to: "b".into(),
            reason: Why::Spread,
        },
        Event::Activated,
        line(Origin::Log {
            fields: BTreeMap::from([("name".into(), "value".into())]),
            omitted_fields: Some(3),
        }),
        line(Origin::Stdio { stream: "stdout" }),
        line(Origin::Import { import: "network" }),
        line(Origin::Dropped { dropped: 3 }),
        Event::SlotsMissed {
            schedule: "main".into(),
            missed: Missed {
                cause: MissedCause::CatchUp,
                slots: Some(3),
                first: Time::from_secs(1_795_662_000),
                last: Time::from_secs(1_795_834_800),
            },
        },
        Event::PluginCompleted {
            restart_in: Some(Seconds(PAUSE)),
        },
        Event::CompletedBefore {
            by: "b".into(),
            in_term: 6,
            at: "2026-01-01T00:00:00.000Z".into(),
            what: Some("today".into()),
        },
        Event::PluginFailed {
            cause: Cause::Panicked("why".into()),
            backtrace: Some("0: a\n1: b".into()),
            restart_in: Some(Seconds(PAUSE)),
        },
        Event::Failed {
            cause: Cause::Panicked("why".into()),
            restarts: 5,
            terms: 2,
            retry_in: Some(Seconds(Duration::from_secs(90))),
        },
        Event::Retried {
            by: "ann@ops".into(),
            reason: Some("why".into()),
        },
        Event::Draining {
            reason: Demotion::Resigned,
        },
        Event::Demoted {
            reason: Some(Demotion::Resigned),
        },
        Event::Revoked {
            reason: Some(Demotion::LeaseExpiring),
            overdue: Some(Seconds(Duration::from_micros(1250))),
            drained: false,
        },
        Event::PluginStuck,
        Event::PluginUnreachable,
        Event::Released {
            number: 7,
            stands_again_in: Some(Seconds(Duration::from_secs(90))),
        },
    ]
}

fn of_rollouts() -> Vec<Event> {
    vec![
        Event::RolloutWaiting {
            generation: 2,
            ready: 1,
            standing: 3,
            obstacle: Some("c".into()),
            detail: Some("the disk is full".into()),
        },
        Event::GenerationPromoted {
            generation: 2,
            from: Some(1),
        },
        Event::StateCopied { generation: 2 },
        Event::StateRestored { generation: 1 },
        Event::GenerationHealthy { generation: 2 },
        Event::RolledBack {
            from: 2,
            to: Some(1),
            cause: "trap".into(),
            detail: "unreachable".into(),
        },
        Event::ElectionError {
            text: "why".into(),
            retry_in: Some(Seconds(PAUSE)),
        },
    ]
}
