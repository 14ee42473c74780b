//! One deployed task, as it stands.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use zookeeper_client::OneshotWatcher;

use super::{Observer, ObserverError, READS_MAX, Unreadable, Versioned};
use crate::error::NodeError;
use soloist_core::records::{
    self, Envelope, Generation, Readiness, ReadyRecord, TermRecord, TermState,
};

/// What a host says of the generation that is wanted, or else of the one that terms run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostReadiness {
    /// The host.
    pub host: String,
    /// The generation that it speaks of. None if what it says cannot be read.
    pub generation: Option<u64>,
    /// How far it has come with that.
    #[serde(flatten)]
    pub readiness: Option<Readiness>,
}

/// Who runs a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    /// The leader.
    pub host: String,
    /// The number of its term.
    pub term: u64,
    /// The generation that the term runs, if the task is deployed.
    pub generation: Option<u64>,
    /// Since when: RFC 3339, UTC, by the leader's clock.
    pub since: String,
}

/// A rollout as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The record. None if there is none.
    pub record: Option<Versioned>,
    /// What each host says, by its name.
    pub hosts: Vec<HostReadiness>,
    /// Who runs the task.
    pub running: Option<Running>,
}

/// A deployed task with the generations that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// How its rollout stands.
    pub seen: Seen,
    /// The numbers of the generations that are kept, the newest first.
    pub generations: Vec<u64>,
}

impl Seen {
    /// How many hosts are ready for a generation, and how many say anything of it.
    pub fn ready(&self, generation: u64) -> (usize, usize) {
        let about = self.hosts.iter();
        let about = about.filter(|host| host.generation == Some(generation));
        let is_ready = |host: &&HostReadiness| host.readiness == Some(Readiness::Ready);
        (about.clone().filter(is_ready).count(), about.count())
    }
}

impl Observer {
    /// How a rollout stands.
    ///
    /// # Errors
    /// [`ObserverError::Node`], [`ObserverError::Unreadable`].
    pub async fn seen(&self, task: &str) -> Result<Seen, ObserverError> {
        let record = self.rollout(task).await?;
        Ok(Seen {
            record,
            hosts: self.readiness(task).await?,
            running: self.running(task).await?,
        })
    }

    /// A task of which something was deployed.
    ///
    /// # Errors
    /// [`ObserverError::NoRollout`], [`ObserverError::Node`], [`ObserverError::Unreadable`].
    pub async fn deployed(&self, task: &str) -> Result<Deployed, ObserverError> {
        let seen = self.seen(task).await?;
        if seen.record.is_none() {
            return Err(self.no_rollout(task));
        }
        let generations = self.generations(task).await?;
        Ok(Deployed { seen, generations })
    }

    /// The error of a task that was never deployed.
    pub fn no_rollout(&self, task: &str) -> ObserverError {
        ObserverError::NoRollout {
            task: task.to_owned(),
            path: records::manifests_path(&self.root),
        }
    }

    /// A generation that is kept.
    ///
    /// # Errors
    /// [`ObserverError::NoGeneration`] names those there are; [`ObserverError::Unreadable`], [`ObserverError::Node`].
    pub async fn generation(&self, task: &str, number: u64) -> Result<Envelope, ObserverError> {
        let path = self.paths(task).generation(number);
        match self.data(&path).await? {
            Some((data, _)) => {
                let envelope = Envelope::decode(&data);
                Ok(envelope.map_err(|problem| Unreadable { path, problem })?)
            }
            None => Err(ObserverError::NoGeneration {
                task: task.to_owned(),
                number,
                there: self.generations(task).await?,
            }),
        }
    }

    /// The generation that the record names, byte for byte as it was deployed.
    ///
    /// # Errors
    /// Like [`Observer::generation`], and [`ObserverError::OtherText`] if somebody has changed it since.
    pub async fn generation_of(
        &self,
        task: &str,
        generation: Generation,
    ) -> Result<Envelope, ObserverError> {
        let envelope = self.generation(task, generation.number).await?;
        if envelope.sha256() == generation.sha256 {
            return Ok(envelope);
        }
        let path = self.paths(task).generation(generation.number);
        Err(ObserverError::OtherText { path })
    }

    /// The numbers of the generations that are kept, the newest first. Nodes with other names are passed over.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn generations(&self, task: &str) -> Result<Vec<u64>, ObserverError> {
        let names = self.children(&self.paths(task).generations).await?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(numbers)
    }

    /// Hears when the record of a rollout changes, or the queue does. Called before the task is read, it misses no change.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn watch_rollout(&self, task: &str) -> Result<crate::watches::WatchSet, NodeError> {
        let paths = self.paths(task);
        let watchers: Vec<OneshotWatcher> = vec![
            self.watch_node(&paths.manifest).await?,
            self.watch_node(&paths.master).await?,
        ];
        Ok(crate::watches::WatchSet::new(watchers))
    }

    pub(in crate::observer) async fn readiness(
        &self,
        task: &str,
    ) -> Result<Vec<HostReadiness>, NodeError> {
        let parent = self.paths(task).ready;
        let reads = self.children(&parent).await?.into_iter().map(async |host| {
            let read = self.data(&format!("{parent}/{host}")).await?;
            // What no session owns was written by no host.
            let read = read.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
            Ok::<_, NodeError>(read.map(|(data, _)| readiness(host, &data)))
        });
        let read = stream::iter(reads).buffered(READS_MAX);
        read.try_filter_map(async |host| Ok(host))
            .try_collect()
            .await
    }

    pub(super) async fn running(&self, task: &str) -> Result<Option<Running>, NodeError> {
        let Some((data, stat)) = self.data(&self.paths(task).term).await? else {
            return Ok(None);
        };
        let (record, _) = TermRecord::read(&data, stat.version);
        let paths = records::TaskPaths::new(&self.root, task, record.path.as_deref());
        let master = self.client.check_stat(&paths.master).await;
        let master = master.map_err(NodeError::at(crate::error::Doing::Read, &paths.master))?;
        // The transaction of an election creates the master node and writes the record.
        let leads = record.state == TermState::Active
            && master.is_some_and(|master| master.czxid == stat.mzxid);
        Ok(leads.then_some(Running {
            host: record.term.host,
            term: record.term.number,
            generation: record.term.generation,
            since: record.term.since,
        }))
    }
}

fn readiness(host: String, data: &[u8]) -> HostReadiness {
    let record = ReadyRecord::read(data);
    HostReadiness {
        host,
        generation: record.as_ref().map(|record| record.generation),
        readiness: record.map(|record| record.readiness),
    }
}

/// The number that a node's name is, if it is written as every host and operator writes it.
pub(super) fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number > 0 && number.to_string() == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_has_one_name() {
        assert_eq!(number("17"), Some(17));
        for name in ["0", "007", "+7", "-7", "7a", "", "99999999999999999999"] {
            assert_eq!(number(name), None, "{name}");
        }
    }

    #[test]
    fn what_no_host_wrote_is_told_as_unknown() {
        let told = readiness("a".into(), b"{\"generation\":2,\"state\":\"ready\"}");
        assert_eq!(
            (told.generation, told.readiness),
            (Some(2), Some(Readiness::Ready))
        );
        let told = readiness("a".into(), &vec![b' '; 1_000_000]);
        assert_eq!((told.generation, told.readiness), (None, None));
    }
}
