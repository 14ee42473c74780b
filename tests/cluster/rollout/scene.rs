//! Where the stories play: the servers, the task, and an operator.

use std::collections::BTreeMap;

use anyhow::Result;
use soloist_core::records::{Changed, History, RolloutRecord, Stage, TermEntry};
use soloist_core::rollout::{self, Refused};
use soloist_tests::cluster::Cluster;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::MANIFEST;
use super::member::generation;
use super::told::listen;

/// An operator, and the servers.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) operator: Client,
}

impl Scene {
    pub(crate) async fn new() -> Result<Self> {
        Self::on(Cluster::start().await?).await
    }

    pub(crate) async fn on(cluster: Cluster) -> Result<Self> {
        listen();
        let operator = cluster.client().await?;
        client::make_path(&operator, "/soloist/manifests").await?;
        Ok(Self { cluster, operator })
    }

    pub(crate) async fn read(&self) -> Result<Option<(RolloutRecord, i32)>> {
        match self.operator.get_data(MANIFEST).await {
            Ok((data, stat)) => Ok(Some((RolloutRecord::decode(&data)?, stat.version))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes another record of the one that is there, and writes it over that.
    pub(crate) async fn order(
        &self,
        made: impl Fn(Option<&RolloutRecord>, Changed) -> Result<RolloutRecord, Refused>,
    ) -> Result<()> {
        let changed = Changed::new("ann@desk", "2026-11-26T12:00:00.000Z");
        let change = async || {
            let read = self.read().await?;
            let record = made(read.as_ref().map(|(record, _)| record), changed.clone())?;
            let data = record.encode()?;
            match read {
                Some((_, version)) => {
                    match self.operator.set_data(MANIFEST, &data, Some(version)).await {
                        Err(Error::BadVersion) => Ok(None),
                        written => Ok(written.map(|_| Some(()))?),
                    }
                }
                None => create(&self.operator, MANIFEST, &data).await.map(Some),
            }
        };
        // A leader may write at the same time.
        loop {
            if let done @ (Ok(Some(())) | Err(_)) = change().await {
                return done.map(drop);
            }
        }
    }

    pub(crate) async fn deploy(&self, number: u64) -> Result<()> {
        self.order(|record, changed| {
            let replaces = rollout::draft(record).replaces;
            rollout::deploy(record, generation(number), replaces, changed)
        })
        .await
    }

    /// Waits until the record is so.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl Fn(&RolloutRecord) -> bool,
    ) -> Result<RolloutRecord> {
        eventually(what, PATIENCE, async || {
            let (record, _) = self.read().await.ok()??;
            is_so(&record).then_some(record)
        })
        .await
    }

    pub(crate) async fn healthy(&self, number: u64) -> Result<RolloutRecord> {
        self.until(&format!("{number} to be healthy"), |record| {
            record.current == Some(generation(number)) && record.stage == Stage::Healthy
        })
        .await
    }

    /// Waits until so many hosts stand.
    pub(crate) async fn stand(&self, hosts: usize) -> Result<()> {
        eventually("hosts to stand", PATIENCE, async || {
            let names = self
                .operator
                .list_children("/soloist/tasks/beat/candidates")
                .await
                .ok()?;
            (names.len() == hosts).then_some(())
        })
        .await
    }

    pub(crate) async fn ended(&self) -> Result<Vec<TermEntry>> {
        let (history, _) = self
            .operator
            .get_data("/soloist/tasks/beat/history")
            .await?;
        Ok(History::read(&history).0)
    }

    /// Waits until that many terms have ended, and gives them, the first one first.
    pub(crate) async fn ends(&self, terms: usize) -> Result<Vec<TermEntry>> {
        let what = format!("{terms} terms to end");
        eventually(&what, PATIENCE, async || {
            let mut ended = self.ended().await.ok()?;
            ended.reverse();
            (ended.len() >= terms).then_some(ended)
        })
        .await
    }
}

pub(crate) async fn create(client: &Client, path: &str, data: &[u8]) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(path, data, &options).await?;
    Ok(())
}

/// What lies below a node.
pub(crate) async fn below(client: &Client, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let names = match client.list_children(path).await {
        Err(Error::NoNode) => return Ok(all),
        names => names?,
    };
    for name in names {
        let (data, _) = client.get_data(&format!("{path}/{name}")).await?;
        all.insert(name, data);
    }
    Ok(all)
}

pub(crate) fn ended_by(term: &TermEntry) -> (&str, &str) {
    let end = term.end.as_ref();
    let detail = end.and_then(|end| end.detail.as_deref());
    (
        end.map_or("", |end| &end.reason),
        detail.unwrap_or_default(),
    )
}
