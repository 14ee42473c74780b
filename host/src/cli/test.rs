//! `soloist test`: the scripted lives of a task, in virtual time, and a failover at each call of its plugin.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_core::clock::TaskClock;
use soloist_dev::trial::{Explored, Listener, Point, Script, Subject, Unmet, explore, live};
use soloist_runtime::activation::ActivationSettings;
use soloist_runtime::report::{self, Hidden, Levels, Lines, LogFormat};
use tracing::Level;

use super::Failure;
use super::dev::Supply;
use super::options::TaskOptions;
use super::output::{print, stderr};

mod progress;

use progress::Progress;

/// How many findings are told of one life.
const FINDINGS_SHOWN: usize = 20;
/// How many points at which a failover does the same are told.
const POINTS_SHOWN: usize = 4;

/// Test a plugin in virtual time: a scripted life of its task, in which a day takes a moment
///
/// A FOLDER is built as `soloist dev` does, and goes through each script in its `tests`, in the order of their names. Without
/// a script a host leads for an hour and is stopped, and then another. The plugin has what its task grants, and nothing by
/// default; what the script answers stands for HTTP servers. GUIDE.md has the script.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// A plugin, or the folder of its project
    #[arg(value_name = "PLUGIN|FOLDER", default_value = ".")]
    subject: PathBuf,

    /// Go through this script; can be repeated [default: FOLDER/tests/*.toml]
    #[arg(long, value_name = "FILE", action = clap::ArgAction::Append)]
    script: Vec<PathBuf>,

    /// Go through each life again, with a failover before and after each call of the plugin, and tell what it would do
    #[arg(long)]
    explore: bool,

    /// How many failovers to try for a script
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = clap::value_parser!(u32).range(1..))]
    explore_max: u32,

    /// Try this failover alone: the number of a call and what happens there, like 17:kill [default: every one]
    #[arg(long, value_name = "CALL:KIND")]
    at: Option<Point>,

    /// What the plugin's random numbers come of: the same number has it draw the same ones
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,

    #[command(flatten)]
    task: TaskOptions,
}

impl Test {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let hidden = Hidden::default();
        let lines = Lines::new(
            io::stderr,
            LogFormat::Text,
            Levels::own(Level::WARN),
            "test".to_owned(),
        );
        report::start_with(lines.on(stderr()), hidden.clone(), vec![Box::new(Listener)])
            .context("cannot set up the log")
            .map_err(Failure::RunTime)?;
        let supply = Supply::new(
            &self.subject,
            self.task,
            matches.clone(),
            hidden,
            TaskClock::system(),
            None,
        )?;
        // What is wrong with a script is known before anything is built.
        let scripts = scripts(&self.subject, self.script)?;
        let made = supply.supply()?;
        let task = &made.setup.task;
        let subject = Subject {
            plugin: made.plugin,
            settings: ActivationSettings {
                demote_timeout: task.demote_timeout,
                restart: task.restart,
                on_complete: task.on_complete,
            },
            task: task.name.clone().into(),
            seed: self.seed,
        };
        let (number, mut failed) = (scripts.len(), 0);
        for (name, script) in scripts {
            let began = Instant::now();
            let lived = live(&subject, &script);
            let (terms, passed) = (counted(lived.terms, "term"), whole(lived.passed));
            let took = began.elapsed().as_millis();
            let mut told = format!(
                "{name}: {terms}, {passed} in {took} ms, seed {}\n",
                self.seed
            );
            let mut is_good = lived.unmet.is_empty();
            tell_unmet(&mut told, &lived.unmet);
            if let Some(beyond) = self.at.filter(|at| at.call() > lived.calls() as u64) {
                let calls = counted(lived.calls() as u64, "call");
                let what = anyhow!(
                    "--at {beyond}: the plugin makes {calls} in {name}, so there is no call {}: choose one of them, or another --script",
                    beyond.call()
                );
                return Err(Failure::Invalid(what));
            }
            if self.explore && self.at.is_none() && !is_good {
                // What a failover adds cannot be told from what is wrong without one.
                told.push_str(
                    "  no failover was tried: the life has to go as it should without one first\n",
                );
            } else if self.explore || self.at.is_some() {
                let began = Instant::now();
                let max = usize::try_from(self.explore_max).unwrap_or(usize::MAX);
                let progress = Progress::of(&name);
                let explored = explore(&subject, &script, &lived, max, self.at, &|tried, of| {
                    progress.tell(tried, of);
                });
                drop(progress);
                is_good = is_good && explored.findings.is_empty();
                tell_explored(&mut told, &explored, began.elapsed());
            }
            failed += usize::from(!is_good);
            print(&format!("{} {told}", if is_good { "ok" } else { "FAILED" }))?;
        }
        if failed > 0 {
            let what = anyhow!("{failed} of {number} did not go as it should");
            return Err(Failure::RunTime(what));
        }
        Ok(())
    }
}

fn tell_unmet(told: &mut String, unmet: &[Unmet]) {
    for Unmet { place, what } in unmet {
        let place = place.as_ref().map(|place| format!("{place}: "));
        let place = place.unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(told, "  {place}{}", what.replace('\n', "\n  "));
    }
}

fn tell_explored(told: &mut String, explored: &Explored, took: Duration) {
    let Explored {
        calls,
        tried,
        left,
        findings,
    } = explored;
    let rate = u128::from(*tried as u64) * 1_000_000 / took.as_micros().max(1);
    let calls = counted(*calls as u64, "call");
    let tried = counted(*tried as u64, "failover");
    let _ = write!(
        told,
        "  {tried} at {calls} in {} ms, {rate} a second",
        took.as_millis()
    );
    if *left > 0 {
        let _ = write!(told, "; {left} were not tried (--explore-max)");
    }
    let _ = writeln!(told, "; {}", counted(findings.len() as u64, "finding"));
    // What is the same at several points is told once.
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for finding in findings {
        let import = Some(finding.import).filter(|import| !import.is_empty());
        let import = import.map(|import| format!(" ({import})"));
        let import = import.unwrap_or_default();
        let point = finding.point.map(|point| format!("--at {point}{import}"));
        match groups.iter_mut().find(|(what, _)| *what == finding.what) {
            Some((_, points)) => points.extend(point),
            None => groups.push((&finding.what, point.into_iter().collect())),
        }
    }
    for (what, points) in groups.iter().take(FINDINGS_SHOWN) {
        let more = points.len().saturating_sub(POINTS_SHOWN);
        let mut points = points[..points.len() - more].join(", ");
        if more > 0 {
            let _ = write!(points, " and {more} more");
        }
        let colon = if points.is_empty() { "" } else { ": " };
        let _ = writeln!(told, "  {points}{colon}{what}");
    }
    if groups.len() > FINDINGS_SHOWN {
        let _ = writeln!(told, "  and {} more", groups.len() - FINDINGS_SHOWN);
    }
}

/// The lives to go through, with their names.
fn scripts(subject: &Path, given: Vec<PathBuf>) -> Result<Vec<(String, Script)>, Failure> {
    let paths = if given.is_empty() && subject.is_dir() {
        in_folder(&subject.join("tests"))?
    } else {
        given
    };
    if paths.is_empty() {
        return Ok(vec![("a usual life".to_owned(), Script::usual())]);
    }
    let (mut scripts, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.strip_prefix(subject).unwrap_or(&path);
        if path.is_dir() {
            let path = path.display();
            bad.push(format!("{path} is a folder: name a script, a file of TOML"));
            continue;
        }
        match Script::read(&path) {
            Ok(script) => scripts.push((name.display().to_string(), script)),
            Err(error) => bad.push(format!("{:#}", anyhow::Error::new(error))),
        }
    }
    if bad.is_empty() {
        Ok(scripts)
    } else {
        Err(Failure::Invalid(anyhow!(bad.join("\n"))))
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("{}: cannot be read", folder.display());
            return Err(Failure::Invalid(anyhow::Error::new(error).context(what)));
        }
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    Ok(paths)
}

fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A duration without what is less than a second.
fn whole(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}
