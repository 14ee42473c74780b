//! A session that the host's own code keeps within the test: what a host could do, done by hand.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use soloist_coordination::acl::acl;
use soloist_coordination::connect::{Ensemble, SessionSettings};
use soloist_coordination::session::{Keeper, Session, SessionEnd, View};
use soloist_coordination::task::TaskNodes;
use soloist_core::guardian::Teller;
use soloist_core::records::TaskPaths;
use tokio::sync::{oneshot, watch};

use crate::cluster::{Cluster, TASK};

/// A session with its lease. Closed when this is dropped.
#[derive(Debug)]
pub struct OwnSession {
    /// What a contender goes by.
    pub view: watch::Receiver<View>,
    /// The session.
    pub session: Arc<Session>,
    /// The paths of [`TASK`].
    pub paths: Arc<TaskPaths>,
    _stop: oneshot::Sender<()>,
}

impl OwnSession {
    /// Begins a session for the host `id`.
    pub async fn begin(cluster: &Cluster, id: &str) -> Result<Self> {
        let (keeper, mut view) = Keeper::new(SessionSettings {
            ensemble: Ensemble {
                tls: None,
                servers: cluster.servers().into(),
                chroot: String::new(),
                root: "/soloist".into(),
                session_timeout: cluster.session_timeout,
                auth: None,
                sasl: None,
                acl: acl(None),
            },
            host: id.into(),
            tick_time: cluster.zookeeper.tick(),
            demote_timeout: Duration::from_secs(1),
            connect_timeout: None,
            guardian: Teller::default(),
        });
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(keeper.run(async {
            let _ = stopped.await;
            SessionEnd::Close
        }));
        let session = view
            .wait_for(|view| view.session.is_some())
            .await?
            .session
            .clone()
            .context("no session")?;
        Ok(Self {
            view,
            session,
            paths: Arc::new(TaskPaths::new("/soloist", TASK, None)),
            _stop: stop,
        })
    }

    /// The nodes of [`TASK`], seen by this session.
    pub fn nodes(&self) -> TaskNodes {
        TaskNodes::new(self.session.clone(), self.paths.clone(), TASK.into())
    }
}
