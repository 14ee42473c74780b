//! `soloist dev`: two hosts and an ensemble in one process, to try a plugin with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_core::clock::TaskClock;
use soloist_dev::playground::{Game, Maker, Manner, PlayError, Sources, Teller, play};
use soloist_runtime::report::{self, Hidden, Levels, LineQueue, Lines, LogFormat};
use soloist_runtime::signals::{self, Hangup};
use soloist_sandbox::Contacts;
use tracing::Level;

use super::Failure;
use super::options::TaskOptions;
use super::output::stdout;
use super::plugins;

mod grants;
mod input;
mod supply;

pub(super) use supply::Supply;

/// Try a plugin: two hosts and an ensemble, in this process, and a key for everything that can happen to them
///
/// A FOLDER is built as `soloist build` does, and again whenever a source in it changes; a PLUGIN is loaded again when its
/// file changes. Then the hosts exchange the plugin. What cannot be built or loaded leaves the old one running.
///
/// The keys: e elect (the other host), f fail over (kill the leader), d demote (the leader resigns), x expire (the leader's
/// session), c cut (its connection, for a moment), r reload, + (an hour later for the plugin), s show (leader, queue, terms,
/// state), ?, q quit. If stdin is no terminal, each line of it is one of these keys or words: they are carried out one after
/// the other, an unknown one ends the command, and after the last one it goes on until it is asked to stop.
///
/// The hosts are those of `soloist run`, with the same election, lease and sandbox: a plugin may do what it is granted, and
/// nothing by default. If the FOLDER has a soloist.toml, its one task says that; its ensemble is not used.
#[derive(Debug, clap::Args)]
pub(super) struct Dev {
    /// A plugin, or the folder of its project
    #[arg(value_name = "PLUGIN|FOLDER", default_value = ".")]
    subject: PathBuf,

    /// Print JSON instead of text, an object on each line
    #[arg(long)]
    json: bool,

    /// Let the plugin contact whatever it wants by HTTP and TCP, and print at the end the [task.allow] that covers it. Needs
    /// no grant of state either. Directories are not opened
    #[arg(long)]
    record_grants: bool,

    #[command(flatten)]
    task: TaskOptions,
}

impl Dev {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            subject,
            json,
            record_grants,
            task,
        } = self;
        let contacts = record_grants.then(Contacts::default);
        let (queue, _flushed_when_dropped) = LineQueue::to(io::stdout())
            .context("cannot start the thread that writes")
            .map_err(Failure::RunTime)?;
        let (manner, format) = if json {
            (Manner::Json, LogFormat::Json)
        } else {
            (Manner::Text(stdout()), LogFormat::Text)
        };
        let teller = Arc::new(Teller::new(queue.clone(), manner));
        let remarks =
            Lines::new(queue, format, Levels::own(Level::WARN), "dev".to_owned()).on(stdout());
        let hidden = Hidden::default();
        report::start_with(remarks, hidden.clone(), vec![Box::new(Arc::clone(&teller))])
            .context("cannot set up the log")
            .map_err(Failure::RunTime)?;
        let (shutdown, _) = signals::listen(Hangup::Stop)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        let clock = TaskClock::system();
        let sources = Sources::new(&subject);
        let supply = Arc::new(Supply::new(
            &subject,
            task,
            matches.clone(),
            hidden,
            clock.clone(),
            contacts,
        )?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start a runtime")
            .map_err(Failure::RunTime)?;
        runtime.block_on(async {
            let first = tokio::select! {
                first = plugins::apart({
                    let supply = Arc::clone(&supply);
                    move || supply.supply()
                }) => first?,
                () = shutdown.requested() => return Ok(()),
            };
            let is_script = !input::is_terminal();
            let orders = input::orders(&shutdown)?;
            let game = Game {
                first,
                maker: Arc::clone(&supply) as Arc<dyn Maker>,
                sources,
                clock,
                teller: Arc::clone(&teller),
                is_script,
            };
            let played = play(game, orders, shutdown).await;
            if let Some(toml) = supply.grants() {
                let message = format!("what was contacted is granted by\n{}", toml.trim_end());
                teller.say(Level::INFO, None, "grants", &message);
            }
            played.map_err(Failure::from)
        })
    }
}

/// Refuses what is neither a plugin nor a folder.
fn check_subject(subject: &Path) -> Result<(), Failure> {
    let invalid = |why: &str| Failure::Invalid(anyhow!("{}: {why}", subject.display()));
    let Ok(metadata) = subject.metadata() else {
        return Err(invalid(
            "there is no such file or folder: name a plugin, or the folder of its project",
        ));
    };
    let is_configuration = subject
        .extension()
        .is_some_and(|it| it == "toml" || it == "json");
    if !metadata.is_dir() && is_configuration {
        return Err(invalid(
            "is a configuration: name the folder that it is in, or a plugin",
        ));
    }
    Ok(())
}

impl From<PlayError> for Failure {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Unknown(_) => Self::Invalid(error.into()),
            error => Self::RunTime(error.into()),
        }
    }
}
