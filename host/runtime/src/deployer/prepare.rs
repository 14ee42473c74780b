//! From the number of a generation to a plugin that can run at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_config::{Config, DeployConfig, Manifest, PluginSource, TaskConfig, TaskName};
use soloist_coordination::artefacts::Artefacts;
use soloist_coordination::deployed::DeployedNodes;
use soloist_coordination::error::NodeError;
use soloist_coordination::session::Session;
use soloist_core::artefact::ArtefactSource;
use soloist_core::event::chain;
use soloist_core::lease::Timing;
use soloist_core::records::{Generation, TaskPaths};
use soloist_deploy::Artefact;
use soloist_deploy::accepted::Accepted;
use soloist_sandbox::Plugin;

use super::Common;
use super::policy::{self, Taken};
use crate::apart::apart;

/// How long fetching an artefact may take.
const FETCH_TIME: Duration = Duration::from_mins(15);

/// A generation that this host can run at once.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) manifest: Arc<Manifest>,
    pub(super) accepted: Accepted,
    pub(super) plugin: Arc<Plugin>,
    /// What the node of the generation held: it is judged anew even if somebody deletes the node.
    pub(super) data: Arc<[u8]>,
}

/// A generation that this host cannot run.
#[derive(Debug)]
pub(super) struct Unready {
    /// Why not, for a person.
    pub(super) reason: String,
    /// What its manifest says, if the host trusts that.
    pub(super) manifest: Option<Arc<Manifest>>,
    /// Whether it may not run here, so that one that runs ends. Otherwise it could not be prepared, and one that runs goes on.
    pub(super) is_refused: bool,
}

impl Unready {
    fn failed(reason: String) -> Self {
        Self {
            reason,
            manifest: None,
            is_refused: false,
        }
    }

    fn refused(reason: String) -> Self {
        Self {
            is_refused: true,
            ..Self::failed(reason)
        }
    }

    fn of(self, manifest: &Arc<Manifest>) -> Self {
        Self {
            manifest: Some(Arc::clone(manifest)),
            ..self
        }
    }
}

/// Prepares a generation: reads and judges its manifest, fetches its artefact, compiles and checks the plugin. `before` is what
/// its node held when it was prepared before.
///
/// # Cancellation safety
/// Dropped, a thread may go on with what was begun, and nobody hears what comes of it. What is fetched stays in the cache.
pub(super) async fn prepare(
    common: Arc<Common>,
    task: TaskName,
    paths: Arc<TaskPaths>,
    generation: Generation,
    before: Option<Arc<[u8]>>,
) -> Result<Ready, Unready> {
    let config = Arc::clone(&common.config.borrow());
    let Some(deploy) = config.deploy.clone() else {
        let reason = "[deploy] is not enabled in the configuration of this host";
        return Err(Unready::refused(reason.to_owned()));
    };
    if let Some(clash) = clash(&config, &task) {
        return Err(Unready::refused(clash));
    }
    // What is judged anew waits behind nothing that others have written.
    let one = match before {
        Some(_) => None,
        None => Some(common.judgements.acquire().await),
    };
    let read = read(&common, &config, &deploy, paths, generation.number).await;
    let (data, unread) = match (read, before) {
        (Ok(data), _) => (data, None),
        // Whoever hides the node must not keep running what the host does not take any more.
        (Err(unread), Some(before)) if !unread.is_refused => (before, Some(unread)),
        (Err(unread), _) => return Err(unread),
    };
    let (store, bound, judged) = (common.accepted.clone(), deploy.clone(), Arc::clone(&data));
    let judge = move || policy::judge(&bound, &store, &task, generation, &judged);
    let judged = policy::in_time(judge).await;
    drop(one);
    let Taken { manifest, accepted } = judged.map_err(Unready::refused)?;
    let manifest = Arc::new(manifest);
    if let Some(unread) = unread {
        return Err(unread.of(&manifest));
    }
    has_room(&common, &config, &manifest).map_err(|it| Unready::refused(it).of(&manifest))?;
    if let Some(label) = manifest.task.placement.lacks(&config.placement.labels) {
        let reason = format!("this host has no label {label}, which the task requires");
        return Err(Unready::refused(reason).of(&manifest));
    }
    let artefact = fetch(&common, &config, &manifest).await;
    let artefact = artefact.map_err(|it| Unready::failed(it).of(&manifest))?;
    let plugin = load(&common, config, deploy, &manifest, artefact).await;
    let plugin = Arc::new(plugin.map_err(|it| it.of(&manifest))?);
    Ok(Ready {
        manifest,
        accepted,
        plugin,
        data,
    })
}

/// What the node of a generation holds.
async fn read(
    common: &Common,
    config: &Config,
    deploy: &DeployConfig,
    paths: Arc<TaskPaths>,
    number: u64,
) -> Result<Arc<[u8]>, Unready> {
    let session = present(common).map_err(Unready::failed)?;
    let nodes = DeployedNodes::new(session, paths);
    let read = nodes.generation(number).await;
    // Of what nobody has signed the node alone tells who wrote it.
    let of = |reason, may_pass: bool| Unready {
        is_refused: deploy.require == 0 && !may_pass,
        ..Unready::failed(reason)
    };
    let failed = |error: NodeError| of(chain(&error), error.may_pass());
    let node = read.map_err(failed)?.ok_or_else(|| {
        let reason = format!("the ensemble has no generation {number}: deploy it again");
        of(reason, false)
    })?;
    if deploy.require == 0 {
        let guarded = nodes
            .is_guarded(number, &node, &config.zookeeper.root)
            .await;
        if !guarded.map_err(failed)? {
            return Err(Unready::refused(format!(
                "this host takes unsigned manifests of those who have its identity, and others may have written generation \
                 {number}: its node has another ACL than this host's nodes"
            )));
        }
    }
    Ok(node.data.into())
}

/// Why a task cannot be taken because the host's own configuration has one of that name.
fn clash(config: &Config, task: &TaskName) -> Option<String> {
    let is_own = config.tasks.iter().any(|own| own.name == *task);
    is_own.then(|| {
        let file = config.file.as_deref().unwrap_or(Path::new("flags"));
        format!(
            "the configuration of this host ({}) has a task {task} as well, which goes on: take it out there, or undeploy the \
             other",
            file.display()
        )
    })
}

/// Whether the session leaves time for the demotion of the task.
fn has_room(common: &Common, config: &Config, manifest: &Manifest) -> Result<(), String> {
    let known = common.view.borrow().session_timeout;
    let session_timeout = known.unwrap_or(config.zookeeper.session_timeout);
    let demotion = manifest.task.demote_timeout;
    Timing::new(session_timeout, config.zookeeper.tick_time, demotion)
        .map(drop)
        .map_err(|no_room| no_room.to_string())
}

/// The artefact, with the digest that the manifest says.
async fn fetch(common: &Common, config: &Config, manifest: &Manifest) -> Result<Artefact, String> {
    let deadline = Instant::now() + FETCH_TIME;
    let (source, digest) = (&manifest.artefact.source, manifest.artefact.sha256);
    let told = |error: &dyn std::error::Error| format!("{source} is not fetched: {}", chain(error));
    let artefacts = &common.artefacts;
    if *source != ArtefactSource::Ensemble {
        let fetched = artefacts.fetch(source, Some(digest), deadline).await;
        return fetched.map_err(|error| told(&error));
    }
    let kept = artefacts.kept(digest, deadline).await;
    if let Some(kept) = kept.map_err(|error| told(&error))? {
        return Ok(kept);
    }
    // One after the other: the lease is renewed over the same connection.
    let _one = common.gets.acquire().await;
    let session = present(common)?;
    let stored = Artefacts::of(&session, &config.zookeeper.root);
    let bytes = stored.get(digest).await.map_err(|error| told(&error))?;
    drop((session, stored));
    let kept = artefacts.keep(bytes, deadline).await;
    kept.map_err(|error| told(&error))
}

async fn load(
    common: &Common,
    config: Arc<Config>,
    deploy: DeployConfig,
    manifest: &Manifest,
    artefact: Artefact,
) -> Result<Plugin, Unready> {
    let permit = Arc::clone(&common.loads).acquire_owned().await;
    let loader = Arc::clone(&common.loader);
    let mut task = TaskConfig {
        plugin: PluginSource::Path(artefact.path.clone()),
        sha256: Some(artefact.digest),
        settings: manifest.task.clone(),
    };
    // What this host's network does is known to its own configuration alone.
    task.grants.network.nat64.clone_from(&config.nat64);
    let done = apart(move || {
        let _permit = permit;
        // Right before they are opened: a plugin that may write to a directory can leave a link in it.
        deploy
            .judge_places(&task, Path::canonicalize)
            .map_err(|refusals| Unready::refused(policy::refused(&refusals)))?;
        let plugin = loader.load(&config, &task, artefact);
        plugin.map_err(Unready::failed)
    });
    let done = done.await.map_err(|error| Unready::failed(chain(&error)));
    done.flatten()
}

fn present(common: &Common) -> Result<Arc<Session>, String> {
    let session = common.view.borrow().session.clone();
    session.ok_or_else(|| "this host has no session with the ensemble".to_owned())
}
