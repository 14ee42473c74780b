//! A plugin: loaded from a file once, and run in one term after another.

use std::path::Path;
use std::sync::Arc;

use crate::imports::random::SeededRandom;
use crate::imports::writes::Bucket;
use crate::leadership::Leadership;
use crate::load::inspection::{Inspected, Inspection};
use crate::load::plugin_engine::PluginEngine;
use crate::load::problem::LoadError;
use crate::load::{self, Loaded};
use crate::network::AnswerHttp;
use crate::run::failure::Failure;
use crate::run::{AfterCompletion, Linked, RunEnd};
use crate::settings::{ObserveCalls, PluginSettings};
use soloist_core::clock::TaskClock;
use soloist_core::digest::Digest;
use soloist_core::limits::{HOST_STATE_RATE, Limits};
use soloist_core::secret::Secret;

/// A plugin that is compiled and linked: starting it takes microseconds. Those of one file share what is compiled.
pub struct Plugin {
    linked: Linked,
    digest: Digest,
    warnings: Vec<String>,
}

impl Plugin {
    /// Reads, compiles and links a plugin: a component, a core module, or the text form of either.
    ///
    /// Blocks for as long as compilation takes: up to many seconds for a large plugin, and at most some seconds more than
    /// [`Limits::compile_timeout`]. The compiled plugin is kept for the next start.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file.
    pub fn load(
        engine: &Arc<PluginEngine>,
        path: &Path,
        settings: PluginSettings,
    ) -> Result<Self, LoadError> {
        let limit = settings.limits.compile_timeout;
        let file = path.to_owned();
        let engine = Arc::clone(engine);
        load::in_time(path, limit, move || {
            let loaded = Loaded::from_file(&engine, &file, &settings)?;
            Ok(Self {
                linked: Linked::new(loaded.program, Arc::new(loaded.directories), settings),
                digest: loaded.digest,
                warnings: loaded.warnings,
            })
        })
    }

    /// The plugin for those who try it, which was loaded [alone](PluginSettings::alone): it lives by this clock, its random numbers are these, `answers` stands for
    /// servers, and `calls` hears of each of its calls. It has a whole processor, and all that a host counts over its terms begins anew. Nothing
    /// but [`Plugin::interrupt`] interrupts it, so that it makes the same calls in each run.
    #[must_use]
    pub fn tried(
        &self,
        clock: TaskClock,
        random: SeededRandom,
        answers: Arc<dyn AnswerHttp>,
        calls: Arc<dyn ObserveCalls>,
    ) -> Self {
        let mut settings = self.linked.settings().clone();
        settings.clock = clock;
        settings.random = Some(random);
        settings.answers = Some(answers);
        settings.calls = Some(calls);
        settings.host_writes = Arc::new(Bucket::of_host(HOST_STATE_RATE));
        // A rest would be measured by the processor, and so let another time pass in each run.
        settings.limits.cpu = settings.limits.cpu.max(100);
        Self {
            linked: self.linked.with(settings),
            digest: self.digest,
            warnings: self.warnings.clone(),
        }
    }

    /// Interrupts the plugin where it computes, once: others on its thread have their turn. Those that share its code are
    /// interrupted too.
    pub fn interrupt(&self) {
        self.linked.interrupt();
    }

    /// Runs the plugin in a fresh store: `on_elected`, and `on_demoted` once demotion has begun. Returns when both have
    /// returned and the store is gone.
    ///
    /// `completed` is called when `on_elected` returns without an error while the plugin still leads. It is told whether the
    /// plugin has resigned before, and says what follows. When `on_demoted` is called, and when it is not, the contract says
    /// (`guest-sdk/wit/plugin.wit`).
    ///
    /// A plugin that computes or waits without end is interrupted, not stopped. The caller stops it by dropping the future,
    /// from a task of its own.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, returned an error, reached a limit, or wanted to go on after its permit had
    /// ended.
    ///
    /// # Cancellation safety
    /// Dropping the future drops the store: the plugin can have no effect any more.
    pub async fn run(
        &self,
        leadership: Leadership,
        completed: impl FnOnce(bool) -> AfterCompletion + Send,
    ) -> Result<RunEnd, Failure> {
        self.linked.run(leadership, completed).await
    }

    /// The digest of the file that the plugin was loaded from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What looks wrong about the plugin or its grants. It can run all the same.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How much the plugin may have and do.
    pub fn limits(&self) -> &Limits {
        &self.linked.settings().limits
    }

    /// The time that the plugin lives by.
    pub fn clock(&self) -> &TaskClock {
        &self.linked.settings().clock
    }

    /// The secrets that its task grants the plugin. They must not be printed.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.linked.settings().secrets.values()
    }
}

/// Says what a plugin is and what it needs, without a task that grants it anything. Compiles it as [`Plugin::load`] does,
/// within the default limits: what could not be run is refused here in the same words.
///
/// # Errors
/// [`LoadError`] says what is wrong with the file.
pub fn inspect(engine: &Arc<PluginEngine>, path: &Path) -> Result<Inspection, LoadError> {
    let limits = Limits::default();
    let (file, engine) = (path.to_owned(), Arc::clone(engine));
    load::in_time(path, limits.compile_timeout, move || {
        // What it imports is listed only when it is known to be what this host has.
        Inspected::from_file(&engine, &file, &limits).map(Inspected::inspection)
    })
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("settings", self.linked.settings())
            .finish_non_exhaustive()
    }
}
