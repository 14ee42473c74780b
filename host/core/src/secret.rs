//! Text that must not be seen, and the means to keep it out of what others wrote.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::env::{self, VarError};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The longest secret.
const BYTES_MAX: u64 = 64 * 1024;

/// The shortest secret of a plugin: what is shorter would be taken out of every second line of the log.
const BYTES_MIN: usize = 4;

/// The most lines of a secret: each is looked for in each line of the log. A file of certificates of that size has fewer.
const LINES_MAX: usize = 1100;

/// A line of a secret of several lines is looked for within words only if it has so many bytes.
const LINE_BYTES_MIN: usize = 8;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads a file that holds a secret, without the line break at its end.
    ///
    /// # Errors
    /// The file cannot be read, is not text, or is too long to be a secret.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        let bytes = File::open(path)?
            .take(BYTES_MAX + 1)
            .read_to_string(&mut text)?;
        if bytes as u64 > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// The text itself: not for a message, a log or a node.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Whether every user of this machine can read the file: it lets them, and so does every directory that it lies in.
pub fn others_can_read(file: &Path) -> bool {
    let Ok(real) = fs::canonicalize(file) else {
        return false;
    };
    let lets = |path: &Path, right: u32| {
        fs::metadata(path).is_ok_and(|metadata| metadata.mode() & right != 0)
    };
    lets(&real, 0o004)
        && real
            .ancestors()
            .skip(1)
            .all(|directory| lets(directory, 0o001))
}

/// Where a secret of a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// The plugin's variable for it.
    pub name: String,
    /// The file that holds it; without one, the host's variable of the same name does.
    pub file: Option<PathBuf>,
}

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error(
        "the secret {name:?} is not in the environment of this host: set the variable, or name a file that holds it"
    )]
    NotSet {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("the secret {name:?} cannot be read from {}", path.display())]
    Read {
        /// The secret.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there cannot be the value of a variable.
    #[error("the secret {name:?} {rule}")]
    Unfit {
        /// The secret.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// See [`SecretError`]; nothing of the secret is in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let name = || self.name.clone();
        let unfit = |rule| SecretError::Unfit { name: name(), rule };
        let secret = match &self.file {
            Some(path) => Secret::read(path).map_err(|source| SecretError::Read {
                name: name(),
                path: path.clone(),
                source,
            })?,
            None => match env::var(&self.name) {
                Ok(text) => Secret::new(text),
                Err(VarError::NotPresent) => return Err(SecretError::NotSet { name: name() }),
                Err(VarError::NotUnicode(_)) => return Err(unfit("is not text in UTF-8")),
            },
        };
        match secret.expose() {
            text if text.len() as u64 > BYTES_MAX => Err(unfit("is longer than 64 KiB")),
            text if text.contains('\0') => {
                Err(unfit("has a zero byte, which no variable can have"))
            }
            text if text.len() < BYTES_MIN => Err(unfit(
                "has less than 4 bytes: it could be guessed, and not be kept out of the log",
            )),
            text if text.lines().nth(LINES_MAX).is_some() => Err(unfit(
                "has more than 1100 lines: to look for each of them in the log would take too long",
            )),
            _ => Ok(secret),
        }
    }
}

/// Takes secrets out of text that whoever knows them has written.
///
/// It sees a secret as it is, in capitals or not, and as Rust and JSON quote it, whether that writes letters beyond ASCII, the
/// signs of HTML and slashes as they are (as the writers of Rust, Python, Go and PHP do or do not); not one that is encoded, spelt or cut in
/// two, nor capitals that have another length in UTF-8 or were quoted as numbers: it is there for what is said by mistake.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first.
    hidden: Vec<Hidden>,
}

/// Something to take out, in small letters: the names of hosts are lowered before we print them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hidden {
    length: Reverse<usize>,
    text: String,
    place: Place,
}

/// Where it is taken out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Anywhere,
    /// Where it is not a part of a longer word.
    Word,
    /// Where nothing else is on its line.
    Line,
}

impl Redactor {
    /// A redactor for these secrets. What has several lines is hidden line by line too, since that is how logs show it:
    /// anywhere if a line is long, as a word if it is short, and alone if it is so short that it is in everything.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            let text = secret.expose();
            redactor.hide(text, Place::Anywhere);
            for line in text.lines().map(str::trim).filter(|line| *line != text) {
                let place = match line.len() {
                    LINE_BYTES_MIN.. => Place::Anywhere,
                    BYTES_MIN.. => Place::Word,
                    _ => Place::Line,
                };
                redactor.hide(line, place);
            }
        }
        redactor.hidden.sort_unstable();
        redactor
            .hidden
            .dedup_by(|next, kept| next.text == kept.text);
        redactor
    }

    /// A redactor that sees these secrets also as lists of bytes, which is how libraries tell of them.
    pub fn of_bytes<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let forms = |secret: &Secret| {
            let list = format!("{:?}", secret.expose().as_bytes());
            // Without the brackets: it may be a part of a list.
            [
                secret.clone(),
                Secret::new(list.trim_matches(['[', ']']).to_owned()),
            ]
        };
        let forms: Vec<_> = secrets.into_iter().flat_map(forms).collect();
        Self::new(&forms)
    }

    fn hide(&mut self, text: &str, place: Place) {
        let within = |quoted: &str| lowered(&quoted[1..quoted.len() - 1]);
        let mut forms = vec![lowered(text), within(&format!("{text:?}"))];
        let json = Value::from(text).to_string();
        // Python writes ASCII alone, Go signs of HTML as numbers, PHP slashes behind backslashes, and each has a way not to.
        for is_plain in [|_| false, is_beyond_ascii as fn(char) -> bool] {
            for is_html in [|_| false, is_sign_of_html as fn(char) -> bool] {
                let numbered = numbered(&json, |letter| is_plain(letter) || is_html(letter));
                forms.extend([within(&numbered), within(&numbered.replace('/', "\\/"))]);
            }
        }
        forms.sort_unstable();
        forms.dedup();
        let forms = forms.into_iter().filter(|text| !text.is_empty());
        self.hidden.extend(forms.map(|text| Hidden {
            length: Reverse(text.len()),
            text,
            place,
        }));
    }

    /// How long the longest secret is, in bytes.
    pub fn longest(&self) -> usize {
        self.hidden.first().map_or(0, |hidden| hidden.text.len())
    }

    /// The beginning of a text without the secrets, at most so many bytes of it, and how many it leaves out; `missing` more
    /// had been cut off before.
    ///
    /// It looks at no more of the text than it needs. What was cut off must not be missed for that: the text has to go on for
    /// [`Redactor::longest`] bytes behind `max_bytes`, or to be whole.
    pub fn redact_within(&self, text: &str, missing: usize, max_bytes: usize) -> (String, usize) {
        let seen = &text[..text.floor_char_boundary(max_bytes.saturating_add(self.longest()))];
        let mut missing = missing + text.len() - seen.len();
        let told = self.redact(seen);
        // What is cut off there may have begun with a part of a secret.
        let certain = if missing > 0 {
            told.len().saturating_sub(self.longest().saturating_sub(1))
        } else {
            told.len()
        };
        let kept = &told[..told.floor_char_boundary(certain.min(max_bytes))];
        missing += told.len() - kept.len();
        (kept.to_owned(), missing)
    }

    /// The text without the secrets. Where they overlap one mark stands for all.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        let lowered = lowered(text);
        let found = |hidden: &Hidden| hidden.found_in(&lowered).collect::<Vec<_>>();
        let mut found: Vec<Range<usize>> = self.hidden.iter().flat_map(found).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|range| range.start);
        let (mut told, mut end) = (String::with_capacity(text.len()), 0);
        for range in found {
            if range.start >= end {
                told.push_str(&text[end..range.start]);
                told.push_str(HIDDEN);
            }
            end = end.max(range.end);
        }
        told.push_str(&text[end..]);
        Cow::Owned(told)
    }
}

/// The text in small letters, as long as it is, byte for byte.
fn lowered(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = |letter: char| {
        let mut small = letter.to_lowercase();
        small
            .next()
            .filter(|small| small.len_utf8() == letter.len_utf8())
            .filter(|_| small.next().is_none())
    };
    text.chars()
        .map(|letter| lower(letter).unwrap_or(letter))
        .collect()
}

fn is_beyond_ascii(letter: char) -> bool {
    !matches!(letter, ' '..='~')
}

/// Signs that mean something in HTML or, for the last two, in scripts within it.
fn is_sign_of_html(letter: char) -> bool {
    matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

/// JSON in which such letters are written as numbers.
fn numbered(json: &str, is_number: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for letter in json.chars() {
        if is_number(letter) {
            let units = letter.encode_utf16(&mut [0; 2]).to_vec();
            text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(letter);
        }
    }
    text
}

impl Hidden {
    /// Where in a text in small letters it stands.
    fn found_in(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let all = text
            .match_indices(&self.text)
            .map(|(start, found)| start..start + found.len());
        all.filter(|range| {
            let (before, after) = (&text[..range.start], &text[range.end..]);
            match self.place {
                Place::Anywhere => true,
                Place::Word => {
                    let parts = |one: Option<char>, other: Option<char>| {
                        [one, other]
                            .iter()
                            .all(|it| it.is_some_and(char::is_alphanumeric))
                    };
                    let (mut first, mut before, mut after) =
                        (self.text.chars(), before.chars(), after.chars());
                    let mut last = first.clone();
                    !parts(before.next_back(), first.next())
                        && !parts(last.next_back(), after.next())
                }
                Place::Line => {
                    let (begun, rest) = (before.rsplit('\n').next(), after.split('\n').next());
                    [begun, rest]
                        .iter()
                        .flatten()
                        .all(|side| side.trim().is_empty())
                }
            }
        })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|text| Secret::new((*text).to_owned()))
            .collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let redactor = redactor(&["hunter2", "hunter2-long", ""]);
        assert_eq!(
            redactor.redact("hunter2 and xhunter2-longx"),
            "*** and x***x"
        );
        assert!(matches!(
            redactor.redact("nothing here"),
            Cow::Borrowed("nothing here")
        ));
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_in_each_of_them() {
        let redactor = redactor(&["-----BEGIN KEY-----\r\n  MIIEvQIBADANBg\n}\n"]);
        assert_eq!(redactor.redact("a MIIEvQIBADANBg b }"), "a *** b }");
    }

    #[test]
    fn short_lines_of_a_secret_are_hidden_as_words_and_the_shortest_alone() {
        let redactor = redactor(&["admin\nhunter2\nab\n"]);
        assert_eq!(
            redactor.redact("admin:hunter2, user=Admin, administrator"),
            "***:***, user=***, administrator"
        );
        assert_eq!(
            redactor.redact("badmin hunter22 admin"),
            "badmin hunter22 ***"
        );
        assert_eq!(redactor.redact("cab ab\n ab \nab"), "cab ab\n *** \n***");
        assert_eq!(redactor.redact("ab"), "***");
    }

    #[test]
    fn a_secret_is_hidden_in_capitals_or_small_letters_and_where_it_is_quoted() {
        let redactor = redactor(&["Hunter-TWO\t\"é"]);
        assert_eq!(redactor.redact("a hunter-two\t\"é b"), "a *** b");
        assert_eq!(redactor.redact(r#"a "Hunter-TWO\t\"é""#), r#"a "***""#);
    }

    #[test]
    fn a_secret_is_hidden_as_json_has_it() {
        let redactor = redactor(&["pässword\u{1b}\u{7f}🎉"]);
        for quoted in [
            "pässword\\u001b\u{7f}🎉",
            r"p\u00e4ssword\u001b\u007f\ud83c\udf89",
            r"p\u00E4ssword\u001B\u007F\uD83C\uDF89",
        ] {
            assert_eq!(redactor.redact(&format!("a \"{quoted}\" b")), "a \"***\" b");
        }
    }

    #[test]
    fn a_secret_is_hidden_as_the_json_of_every_language_has_it() {
        let redactor = redactor(&["pä/<word>&\u{2028}"]);
        for quoted in [
            // Rust, then Go, with and without its escapes for HTML.
            "pä/<word>&\u{2028}",
            r"pä/\u003cword\u003e\u0026\u2028",
            // PHP: as it is by default, and with JSON_UNESCAPED_UNICODE, JSON_UNESCAPED_SLASHES and JSON_HEX_TAG.
            r"p\u00e4\/<word>&\u2028",
            "pä\\/<word>&\u{2028}",
            r"p\u00e4/<word>&\u2028",
            r"p\u00e4\/\u003Cword\u003E\u0026\u2028",
        ] {
            assert_eq!(redactor.redact(&format!("a \"{quoted}\" b")), "a \"***\" b");
        }
    }

    #[test]
    fn letters_of_every_language_may_be_capitals() {
        let redactor = redactor(&["Łódź-ПАРОЛЬ"]);
        assert_eq!(redactor.redact("ß İ ŁÓDŹ-пароль é"), "ß İ *** é");
        // These have another length as small letters: they stay what they are.
        assert_eq!(lowered("İẞ\u{212a}Ä"), "İẞ\u{212a}ä");
    }

    #[test]
    fn secrets_that_overlap_leave_nothing_of_each_other() {
        let redactor = redactor(&["abcdef", "efghij", "bcde"]);
        assert_eq!(redactor.redact("xabcdefghijx"), "x***x");
        assert_eq!(redactor.redact("abcdefefghij"), "******");
    }

    #[test]
    fn what_libraries_say_of_a_secret_is_hidden() {
        let redactor = Redactor::of_bytes(&[Secret::new("hunter2".into())]);
        assert_eq!(
            redactor.redact("write [32, 104, 117, 110, 116, 101, 114, 50]"),
            "write [32, ***]"
        );
        assert_eq!(
            redactor.redact(r#"header ("key", "hunter2")"#),
            r#"header ("key", "***")"#
        );
    }

    #[test]
    fn no_part_of_a_secret_is_left_where_a_text_is_cut() {
        let redactor = redactor(&["hunter2-long"]);
        let whole = format!("{}hunter2-long and more", "x".repeat(20));
        for max_bytes in 0..whole.len() {
            // As it is, and cut off where it must not be missed.
            for seen in [
                &whole[..],
                &whole[..whole.len().min(max_bytes + redactor.longest())],
            ] {
                let (told, missing) =
                    redactor.redact_within(seen, whole.len() - seen.len(), max_bytes);
                assert!(!told.contains('h') && told.len() <= max_bytes, "{told}");
                assert!(
                    told.len() + missing >= whole.len() - "hunter2-long".len(),
                    "{told} {missing}"
                );
            }
        }
        assert_eq!(
            redactor.redact_within("short", 0, 8),
            ("short".to_owned(), 0)
        );
        assert_eq!(
            redactor.redact_within("a hunter2-long", 0, 8),
            ("a ***".to_owned(), 0)
        );
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_line_break_or_says_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let source = SecretSource {
            name: "KEY".into(),
            file: Some(path.clone()),
        };
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        for (content, rule) in [
            ("hunter2\r\n", ""),
            ("abc\n", "less than 4"),
            ("zero\0byte", "zero byte"),
            (&"line\n".repeat(1101), "1100 lines"),
        ] {
            std::fs::write(&path, content).unwrap();
            match source.read() {
                Ok(secret) => assert_eq!((secret.expose(), rule), ("hunter2", "")),
                Err(error) => assert!(
                    !rule.is_empty() && error.to_string().contains(rule),
                    "{error}"
                ),
            }
        }
        std::fs::write(&path, vec![b'x'; 65 * 1024]).unwrap();
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        let missing = SecretSource {
            name: "SOLOIST_TEST_NO_SUCH_VARIABLE".into(),
            file: None,
        };
        assert!(matches!(missing.read(), Err(SecretError::NotSet { .. })));
    }

    #[test]
    fn a_file_is_exposed_only_if_others_get_to_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (
            directory.path().join("secret"),
            directory.path().join("link"),
        );
        std::fs::write(&path, "hunter2").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (outside, inside, exposed) in [
            (0o755, 0o644, true),
            (0o711, 0o604, true),
            (0o750, 0o644, false),
            (0o755, 0o640, false),
        ] {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(outside))
                .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(inside)).unwrap();
            assert_eq!(
                (others_can_read(&path), others_can_read(&link)),
                (exposed, exposed),
                "{outside:o} {inside:o}"
            );
        }
        assert!(!others_can_read(&directory.path().join("gone")));
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let secret = Secret::new("hunter2".into());
        let redactor = Redactor::new([&secret]);
        assert!(!format!("{secret:?} {redactor:?}").contains("hunter2"));
    }
}
