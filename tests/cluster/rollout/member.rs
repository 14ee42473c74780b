//! A host within the test: a contender on a session of its own, and what a deployer does for it. It follows the record, says
//! what it has prepared, and starts, renews and stops the contender.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use soloist_coordination::error::NodeError;
use soloist_coordination::manifests::{Changed, Manifests, Node};
use soloist_coordination::task;
use soloist_core::digest::Digest;
use soloist_core::election;
use soloist_core::placement::TaskPlacement;
use soloist_core::records::{Generation, Readiness, RolloutRecord};
use soloist_core::restart::RestartPolicy;
use soloist_core::rollout::{OnRollback, Prepared, Purpose, Settings, prepares, says, stand};
use soloist_runtime::activation::ActivationSettings;
use soloist_runtime::contender::{Contender, ContenderHandle, Task, Work};
use soloist_runtime::rollout::{Heard, Known, Rollout};
use soloist_runtime::shutdown::Shutdown;
use soloist_sandbox::{Compiler, Plugin, PluginEngine, PluginSettings};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::session::OwnSession;
use soloist_tests::{build, client};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::{READY, ROOT};

/// What all members of a test have in common.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) ready_timeout: Duration,
    /// What the plugin of a generation does.
    pub(crate) does: fn(u64) -> &'static str,
    /// For how long a member says that it was alone.
    pub(crate) alone_for: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Settings {
                healthy_after: Duration::from_millis(300),
                on_rollback: OnRollback::Restore,
                migrates: true,
                max_restarts: 1,
            },
            ready_timeout: Duration::from_mins(10),
            does: |_| "wait",
            alone_for: None,
        }
    }
}

pub(crate) fn generation(number: u64) -> Generation {
    Generation {
        number,
        sha256: Digest::of(&number.to_be_bytes()),
    }
}

/// What a member is told besides the record.
#[derive(Default)]
struct Circumstances {
    readiness: BTreeMap<u64, Readiness>,
    is_frozen: bool,
}

pub(crate) struct Member {
    own: Arc<OwnSession>,
    circumstances: Arc<(Mutex<Circumstances>, Notify)>,
    deploying: JoinHandle<Result<()>>,
    shutdown: Shutdown,
}

struct Deployer {
    host: String,
    plan: Plan,
    own: Arc<OwnSession>,
    client: Client,
    circumstances: Arc<(Mutex<Circumstances>, Notify)>,
    known: watch::Sender<Known>,
    contender: Option<(ContenderHandle, JoinHandle<()>)>,
    shutdown: Shutdown,
}

impl Member {
    /// A host of that name, which is ready for every generation.
    pub(crate) async fn start(cluster: &Cluster, host: &str, plan: &Plan) -> Result<Self> {
        Self::with(cluster, host, plan, BTreeMap::new()).await
    }

    /// The same, as ready for some generations as it is said.
    pub(crate) async fn with(
        cluster: &Cluster,
        host: &str,
        plan: &Plan,
        readiness: BTreeMap<u64, Readiness>,
    ) -> Result<Self> {
        let own = Arc::new(OwnSession::begin(cluster, host).await?);
        let circumstances = Circumstances {
            readiness,
            is_frozen: false,
        };
        let circumstances = Arc::new((Mutex::new(circumstances), Notify::new()));
        let shutdown = Shutdown::new();
        let (known, _) = watch::channel(Known {
            record: Heard::Nothing,
            prepared: Prepared::default(),
            ready_timeout: plan.ready_timeout,
        });
        let deployer = Deployer {
            host: host.to_owned(),
            plan: plan.clone(),
            own: own.clone(),
            client: cluster.client().await?,
            circumstances: circumstances.clone(),
            known,
            contender: None,
            shutdown: shutdown.clone(),
        };
        Ok(Self {
            own,
            circumstances,
            deploying: tokio::spawn(deployer.run()),
            shutdown,
        })
    }

    /// From here on the host is so far with a generation.
    pub(crate) fn prepares(&self, number: u64, readiness: Readiness) {
        self.change(|it| drop(it.readiness.insert(number, readiness)));
    }

    /// From here on it hears nothing of the record, or all there is.
    pub(crate) fn freezes(&self, is_frozen: bool) {
        self.change(|it| it.is_frozen = is_frozen);
    }

    fn change(&self, change: impl FnOnce(&mut Circumstances)) {
        let (circumstances, changed) = &*self.circumstances;
        change(&mut circumstances.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_one();
    }

    /// Nothing is waited for: it is cut off for good.
    pub(crate) async fn dies(self) {
        let Self { own, deploying, .. } = self;
        deploying.abort();
        // What it held of the session goes with it.
        let _ = deploying.await;
        drop(own);
    }

    /// It ends in order.
    pub(crate) async fn leaves(self) -> Result<()> {
        self.shutdown.trigger();
        self.deploying.await?
    }
}

impl Deployer {
    async fn run(mut self) -> Result<()> {
        // What cannot be read is read again.
        while let Err(error) = self.follow().await {
            error.downcast_ref::<NodeError>().context("of the test")?;
        }
        if let Some((handle, contending)) = self.contender.take() {
            contending.await?;
            drop(handle);
        }
        client::close(self.client).await;
        Ok(())
    }

    async fn follow(&mut self) -> Result<()> {
        let (mut manifests, mut all) = Manifests::follow(self.own.session.clone(), ROOT).await?;
        loop {
            let node = all.into_iter().find(|it| it.task == TASK);
            self.apply(node.map_or(Node::Gone, |it| it.node)).await?;
            let circumstances = self.circumstances.clone();
            let news = tokio::select! {
                changed = manifests.changed() => changed?,
                () = circumstances.1.notified() => None,
                () = self.shutdown.requested() => return Ok(()),
            };
            if self.is_frozen() {
                circumstances.1.notified().await;
            }
            all = match news {
                Some(Changed::Some(all) | Changed::All(all)) => all,
                None => vec![],
            };
            if all.is_empty() || self.is_frozen() {
                (manifests, all) = Manifests::follow(self.own.session.clone(), ROOT).await?;
            }
        }
    }

    fn is_frozen(&self) -> bool {
        let circumstances = self.circumstances.0.lock();
        circumstances
            .unwrap_or_else(PoisonError::into_inner)
            .is_frozen
    }

    fn readiness(&self, generation: Option<Generation>) -> Readiness {
        let circumstances = self.circumstances.0.lock();
        let circumstances = circumstances.unwrap_or_else(PoisonError::into_inner);
        let readiness = generation.map(|it| circumstances.readiness.get(&it.number));
        readiness.map_or_else(Readiness::default, |it| {
            it.cloned().unwrap_or(Readiness::Ready)
        })
    }

    async fn apply(&mut self, node: Node) -> Result<()> {
        let record = match node {
            Node::Gone => Heard::Nothing,
            Node::Record(record, version) => Heard::Record(record, version),
            Node::Unreadable(_) => Heard::Unreadable,
        };
        let Heard::Record(read, version) = record.clone() else {
            self.known.send_modify(|known| known.record = record);
            return Ok(());
        };
        let prepared = Prepared {
            current: self.readiness(read.current),
            wanted: self.readiness(read.wanted),
            back: self.readiness(read.back),
        };
        assert!(prepares(&read).len() <= 3);
        self.known.send_replace(Known {
            record,
            prepared: prepared.clone(),
            ready_timeout: self.plan.ready_timeout,
        });
        let path = format!("{READY}/{}", self.host);
        match says(&read, &prepared) {
            Some(says) => self.say(&path, &serde_json::to_vec(&says)?).await?,
            None => drop(self.client.delete(&path, None).await),
        }
        let Plan {
            alone_for,
            ready_timeout,
            ..
        } = self.plan;
        let purpose = stand(&read, &prepared, false, alone_for, ready_timeout);
        if let Ok(purpose) = purpose {
            return self.stands(&read, version, purpose).await;
        }
        if let Some((handle, contending)) = self.contender.take() {
            handle.withdraw("the record says so");
            contending.await?;
        }
        Ok(())
    }

    async fn say(&self, path: &str, data: &[u8]) -> Result<()> {
        client::make_path(&self.client, READY).await?;
        let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        match self.client.create(path, data, &options).await {
            Err(Error::NodeExists) => drop(self.client.set_data(path, data, None).await?),
            created => drop(created?),
        }
        Ok(())
    }

    async fn stands(
        &mut self,
        record: &RolloutRecord,
        manifest_version: i32,
        purpose: Purpose,
    ) -> Result<()> {
        let number = record.current.context("it is deployed")?.number;
        let settings = self.plan.settings;
        let activation = ActivationSettings {
            demote_timeout: Duration::from_secs(1),
            restart: RestartPolicy {
                initial: Duration::from_millis(10),
                max: Duration::from_millis(100),
                healthy_after: settings.healthy_after,
                max_restarts: settings.max_restarts,
            },
            ..ActivationSettings::default()
        };
        let plugin = match purpose {
            Purpose::Run => Some(plugin((self.plan.does)(number)).await?),
            Purpose::Promote | Purpose::TakeBack => None,
        };
        let work = Arc::new(Work {
            plugin,
            activation,
            election: election::Settings {
                demote_timeout: activation.demote_timeout,
                successor_delay: Duration::ZERO,
            },
            placement: TaskPlacement::default(),
            generation: Some(task::Generation {
                number,
                digest: None,
                manifest_version,
            }),
            rollout: Some(Rollout {
                purpose,
                settings,
                known: self.known.subscribe(),
            }),
        });
        if let Some((handle, _)) = &self.contender {
            handle.renew(work);
            return Ok(());
        }
        let task = Task {
            name: TASK.into(),
            paths: self.own.paths.clone(),
            once: None,
        };
        let (contender, handle) = Contender::new(task, work, Handle::current());
        let (view, shutdown) = (self.own.view.clone(), self.shutdown.clone());
        let contending = tokio::spawn(async move {
            contender.run(view, shutdown).await.expect("it stops");
        });
        self.contender = Some((handle, contending));
        Ok(())
    }
}

/// A plugin that does what its name says. Plugins of all members are the same.
async fn plugin(what: &str) -> Result<Arc<Plugin>> {
    static LOADED: tokio::sync::Mutex<BTreeMap<String, Arc<Plugin>>> =
        tokio::sync::Mutex::const_new(BTreeMap::new());
    let mut loaded = LOADED.lock().await;
    if let Some(plugin) = loaded.get(what) {
        return Ok(plugin.clone());
    }
    let artifacts = build::artifacts()?;
    let compiler = Compiler::Process(artifacts.soloist.clone());
    let text = match what {
        "trap" => "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        _ => "",
    };
    let mut text_file = tempfile::Builder::new().suffix(".wat").tempfile()?;
    write!(
        text_file,
        r#"(module (func (export "on_elected") {text}) (func (export "on_demoted")))"#
    )?;
    let (file, interval) = match what {
        "wait" => (artifacts.guest("heartbeat"), "100ms"),
        "error" => (artifacts.guest("heartbeat"), "no interval"),
        "trap" | "complete" => (text_file.path().to_owned(), ""),
        _ => bail!("there is no plugin that does {what}"),
    };
    let settings = PluginSettings {
        config: [("interval".to_owned(), interval.to_owned())].into(),
        ..PluginSettings::default()
    };
    let load = move || {
        let _text_file = text_file;
        let engine = Arc::new(PluginEngine::new(compiler)?);
        anyhow::Ok(Arc::new(Plugin::load(&engine, &file, settings)?))
    };
    let plugin = tokio::task::spawn_blocking(load).await??;
    loaded.insert(what.to_owned(), plugin.clone());
    Ok(plugin)
}
