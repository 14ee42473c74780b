//! Who stands for the task, and how far each host is.
//!
//! A leader asks again and again while it needs to know. A watch on all of that would have to be one on each node, beside which
//! servers before 3.9 lose the other watches of the leader: <https://issues.apache.org/jira/browse/ZOOKEEPER-4466>.

use std::collections::BTreeMap;

use zookeeper_client::{MultiReadResult, Stat};

use super::{RolloutError, RolloutNodes, snapshot};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, ReadyRecord};
use soloist_core::rollout::Participant;

/// How many nodes are read by one request: anybody may have written a megabyte into each.
const NODES_PER_READ: usize = 16;

impl RolloutNodes {
    /// Reads who stands, and what hosts say about the generation that they prepare. What no session owns was written by nobody
    /// who lives.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub async fn hosts(&self) -> Result<Vec<Participant>, RolloutError> {
        let candidates =
            records::queue(snapshot::children(&self.session, &self.paths.candidates).await?);
        let names = candidates.iter().map(|candidate| candidate.name.clone());
        let held = self
            .nodes(&self.paths.candidates, names.collect(), |_, stat| {
                Some(stat.ephemeral_owner)
            })
            .await?;
        let mut hosts: BTreeMap<String, Participant> = BTreeMap::new();
        for (candidate, owner) in candidates.into_iter().zip(held) {
            if owner.is_some_and(|owner| candidate.is_held_by(owner)) {
                of(&mut hosts, candidate.host).stands = true;
            }
        }
        let names = snapshot::children(&self.session, &self.paths.ready).await?;
        let said = |data: &[u8], stat: &Stat| {
            records::is_session(stat.ephemeral_owner).then(|| ReadyRecord::read(data))
        };
        let said = self.nodes(&self.paths.ready, names.clone(), said).await?;
        for (host, said) in names.into_iter().zip(said) {
            if let Some(says) = said {
                of(&mut hosts, host).says = says;
            }
        }
        Ok(hosts.into_values().collect())
    }

    /// What `read` makes of the nodes of these names, as far as they are there and can be read. It does not keep what they hold.
    async fn nodes<T>(
        &self,
        parent: &str,
        names: Vec<String>,
        read: impl Fn(&[u8], &Stat) -> Option<T>,
    ) -> Result<Vec<Option<T>>, NodeError> {
        let read_error = NodeError::at(Doing::Read, parent);
        let mut nodes = Vec::with_capacity(names.len());
        for names in names.chunks(NODES_PER_READ) {
            let mut multi = self.session.client().new_multi_reader();
            for name in names {
                multi
                    .add_get_data(&format!("{parent}/{name}"))
                    .map_err(read_error)?;
            }
            let answers = multi.commit().await.map_err(read_error)?;
            nodes.extend(answers.into_iter().map(|answer| match answer {
                MultiReadResult::Data { data, stat } => read(&data, &stat),
                _ => None,
            }));
        }
        Ok(nodes)
    }
}

fn of(hosts: &mut BTreeMap<String, Participant>, host: String) -> &mut Participant {
    hosts.entry(host.clone()).or_insert(Participant {
        host,
        stands: false,
        says: None,
    })
}
