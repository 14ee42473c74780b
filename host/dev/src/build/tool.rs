//! A tool that is run in the folder of a project, and what to install where it is missing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::BuildError;

/// A tool, and what to do where it is missing.
pub(super) struct Tool {
    program: OsString,
    name: &'static str,
    remedy: String,
}

impl Tool {
    /// A tool that is looked for where the user has tools.
    pub(super) fn new(name: &'static str, remedy: &str) -> Self {
        Self::at(name.as_ref(), name, remedy)
    }

    /// A tool that lies somewhere.
    pub(super) fn at(program: &OsStr, name: &'static str, remedy: &str) -> Self {
        Self {
            program: program.to_owned(),
            name,
            remedy: remedy.to_owned(),
        }
    }

    /// Starts the tool; what it prints to stdout can be read, its errors are seen.
    pub(super) fn start(&self, args: &[&str], folder: &Path) -> Result<Child, BuildError> {
        let mut command = self.command(args, folder);
        command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_run(args, error))
    }

    /// Runs the tool to its end; all that it prints goes to stderr.
    pub(super) fn run(&self, args: &[&str], folder: &Path) -> Result<(), BuildError> {
        let mut command = self.command(args, folder);
        let status = command.stdout(io::stderr()).status();
        let status = status.map_err(|error| self.not_run(args, error))?;
        if status.success() {
            Ok(())
        } else {
            Err(self.failed(args))
        }
    }

    /// Runs the tool to its end, and returns what it has printed to stdout.
    pub(super) fn output(
        &self,
        args: &[&str],
        folder: &Path,
        errors: Stdio,
    ) -> Result<Vec<u8>, BuildError> {
        let mut command = self.command(args, folder);
        let output = command.stderr(errors).output();
        let output = output.map_err(|error| self.not_run(args, error))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(self.failed(args))
        }
    }

    fn command(&self, args: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(folder).stdin(Stdio::null());
        command
    }

    fn told(&self, args: &[&str]) -> String {
        [&[self.name], args].concat().join(" ")
    }

    fn failed(&self, args: &[&str]) -> BuildError {
        BuildError::Failed {
            command: self.told(args),
            advice: Vec::new(),
        }
    }

    fn not_run(&self, args: &[&str], error: io::Error) -> BuildError {
        if error.kind() == io::ErrorKind::NotFound {
            BuildError::NoTool {
                tool: self.name,
                remedy: self.remedy.clone(),
            }
        } else {
            BuildError::Run(self.told(args), error)
        }
    }
}
