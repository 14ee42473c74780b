//! What the operators' commands print: tables for a person, lines of JSON for a program.
//!
//! Most of it was written into ZooKeeper by somebody else: nothing printed here can drive a terminal.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use soloist_core::digest::Digest;
use soloist_core::text::{self, printable, printable_lines, rows};
use soloist_runtime::report::{self, Hidden, Levels, Lines, LogFormat, Terminal};
use tracing::Level;

use super::Failure;

/// How many digits of a digest are shown in a table.
const DIGEST_SHORT: usize = 12;

/// Stands for what is not there.
pub(super) const NOTHING: &str = "-";

/// Aligns columns under their headings, one line for each row.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    // Two spaces divide columns: a cell that holds them could pass for several.
    let cells = |row: &[String; N]| {
        row.each_ref()
            .map(|cell| printable(cell).replace("  ", " \\u{20}"))
    };
    let lines: Vec<_> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.iter().map(cells))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for line in &lines {
        let mut padded = String::new();
        for (cell, width) in line.iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(padded, "{cell:width$}  ");
        }
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}

/// The terminal that stdout is, if it is one: with colours, unless somebody does not want them.
pub(super) fn stdout() -> Option<Terminal> {
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    io::stdout().is_terminal().then_some(Terminal {
        colour,
        columns: || columns(io::stdout()),
    })
}

/// The terminal that stderr is, if it is one.
pub(super) fn stderr() -> Option<Terminal> {
    io::stderr().is_terminal().then_some(Terminal {
        colour: false,
        columns: || columns(io::stderr()),
    })
}

fn columns(terminal: impl AsFd) -> Option<usize> {
    size(terminal).map(|(columns, _)| columns)
}

/// The columns and rows of a terminal, if it says so.
pub(super) fn size(terminal: impl AsFd) -> Option<(usize, usize)> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

/// Sends what is told on the way to stderr, for commands whose answer is all of stdout.
pub(super) fn tell_on_stderr(host: &str) -> anyhow::Result<()> {
    let levels = Levels::own(Level::INFO);
    let lines = Lines::new(io::stderr, LogFormat::Text, levels, host.to_owned()).on(stderr());
    report::start(lines, Hidden::default(), Vec::new()).context("cannot set up the log")
}

/// Prints lines for a person to stdout, with nothing in them that is not printable; says whether anybody reads them.
pub(super) fn print(lines: &str) -> Result<bool, Failure> {
    write(&shown_at(stdout(), printable_lines(lines).into_owned()))
}

/// Prints an error to stderr.
pub(crate) fn print_error(error: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "{}",
        shown_at(stderr(), printable_lines(error).into_owned())
    );
}

fn shown_at(terminal: Option<Terminal>, lines: String) -> String {
    match terminal.and_then(|terminal| (terminal.columns)()) {
        Some(columns) => rows(&lines, columns),
        None => lines,
    }
}

/// Prints JSON to stdout; says whether anybody reads it.
pub(super) fn print_json(value: &impl Serialize) -> Result<bool, Failure> {
    let json = text::json(value)
        .context("cannot write JSON")
        .map_err(Failure::RunTime)?;
    write(&(json + "\n"))
}

/// Writes to stdout what is printable already; says whether anybody reads it.
pub(super) fn write(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::RunTime(
            anyhow::Error::new(error).context("cannot write to stdout"),
        )),
    }
}

/// The time from one RFC 3339 to another, or to now, if they can be read and the clocks agree on their order.
pub(super) fn time_between(from: &str, to: Option<&str>) -> Option<Duration> {
    let from = humantime::parse_rfc3339(from).ok()?;
    let to = to
        .map_or(Ok(SystemTime::now()), humantime::parse_rfc3339)
        .ok()?;
    to.duration_since(from).ok()
}

/// How long ago that RFC 3339 was, for a person: in no more than two units.
pub(super) fn ago(time: &str) -> String {
    let shown = shown(time_between(time, None));
    let units: Vec<_> = shown.split(' ').take(2).collect();
    match units.join(" ") {
        units if units == NOTHING => time.to_owned(),
        units => format!("{units} ago"),
    }
}

/// The first digits of a digest.
pub(super) fn digest_short(digest: Digest) -> String {
    digest.to_string().chars().take(DIGEST_SHORT).collect()
}

/// A duration, for a person.
pub(super) fn shown(duration: Option<Duration>) -> String {
    let whole = |duration: Duration| {
        let fraction = if duration < Duration::from_secs(10) {
            duration.subsec_millis() / 100 * 100
        } else {
            0
        };
        Duration::from_secs(duration.as_secs()) + Duration::from_millis(fraction.into())
    };
    duration.map_or_else(
        || NOTHING.to_owned(),
        |duration| humantime::format_duration(whole(duration)).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soloist_core::text::is_printable;

    use super::*;

    #[test]
    fn tables_are_aligned_and_cannot_drive_a_terminal() {
        let rows = [
            ["a\x1b[2J".to_owned(), "x".to_owned()],
            ["é".to_owned(), "forged\nline".to_owned()],
        ];
        assert_eq!(
            table(["ONE", "TWO"], &rows),
            "ONE         TWO\na\\u{1b}[2J  x\né           forged\\nline\n"
        );
        let rows = [["a  1   2".to_owned(), "b".to_owned()]];
        assert_eq!(
            table(["ONE", "TWO"], &rows),
            "ONE                 TWO\na \\u{20}1 \\u{20} 2  b\n"
        );
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        /// Nodes hold what anybody wrote: no cell breaks its line, and nothing drives the terminal.
        #[test]
        fn whatever_stands_in_a_cell_a_row_is_a_line(cells in proptest::collection::vec(any::<[String; 2]>(), 0..5)) {
            let text = table(["ONE", "TWO"], &cells);
            prop_assert_eq!(text.lines().count(), cells.len() + 1);
            prop_assert!(text.chars().all(|character| is_printable(character) || character == '\n'));
        }

        #[test]
        fn whatever_a_time_says_it_can_be_subtracted(from in ".{0,30}", to in "[0-9TZ:.+-]{0,30}") {
            let _ = shown(time_between(&from, Some(&to)));
            let _ = shown(time_between(&to, None));
        }
    }

    #[test]
    fn durations_are_short_and_those_of_clocks_that_disagree_are_left_out() {
        let between = |from, to| shown(time_between(from, Some(to)));
        assert_eq!(
            between("2026-01-01T00:00:00Z", "2026-01-01T01:00:07.891Z"),
            "1h 7s"
        );
        assert_eq!(
            between("2026-01-01T00:00:00Z", "2026-01-01T00:00:07.891Z"),
            "7s 800ms"
        );
        assert_eq!(
            between("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"),
            NOTHING
        );
        assert_eq!(between("long ago", "2026-01-01T00:00:00Z"), NOTHING);
    }
}
