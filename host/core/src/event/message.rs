//! The sentence with which an event is told to people.

use std::borrow::Cow;

use super::{Event, PluginLine, Seconds};
use crate::text::printable;

impl Event {
    /// The sentence that tells the event to people.
    #[expect(clippy::too_many_lines, reason = "each event has a sentence")]
    pub fn message(&self) -> Cow<'_, str> {
        let said = match self {
            Self::SessionReadOnly { text, .. }
            | Self::SessionAuthFailed { text, .. }
            | Self::SessionError { text, .. }
            | Self::ElectionError { text, .. }
            | Self::PluginLog(PluginLine { text, .. }) => return text.into(),
            Self::Activated => return "the plugin leads".into(),
            Self::GuardianLost => {
                return "the guardian of this process has gone, and nobody would give back what it holds if it died: it hands \
                        its tasks over, and ends"
                    .into();
            }
            Self::HostDrained => return "this host leads nothing and stands for nothing".into(),
            Self::HostUndrained => return "this host is drained no more: it stands again".into(),
            Self::PluginCompleted { .. } => return "on_elected has returned".into(),
            Self::Draining { .. } => return "demotion has begun".into(),
            Self::Demoted { .. } => return "the plugin has stopped".into(),
            Self::Revoked { drained: true, .. } => {
                return "the plugin did not stop in time and was stopped by force".into();
            }
            Self::Revoked { drained: false, .. } => {
                return "leadership has ended and the plugin was stopped by force".into();
            }
            Self::PluginStuck => {
                return "the plugin cannot be stopped: the system does not come back from a call, to a file or a pipe, \
                        that it made"
                    .into();
            }
            Self::PluginUnreachable => {
                return "the plugin was stopped at once, and will be at every demotion that finds it in on_elected: it is not \
                        async and imports neither should-stop nor sleep, so it could not hear of it. This is said once"
                    .into();
            }
            Self::SessionConnecting { servers } => format!("connecting to {servers}"),
            Self::SessionConnected {
                session,
                again: true,
                ..
            } => format!("session {session} again"),
            Self::SessionConnected {
                session,
                session_timeout: Seconds(agreed),
                ..
            } => format!("session {session} with a timeout of {agreed:?}"),
            Self::SessionDisconnected { lease } => {
                format!("connection lost; the lease lasts {lease:.1?} more")
            }
            Self::SessionShortened {
                server,
                session_timeout: Seconds(to),
                before,
            } => format!(
                "{server} agrees to a session timeout of {to:?} only, not {before:?}: the lease is that short from here on. \
                 Set the same maxSessionTimeout on all servers, or session_timeout = \"{to:?}\""
            ),
            Self::SessionExpired { session } => format!("session {session} has ended"),
            Self::SessionClosed { session, how } => format!("session {session} {how}"),
            Self::SessionTlsReloaded => {
                "the files of [zookeeper.tls] hold something else: new connections go by it".into()
            }
            Self::SessionTlsNotReloaded { problem } => format!(
                "the files of [zookeeper.tls] cannot be used any more, and connections go by what they held before: {problem}"
            ),
            Self::AclCorrected { nodes, node } => format!(
                "{nodes} nodes gave other rights than `acl` says, {} and maybe others: they are right now",
                printable(node)
            ),
            Self::AclDiffers { nodes, node, hint } => format!(
                "{nodes} nodes give other rights than `acl` says, {} and maybe others, and this host may not set them \
                 right: whom they admit may change who leads; set them right with setAcl in zkCli.sh{hint}",
                printable(node)
            ),
            Self::HostListening { address, over_tls } => {
                let scheme = if *over_tls { "https" } else { "http" };
                format!(
                    "the page at {scheme}://{address}/; also /metrics, /livez, /readyz, /leader/TASK, /logs/TASK"
                )
            }
            Self::HostTlsReloaded => {
                "the files of listen_certificate, listen_key and listen_client_ca hold something else: new connections go by it"
                    .into()
            }
            Self::HostTlsNotReloaded { problem } => format!(
                "the certificates of `listen` cannot be used any more, and connections go by what they held before: {problem}"
            ),
            Self::Reloaded { changes, .. } => format!("the configuration is reloaded: {changes}"),
            Self::NotReloaded { problem } => {
                format!("the configuration is not reloaded, and nothing has changed: {problem}")
            }
            Self::HostDraining { by, reason, keep } => draining(by, reason.as_deref(), *keep),
            Self::HostDied { how, restart_in } => {
                let next =
                    restart_in.map_or("its guardian ends as well".to_owned(), |Seconds(pause)| {
                        format!(
                            "it is started again in {}",
                            humantime::format_duration(pause)
                        )
                    });
                format!("the process of this host is dead ({how}); {next}")
            }
            Self::GivenBack {
                terms,
                places,
                nodes,
                left,
                ..
            } => {
                let left = match left {
                    0 => String::new(),
                    left => format!("; {left} more go when their session has expired"),
                };
                format!(
                    "given back: {}, {} in queues, {}{left}",
                    counted(*terms, "term"),
                    counted(*places, "place"),
                    counted(*nodes, "other node")
                )
            }
            Self::DeployError { text, .. } => text.clone(),
            Self::GenerationReady { generation, .. } => {
                format!("generation {generation} can run here at once")
            }
            Self::GenerationUnready {
                generation, reason, ..
            } => format!("generation {generation} cannot run here: {reason}"),
            Self::NotStanding { reason } => format!("not standing: {reason}"),
            Self::Moved { to, reason } => reason.tell(to),
            Self::Standby { ahead, leader } => {
                let leader = leader.as_deref().unwrap_or("nobody");
                format!("standing by behind {ahead}; {leader} leads")
            }
            Self::Elected { number } => format!("elected for term {number}"),
            Self::CompletedBefore {
                by,
                in_term,
                at,
                what,
            } => {
                let what = what.as_ref().map(|what| format!(" for {what}"));
                let what = what.unwrap_or_default();
                format!(
                    "{by} has completed it{what} in term {in_term}, at {at}: nothing is left to be done"
                )
            }
            Self::SlotsMissed { schedule, missed } => format!("schedule {schedule}: {missed}"),
            Self::PluginFailed { cause, .. } => format!("the plugin failed: {cause}"),
            Self::Failed {
                cause, restarts, ..
            } => format!(
                "the plugin has failed for good on this host, restarted {restarts} times: {cause}"
            ),
            Self::Retried { by, reason } => {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
                let reason = reason.unwrap_or_default();
                format!("{by} has the task tried again{reason}: this host rests no longer")
            }
            Self::RolloutWaiting {
                generation,
                ready,
                standing,
                obstacle,
                detail,
            } => {
                let obstacle = obstacle.as_ref().zip(detail.as_ref());
                let obstacle = obstacle
                    .map(|(host, reason)| format!("; {} cannot run it: {reason}", printable(host)));
                let obstacle = obstacle.unwrap_or_default();
                format!(
                    "generation {generation} is wanted, and {ready} of {standing} hosts are ready for it{obstacle}"
                )
            }
            Self::GenerationPromoted { generation, .. } => {
                format!("generation {generation} becomes the current one, on probation")
            }
            Self::StateCopied { generation } => {
                format!("the state is copied, as it was before generation {generation}")
            }
            Self::StateRestored { generation } => {
                format!("the state is restored, as generation {generation} had left it")
            }
            Self::GenerationHealthy { generation } => {
                format!("generation {generation} is healthy")
            }
            Self::RolledBack {
                from,
                to: Some(to),
                cause,
                detail,
            } => format!(
                "generation {from} is taken back, and generation {to} runs again ({cause}): {detail}"
            ),
            Self::RolledBack {
                from,
                to: None,
                cause,
                detail,
            } => format!(
                "generation {from} has failed, and there is none to go back to: nobody runs it ({cause}): {detail}"
            ),
            Self::Released {
                number,
                stands_again_in,
            } => released(*number, *stands_again_in),
        };
        said.into()
    }
}

fn draining(by: &str, reason: Option<&str>, keep: bool) -> String {
    let reason = reason.map(|reason| format!(" ({reason})"));
    let reason = reason.unwrap_or_default();
    let leads = if keep {
        "keeps what it leads"
    } else {
        "hands over what it leads"
    };
    format!("{by} drains this host{reason}: it {leads}, and stands for nothing until that is over")
}

fn released(number: u64, stands_again_in: Option<Seconds>) -> String {
    let pause = stands_again_in.map(|Seconds(pause)| {
        let pause = humantime::format_duration(pause);
        format!("; this host stands again in {pause}")
    });
    format!("released term {number}{}", pause.unwrap_or_default())
}

/// A number of things, like `1 term` or `2 terms`.
fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
