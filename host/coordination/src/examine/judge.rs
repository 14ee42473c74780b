//! What speaks for and against an ensemble, from what its servers have said: pure, no IO.

use std::time::Duration;

use soloist_core::lease::Timing;
use zookeeper_client::{Acl, AuthId, Permission};

use super::facts::Version;
use super::{Answers, Finding, Verdict};
use crate::connect::Ensemble;
use crate::connect::tls::Verify;
use crate::observer::Rights;

/// The oldest release without known losses of data.
const RECOMMENDED: Version = Version([3, 9, 4]);

/// The error of a clock's rate that the lease allows for, in parts of a million.
const DRIFT_PPM_MAX: i64 = 10_000;

fn finding(verdict: Verdict, text: impl Into<String>) -> Finding {
    Finding {
        verdict,
        text: text.into(),
    }
}

/// Judges one server.
pub(super) fn server(answers: &Answers, asked: Duration, tick_time: Duration) -> Vec<Finding> {
    let agreed = match &answers.agreed {
        Ok(agreed) => *agreed,
        Err(silence) => return vec![finding(Verdict::Bad, silence)],
    };
    vec![
        session(agreed, asked, tick_time),
        version(answers.version),
        tick(answers, tick_time),
        clock(answers.drift_ppm),
    ]
}

fn session(agreed: Duration, asked: Duration, tick_time: Duration) -> Finding {
    if let Err(no_room) = Timing::new(agreed, tick_time, Duration::ZERO) {
        let text = format!("agrees to a session timeout of {agreed:?} only: {no_room}");
        return finding(Verdict::Bad, text);
    }
    if agreed < asked {
        let text = format!(
            "agrees to a session timeout of {agreed:?} only, not {asked:?}: leases are that short. Raise its maxSessionTimeout"
        );
        return finding(Verdict::Doubtful, text);
    }
    finding(Verdict::Fine, format!("gives sessions of {agreed:?}"))
}

fn version(version: Option<Version>) -> Finding {
    let Some(version) = version else {
        return finding(
            Verdict::Unknown,
            "its version: it does not answer `srvr` (4lw.commands.whitelist)",
        );
    };
    if version >= RECOMMENDED {
        return finding(Verdict::Fine, format!("is ZooKeeper {version}"));
    }
    let mut text = format!(
        "is ZooKeeper {version}; take {RECOMMENDED} or later: servers can lose committed writes when they catch up with their leader or \
         start anew (ZOOKEEPER-4785, -4846, -4925, mended by then)"
    );
    if version < Version([3, 9, 0]) {
        text.push_str(", and different watches of one node disturb each other (ZOOKEEPER-4466)");
    }
    finding(Verdict::Doubtful, text)
}

/// The tick is told by `conf`. Else it is half of the shortest session timeout, unless minSessionTimeout says otherwise.
fn tick(answers: &Answers, tick_time: Duration) -> Finding {
    let (tick, how) = match (&answers.conf, answers.shortest) {
        (Some(conf), _) => (conf.tick, "is"),
        (None, Some(shortest)) => (shortest / 2, "seems to be"),
        (None, None) => {
            return finding(Verdict::Unknown, "its tickTime: it gives no short session");
        }
    };
    let text = format!("its tickTime {how} {tick:?}");
    if tick > tick_time * 2 {
        let text = format!(
            "{text}, more than twice tick_time = {tick_time:?}: the lease does not hold. Set tick_time = \"{}\"",
            humantime::format_duration(tick)
        );
        return finding(Verdict::Bad, text);
    }
    if answers.conf.is_some() && tick != tick_time {
        let text = format!("{text}, and tick_time is {tick_time:?}: set tick_time to the same");
        return finding(Verdict::Doubtful, text);
    }
    finding(Verdict::Fine, text)
}

fn clock(drift_ppm: Option<i64>) -> Finding {
    let Some(ppm) = drift_ppm else {
        return finding(
            Verdict::Unknown,
            "the rate of its clock: it does not answer `mntr` (4lw.commands.whitelist), or not fast enough",
        );
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let percent = ppm as f64 / 10_000.0;
    let text = format!("its clock runs {percent:+.2} % beside this machine's");
    if ppm.abs() < DRIFT_PPM_MAX {
        finding(Verdict::Fine, text)
    } else {
        let text = format!(
            "{text}, and the lease allows for 1 %: see to the clocks, or try again if one was just set"
        );
        finding(Verdict::Bad, text)
    }
}

/// Judges all servers together.
pub(super) fn ensemble(answers: &[Answers], ensemble: &Ensemble) -> Vec<Finding> {
    let mut findings = vec![tls(ensemble)];
    let agreed: Vec<_> = answers
        .iter()
        .filter_map(|it| it.agreed.as_ref().ok())
        .collect();
    if agreed.iter().min() != agreed.iter().max() {
        findings.push(finding(
            Verdict::Doubtful,
            "the servers agree to different session timeouts: set the same maxSessionTimeout on all of them",
        ));
    }
    let observers: Vec<_> = answers
        .iter()
        .filter_map(|it| it.conf.as_ref()?.has_observers)
        .collect();
    if observers.contains(&true) {
        findings.push(finding(
            Verdict::Doubtful,
            "there are observers: none of them may be behind an ObserverMaster (observerMasterPort), which cannot be seen from here",
        ));
    } else if observers.is_empty() && answers.len() > 1 {
        findings.push(finding(
            Verdict::Unknown,
            "whether there are observers, and an ObserverMaster: no server answers `conf` (4lw.commands.whitelist)",
        ));
    }
    if answers.len() > 1 {
        findings.push(finding(
            Verdict::Unknown,
            "whether the servers speak TLS with each other: no server tells. If they do (sslQuorum=true), set leader.closeSocketAsync=true on \
             each: a leader that closes the connection of a dead follower can stall otherwise (ZOOKEEPER-3774)",
        ));
    }
    findings
}

fn tls(ensemble: &Ensemble) -> Finding {
    let Some(tls) = &ensemble.tls else {
        return finding(
            Verdict::Doubtful,
            "connections are not encrypted: whoever is on the network can read and change everything; set [zookeeper.tls]",
        );
    };
    match tls.files().verify {
        Verify::Full => finding(
            Verdict::Fine,
            "connections are encrypted, and servers verified with their names",
        ),
        Verify::Ca => finding(
            Verdict::Doubtful,
            "connections are encrypted, but names are not verified (verify = \"ca\"): whoever has a certificate of the same authority can \
             pass for a server",
        ),
    }
}

/// Judges who may do what with the nodes.
pub(super) fn rights(rights: Rights, ensemble: &Ensemble) -> Finding {
    let root = &ensemble.root;
    match rights {
        Rights::Absent => finding(
            Verdict::Unknown,
            format!("who may do what: {root} is not there, so no host has been here yet"),
        ),
        Rights::Refused(error) => finding(
            Verdict::Bad,
            format!(
                "{root} cannot be read ({error}): show the identity that the hosts have (`auth`, or `tls.certificate`)"
            ),
        ),
        Rights::Given(acl) if is_open(&acl) => finding(
            Verdict::Doubtful,
            format!(
                "everybody who reaches the ensemble may change {root}: set `auth` or `tls.certificate`, and acl = \"creator\""
            ),
        ),
        Rights::Given(_) => finding(
            Verdict::Fine,
            format!("{root} can be read, and not everybody may change it"),
        ),
    }
}

/// Whether everybody may do more than read.
fn is_open(acl: &[Acl]) -> bool {
    let more = [
        Permission::WRITE,
        Permission::CREATE,
        Permission::DELETE,
        Permission::ADMIN,
    ];
    acl.iter().any(|entry| {
        *entry.auth_id() == AuthId::anyone() && more.iter().any(|it| entry.permission().has(*it))
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Conf;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answers() -> Answers {
        Answers {
            agreed: Ok(SECOND * 10),
            shortest: Some(SECOND * 4),
            version: Some(RECOMMENDED),
            conf: Some(Conf {
                tick: SECOND * 2,
                has_observers: Some(false),
            }),
            drift_ppm: Some(100),
        }
    }

    fn judged(answers: &Answers) -> Vec<Verdict> {
        let findings = server(answers, SECOND * 10, SECOND * 2);
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_server_is_judged_by_what_it_says() {
        use Verdict::{Bad, Doubtful, Fine, Unknown};
        assert_eq!(judged(&answers()), [Fine; 4]);
        let silent = Answers::none("no answer");
        assert_eq!(judged(&silent), [Bad]);
        let short = Answers {
            agreed: Ok(SECOND * 9),
            ..answers()
        };
        assert_eq!(judged(&short), [Doubtful, Fine, Fine, Fine]);
        let too_short = Answers {
            agreed: Ok(SECOND),
            ..answers()
        };
        assert_eq!(judged(&too_short), [Bad, Fine, Fine, Fine]);
        let old = Answers {
            version: Some(Version([3, 8, 0])),
            ..answers()
        };
        assert_eq!(judged(&old), [Fine, Doubtful, Fine, Fine]);
        let mut slow = answers();
        slow.conf = None;
        slow.shortest = Some(SECOND * 9);
        assert_eq!(judged(&slow), [Fine, Fine, Bad, Fine]);
        let wrong = Answers {
            drift_ppm: Some(-10_001),
            ..answers()
        };
        assert_eq!(judged(&wrong), [Fine, Fine, Fine, Bad]);
        let closed = Answers {
            version: None,
            conf: None,
            drift_ppm: None,
            ..answers()
        };
        assert_eq!(judged(&closed), [Fine, Unknown, Fine, Unknown]);
    }

    #[test]
    fn whoever_may_more_than_read_may_change_a_node() {
        let acl = |allowed| vec![Acl::new(allowed, AuthId::anyone())];
        assert!(is_open(&acl(Permission::ALL)) && is_open(&acl(Permission::DELETE)));
        assert!(!is_open(&acl(Permission::READ)));
        assert!(!is_open(&[Acl::new(
            Permission::ALL,
            AuthId::new("x509", "CN=a")
        )]));
    }
}
