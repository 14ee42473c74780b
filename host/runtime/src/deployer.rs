//! Takes the tasks that are deployed, while the host runs.
//!
//! ```text
//!  manifests --> follow --> deployed (one for each task) --> prepare: policy, fetch, load
//!                               |            |
//!                               |            +--> ready/<host>
//!                               v
//!                        Host: start, renew, stop a contender, which goes by what `Known` says
//! ```
//!
//! | module | what |
//! |---|---|
//! | `follow` | hears of manifests, and has one `deployed` for each task |
//! | `deployed` | one task on this host: what is prepared, what the host stands for, what it says |
//! | `prepare` | from the number of a generation to a plugin that can run at once |
//! | `policy` | who has to have signed, and the most that may be had |
//!
//! Election and lease go on whatever happens here: what takes long is done on other threads, and everything ends by itself.

use std::fmt;
use std::sync::Arc;

use soloist_config::{Config, TaskConfig};
use soloist_coordination::session::View;
use soloist_deploy::accepted::AcceptedStore;
use soloist_deploy::{Artefact, Artefacts};
use soloist_sandbox::Plugin;
use tokio::sync::{Semaphore, watch};

use crate::host::HostHandle;

mod deployed;
mod follow;
mod policy;
mod prepare;

/// How many plugins are loaded at once: compiling one takes a processor.
const LOADS_MAX: usize = 2;
/// How many manifests are read and judged at once, each on a thread: anybody may write as many as the ensemble holds.
const JUDGEMENTS_MAX: usize = 4;

/// Loads plugins. It is called on threads that may block.
pub trait LoadPlugin: Send + Sync + 'static {
    /// Loads the plugin of a deployed task, which is this artefact, on a host with this configuration.
    ///
    /// # Errors
    /// What is wrong, for a person.
    fn load(
        &self,
        config: &Config,
        task: &TaskConfig,
        artefact: Artefact,
    ) -> Result<Plugin, String>;
}

/// What takes deployed tasks.
pub struct Deployer {
    common: Arc<Common>,
}

/// What all deployed tasks of a host have in common.
struct Common {
    /// The configuration of the host as it is now.
    config: watch::Receiver<Arc<Config>>,
    view: watch::Receiver<View>,
    host: HostHandle,
    loader: Arc<dyn LoadPlugin>,
    artefacts: Artefacts,
    accepted: AcceptedStore,
    /// Whoever has one reads and judges a manifest for the first time.
    judgements: Semaphore,
    /// Whoever has it reads an artefact out of the ensemble.
    gets: Semaphore,
    loads: Arc<Semaphore>,
}

impl Deployer {
    /// Takes tasks for this host, whose configuration is `config`, as long as that says so. What it fetches goes to `artefacts`,
    /// and what it has accepted is in `accepted`.
    pub fn new(
        host: HostHandle,
        view: watch::Receiver<View>,
        config: watch::Receiver<Arc<Config>>,
        loader: Arc<dyn LoadPlugin>,
        artefacts: Artefacts,
        accepted: AcceptedStore,
    ) -> Self {
        let common = Common {
            config,
            view,
            host,
            loader,
            artefacts,
            accepted,
            judgements: Semaphore::new(JUDGEMENTS_MAX),
            gets: Semaphore::new(1),
            loads: Arc::new(Semaphore::new(LOADS_MAX)),
        };
        Self {
            common: Arc::new(common),
        }
    }

    /// Takes tasks, for ever.
    ///
    /// # Cancellation safety
    /// When the future is dropped, nothing more is prepared or told. Contenders go on as they are.
    pub async fn run(self) {
        follow::follow(self.common).await;
    }
}

impl fmt::Debug for Deployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployer").finish_non_exhaustive()
    }
}
