//! Plugins that were stopped by force: how close to the end of their lease.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::effects::{Findings, Tenure};
use crate::history::{Record, What};

/// One plugin that was stopped by force.
#[derive(Clone, Copy, Debug)]
pub struct Revocation {
    /// By how much the last effect came before the end of the lease, in microseconds; below zero, by how much after.
    pub to_spare_us: i128,
    /// From the end of the lease (or from the moment at which a paused host went on, if that was later) until the
    /// host had dropped the plugin: after that none of its instructions can run.
    pub gone_after: Duration,
}

/// Every plugin that was stopped by force, in a history with its findings.
pub fn revocations(records: &[Record], findings: &Findings) -> Vec<Revocation> {
    let mut resumed = BTreeMap::new();
    let mut revocations = Vec::new();
    for record in records {
        if matches!(record.what, What::Resumed) {
            resumed.insert(record.pid, record.at);
        }
        let Some(event) = record.event().filter(|event| event.name == "revoked") else {
            continue;
        };
        let same = |tenure: &&Tenure| {
            tenure.pid == record.pid && Some(tenure.fencing_token) == event.fencing_token
        };
        let Some(tenure) = findings.tenures.iter().find(same) else {
            continue;
        };
        let last = tenure.effects[tenure.effects.len() - 1];
        let to_spare_us = match tenure.deadline.duration_since(last) {
            Ok(before) => i128::try_from(before.as_micros()).unwrap_or(i128::MAX),
            Err(after) => -i128::try_from(after.duration().as_micros()).unwrap_or(i128::MAX),
        };
        let due = resumed
            .get(&record.pid)
            .map_or(tenure.deadline, |resumed| tenure.deadline.max(*resumed));
        revocations.push(Revocation {
            to_spare_us,
            gone_after: record.at.duration_since(due).unwrap_or_default(),
        });
    }
    revocations
}
