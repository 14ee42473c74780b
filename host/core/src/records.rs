//! The nodes that Soloist keeps in ZooKeeper: their names, and the records that they hold. Pure, but for the time of day that
//! a record bears.
//!
//! ```text
//! <root>/hosts/<host>                              ephemeral   HostRecord; rewritten as the heartbeat
//! <root>/drained/<host>                            persistent  DrainOrder; the host stands for nothing while it is there
//! <root>/tasks/<task>/master                       ephemeral   MasterRecord; elsewhere when the task has a `path`
//! <root>/tasks/<task>/term                         persistent  TermRecord
//! <root>/tasks/<task>/history                      persistent  History
//! <root>/tasks/<task>/state/<key>                  persistent  a value that the plugin keeps, its bytes unchanged
//! <root>/tasks/<task>/schedules/<name>              persistent  schedule::Record; which slots have been claimed
//! <root>/tasks/<task>/failed                       persistent  FailedRecord; it exists while the plugin fails for good
//! <root>/tasks/<task>/restarts                     persistent  RestartsRecord; how often the plugin was restarted in a term
//! <root>/tasks/<task>/resign                       persistent  ResignOrder; for one term, deleted when the leader follows it
//! <root>/tasks/<task>/candidates/c-<session>-<host>-<seq>
//!                                                  ephemeral   CandidateRecord; it exists until its host has stopped
//! <root>/manifests/<task>                          persistent  RolloutRecord; which generation terms run
//! <root>/tasks/<task>/generations/<generation>     persistent  Envelope: a manifest and its signatures; written once
//! <root>/tasks/<task>/ready/<host>                 ephemeral   ReadyRecord; how far the host has come with a generation
//! <root>/tasks/<task>/saved/state/<key>            persistent  the state as it was before a generation on probation
//! <root>/tasks/<task>/saved/schedules/<name>       persistent  the records of its schedules as they were then
//! <root>/artefacts/<sha256>/...                    persistent  a small artefact, in chunks
//! ```
//!
//! Anybody may have written what a host reads. So the length of a record is bounded, and a host reports a record that it
//! cannot decode instead of trusting it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::placement::HostLoad;
use crate::term::Term;
use crate::text::printable;

mod candidate;
mod drain;
mod failed;
mod format;
mod generation;
mod history;
mod paths;
mod ready;
mod resign;
mod restarts;
mod rollout;
mod terms;

pub use candidate::{Candidate, CandidateRecord, is_session, queue};
pub use drain::{DrainOrder, DrainProgress};
pub use failed::{FailedRecord, RetryOrder};
pub use format::FormatError;
pub use generation::{Envelope, GENERATION_MAX_BYTES, Generation, SIGNATURES_MAX};
pub use history::{History, PAST_TERMS_MAX};
pub use paths::{
    TaskPaths, WATCHED_BYTES_MAX, artefact_path, artefacts_path, drain_path, drained_path,
    host_path, hosts_path, manifests_path, parent, shard_path, shards_path, tasks_path,
};
pub use ready::{Readiness, ReadyRecord};
pub use resign::ResignOrder;
pub use restarts::RestartsRecord;
pub use rollout::{Changed, Failure, Paused, RolloutRecord, Stage, StateCopy};
pub use terms::{Completion, End, NUMBER_MAX, TermEntry, TermRecord, TermState};

/// The longest record that is decoded, in bytes. No host writes a longer one.
const RECORD_MAX_BYTES: usize = 32 * 1024;
/// The longest text about the end of a term that a record keeps, in characters.
pub const DETAIL_MAX_CHARS: usize = 200;
/// How many characters are shown of a master node that a foreign program wrote.
const FOREIGN_SHOWN_CHARS: usize = 64;

/// The record of a host that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host's id.
    pub host: String,
    /// The process id of the host.
    pub pid: u32,
    /// The version of Soloist that the host runs.
    pub version: String,
    /// When the host started: RFC 3339, UTC.
    pub started: String,
    /// How far the host has come with the order to drain it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainProgress>,
    /// What it says to those who decide where tasks are led.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<HostLoad>,
    /// Where it answers over HTTP, if it listens: `http://ADDRESS:PORT`. Anybody may have written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// How long its lease lasts from a heartbeat, in milliseconds. No rule goes by it: it is for people to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// The record of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterRecord {
    /// The leader's host id.
    pub host: String,
    /// The number of the leader's term.
    pub term: u64,
}

/// A text about the end of a term, cut to [`DETAIL_MAX_CHARS`].
fn bounded(text: &str) -> String {
    text.chars().take(DETAIL_MAX_CHARS).collect()
}

/// A text made printable, and cut to [`DETAIL_MAX_CHARS`].
fn clean(text: &str) -> String {
    // What comes after so many characters is cut in any case.
    let text: String = text.chars().take(DETAIL_MAX_CHARS).collect();
    bounded(&printable(&text))
}

/// Whether a record with this token and this number is about the term. The token decides. Hosts and operators of an earlier
/// version wrote no token: then the number decides.
fn is_about(token: Option<u64>, number: u64, term: &Term) -> bool {
    token.map_or(number == term.number, |token| token == term.fencing_token.0)
}

/// The present time of day, for people to read: RFC 3339, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "people read it in a record, and no rule goes by it"
)]
pub fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// A time that the ensemble gives, in milliseconds since 1970, for people to read: RFC 3339, UTC.
pub fn rfc3339(millis: i64) -> String {
    // The last second that RFC 3339 can write.
    const YEAR_9999: u64 = 253_402_300_799_000;
    let millis = u64::try_from(millis).unwrap_or(0).min(YEAR_9999);
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis);
    humantime::format_rfc3339_millis(time).to_string()
}

/// Encodes a record as JSON.
pub fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain structs of strings and numbers")
}

/// Decodes a record. None if it is too long, or not JSON of that shape.
pub fn decode<'a, R: Deserialize<'a>>(data: &'a [u8]) -> Option<R> {
    if data.len() > RECORD_MAX_BYTES {
        return None;
    }
    serde_json::from_slice(data).ok()
}

/// The holder of a master node, for people to read: its host, or the text that a foreign program wrote, or its session.
pub fn holder_name(data: &[u8], owner: i64) -> String {
    if let Some(MasterRecord { host, .. }) = decode(data) {
        return host;
    }
    let text: String = String::from_utf8_lossy(&data[..data.len().min(4 * FOREIGN_SHOWN_CHARS)])
        .chars()
        .filter(|character| !character.is_control())
        .take(FOREIGN_SHOWN_CHARS)
        .collect();
    if text.trim().is_empty() {
        format!("session {owner:#x}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
