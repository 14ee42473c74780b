//! Takes secrets out of what others wrote.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::{BYTES_MIN, HIDDEN, Secret};

/// A line of a secret of several lines is looked for within words only if it has so many bytes.
const LINE_BYTES_MIN: usize = 8;

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
mod tests;
