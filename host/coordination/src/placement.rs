//! What is read to decide where tasks are led: what hosts say of themselves, and who stands for a task.

use std::collections::BTreeSet;

use futures::future::{join, try_join_all};
use zookeeper_client::{Error, Stat};

use crate::error::{Doing, NodeError};
use crate::session::Session;
use soloist_core::placement::{Peer, Standby};
use soloist_core::records::{
    self, Candidate, CandidateRecord, HostRecord, MasterRecord, TaskPaths, TermRecord,
};

/// How many hosts are looked at, at most.
const HOSTS_MAX: usize = 1_000;

/// The hosts that are there and say what they lead. All their records are asked for at once.
pub async fn peers(session: &Session, root: &str) -> Result<Vec<Peer>, NodeError> {
    let hosts = records::hosts_path(root);
    let drained = records::drained_path(root);
    let (hosts, drained) = join(children(session, &hosts), children(session, &drained)).await;
    let drained: BTreeSet<String> = drained?.into_iter().collect();
    let reads = hosts?.into_iter().take(HOSTS_MAX).map(|host| {
        let is_drained = drained.contains(&host);
        async move {
            let path = records::host_path(root, &host);
            let read = node(session, &path).await?;
            // What no session owns is not written by a host.
            let read = read.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
            Ok::<_, NodeError>(read.and_then(|(data, stat)| {
                let load = records::decode::<HostRecord>(&data)?.placement?;
                Some(Peer {
                    host,
                    load,
                    drained: is_drained,
                    absent: false,
                    written: stat.version,
                })
            }))
        }
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// Who stands for a task or leads it, with the priority that it has there. A host of an earlier release, which has written
/// none, is left out: it is handed no task.
pub async fn standbys(session: &Session, paths: &TaskPaths) -> Result<Vec<Standby>, NodeError> {
    let queue = records::queue(children(session, &paths.candidates).await?);
    let reads = queue
        .into_iter()
        .map(|Candidate { name, host, .. }| async move {
            let read = data(session, &format!("{}/{name}", paths.candidates)).await?;
            let record = read.and_then(|data| records::decode::<CandidateRecord>(&data));
            Ok::<_, NodeError>(
                record.map(|CandidateRecord { priority, .. }| Standby { host, priority }),
            )
        });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// The host that leads a task, if one does.
pub async fn leader(
    session: &Session,
    root: &str,
    task: &str,
) -> Result<Option<String>, NodeError> {
    let paths = TaskPaths::new(root, task, None);
    let Some(term) = data(session, &paths.term).await? else {
        return Ok(None);
    };
    let (record, _) = TermRecord::read(&term, 0);
    let master = data(session, &paths.master_in(&record)).await?;
    let master = master.and_then(|data| records::decode::<MasterRecord>(&data));
    Ok(master.map(|master| master.host))
}

async fn children(session: &Session, path: &str) -> Result<Vec<String>, NodeError> {
    match session.client().list_children(path).await {
        Ok(children) => Ok(children),
        Err(Error::NoNode) => Ok(Vec::new()),
        Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
    }
}

async fn data(session: &Session, path: &str) -> Result<Option<Vec<u8>>, NodeError> {
    Ok(node(session, path).await?.map(|(data, _)| data))
}

async fn node(session: &Session, path: &str) -> Result<Option<(Vec<u8>, Stat)>, NodeError> {
    match session.client().get_data(path).await {
        Ok(read) => Ok(Some(read)),
        // A path that somebody else wrote may be none.
        Err(Error::NoNode | Error::BadArguments(_)) => Ok(None),
        Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
    }
}
