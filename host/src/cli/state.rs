//! `soloist state`: what a plugin keeps, read and written by an operator.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{ArgMatches, Subcommand};
use serde::Serialize;
use soloist_config::TaskName;
use soloist_coordination::observer::{StateChange, StateGuard, StateKey};
use soloist_core::state::VALUE_MAX_BYTES;
use soloist_core::text::is_printable;

use super::Failure;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::{ago, print, print_json, table};

/// Read and write what the plugin of a task keeps in ZooKeeper
///
/// Nothing is written while somebody leads the task, unless --force says so: its plugin may rest on what it has read. Whoever leads
/// next finds what was written. Values are bytes: a plugin in Rust that uses the SDK keeps JSON in them.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct State {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Get(Get),
    Set(Set),
    Delete(Delete),
}

/// List the keys, with the size of each value, its version, and when it was written
///
/// With --json, one object on one line:
///
///   {"task": NAME, "keys": [{"key": KEY, "bytes": NUMBER, "version": NUMBER, "written": TIME}, ...]}
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct List {
    /// Only keys that begin with this [default: all]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

/// Write the value of a key to stdout or into a file, byte for byte
#[derive(Debug, clap::Args)]
struct Get {
    /// The key
    key: String,

    /// A file for the value, which must not be there; nobody else can read it [default: stdout]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    options: OperatorOptions,
}

/// Give a key the value that stdin or a file has, byte for byte
///
/// A value has at most 512 KiB, a task at most 1000 keys. The value is in no argument, which everybody on the machine could see, and
/// nothing that is printed tells it.
#[derive(Debug, clap::Args)]
struct Set {
    /// The key
    key: String,

    /// The file with the value [default: stdin]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    guard: Guard,

    #[command(flatten)]
    options: OperatorOptions,
}

/// Delete a key with its value
#[derive(Debug, clap::Args)]
struct Delete {
    /// The key
    key: String,

    #[command(flatten)]
    guard: Guard,

    #[command(flatten)]
    options: OperatorOptions,
}

#[derive(Debug, clap::Args)]
struct Guard {
    /// Write only if the key has this version, which `list` tells; 0 if it must not be there [default: whatever it has]
    #[arg(long, value_name = "NUMBER")]
    if_version: Option<u64>,

    /// Write even though somebody leads the task, or the state is about to be restored
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Keys<'a> {
    task: &'a str,
    keys: &'a [StateKey],
}

impl From<Guard> for StateGuard {
    fn from(guard: Guard) -> Self {
        let expected = guard.if_version;
        Self {
            expected: expected.map(|version| (version > 0).then_some(version)),
            force: guard.force,
        }
    }
}

impl State {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self { task, what } = self;
        let Some((_, matches)) = matches.subcommand() else {
            return Err(Failure::Invalid(anyhow!("a subcommand is required")));
        };
        match what {
            What::List(list) => list.execute(&task, matches),
            What::Get(get) => get.execute(&task, matches),
            What::Set(set) => set.execute(&task, matches),
            What::Delete(delete) => delete.execute(&task, matches),
        }
    }
}

impl List {
    fn execute(self, task: &TaskName, matches: &ArgMatches) -> Result<(), Failure> {
        let operator = self.options.operator(matches)?;
        let prefix = self.prefix.unwrap_or_default();
        let asked = operator.ask(async |observer| observer.state_keys(task, &prefix).await);
        let keys = block_on(asked)?;
        if self.json {
            return print_json(&Keys { task, keys: &keys }).map(drop);
        }
        let row = |it: &StateKey| {
            [
                it.key.clone(),
                it.bytes.to_string(),
                it.version.to_string(),
                ago(&it.written),
            ]
        };
        let rows: Vec<_> = keys.iter().map(row).collect();
        print(&table(["KEY", "BYTES", "VERSION", "WRITTEN"], &rows)).map(drop)
    }
}

impl Get {
    fn execute(self, task: &TaskName, matches: &ArgMatches) -> Result<(), Failure> {
        let Self { key, file, options } = self;
        let operator = options.operator(matches)?;
        let asked = operator.ask(async |observer| observer.state_value(task, &key).await);
        let (value, _) = block_on(asked)?;
        match file {
            Some(path) => keep(&path, &value)
                .with_context(|| format!("cannot write {}", path.display()))
                .map_err(Failure::RunTime),
            None => tell(&value),
        }
    }
}

impl Set {
    fn execute(self, task: &TaskName, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            key,
            file,
            guard,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let value = match &file {
            Some(path) => File::open(path)
                .and_then(bounded)
                .with_context(|| format!("cannot read {}", path.display())),
            None => bounded(io::stdin()).context("cannot read stdin"),
        };
        let value = value.map_err(Failure::Invalid)?;
        let change = StateChange::Set(&value);
        let changed = operator.ask(async |observer| {
            let guard = guard.into();
            observer.change_state(task, &key, change, guard).await
        });
        let version = block_on(changed)?;
        let bytes = value.len();
        print(&format!(
            "{key} of {task} has {bytes} bytes now, in version {version}\n"
        ))
        .map(drop)
    }
}

impl Delete {
    fn execute(self, task: &TaskName, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            key,
            guard,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let changed = operator.ask(async |observer| {
            let guard = guard.into();
            observer
                .change_state(task, &key, StateChange::Delete, guard)
                .await
        });
        block_on(changed)?;
        print(&format!("{key} of {task} is deleted\n")).map(drop)
    }
}

/// Reads a value, and no more than shows that it is too large.
fn bounded(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut value = Vec::new();
    from.take(VALUE_MAX_BYTES as u64 + 1)
        .read_to_end(&mut value)?;
    Ok(value)
}

/// Writes a value into a new file of its own.
fn keep(path: &Path, value: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(value)
}

/// Writes a value to stdout as it is. What could drive a terminal does not go to one.
fn tell(value: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        let is_text = |text: &str| text.chars().all(|it| is_printable(it) || it == '\n');
        let Some(text) = std::str::from_utf8(value).ok().filter(|it| is_text(it)) else {
            let bytes = value.len();
            return Err(Failure::RunTime(anyhow!(
                "the value has {bytes} bytes that are no plain text: write them into a file or a pipe"
            )));
        };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        return print(&format!("{text}{end}")).map(drop);
    }
    match stdout.write_all(value).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::RunTime(
            anyhow::Error::new(error).context("cannot write to stdout"),
        )),
        _ => Ok(()),
    }
}
