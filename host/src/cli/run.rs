//! `soloist run`: stand for the tasks until asked to stop.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_admin::{Exporting, TermSpans};
use soloist_config::{BadValue, Config, DeployConfig, TaskName, is_drawn_host_id};
use soloist_core::guardian::{OnDeath, Teller};
use soloist_core::roster::roster;
use soloist_core::spans;
use soloist_deploy::accepted::{AcceptedStore, StoreError};
use soloist_deploy::{Artefacts, Bounds, Cache, CacheError, DockerConfig};
use soloist_runtime::contender::Once;
use soloist_runtime::deployer::Deployer;
use soloist_runtime::host::{Host, HostError};
use soloist_runtime::lookout;
use soloist_runtime::report::{Hidden, LastLines};
use soloist_runtime::shutdown::Shutdown;
use soloist_runtime::signals::{self, Hangup};
use tokio::task::LocalSet;

use super::options::{Options, Sources, boolean};
use super::output::print_error;
use super::{Failure, plugins};
use crate::guardian::{Guardian, Line};
use crate::service::{Manager, is_managed, watchdog};

mod log;
mod page;
mod reload;
mod service;
mod watch;

use log::{levels, output, report};
use reload::Reloader;
use service::{Outlet, Service};
use watch::{Door, Watch};

/// Stand for one task, or for those of a configuration, until a signal; with --once until the plugin has completed
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,

    /// Have the only task done once, whichever host does it and whatever `on_complete` says: end with code 0 when on_elected
    /// has returned without an error, here or on another host, now or before. If the plugin fails here once more than it may
    /// be restarted, end with code 1 [default: false]
    #[arg(long, env = "SOLOIST_ONCE", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = RUN)]
    once: Option<String>,

    /// The same, once for each NAME: with another one, like a date, it is done again [default: none]
    #[arg(long, env = "SOLOIST_ONCE_FOR", value_name = "NAME", help_heading = RUN)]
    once_for: Option<String>,

    /// Have each host do the only task once for itself, one after the other: end with code 0 when on_elected has returned
    /// without an error on this host [default: false]
    #[arg(long, env = "SOLOIST_ONCE_EACH_HOST", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = RUN)]
    once_each_host: Option<String>,

    /// Run without a guardian: if the process is killed, what it holds is free only when its session has expired
    /// [default: false]
    #[arg(long, env = "SOLOIST_NO_GUARDIAN", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = GUARDIAN)]
    no_guardian: Option<String>,

    /// What the guardian does once it has given back what a dead process held: start it again, after a pause, or exit as it
    /// has ended. A task that is done once is not started again [default: restart]
    #[arg(long, env = "SOLOIST_ON_DEATH", value_name = "restart|exit", help_heading = GUARDIAN)]
    on_death: Option<String>,

    /// How lines look: for a person, or one JSON object each; or entries of systemd's journal, with fields, instead of lines on
    /// stdout [default: text]
    #[arg(long, env = "SOLOIST_LOG_FORMAT", value_name = "text|json|journal", help_heading = OUTPUT)]
    log_format: Option<String>,

    /// The least grave lines to show of Soloist and its plugins: error, warn, info, debug or trace; and after it, by name,
    /// of libraries that it is made of, like info,wasmtime_wasi=debug [default: info]
    #[arg(long, env = "SOLOIST_LOG_LEVEL", value_name = "LEVEL[,LIBRARY=LEVEL,...]", help_heading = OUTPUT)]
    log_level: Option<String>,
}

const RUN: &str = "How long";
const OUTPUT: &str = "Output";
const GUARDIAN: &str = "Guardian";

impl Run {
    pub(super) fn execute(self, matches: &ArgMatches, line: Option<Line>) -> Result<(), Failure> {
        let Self {
            options,
            once,
            once_for,
            once_each_host,
            no_guardian,
            on_death,
            log_format,
            log_level,
        } = self;
        let config = options.clone().config(matches)?;
        let from = Sources(matches);
        let once = once_as_told(&from, once, once_for, once_each_host, config.tasks.len())?;
        let output = from
            .parsed("log_format", log_format, output)?
            .unwrap_or_default();
        let levels = from
            .parsed("log_level", log_level, levels)?
            .unwrap_or_default();
        let no_guardian = from
            .parsed("no_guardian", no_guardian, boolean)?
            .unwrap_or_default();
        let on_death = from
            .parsed("on_death", on_death, death_policy)?
            .unwrap_or_default();
        let hidden = hidden(&config);
        if line.is_none() && !no_guardian {
            // A task that is done once is not begun again.
            let on_death = once.as_ref().map_or(on_death, |_| OnDeath::Exit);
            let speak = move |host: &str| report(&output, levels, host, &hidden, Vec::new());
            // The guardian stays small.
            drop(options);
            return guard(config, on_death, speak);
        }
        let mut line = line;
        let watch = Watch::begin(&config, line.as_mut())?;
        let kept = |watch: &Watch| watch.subscribers(&levels);
        let mut subscribers = watch.as_ref().map(kept).unwrap_or_default();
        let traces = config
            .otlp
            .clone()
            .and_then(|it| Some((it, spans::start()?)));
        if let Some((_, (tracer, _))) = &traces {
            subscribers.push(Box::new(TermSpans::new(Arc::clone(tracer))));
        }
        let door = watch.as_ref().and_then(Watch::door_of_all);
        let _flushed_when_dropped = report(&output, levels, &config.host, &hidden, subscribers)
            .map_err(Failure::RunTime)?;
        let exporting = traces.map(|(collector, (tracer, spans))| {
            Exporting::begin(collector, Arc::clone(&config.host), tracer, spans)
        });
        let _sends_until_dropped = exporting
            .transpose()
            .context("cannot send spans to `otlp`")
            .map_err(Failure::RunTime)?;
        let _answers_until_dropped = watch.map(Watch::serve).transpose()?;
        // Before the plugins are compiled, which takes its time.
        let (shutdown, reloads) = signals::listen(hangup(config.file.is_some(), once.is_some()))
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        let is_guarded = line.is_some();
        let teller = teller(line, &shutdown)?;
        let service = service(is_guarded.then_some(&teller))?;
        // This thread runs the elections and renews the lease; plugins have threads of their own.
        let coordination = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the coordination runtime")
            .map_err(Failure::RunTime)?;
        // Contenders take turns in it, between those of the sessions.
        let contenders = LocalSet::new();
        coordination.block_on(contenders.run_until(async {
            tell_whoever_watches(&service, &shutdown);
            let first = config.clone();
            let (loader, plugins) = tokio::select! {
                loaded = plugins::apart(move || plugins::load(&first)) => loaded?,
                () = shutdown.requested() => {
                    return if once.is_some() { Err(HostError::Interrupted.into()) } else { Ok(()) };
                }
            };
            let reloader =
                Reloader::new(options, matches.clone(), loader, hidden, config, &plugins);
            let config = reloader.config();
            let first = Arc::clone(&config.borrow());
            let deployer = match &first.deploy {
                Some(deploy) => Some(opened(deploy)?),
                None => None,
            };
            let mut host = Host::new(&first, once, shutdown, teller)?;
            for (task, plugin) in first.tasks.iter().zip(plugins) {
                host.start(task, plugin);
            }
            service.stands(host.view());
            be_seen(&mut host, &first, door);
            if let Some((artefacts, accepted)) = deployer {
                let loader = Arc::new(reloader.deployed_loader());
                let (handle, view) = (host.handle(), host.view());
                let deployer = Deployer::new(handle, view, config, loader, artefacts, accepted);
                host.accompany(deployer.run());
            }
            reloader
                .run(host, &reloads, &service)
                .await
                .map_err(Failure::from)
        }))
    }
}

/// What lines of this host never show.
fn hidden(config: &Config) -> Hidden {
    let hidden = Hidden::default();
    hidden.set(&config.zookeeper.secrets());
    hidden
}

/// Has a host that listens say in the ensemble where, and look at what it leads.
fn be_seen(host: &mut Host, config: &Config, door: Option<Door>) {
    let Some(roster) = roster().filter(|_| config.listen.is_some()) else {
        return;
    };
    host.accompany(lookout::look(host.view(), Arc::clone(roster)));
    if let Some(door) = door {
        let servers = config.zookeeper.servers.hosts().to_owned();
        host.accompany(watch::tell_address(Arc::clone(roster), door, servers));
    }
}

/// Tells whoever watches the host that this thread lives, and when the host begins to stop.
fn tell_whoever_watches(service: &Service, shutdown: &Shutdown) {
    let Some(roster) = roster() else { return };
    tokio::spawn(lookout::tick(Arc::clone(roster), service.tick()));
    let (shutdown, service) = (shutdown.clone(), service.clone());
    tokio::spawn(async move {
        shutdown.requested().await;
        roster.stopping();
        service.stops();
    });
}

/// What is to be done once, if anything is, of so many tasks.
fn once_as_told(
    from: &Sources<'_>,
    once: Option<String>,
    once_for: Option<String>,
    once_each_host: Option<String>,
    tasks: usize,
) -> Result<Option<Once>, Failure> {
    let once = from.parsed("once", once, boolean)?.unwrap_or_default();
    let once_for = from.parsed("once_for", once_for, TaskName::new)?;
    let once_each_host = from
        .parsed("once_each_host", once_each_host, boolean)?
        .unwrap_or_default();
    let (named, once) = match (once_for, once_each_host) {
        (Some(_), true) => {
            let (each, named) = (from.place("once_each_host"), from.place("once_for"));
            return Err(Failure::Invalid(anyhow!(
                "{each}: is not for what is done once for all, as {named} says"
            )));
        }
        (Some(name), false) => ("once_for", Some(Once::Task(name.into()))),
        (None, true) => ("once_each_host", Some(Once::EachHost)),
        (None, false) => ("once", once.then(|| Once::Task("".into()))),
    };
    if once.is_some() && tasks > 1 {
        let place = from.place(named);
        return Err(Failure::Invalid(anyhow!(
            "{place}: is for a single task, but there are {tasks}: leave it out"
        )));
    }
    Ok(once)
}

/// What tells the guardian, if there is one, and asks to stop when it has gone.
fn teller(line: Option<Line>, shutdown: &Shutdown) -> Result<Teller, Failure> {
    let begun = line.map(|line| line.begin(shutdown.clone())).transpose();
    let teller = begun.context("cannot talk to the guardian");
    Ok(teller.map_err(Failure::RunTime)?.unwrap_or_default())
}

/// What tells the service manager how this host is, by way of its guardian if it has one.
fn service(guardian: Option<&Teller>) -> Result<Service, Failure> {
    let outlet = match guardian {
        Some(teller) => is_managed().then(|| Outlet::Guardian(teller.clone())),
        None => manager().map(Outlet::Manager),
    };
    let parent = guardian.and_then(|_| rustix::process::getppid());
    let watchdog = watchdog(parent.map(|pid| pid.as_raw_nonzero().get()));
    Service::begin(outlet, watchdog)
        .context("cannot start the thread that tells the service manager")
        .map_err(Failure::RunTime)
}

/// The service manager of this process, if there is one that can be reached.
fn manager() -> Option<Manager> {
    Manager::of_this_process().unwrap_or_else(|error| {
        print_error(&format!("warning: NOTIFY_SOCKET cannot be used: {error}"));
        None
    })
}

/// Starts this program again, guards that process, and ends as it does.
fn guard(
    config: Config,
    on_death: OnDeath,
    speak: impl FnOnce(&str) -> anyhow::Result<LastLines> + 'static,
) -> Result<(), Failure> {
    let host = Arc::clone(&config.host);
    // Before the process is there, so that whoever asks waits for it.
    let door = config.listen.as_ref().map(watch::door).transpose()?;
    let guardian = Guardian {
        door,
        ensemble: config.zookeeper.clone(),
        is_host_drawn: is_drawn_host_id(&host),
        host,
        on_death,
        manager: manager(),
        speak: Box::new(speak),
    };
    drop(config);
    let code = guardian.guard().map_err(Failure::RunTime)?;
    std::process::exit(code.into());
}

/// Opens what a host that takes deployed tasks keeps on its disk.
fn opened(deploy: &DeployConfig) -> Result<(Artefacts, AcceptedStore), Failure> {
    if deploy.require == 0 {
        tracing::warn!(
            "[deploy] takes manifests that nobody has signed: whoever has this host's identity runs what they like here, within \
             [deploy.allow]; have them signed, with `keys`"
        );
    }
    let open = || {
        let accepted = AcceptedStore::open(&deploy.accepted())?;
        let cache = Cache::open(&deploy.artefacts())?.with_room(deploy.cache_size);
        let artefacts = Artefacts::new(cache, Bounds::default(), DockerConfig::of_user());
        anyhow::Ok((artefacts, accepted))
    };
    open().map_err(|error| {
        let of_store = error.downcast_ref::<StoreError>();
        let is_invalid = of_store.is_some_and(StoreError::is_of_configuration)
            || matches!(error.downcast_ref(), Some(CacheError::Exposed { .. }));
        let error = error.context("cannot take deployed tasks");
        if is_invalid {
            // The guardian does not start a host again that cannot be started so.
            Failure::Invalid(error)
        } else {
            Failure::RunTime(error)
        }
    })
}

/// What SIGHUP asks for.
fn hangup(has_file: bool, ends: bool) -> Hangup {
    match (has_file, ends) {
        (false, _) => Hangup::Stop,
        (true, false) => Hangup::Reload,
        (true, true) => Hangup::Nothing(
            "SIGHUP is ignored: the configuration of a task that is done once is read once",
        ),
    }
}

fn death_policy(text: &str) -> Result<OnDeath, BadValue> {
    match text {
        "restart" => Ok(OnDeath::Restart),
        "exit" => Ok(OnDeath::Exit),
        _ => Err(BadValue::choice(text, "\"restart\" or \"exit\"")),
    }
}
