//! What a scenario has shown, once all has healed, and what of it must not be.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use soloist_tests::effects::{self, Findings};
use soloist_tests::history::{History, Record};
use soloist_tests::oracle::{self, Violation};
use soloist_tests::revocation::{Revocation, revocations};
use soloist_tests::{client, eventually};
use zookeeper_client::{Client, Error};

use super::{HEALED_WITHIN, Lab, SESSION_TIMEOUT};
use crate::scenarios::Outcome;

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Run {
    pub findings: Findings,
    /// From the healing of the last fault to the next effect.
    pub recovered: Duration,
    pub revocations: Vec<Revocation>,
    pub violations: Vec<String>,
}

/// A plugin whose lease is over is gone within this time: it is a few milliseconds, and the rest is for a busy machine.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// A term whose nodes are being deleted when its leader is elected ends, and so may the next, which was elected while the
/// last of them went. From there on nothing is a reason for another election.
const ELECTED_AFTER_DELETION: usize = 2;

impl Lab {
    /// All faults have healed: waits for a leader to act, ends everything in good order, and judges.
    pub async fn finish(&mut self, outcome: Outcome) -> Result<Run> {
        let healed = SystemTime::now();
        let acts = |record: &Record| record.is("plugin-log") && record.at >= healed;
        let history = self.cluster.history.clone();
        let next = history
            .wait_for(0, "a leader to act", HEALED_WITHIN, acts)
            .await;
        let next = next.map_err(|_| {
            anyhow!("no leader has acted within {HEALED_WITHIN:?} after all had healed")
        })?;
        let recovered = next.at.duration_since(healed)?;
        self.all_stand_again().await?;
        let settled = SystemTime::now();
        // The leader last: a handover to a host that is about to end shows nothing.
        let leader = next.pid;
        self.hosts.sort_by_key(|host| host.pid() == leader);
        for mut host in std::mem::take(&mut self.hosts) {
            let status = host.terminate().await?;
            ensure!(
                status.success(),
                "host {} ended with {status}: {}",
                host.id(),
                host.errors()
            );
        }
        self.proxy = None;
        self.nothing_is_left().await?;
        let records = history.since(0);
        let findings = effects::examine(&records);
        let mut violations = findings.violations.clone();
        violations.extend(wrong_effects(&findings, outcome));
        violations.extend(wrong_terms(&history, outcome));
        if outcome == Outcome::SameTerm {
            violations.extend(needless_ends(&records, &findings, healed));
        }
        if let Some((deleted, rounds)) = self.deleted {
            let elected = |record: &&Record| {
                record.is("elected") && record.at > deleted && record.at < settled
            };
            let after = records.iter().filter(elected).count();
            if after > ELECTED_AFTER_DELETION {
                violations.push(format!(
                    "{after} elections after the last of {rounds} rounds of deletion"
                ));
            }
            println!("  deleted in {rounds} rounds; {after} elections after the last");
        }
        let revocations = revocations(&records, &findings);
        for late in revocations
            .iter()
            .filter(|revocation| revocation.gone_after > GONE_WITHIN)
        {
            violations.push(format!(
                "a plugin was gone only {:?} after the end of its lease",
                late.gone_after
            ));
        }
        Ok(Run {
            findings,
            recovered,
            revocations,
            violations,
        })
    }

    /// Every host that lives is in the queue, and nobody else.
    async fn all_stand_again(&self) -> Result<()> {
        let operator = self.operator().await?;
        let (queue, hosts) = (
            format!("{}/candidates", self.task()),
            format!("{}/hosts", self.root),
        );
        let count = async |path: &str| {
            operator
                .list_children(path)
                .await
                .map_or(0, |children| children.len())
        };
        let expected = self.hosts.len();
        let mut last = (0, 0);
        let standing = eventually(
            "every host, and nobody else, to stand in the queue",
            HEALED_WITHIN,
            async || {
                last = (count(&queue).await, count(&hosts).await);
                (last == (expected, expected)).then_some(())
            },
        );
        let standing = standing.await;
        standing.with_context(|| {
            format!(
                "of {expected} hosts {} stand in the queue, {} are there",
                last.0, last.1
            )
        })?;
        client::close(operator).await;
        Ok(())
    }

    /// No ephemeral node outlives its session: that of a host that was killed may need its timeout.
    async fn nothing_is_left(&self) -> Result<()> {
        let operator = self.operator().await?;
        let mut left = Vec::new();
        let gone = eventually(
            "all ephemeral nodes to go",
            2 * SESSION_TIMEOUT,
            async || {
                left = ephemerals(&operator, &self.root)
                    .await
                    .unwrap_or_else(|error| vec![error.to_string()]);
                left.is_empty().then_some(())
            },
        );
        let gone = gone.await;
        if gone.is_err() {
            bail!(
                "nodes of sessions that have ended are left: {}",
                left.join(", ")
            );
        }
        client::close(operator).await;
        Ok(())
    }
}

/// Effects of two terms at once, where something should have held the next leader back.
fn wrong_effects(findings: &Findings, outcome: Outcome) -> Option<String> {
    let overlap = findings.overlap;
    (!overlap.is_zero() && outcome != Outcome::Unprotected)
        .then(|| format!("effects of two terms overlap for {overlap:?}"))
}

/// What the oracle objects to, but for what the fault makes possible.
fn wrong_terms(history: &History, outcome: Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    for violation in oracle::judge_ended(history).violations {
        match &violation {
            Violation::Overlap { .. } if outcome == Outcome::Unprotected => {}
            // Term numbers begin anew when the term record was deleted; tokens never do.
            Violation::TokenNotLarger { earlier, later }
                if later.fencing_token > earlier.fencing_token => {}
            _ => wrong.push(violation.to_string()),
        }
    }
    wrong
}

/// The end of a term, where the fault is no reason for one.
fn needless_ends(records: &[Record], findings: &Findings, healed: SystemTime) -> Vec<String> {
    let mut ends = Vec::new();
    if findings.tenures.len() > 1 {
        ends.push("the leader was replaced, which this fault is no reason for".to_owned());
    }
    if records
        .iter()
        .any(|record| record.is("draining") && record.at < healed)
    {
        ends.push("the leader was demoted, which this fault is no reason for".to_owned());
    }
    ends
}

/// The ephemeral nodes below `path`.
async fn ephemerals(client: &Client, path: &str) -> Result<Vec<String>> {
    let (mut found, mut paths) = (Vec::new(), vec![path.to_owned()]);
    while let Some(path) = paths.pop() {
        match client.get_children(&path).await {
            Ok((_, stat)) if stat.ephemeral_owner != 0 => found.push(path),
            Ok((children, _)) => {
                paths.extend(children.iter().map(|child| format!("{path}/{child}")));
            }
            Err(Error::NoNode) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
