//! How a test runs `soloist`, and expects it to refuse what is bad.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use soloist_tests::ports::Port;
use soloist_tests::{build, host};
use tempfile::TempDir;

/// A plugin that is accepted.
pub(crate) const GOOD: &str =
    r#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;

/// Runs `soloist` to its end. Should it accept what is bad, it ends all the same: there is no ensemble.
pub(crate) fn soloist(args: &[&str]) -> Result<Output> {
    soloist_with(&[], args)
}

/// Runs `soloist` with variables of the environment.
pub(crate) fn soloist_with(variables: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    let nobody = Port::reserve()?;
    let mut command = Command::new(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command
        .env("SOLOIST_CONNECT_TIMEOUT", "1s")
        .env("SOLOIST_ZOOKEEPER", nobody.address().to_string());
    command
        .env("XDG_CACHE_HOME", build::target()?.join("cache"))
        .envs(variables.iter().copied());
    command.args(args).stdin(Stdio::null());
    Ok(command.output()?)
}

/// Expects exit code 2 and all of `words` in the message.
pub(crate) fn refused(args: &[&str], words: &[&str]) -> Result<()> {
    refused_with(&[], args, words)
}

/// Expects exit code 2 and all of `words` in the message, with variables of the environment.
pub(crate) fn refused_with(
    variables: &[(&str, &str)],
    args: &[&str],
    words: &[&str],
) -> Result<()> {
    let output = soloist_with(variables, args)?;
    let message = String::from_utf8(output.stderr).context("the message is not text")?;
    ensure!(
        output.status.code() == Some(2),
        "{args:?}: {}: {message}",
        output.status
    );
    for word in words {
        ensure!(
            message.contains(word),
            "{args:?}: {word:?} is not in the message: {message}"
        );
    }
    ensure!(
        !message.contains('\u{1b}') && !message.contains("panicked"),
        "{args:?}: {message}"
    );
    Ok(())
}

/// A directory with one file.
pub(crate) struct Input {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Input {
    pub(crate) fn new(name: &str, content: impl AsRef<[u8]>) -> Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path().join(name);
        std::fs::write(&path, content)?;
        std::fs::write(directory.path().join("good.wat"), GOOD)?;
        Ok(Self {
            _directory: directory,
            path,
        })
    }

    pub(crate) fn path(&self) -> &str {
        self.path
            .to_str()
            .expect("temporary directories have plain names")
    }

    /// Both commands refuse it alike.
    pub(crate) fn refused(&self, words: &[&str]) -> Result<()> {
        refused(&["check", self.path()], words)?;
        refused(&["run", self.path()], words)
    }
}

/// A configuration with this content is refused.
pub(crate) fn configuration(content: &str, words: &[&str]) -> Result<()> {
    Input::new("soloist.toml", content)?.refused(&[&["soloist.toml"], words].concat())
}
