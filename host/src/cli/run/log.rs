//! Where lines go, and how they look: `--log-format` and `--log-level`.

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use soloist_config::BadValue;
use soloist_core::event::Subscriber;
use soloist_runtime::report::{
    self, Hidden, JOURNAL, Journal, LastLines, Levels, LineQueue, Lines, LogFormat,
};

use crate::cli::output::stdout;

/// Where lines go, and how they look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// To stdout.
    Stdout(LogFormat),
    /// To the journal that listens there.
    Journal(PathBuf),
}

impl Default for Output {
    fn default() -> Self {
        Self::Stdout(LogFormat::default())
    }
}

pub(super) fn output(text: &str) -> Result<Output, BadValue> {
    match text.split_once(':') {
        None if text == "text" => Ok(Output::Stdout(LogFormat::Text)),
        None if text == "json" => Ok(Output::Stdout(LogFormat::Json)),
        None if text == "journal" => Ok(Output::Journal(JOURNAL.into())),
        Some(("journal", path)) if path.starts_with('/') => Ok(Output::Journal(path.into())),
        _ => Err(BadValue::choice(
            text,
            "\"text\", \"json\", \"journal\", or \"journal:/PATH\" for a journal that listens elsewhere",
        )),
    }
}

pub(super) fn levels(text: &str) -> Result<Levels, BadValue> {
    let choices = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\", and libraries by name after it, \
                   like \"info,wasmtime_wasi=debug\"";
    text.parse().map_err(|_| BadValue::choice(text, choices))
}

/// Sends every line to where it goes, by way of a thread of its own.
///
/// Lines are dropped rather than waited for: whoever does not read what a host says must not be able to cost it the
/// lease.
pub(super) fn report(
    output: &Output,
    levels: Levels,
    host: &str,
    hidden: &Hidden,
    others: Vec<Box<dyn Subscriber>>,
) -> anyhow::Result<LastLines> {
    let queued = match output {
        Output::Stdout(_) => LineQueue::to(io::stdout()),
        Output::Journal(path) => {
            let journal = Journal::open(path)
                .with_context(|| format!("no journal listens at {}", path.display()))?;
            LineQueue::to(journal)
        }
    };
    let (lines, guard) = queued.context("cannot start the thread that writes the log")?;
    let (format, terminal) = match output {
        Output::Stdout(format) => (*format, stdout()),
        Output::Journal(_) => (LogFormat::Journal, None),
    };
    let lines = Lines::new(lines, format, levels, host.to_owned()).on(terminal);
    report::start(lines, hidden.clone(), others).context("cannot set up the log")?;
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_may_listen_elsewhere() {
        assert_eq!(
            output("journal").unwrap(),
            Output::Journal("/run/systemd/journal/socket".into())
        );
        assert_eq!(
            output("journal:/run/systemd/journal.a:b/socket").unwrap(),
            Output::Journal("/run/systemd/journal.a:b/socket".into())
        );
        for bad in ["journal:", "journal:socket", "json:/x", "Journal", ""] {
            assert!(output(bad).is_err(), "{bad}");
        }
    }
}
