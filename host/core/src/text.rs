//! What may be printed: one rule, for every output of every command.
//!
//! What we print was often written by somebody else: a plugin, another client of the ensemble, the author of a file.
//! Printable are the letters, marks, numbers, punctuation and symbols of Unicode that are seen, and the plain space. All
//! else is shown as an escape: controls (C0, C1, tabs and line breaks among them), what changes the direction or the width
//! of text, what is not seen at all (zero-width characters, fillers, tags), other spaces and separators, and code points
//! that are private or not assigned, which every terminal takes as it likes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::Serialize;

/// What every row but the first of a line begins with at a terminal: only at the left edge does a line begin.
pub const INDENT: &str = "    ";

/// Terminals with fewer columns break lines as they like.
const COLUMNS_MIN: usize = 20;

/// Separators and "other": controls, format characters, surrogates, private and unassigned code points.
const NOT_SEEN: GeneralCategoryGroup =
    GeneralCategoryGroup::Separator.union(GeneralCategoryGroup::Other);

/// Says whether a character is printed as it is.
pub fn is_printable(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\0'..='\u{9f}' => false,
        _ => {
            let category = CodePointMapData::<GeneralCategory>::new().get(character);
            !NOT_SEEN.contains(category)
                && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        }
    }
}

/// The text on one line, with all that is not printable as an escape of Rust's, like `\n` or `\u{202e}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |_| false,
        |shown, character| shown.extend(character.escape_default()),
    )
}

/// The text with its lines as they are, and all else that is not printable as an escape: for text that we have put
/// together from lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |character| character == '\n',
        |shown, character| shown.extend(character.escape_default()),
    )
}

/// A path on one line.
pub fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// The text in quotes, so that its beginning and its end are seen.
pub fn quoted(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", printable(&text))
}

/// JSON on one line that means the same and drives no terminal.
///
/// # Errors
/// The value cannot be JSON.
pub fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    // Only within strings can anything stand that is not printable, and there JSON has an escape for it.
    let escape = |shown: &mut String, character: char| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    };
    Ok(escaped(&json, |_| false, escape).into_owned())
}

/// Breaks lines where a terminal with so many columns would, so that what it would begin a row with is indented. A
/// character that is not ASCII may take two columns.
pub fn rows(lines: &str, columns: usize) -> String {
    if columns < COLUMNS_MIN {
        return lines.to_owned();
    }
    let mut broken =
        String::with_capacity(lines.len() + lines.len() / columns * (INDENT.len() + 1));
    let (mut column, mut characters) = (0, lines.chars());
    while let Some(character) = characters.next() {
        let width = match character {
            '\n' => {
                column = 0;
                broken.push(character);
                continue;
            }
            // A colour, which takes no column: nobody but us has printed an escape.
            '\x1b' => {
                broken.push(character);
                broken.extend(characters.by_ref().take_while(|it| *it != 'm').chain(['m']));
                continue;
            }
            _ if character.is_ascii() => 1,
            _ => 2,
        };
        if column + width > columns {
            broken.push('\n');
            broken.push_str(INDENT);
            column = INDENT.len();
        }
        broken.push(character);
        column += width;
    }
    broken
}

fn escaped(
    text: &str,
    kept: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let is_shown = |character| is_printable(character) || kept(character);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + text.len() / 2);
    for character in text.chars() {
        if is_shown(character) {
            shown.push(character);
        } else {
            escape(&mut shown, character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each kind that must not reach a terminal, by the names that people know them by.
    const HIDDEN: [(&str, char); 26] = [
        ("escape", '\u{1b}'),
        ("tab", '\t'),
        ("delete", '\u{7f}'),
        ("control sequence introducer (C1)", '\u{9b}'),
        ("next line (C1)", '\u{85}'),
        ("no-break space", '\u{a0}'),
        ("soft hyphen", '\u{ad}'),
        ("grapheme joiner", '\u{34f}'),
        ("Arabic letter mark", '\u{61c}'),
        ("Hangul filler", '\u{115f}'),
        ("Mongolian vowel separator", '\u{180e}'),
        ("zero-width space", '\u{200b}'),
        ("zero-width joiner", '\u{200d}'),
        ("right-to-left mark", '\u{200f}'),
        ("line separator", '\u{2028}'),
        ("paragraph separator", '\u{2029}'),
        ("right-to-left override", '\u{202e}'),
        ("word joiner", '\u{2060}'),
        ("right-to-left isolate", '\u{2067}'),
        ("ideographic space", '\u{3000}'),
        ("private use", '\u{e000}'),
        ("variation selector", '\u{fe0f}'),
        ("byte order mark", '\u{feff}'),
        ("not a character", '\u{ffff}'),
        ("not assigned", '\u{e0fff}'),
        ("tag", '\u{e0041}'),
    ];

    #[test]
    fn what_is_printed_is_what_is_seen() {
        for (name, character) in HIDDEN {
            assert!(!is_printable(character), "{name}");
            let text = format!("a{character}b");
            assert_eq!(
                printable(&text),
                format!("a{}b", character.escape_default()),
                "{name}"
            );
            let json = json(&text).unwrap();
            assert!(json.is_ascii(), "{name}: {json}");
            assert_eq!(
                serde_json::from_str::<String>(&json).unwrap(),
                text,
                "{name}"
            );
        }
        assert_eq!(
            printable("a\tb\r\n\u{9b}\u{7f}é"),
            "a\\tb\\r\\n\\u{9b}\\u{7f}é"
        );
    }

    #[test]
    fn text_of_any_language_is_left_alone() {
        for text in [
            "né à Łódź",
            "日本語、漢字",
            "עברית",
            "हिन्दी",
            "e\u{301}",
            "→ ≤ € 🎉",
            "\u{fffd}",
        ] {
            assert!(
                matches!(printable(text), Cow::Borrowed(shown) if shown == text),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_are_kept_where_they_are_ours_and_quotes_show_an_end() {
        assert_eq!(printable_lines("one\n\u{1b}two\n"), "one\n\\u{1b}two\n");
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \n""#);
    }

    #[test]
    fn what_is_wider_than_a_terminal_goes_on_in_rows_that_are_indented() {
        let text = format!(
            "{}\n\x1b[2m{}\x1b[0m\nend",
            "é漢abc ".repeat(20),
            "x".repeat(30)
        );
        let broken = rows(&text, 30);
        assert_eq!(broken.replace(&format!("\n{INDENT}"), ""), text);
        assert!(
            broken.ends_with("\n\x1b[2mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x1b[0m\nend"),
            "{broken}"
        );
        for row in broken.lines().filter(|row| !row.contains('\x1b')) {
            let width: usize = row
                .chars()
                .map(|it| if it.is_ascii() { 1 } else { 2 })
                .sum();
            assert!(width <= 30, "{row:?}");
        }
        assert_eq!(rows(&text, 3), text, "that is no terminal");
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_is_printable(text: String) {
            prop_assert!(printable(&text).chars().all(is_printable));
            prop_assert!(quoted(&text).chars().all(is_printable));
            prop_assert!(printable_lines(&text).chars().all(|character| character == '\n' || is_printable(character)));
            let json = json(&text).unwrap();
            prop_assert!(json.chars().all(is_printable));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
