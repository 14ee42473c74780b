//! `soloist deploy`: make a generation of a task, and see it run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use serde::Serialize;
use soloist_config::{Artefact, Deployment, GivenDeployment, Manifest, Written};
use soloist_coordination::observer::rollout::Seen;
use soloist_core::artefact::ArtefactSource;
use soloist_core::records::{Envelope, Generation, RolloutRecord};
use soloist_core::rollout::{Draft, draft};

use super::Failure;
use super::operator::{OperatorOptions, block_on};
use super::options::{Sources, TaskOptions, boolean};
use super::output::{print, print_json, tell_on_stderr};
use super::rollout::follow::{WaitFor, follow, wait_for};
use super::rollout::{now, who};

mod plugin;
mod signed;
mod write;

use plugin::Obtained;
use signed::Signed;
pub(super) use signed::{Out, sign};
pub(super) use write::Deploying;

/// Deploy a task: hosts that take deployed tasks fetch it, and run it in the place of the generation before
///
/// TASK.toml is a file with one [[task]], as hosts have it, and above it, if they differ from the defaults, healthy_after,
/// ready_timeout, on_rollback and migrates. Instead of a file, a PLUGIN can be deployed with the flags of a task.
///
/// The plugin is checked here, as by `soloist check`. Hosts fetch it from where --source says: by default it is put into the
/// ensemble, if it is small enough. Then the generation is written: all of it, or nothing. Hosts prepare it while the one
/// before runs on. The command waits until a leader runs it (--wait-for), and tells how far that is.
///
/// Hosts that want signatures are given them in three steps: write the text to sign with --out report.json, sign it with
/// minisign -S -m report.json, and deploy it with --manifest report.json --signature report.json.minisig, and PLUGIN if it
/// comes from the ensemble.
///
/// With --json, one object on one line when all is done:
///
///   {"task": NAME, "generation": NUMBER, "sha256": DIGITS, "artefact": {"sha256": DIGITS, "source": PLACE},
///    "stage": STAGE, "ready": NUMBER, "hosts": NUMBER,
///    "running": {"host": ID, "term": NUMBER, "generation": NUMBER, "since": TIME}}
///
/// "sha256" is that of the manifest. STAGE is that of the task, as in `soloist tasks --json`. "running" is null if nobody runs
/// the task, and without the wait.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Deploy {
    /// A file with one [[task]], if its name ends in .toml or .json, else a plugin: a file, or an artefact to fetch
    #[arg(
        value_name = "TASK.toml|TASK.json|PLUGIN",
        required_unless_present = "manifest"
    )]
    subject: Option<PathBuf>,

    /// Where hosts fetch the plugin: ensemble:, file:///PATH, https://HOST/PATH or oci://REGISTRY/REPOSITORY:TAG, which is
    /// resolved once, now [default: where PLUGIN is fetched from, and the ensemble for a file]
    #[arg(long, value_name = "PLACE")]
    source: Option<String>,

    /// A text that was written with --out and signed, to be deployed byte for byte [default: none]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    /// A signature of that text, as minisign writes it; can be repeated [default: none]
    #[arg(long, value_name = "FILE.minisig", requires = "manifest")]
    signature: Vec<PathBuf>,

    /// Write the text to sign into this file, and deploy nothing [default: none]
    #[arg(long, value_name = "FILE", conflicts_with = "manifest")]
    out: Option<PathBuf>,

    /// Print the text that would be signed, and deploy nothing
    #[arg(long, conflicts_with_all = ["manifest", "out"])]
    dry_run: bool,

    /// The number of the generation, if it shall not be the next one: after `soloist forget`, hosts refuse lower numbers than
    /// those that they had [default: the next]
    #[arg(long, value_name = "NUMBER", conflicts_with = "manifest")]
    generation: Option<u64>,

    /// Deploy it though it may more than the generation before, after this was shown
    #[arg(long)]
    accept_grants: bool,

    /// Do not check the plugin here
    #[arg(long)]
    no_check: bool,

    /// How long a run has to last before the generation is healthy [default: 1m]
    #[arg(long, value_name = "DURATION", conflicts_with = "manifest")]
    healthy_after: Option<String>,

    /// How long hosts that are not ready are waited for [default: 1m]
    #[arg(long, value_name = "DURATION", conflicts_with = "manifest")]
    ready_timeout: Option<String>,

    /// What becomes of the state when the generation is taken back: restore or keep [default: restore]
    #[arg(long, value_name = "restore|keep", conflicts_with = "manifest")]
    on_rollback: Option<String>,

    /// Whether the plugin may change the state so that the one before cannot read it: then the state is copied first
    /// [default: true]
    #[arg(long, value_name = "true|false", conflicts_with = "manifest")]
    migrates: Option<String>,

    /// What to wait for: runs, when a leader runs the generation, or healthy
    #[arg(long, value_name = "runs|healthy", default_value = "runs", value_parser = wait_for)]
    wait_for: WaitFor,

    /// Wait for nothing
    #[arg(long, conflicts_with = "wait_for")]
    no_wait: bool,

    /// How long to wait; the rollout goes on longer
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Print JSON when all is done, and what happens until then to stderr
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,

    #[command(flatten)]
    task: TaskOptions,
}

#[derive(Serialize)]
struct Answer<'a> {
    task: &'a str,
    generation: u64,
    sha256: String,
    artefact: &'a Artefact,
    stage: &'static str,
    ready: usize,
    hosts: usize,
    running: Option<soloist_coordination::observer::rollout::Running>,
}

/// A manifest that is about to be written, and the plugin that goes with it, if it is at hand.
pub(super) struct Prepared {
    pub(super) manifest: Manifest,
    pub(super) envelope: Envelope,
    pub(super) plugin: Option<Vec<u8>>,
}

impl Prepared {
    /// A manifest without a signature.
    pub(super) fn unsigned(manifest: Manifest, plugin: Option<Vec<u8>>) -> Result<Self, Failure> {
        let text = manifest.text()?;
        let envelope = Envelope::new(text, Vec::new()).map_err(|error| {
            Failure::Invalid(anyhow::Error::new(error).context("the manifest cannot be deployed"))
        })?;
        Ok(Self {
            manifest,
            envelope,
            plugin,
        })
    }

    /// What it is known by.
    pub(super) fn generation(&self) -> Generation {
        Generation {
            number: self.manifest.generation,
            sha256: self.envelope.sha256(),
        }
    }
}

impl Deploy {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("deploy").map_err(Failure::RunTime)?;
        match &self.manifest {
            Some(file) => {
                refuse_task_flags(matches)?;
                let signed = Signed::read(file, &self.signature, self.subject.as_deref())?;
                self.execute_signed(signed, matches)
            }
            None => self.execute_drafted(matches),
        }
    }

    fn execute_signed(self, signed: Signed, matches: &ArgMatches) -> Result<(), Failure> {
        if !self.no_check {
            signed.check()?;
        }
        let prepared = signed.prepared();
        let deploying = self.deploying();
        let operator = self.options.operator(matches)?;
        block_on(operator.work(async |observer| {
            let record = deploying.write(&operator, observer, &prepared).await?;
            let followed = deploying.follow(&operator, observer, &prepared, record);
            followed.await
        }))
    }

    fn execute_drafted(mut self, matches: &ArgMatches) -> Result<(), Failure> {
        let deployment = self.deployment(matches)?;
        let mut obtained = Obtained::new(&deployment, self.source.as_deref(), self.no_check)?;
        let artefact = Artefact {
            sha256: obtained.digest,
            source: obtained.source.clone(),
        };
        let plugin = (artefact.source == ArtefactSource::Ensemble)
            .then(|| std::mem::take(&mut obtained.bytes));
        let deploying = self.deploying();
        let operator = self.options.operator(matches)?;
        block_on(operator.work(async |observer| {
            let task = &*deployment.task.name;
            let next = deploying.next(observer, task, self.generation).await?;
            let manifest = deployment.manifest(next, artefact, now(), who());
            let prepared = Prepared::unsigned(manifest, plugin)?;
            let out = match (&self.out, self.dry_run) {
                (Some(file), _) => Some(Out::File(file)),
                (None, true) => Some(Out::Stdout),
                (None, false) => None,
            };
            if let Some(out) = out {
                let widens = deploying.show_widening(observer, &prepared).await?;
                return sign(&prepared, out, widens);
            }
            let record = deploying.write(&operator, observer, &prepared).await?;
            let followed = deploying.follow(&operator, observer, &prepared, record);
            followed.await
        }))
    }

    fn deployment(&mut self, matches: &ArgMatches) -> Result<Deployment, Failure> {
        let subject = self.subject.clone().unwrap_or_default();
        super::inspect::refuse_folder(&subject)?;
        let from = Sources(matches);
        let flag = |value: Option<String>, name: &str| value.map(|it| Written::flag(it, name));
        let migrates = from.parsed("migrates", self.migrates.take(), boolean)?;
        let task = self.task.clone().given(matches);
        let given = GivenDeployment {
            task: task.map_err(Failure::Invalid)?,
            healthy_after: flag(self.healthy_after.take(), "--healthy-after"),
            ready_timeout: flag(self.ready_timeout.take(), "--ready-timeout"),
            on_rollback: flag(self.on_rollback.take(), "--on-rollback"),
            migrates: migrates.map(|migrates| Written::flag(migrates, "--migrates")),
        };
        Ok(Deployment::load(&subject, given)?)
    }

    fn deploying(&self) -> Deploying {
        Deploying {
            accept_grants: self.accept_grants,
            wait: (!self.no_wait).then_some((self.wait_for, self.timeout)),
            json: self.json,
        }
    }
}

impl Deploying {
    /// What the next manifest has to say of itself. `number` is the one that somebody wants.
    pub(super) async fn next(
        &self,
        observer: &soloist_coordination::observer::Observer,
        task: &str,
        number: Option<u64>,
    ) -> Result<Draft, Failure> {
        let rollout = observer.rollout(task).await?;
        let record = rollout.map(|it| it.record);
        let next = draft(record.as_ref());
        // Somebody may have deleted the record, and not the generations.
        let there = observer.generations(task).await?;
        let after = there.first().map_or(1, |newest| newest.saturating_add(1));
        let number = number.unwrap_or(next.number.max(after));
        Ok(Draft { number, ..next })
    }

    /// Follows what was written, if that is asked for, and says in the end how it stands.
    pub(super) async fn follow(
        &self,
        operator: &super::operator::Operator,
        observer: &mut soloist_coordination::observer::Observer,
        prepared: &Prepared,
        record: RolloutRecord,
    ) -> Result<(), Failure> {
        let task = &*prepared.manifest.task.name;
        let generation = prepared.generation();
        let number = generation.number;
        let is_wanted = record.wanted == Some(generation);
        let what = if is_wanted {
            "wanted"
        } else {
            "the current one"
        };
        self.tell(&format!(
            "generation {number} of {task} is deployed: it is {what}"
        ))?;
        self.tidy(observer, task, &record).await;
        let seen = match self.wait {
            Some((wait, within)) => {
                let tell = |line: &str| self.tell(line);
                follow(operator, observer, (task, generation), (wait, within), tell).await?
            }
            None => Seen {
                record: None,
                hosts: Vec::new(),
                running: None,
            },
        };
        if !self.json {
            return Ok(());
        }
        let (ready, hosts) = seen.ready(number);
        let stage = seen
            .record
            .as_ref()
            .map_or(&record.stage, |it| &it.record.stage);
        print_json(&Answer {
            task,
            generation: number,
            sha256: generation.sha256.to_string(),
            artefact: &prepared.manifest.artefact,
            stage: super::tasks::stage(stage),
            ready,
            hosts,
            running: seen.running,
        })
        .map(drop)
    }

    /// Says what has happened, to stderr if stdout is for JSON.
    pub(super) fn tell(&self, line: &str) -> Result<(), Failure> {
        if self.json {
            super::output::print_error(line);
            Ok(())
        } else {
            print(&format!("{line}\n")).map(drop)
        }
    }
}

/// Refuses flags of a task beside a text that says all of it.
fn refuse_task_flags(matches: &ArgMatches) -> Result<(), Failure> {
    let flags = <TaskOptions as clap::Args>::augment_args(clap::Command::new("task"));
    for flag in flags.get_arguments() {
        let source = matches.value_source(flag.get_id().as_str());
        if source.is_some_and(|source| source != clap::parser::ValueSource::DefaultValue) {
            let place = Sources(matches).place(flag.get_id().as_str());
            return Err(Failure::Invalid(anyhow!(
                "{place}: the manifest says all of the task: leave it out, or make the manifest anew"
            )));
        }
    }
    Ok(())
}

/// Reads a file of bounded length.
pub(super) fn read_bounded(file: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        // Opening a pipe would wait for its other end.
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        std::fs::File::open(file)?
            .take(max + 1)
            .read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    let shown = file.display();
    let bytes = read().with_context(|| format!("{shown} cannot be read"));
    let bytes = bytes.map_err(Failure::Invalid)?;
    let bytes = bytes.ok_or_else(|| Failure::Invalid(anyhow!("{shown} is not a file")))?;
    if bytes.len() as u64 > max {
        return Err(Failure::Invalid(anyhow!(
            "{shown} has more than {max} bytes"
        )));
    }
    Ok(bytes)
}

/// The digest of a plugin, and where hosts would fetch it. Nothing is checked.
pub(super) fn obtained(
    deployment: &Deployment,
) -> Result<(soloist_core::digest::Digest, ArtefactSource), Failure> {
    let obtained = Obtained::new(deployment, None, true)?;
    Ok((obtained.digest, obtained.source))
}
