//! `soloist check`: say whether a configuration would run, and how it would behave, without an ensemble; with `--connect` what
//! speaks against the ensemble as well.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::{Config, EnsembleConfig, TaskConfig};
use soloist_coordination::examine::{Examination, Finding, Verdict, examine};
use soloist_core::access::AclSetting;
use soloist_core::grants::{Access, Directory, Grants};
use soloist_core::lease::Timing;
use soloist_core::text::{printable, printable_path};
use soloist_sandbox::Plugin;

use super::Failure;
use super::operator::{CONNECT_TIMEOUT_DEFAULT, block_on};
use super::options::Options;
use super::output::{print, tell_on_stderr};

/// Validate a configuration or a plugin and load every plugin, without an ensemble.
///
/// With --connect it looks at the ensemble as well, writes nothing there, and ends with code 1 if something is not as the lease
/// needs it. What it could not look at it says.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("connect_timeout", |it| it.help("Give up after this time without a first session [default: never; 10s with --connect]"))
)]
pub(super) struct Check {
    #[command(flatten)]
    options: Options,

    /// Look at the ensemble as well: its servers, their versions, settings, clocks and TLS, and who may do what. It writes nothing
    #[arg(long)]
    connect: bool,
}

impl Check {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let config = self.options.config(matches)?;
        tell_on_stderr(&config.host).map_err(Failure::RunTime)?;
        let (_, plugins) = super::plugins::load(&config)?;
        print(&summary(&config, &plugins))?;
        if self.connect {
            return block_on(examined(&config.zookeeper));
        }
        Ok(())
    }
}

/// Looks at the ensemble, and prints what was found.
async fn examined(config: &EnsembleConfig) -> Result<(), Failure> {
    let ensemble =
        soloist_runtime::host::ensemble(config).map_err(|error| Failure::Invalid(error.into()))?;
    let within = config.connect_timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT);
    let examination = examine(&ensemble, config.tick_time, within).await?;
    print(&findings(&examination))?;
    if examination.worst() == Verdict::Bad {
        return Err(Failure::RunTime(anyhow!(
            "the ensemble is not as the lease needs it: see what is marked as an error"
        )));
    }
    Ok(())
}

/// What was found, for a person.
fn findings(examination: &Examination) -> String {
    let mut text = String::new();
    let servers = examination.servers.iter();
    let parts = servers.map(|(name, findings)| (format!("server {name}"), findings));
    for (what, findings) in parts.chain([("all servers".to_owned(), &examination.ensemble)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", printable(&what));
        for Finding {
            verdict,
            text: found,
        } in findings
        {
            let _ = writeln!(text, "  {verdict:<11}  {}", printable(found));
        }
    }
    text
}

/// What the settings amount to, for a person.
fn summary(config: &Config, plugins: &[Arc<Plugin>]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = ensemble(&mut text, &config.host, &config.zookeeper);
    for (task, plugin) in config.tasks.iter().zip(plugins) {
        let _ = self::task(&mut text, task, plugin, &config.zookeeper);
    }
    text
}

fn ensemble(text: &mut String, host: &str, ensemble: &EnsembleConfig) -> std::fmt::Result {
    let certificate = ensemble.tls.iter().find_map(|tls| tls.identity.as_ref());
    let auth = ensemble.auth.iter().map(|auth| auth.scheme.as_str());
    let sasl = ensemble.sasl.iter().map(|_| "sasl");
    let schemes: Vec<_> = auth.chain(sasl).collect();
    let auth = match &schemes[..] {
        [] if certificate.is_some() => {
            "x509, if the servers take the certificate for an identity".to_owned()
        }
        [] => "none".to_owned(),
        schemes => schemes.join(" and "),
    };
    let acl = match &ensemble.acl {
        None if !schemes.is_empty() || certificate.is_some() => {
            "world: everybody may change the nodes, because `acl` is not set"
        }
        None | Some(AclSetting::World) => "world",
        Some(AclSetting::Creator) => "creator",
        Some(AclSetting::CreatorWorldRead) => "creator-world-read",
        Some(AclSetting::List(_)) => "as listed",
    };
    writeln!(text, "host {host}")?;
    writeln!(text, "ensemble {}", ensemble.servers)?;
    line(text, "root", &ensemble.root)?;
    line(
        text,
        "session timeout",
        format_args!("{:?}", ensemble.session_timeout),
    )?;
    line(text, "tick time", format_args!("{:?}", ensemble.tick_time))?;
    match ensemble.connect_timeout {
        Some(timeout) => line(text, "connect timeout", format_args!("{timeout:?}"))?,
        None => line(
            text,
            "connect timeout",
            "none: waits for the ensemble as long as it takes",
        )?,
    }
    match &ensemble.tls {
        None => line(text, "tls", "none")?,
        Some(tls) => {
            let ca = printable_path(&tls.ca);
            let names = if tls.verify_names {
                "servers have to have a certificate for their names"
            } else {
                "servers have to have a certificate, for whatever name"
            };
            line(text, "tls", format_args!("{names}, by {ca}"))?;
        }
    }
    if let Some((certificate, _)) = certificate {
        line(text, "certificate", printable_path(certificate))?;
    }
    line(text, "auth", auth)?;
    line(text, "acl", acl)
}

fn task(
    text: &mut String,
    task: &TaskConfig,
    plugin: &Plugin,
    ensemble: &EnsembleConfig,
) -> std::fmt::Result {
    writeln!(text, "task {}", task.name)?;
    line(text, "plugin", &task.plugin)?;
    line(text, "sha256", plugin.digest())?;
    match &task.path {
        Some(path) => line(text, "master node", path)?,
        None => line(
            text,
            "master node",
            format_args!("{}/tasks/{}/master", ensemble.root, task.name),
        )?,
    }
    for (number, grant) in granted(&task.grants).into_iter().enumerate() {
        line(text, if number == 0 { "may use" } else { "" }, grant)?;
    }
    let timing = Timing::new(
        ensemble.session_timeout,
        ensemble.tick_time,
        task.demote_timeout,
    );
    timing.map_or(Ok(()), |timing| lease(text, &timing, task.successor_delay))
}

/// What a task grants, a line each; what every plugin has is not said.
fn granted(grants: &Grants) -> Vec<String> {
    let mut lines = Vec::new();
    if grants.state {
        lines.push("its state in ZooKeeper".to_owned());
    }
    let network = &grants.network;
    lines.extend(
        network
            .http
            .iter()
            .flatten()
            .map(|origin| format!("HTTP to {origin}")),
    );
    lines.extend(
        network
            .tcp
            .iter()
            .flatten()
            .map(|endpoint| format!("TCP to {endpoint}")),
    );
    lines.extend(
        network
            .networks
            .iter()
            .map(|network| format!("names in {network}")),
    );
    for Directory {
        host,
        guest,
        access,
    } in &grants.dirs
    {
        let mode = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let leads = match fs::canonicalize(host) {
            Ok(real) if real != *host => format!(" (leads to {})", real.display()),
            _ => String::new(),
        };
        lines.push(format!(
            "directory {guest}, to {mode}: {}{leads}",
            host.display()
        ));
    }
    lines.extend(grants.env.keys().map(|name| format!("variable {name}")));
    lines.extend(grants.secrets.iter().map(|source| match &source.file {
        Some(file) => format!("secret {}: {}", source.name, file.display()),
        None => format!("secret {}: this host's variable", source.name),
    }));
    if lines.is_empty() {
        lines.push("nothing but log, configuration, clocks and random numbers".to_owned());
    }
    lines
}

/// What follows when a leader hears no more of the ensemble.
fn lease(text: &mut String, timing: &Timing, successor_delay: Duration) -> std::fmt::Result {
    let demotion_latest = timing.span().saturating_sub(timing.demote_timeout());
    writeln!(text, "  when its leader hears no more of the ensemble:")?;
    line(
        text,
        "  no demotion for",
        format_args!("{:?} at least", timing.ridden_out()),
    )?;
    line(
        text,
        "  demotion begins within",
        format_args!("{demotion_latest:?}"),
    )?;
    line(
        text,
        "  effects stop within",
        format_args!(
            "{:?} ({:?} at the earliest)",
            timing.span(),
            timing.effects_stop_after()
        ),
    )?;
    let delay = if successor_delay.is_zero() {
        ""
    } else {
        ", with successor_delay"
    };
    let within = timing.given_up_within().saturating_add(successor_delay);
    line(
        text,
        "  another leads within",
        format_args!("{within:?}{delay}, and an election (some messages)"),
    )
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) -> std::fmt::Result {
    writeln!(text, "  {name:<26}{}", printable(&value.to_string()))
}
