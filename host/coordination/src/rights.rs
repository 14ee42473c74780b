//! Whether the nodes that are there give the rights that are configured: an ACL protects what is made with it alone, and a
//! tree may have been made before one was set.
//!
//! A host looks at all nodes of its tasks once, beside everything else that it does at its start, and sets right what it
//! may. What it may not, it names.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use zookeeper_client::{Acl, Error};

use super::error::hint;
use super::session::{Session, View};
use soloist_core::backoff::Backoff;
use soloist_core::event::{About, Event};
use soloist_core::records::{self, TaskPaths};

/// How many requests are under way at once: what else this host asks for waits behind no more than these.
const IN_FLIGHT_MAX: usize = 8;
/// No more nodes are looked at.
const NODES_MAX: usize = 100_000;
/// The first pause after a request failed; it doubles up to [`RETRY_MAX`], since all is looked at anew.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A node to be looked at.
struct Node {
    path: String,
    /// Whether what is below it is looked at as well.
    whole: bool,
}

/// A node that has been looked at.
struct Seen {
    path: String,
    rights: Rights,
    children: Vec<String>,
}

/// Which rights a node gives.
enum Rights {
    /// Those that are configured, or it is gone.
    Right,
    /// Others; now they are right.
    Corrected,
    /// Others, or unknown ones, which this host may not change.
    Refused(Error),
}

/// What was found.
#[derive(Default)]
struct Found {
    corrected: Vec<String>,
    refused: Vec<(String, Error)>,
    left_out: bool,
}

/// Sets right what the nodes below `root` and those of `tasks` let others do, once, as soon as there is a session.
///
/// # Cancellation safety
/// Dropped, it has looked at some of them.
pub async fn set_right(mut view: watch::Receiver<View>, root: String, tasks: Vec<Arc<TaskPaths>>) {
    let mut pauses = Backoff::new(RETRY, RETRY_MAX);
    // The keeper has gone when it fails.
    while let Ok(session) = view
        .wait_for(|view| view.session.is_some())
        .await
        .map(|view| view.session.clone())
    {
        let Some(session) = session else { continue };
        let id = session.id();
        let found = tokio::select! {
            found = look(&session, &root, &tasks) => found.inspect_err(|error| {
                if pauses.steps() == 0 {
                    tracing::warn!("whether nodes give the rights that `acl` says is not known yet: {error}");
                }
            }).ok(),
            // Whoever holds a session keeps it open.
            _ = view.wait_for(|view| view.session.as_ref().is_none_or(|session| session.id() != id)) => None,
        };
        drop(session);
        if let Some(found) = found {
            return report(&found);
        }
        tokio::time::sleep(pauses.step()).await;
    }
}

/// Looks at all nodes, a few at a time.
async fn look(session: &Session, root: &str, tasks: &[Arc<TaskPaths>]) -> Result<Found, Error> {
    // This session has made it, so it gives the rights that all should give, with identities as the ensemble names them.
    let (right, _) = session
        .client()
        .get_acl(&records::host_path(root, session.host()))
        .await?;
    let node = |path: &str, whole| Node {
        path: path.to_owned(),
        whole,
    };
    let parents = [
        node(root, false),
        node(&records::tasks_path(root), false),
        node(&records::hosts_path(root), true),
        node(&records::shards_path(root), true),
        node(&records::manifests_path(root), false),
        node(&records::artefacts_path(root), false),
        node(&records::drained_path(root), true),
    ];
    let tasks = tasks.iter().flat_map(|paths| {
        let own = records::parent(&paths.term).map(|path| node(path, true));
        [Some(node(&paths.manifest, true)), own]
            .into_iter()
            .flatten()
    });
    let mut waiting: VecDeque<Node> = tasks.chain(parents).collect();
    let (mut known, mut found) = (waiting.len(), Found::default());
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < IN_FLIGHT_MAX
            && let Some(node) = waiting.pop_front()
        {
            under_way.push(look_at(session, node, &right));
        }
        let Some(seen) = under_way.next().await else {
            return Ok(found);
        };
        let Seen {
            path,
            rights,
            children,
        } = seen?;
        for child in children {
            known += 1;
            if known > NODES_MAX {
                found.left_out = true;
                break;
            }
            let child = node(&format!("{path}/{child}"), true);
            // What plugins keep comes last, so that it leaves nothing out that decides who leads.
            if child.path.ends_with("/state") || path.ends_with("/state") {
                waiting.push_back(child);
            } else {
                waiting.push_front(child);
            }
        }
        match rights {
            Rights::Right => {}
            Rights::Corrected => found.corrected.push(path),
            Rights::Refused(error) => found.refused.push((path, error)),
        }
    }
}

async fn look_at(
    session: &Session,
    Node { path, whole }: Node,
    right: &[Acl],
) -> Result<Seen, Error> {
    let client = session.client();
    let (rights, children) = match client.get_acl(&path).await {
        Ok((acl, stat)) if same(&acl, right) => (Rights::Right, stat.num_children),
        // Whoever takes unsigned manifests goes by their rights: what a stranger has written must not look like an operator's.
        Ok((_, stat)) if is_generation(&path) => {
            (Rights::Refused(Error::InvalidAcl), stat.num_children)
        }
        Ok((_, stat)) => (
            rights(client.set_acl(&path, session.acl(), None).await.map(drop))?,
            stat.num_children,
        ),
        Err(error) => (rights(Err(error))?, 0),
    };
    if !whole || children == 0 {
        return Ok(Seen {
            path,
            rights,
            children: Vec::new(),
        });
    }
    match client.list_children(&path).await {
        Ok(children) => Ok(Seen {
            path,
            rights,
            children,
        }),
        Err(error) => Ok(Seen {
            path,
            rights: self::rights(Err(error))?,
            children: Vec::new(),
        }),
    }
}

/// Whether a node is a generation of a deployed task.
fn is_generation(path: &str) -> bool {
    records::parent(path).is_some_and(|parent| parent.ends_with("/generations"))
}

/// What came of an attempt to set a node right.
fn rights(attempt: Result<(), Error>) -> Result<Rights, Error> {
    match attempt {
        Ok(()) => Ok(Rights::Corrected),
        Err(Error::NoNode) => Ok(Rights::Right),
        Err(error @ (Error::NoAuth | Error::InvalidAcl)) => Ok(Rights::Refused(error)),
        Err(error) => Err(error),
    }
}

/// Whether two ACLs say the same, in whatever order and however often.
pub(super) fn same(one: &[Acl], other: &[Acl]) -> bool {
    let holds = |whole: &[Acl], part: &[Acl]| part.iter().all(|entry| whole.contains(entry));
    holds(one, other) && holds(other, one)
}

fn report(
    Found {
        corrected,
        refused,
        left_out,
    }: &Found,
) {
    if let Some(first) = corrected.iter().min() {
        About::Session.report(&Event::AclCorrected {
            nodes: corrected.len(),
            node: first.clone(),
        });
    }
    if let Some((first, error)) = refused.iter().min_by(|(one, _), (other, _)| one.cmp(other)) {
        About::Session.report(&Event::AclDiffers {
            nodes: refused.len(),
            node: first.clone(),
            hint: hint(error).to_string(),
        });
    }
    if *left_out {
        tracing::warn!("of the nodes below the tasks only {NODES_MAX} were compared with `acl`");
    }
}

#[cfg(test)]
mod tests {
    use zookeeper_client::{AuthId, Permission};

    use super::*;

    #[test]
    fn two_acls_are_the_same_if_each_has_all_entries_of_the_other() {
        let entry = |id| Acl::new(Permission::ALL, AuthId::new("digest", id));
        let (a, b) = (entry("a"), entry("b"));
        assert!(same(&[a.clone(), b.clone()], &[b.clone(), a.clone()]));
        assert!(same(&[a.clone(), a.clone()], std::slice::from_ref(&a)));
        assert!(!same(&[a.clone(), a.clone()], &[a.clone(), b.clone()]));
        assert!(!same(&[a.clone(), b.clone()], &[a.clone(), a.clone()]));
        assert!(!same(&[], &[a]));
    }
}
