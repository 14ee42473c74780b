//! What the operators' commands print: tables for a person, lines of JSON for a program.
//!
//! Most of it was written into ZooKeeper by somebody else: nothing printed here can drive a terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::Serialize;
use soloist::reporter::printable;

use super::Failure;

/// Stands for what is not there.
pub(super) const NOTHING: &str = "-";

/// Aligns columns under their headings, one line for each row.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let cells = |row: &[String; N]| row.each_ref().map(|cell| printable(cell).replace('\t', " "));
    let lines: Vec<_> = std::iter::once(headings.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
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

/// One line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).context("cannot write JSON").map_err(Failure::RunTime)?;
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        // Only strings can hold them, and JSON allows some of them there.
        if character.is_control() {
            let _ = write!(line, "\\u{:04x}", u32::from(character));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    Ok(line)
}

/// Prints to stdout; says whether anybody reads it.
pub(super) fn print(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::RunTime(anyhow::Error::new(error).context("cannot write to stdout"))),
    }
}

/// The time from one RFC 3339 to another, or to now, if they can be read and the clocks agree on their order.
pub(super) fn time_between(from: &str, to: Option<&str>) -> Option<Duration> {
    let from = humantime::parse_rfc3339(from).ok()?;
    let to = to.map_or(Ok(SystemTime::now()), humantime::parse_rfc3339).ok()?;
    to.duration_since(from).ok()
}

/// A duration, for a person.
pub(super) fn shown(duration: Option<Duration>) -> String {
    let whole = |duration: Duration| {
        let fraction = if duration < Duration::from_secs(10) { duration.subsec_millis() / 100 * 100 } else { 0 };
        Duration::from_secs(duration.as_secs()) + Duration::from_millis(fraction.into())
    };
    duration.map_or_else(|| NOTHING.to_owned(), |duration| humantime::format_duration(whole(duration)).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_are_aligned_and_cannot_drive_a_terminal() {
        let rows = [["a\x1b[2J".to_owned(), "x".to_owned()], ["é".to_owned(), "forged\nline".to_owned()]];
        assert_eq!(table(["ONE", "TWO"], &rows), "ONE         TWO\na\\u{1b}[2J  x\né           forged\\nline\n");
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        /// Nodes hold what anybody wrote: no cell breaks its line, and nothing drives the terminal.
        #[test]
        fn whatever_stands_in_a_cell_a_row_is_a_line(cells in proptest::collection::vec(any::<[String; 2]>(), 0..5)) {
            let text = table(["ONE", "TWO"], &cells);
            prop_assert_eq!(text.lines().count(), cells.len() + 1);
            prop_assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
            let line = json(&cells).ok().unwrap();
            prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<Vec<[String; 2]>>(&line).unwrap(), cells);
        }

        #[test]
        fn whatever_a_time_says_it_can_be_subtracted(from in ".{0,30}", to in "[0-9TZ:.+-]{0,30}") {
            let _ = shown(time_between(&from, Some(&to)));
            let _ = shown(time_between(&to, None));
        }
    }

    #[test]
    fn json_is_one_line_that_cannot_drive_a_terminal_and_means_the_same() {
        let text = "a\u{1b}\u{9b}2J\u{7f}\n\"é";
        let line = json(&text).ok().unwrap();
        assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn durations_are_short_and_those_of_clocks_that_disagree_are_left_out() {
        let between = |from, to| shown(time_between(from, Some(to)));
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T01:00:07.891Z"), "1h 7s");
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:00:07.891Z"), "7s 800ms");
        assert_eq!(between("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"), NOTHING);
        assert_eq!(between("long ago", "2026-01-01T00:00:00Z"), NOTHING);
    }
}
