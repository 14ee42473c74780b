//! The command line: what can be typed, and how a command ends.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fmt;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::thread;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use soloist_config::ConfigError;
use soloist_coordination::observer::ObserverError;
use soloist_core::text::{printable, printable_lines};
use soloist_runtime::host::HostError;

mod build;
mod check;
mod completions;
mod deploy;
mod describe;
mod dev;
mod diff;
mod drain;
mod ensemble;
mod fetch;
mod forget;
mod groups;
mod history;
mod inspect;
mod listener;
mod logs;
mod new;
mod operator;
mod options;
mod output;
mod pause;
mod plugins;
mod push;
mod resign;
mod retry;
mod rollback;
mod rollout;
mod run;
mod state;
mod status;
mod tasks;
mod test;
mod unbuilt;
mod undeploy;
mod undrain;
mod usage;

pub(crate) use output::print_error;

use usage::shown;

use crate::guardian::Line;

const EXIT_CODES: &str = "\
Exit codes:
  0      a clean end
  1      a failure at run time, an order that was not fulfilled, or a plugin that has not completed (--once)
  2      bad usage, a bad configuration or a bad plugin
  3      the ensemble could not be reached, or refused us, or the host's id was taken, within --connect-timeout
  4      an order was given and stands, but was not carried out within --timeout
  128+n  ended by signal n, a second or more after the first one that asked to stop";

/// How much is shown of a line of an error.
const LINE_BYTES_MAX: usize = 2000;

const SETTINGS: &str = "\
Settings:
  A duration is a number with its unit, like 500ms, 10s or \"1m 30s\".
  A flag is preferred to its variable, a variable to the file, and the file to the default.
";

/// Runs a task, a WebAssembly plugin, on exactly one machine of many: ZooKeeper decides which.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Dev(dev::Dev),
    Test(test::Test),
    Inspect(inspect::Inspect),
    New(new::New),
    Build(build::Build),
    Push(push::Push),
    Deploy(deploy::Deploy),
    Tasks(tasks::Tasks),
    Diff(diff::Diff),
    Rollback(rollback::Rollback),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Undeploy(undeploy::Undeploy),
    Forget(forget::Forget),
    Status(status::Status),
    Describe(describe::Describe),
    Resign(resign::Resign),
    Retry(retry::Retry),
    Drain(drain::Drain),
    Undrain(undrain::Undrain),
    History(history::History),
    Logs(logs::Logs),
    State(state::State),
    Ensemble(ensemble::Ensemble),
    Completions(completions::Completions),
    Manual(completions::Manual),
}

/// A command has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was begun: what was asked for is wrong.
    Invalid(anyhow::Error),
    /// Something went wrong on the way.
    RunTime(anyhow::Error),
    /// There was no session with the ensemble in the time allowed.
    Unreachable(anyhow::Error),
    /// What was ordered stands, and was not carried out in the time allowed.
    Unfinished(anyhow::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::RunTime(_) => 1,
            Self::Invalid(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Unfinished(_) => 4,
        })
    }
}

impl Failure {
    /// The same failure, with what it means before what it says.
    fn context(self, context: String) -> Self {
        match self {
            Self::Invalid(error) => Self::Invalid(error.context(context)),
            Self::RunTime(error) => Self::RunTime(error.context(context)),
            Self::Unreachable(error) => Self::Unreachable(error.context(context)),
            Self::Unfinished(error) => Self::Unfinished(error.context(context)),
        }
    }

    /// What went wrong.
    pub(crate) fn error(&self) -> &anyhow::Error {
        let (Self::Invalid(error)
        | Self::RunTime(error)
        | Self::Unreachable(error)
        | Self::Unfinished(error)) = self;
        error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.error();
        // A stranger's file or node may be quoted in it: that shall neither drive the terminal nor flood it.
        for (number, line) in format!("{error:#}").lines().enumerate() {
            let shown = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            let cut = if shown.len() < line.len() { "…" } else { "" };
            write!(
                f,
                "{}{}{cut}",
                if number > 0 { "\n" } else { "" },
                printable(shown)
            )?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::GaveUp(_) => Self::Unreachable(error.into()),
            HostError::Tls(_) => Self::Invalid(error.into()),
            error => Self::RunTime(error.into()),
        }
    }
}

impl From<ObserverError> for Failure {
    fn from(error: ObserverError) -> Self {
        match error {
            ObserverError::Connect { .. }
            | ObserverError::Identity(_)
            | ObserverError::ReadOnly { .. } => Self::Unreachable(error.into()),
            error => Self::RunTime(error.into()),
        }
    }
}

/// Does what the command line says. Usage that cannot be understood ends the process here, with code 2.
pub(crate) fn run(line: Option<Line>) -> Result<(), Failure> {
    std::panic::set_hook(Box::new(tell_panic));
    let guarded_word = usize::from(line.is_some());
    let arguments = env::args_os();
    let arguments = arguments
        .enumerate()
        .filter(|(place, _)| guarded_word == 0 || *place != 1);
    let matches = command()
        .try_get_matches_from(arguments.map(|(_, argument)| argument))
        .unwrap_or_else(|error| shown(error).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| shown(error).exit());
    let (_, matches) = matches.subcommand().expect("a subcommand is required");
    match cli.command {
        Command::Run(run) => run.execute(matches, line),
        Command::Check(check) => check.execute(matches),
        Command::Dev(dev) => dev.execute(matches),
        Command::Test(test) => test.execute(matches),
        Command::Inspect(inspect) => inspect.execute(matches),
        Command::New(new) => new.execute(matches),
        Command::Build(build) => build.execute(matches),
        Command::Push(push) => push.execute(matches),
        Command::Deploy(deploy) => deploy.execute(matches),
        Command::Tasks(tasks) => tasks.execute(matches),
        Command::Diff(diff) => diff.execute(matches),
        Command::Rollback(rollback) => rollback.execute(matches),
        Command::Pause(pause) => pause.execute(matches),
        Command::Resume(resume) => resume.execute(matches),
        Command::Undeploy(undeploy) => undeploy.execute(matches),
        Command::Forget(forget) => forget.execute(matches),
        Command::Status(status) => status.execute(matches),
        Command::Describe(describe) => describe.execute(matches),
        Command::Resign(resign) => resign.execute(matches),
        Command::Retry(retry) => retry.execute(matches),
        Command::Drain(drain) => drain.execute(matches),
        Command::Undrain(undrain) => undrain.execute(matches),
        Command::History(history) => history.execute(matches),
        Command::Logs(logs) => logs.execute(matches),
        Command::State(state) => state.execute(matches),
        Command::Ensemble(ensemble) => ensemble.execute(),
        Command::Completions(completions) => completions.execute(),
        Command::Manual(manual) => manual.execute(),
    }
}

/// Says where and of what a thread has panicked: a bug of the host, but it may quote what somebody else wrote.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let (thread, place) = (thread::current(), panic.location().map(ToString::to_string));
    let (name, place) = (
        thread.name().unwrap_or("without a name"),
        place.unwrap_or_default(),
    );
    let mut told = format!(
        "thread {name} panicked at {place}: {}",
        panic.payload_as_str().unwrap_or("no message")
    );
    told.truncate(told.floor_char_boundary(LINE_BYTES_MAX));
    let mut told = printable(&told).into_owned();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        told = format!("{told}\n{}", printable_lines(&backtrace.to_string()));
    }
    print_error(&told);
}

fn command() -> clap::Command {
    // The help names the variables; what they hold now would only make it differ from machine to machine.
    let command = Cli::command().mut_subcommands(helped);
    let template = groups::template(&command);
    command.help_template(template)
}

fn helped(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| arg.hide_env_values(true))
        .after_help(format!("{SETTINGS}\n{EXIT_CODES}"))
        .mut_subcommands(helped)
}

#[cfg(test)]
mod tests {
    use soloist_core::text::is_printable;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    /// Messages about a bad value derive the names of its flag and variable from the id of the option.
    #[test]
    fn flags_and_variables_are_named_after_their_options() {
        for subcommand in command().get_subcommands() {
            // What is under no heading belongs to a single question, and so has no variable.
            let settings = subcommand
                .get_arguments()
                .filter(|arg| arg.get_help_heading().is_some());
            for arg in settings.filter(|arg| !is_repeated(arg)) {
                let id = arg.get_id().as_str();
                assert_eq!(arg.get_long(), Some(id.replace('_', "-").as_str()));
                assert_eq!(
                    arg.get_env().and_then(|name| name.to_str()),
                    Some(format!("SOLOIST_{}", id.to_uppercase()).as_str())
                );
            }
        }
    }

    #[test]
    fn an_error_cannot_drive_the_terminal_or_flood_it() {
        let failure =
            Failure::Invalid(anyhow::anyhow!("a\u{1b}[2J\n{}", "é".repeat(1_000_000)).context("b"));
        let lines: Vec<_> = failure.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], r"b: a\u{1b}[2J");
        assert_eq!(
            (lines.len(), lines[1].chars().count()),
            (2, LINE_BYTES_MAX / 2 + 1)
        );
    }

    #[test]
    fn what_was_typed_cannot_drive_the_terminal_either() {
        for bad in [
            &["soloist", "--a\u{202e}b\nerror: c"][..],
            &["soloist", "ru\u{200b}n\n"],
            &["soloist", "run", "x", "--limit", "\u{9b}2J"],
            &["soloist", "resign", "\u{feff}/"],
        ] {
            let error = command().try_get_matches_from(bad).unwrap_err();
            let told = shown(error).render().to_string();
            assert!(
                told.lines().all(|line| line.chars().all(is_printable)),
                "{told:?}"
            );
            assert!(
                told.contains("\\u{")
                    && told.matches("error: ").count() - told.matches("\\nerror: ").count() == 1,
                "{told}"
            );
        }
    }

    /// It panics in a process of its own, which runs this very test.
    #[test]
    fn a_panic_cannot_drive_the_terminal_either() {
        let mark = "SOLOIST_TEST_PANIC";
        if std::env::var_os(mark).is_some() {
            std::panic::set_hook(Box::new(tell_panic));
            panic!("\u{1b}[2J\nerror: forged \u{202e}");
        }
        let test = [
            "--nocapture",
            "--exact",
            "cli::tests::a_panic_cannot_drive_the_terminal_either",
        ];
        let mut this = std::process::Command::new(std::env::current_exe().unwrap());
        let told = this
            .args(test)
            .env(mark, "1")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap()
            .stderr;
        let told = String::from_utf8(told).unwrap();
        assert!(
            told.contains(r"\u{1b}[2J\nerror: forged \u{202e}"),
            "{told}"
        );
        assert!(
            told.lines().all(|line| line.chars().all(is_printable)),
            "{told:?}"
        );
    }

    /// Several values do not go into one variable, whatever they are separated by.
    fn is_repeated(arg: &clap::Arg) -> bool {
        matches!(arg.get_action(), clap::ArgAction::Append) && arg.get_value_delimiter().is_none()
    }

    fn takes_value(arg: &clap::Arg) -> bool {
        arg.get_action().takes_values()
    }

    #[test]
    fn the_help_of_every_option_names_its_default() {
        for subcommand in command().get_subcommands() {
            for arg in subcommand
                .get_arguments()
                .filter(|arg| arg.get_long().is_some() && takes_value(arg))
            {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let default = help.contains("[default: ") || !arg.get_default_values().is_empty();
                assert!(default || is_repeated(arg), "{}", arg.get_id());
            }
        }
    }
}
