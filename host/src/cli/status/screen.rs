//! A terminal on which what changes is drawn in place.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use soloist_core::text::printable_lines;

use super::super::Failure;
use super::super::output::{size, write};

/// How often ages are drawn anew.
pub(super) const REDRAW: Duration = Duration::from_secs(1);

/// What a terminal has that does not say.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// The terminal that stdout is.
pub(super) struct Screen {
    is_clear: bool,
}

impl Screen {
    /// None if stdout is no terminal.
    pub(super) fn of_stdout() -> Option<Self> {
        io::stdout()
            .is_terminal()
            .then_some(Self { is_clear: false })
    }

    /// Draws lines in the place of those before; says whether there still is a terminal.
    pub(super) fn draw(&mut self, lines: &str) -> Result<bool, Failure> {
        let begin = if self.is_clear { "" } else { "\x1b[2J" };
        self.is_clear = true;
        let size = size(io::stdout()).unwrap_or(SIZE_DEFAULT);
        write(&format!("{begin}{}", frame(lines, size)))
    }
}

/// The lines from the top of a terminal on, in the place of what is there. What is too long or too much is left out.
fn frame(lines: &str, (columns, rows): (usize, usize)) -> String {
    let lines = printable_lines(lines);
    let count = lines.lines().count();
    // The cursor stands in the row below the last line.
    let room = rows.saturating_sub(1).max(1);
    let (shown, left_out) = if count > room {
        (room - 1, count - (room - 1))
    } else {
        (count, 0)
    };
    let mut frame = String::from("\x1b[H");
    for line in lines.lines().take(shown) {
        let _ = write!(frame, "{}\x1b[K\r\n", cut(line, columns));
    }
    if left_out > 0 {
        let more = format!("… {left_out} more lines");
        let _ = write!(frame, "{}\x1b[K\r\n", cut(&more, columns));
    }
    frame.push_str("\x1b[J");
    frame
}

/// What of a line fits into so many columns. A character that is not ASCII may take two.
fn cut(line: &str, columns: usize) -> String {
    let width = |character: char| if character.is_ascii() { 1 } else { 2 };
    if line.chars().map(width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let mut left = columns.saturating_sub(2);
    let mut fits = |character: &char| {
        let taken = width(*character);
        let fits = taken <= left;
        left = left.saturating_sub(taken);
        fits
    };
    let kept: String = line.chars().take_while(|it| fits(it)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(frame: &str) -> Vec<&str> {
        let body = frame.strip_prefix("\x1b[H").unwrap();
        let body = body.strip_suffix("\x1b[J").unwrap();
        body.split_terminator("\x1b[K\r\n").collect()
    }

    #[test]
    fn what_is_drawn_fits_and_what_does_not_is_counted() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(rows(&frame(text, (80, 24))), ["one", "two", "three"]);
        assert_eq!(rows(&frame(text, (80, 4))), ["one", "two", "three"]);
        assert_eq!(rows(&frame(text, (80, 3))), ["one", "… 2 more lines"]);
        assert_eq!(rows(&frame(text, (4, 24))), ["one", "two", "th…"]);
        assert_eq!(rows(&frame("日本語", (5, 24))), ["日…"]);
        assert_eq!(rows(&frame(text, (1, 1))).len(), 1);
    }

    #[test]
    fn what_is_drawn_moves_the_cursor_as_we_want_alone() {
        let drawn = frame("a\x1b[2Jb\u{9b}\n", (80, 24));
        assert_eq!(rows(&drawn), ["a\\u{1b}[2Jb\\u{9b}"]);
    }
}
