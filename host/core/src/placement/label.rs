//! Labels of hosts: `zone=a`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many labels a host has at most, and how many a task asks for.
pub const LABELS_MAX: usize = 16;
/// How long each part of a label is at most, in bytes.
const PART_MAX_BYTES: usize = 64;

/// A label of a host: a key and a value, like `zone=a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A text that is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a label is a key and a value, like zone=a, each of 1 to {PART_MAX_BYTES} letters, digits, dots, dashes and underscores"
)]
pub struct BadLabel;

impl Label {
    /// The label as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Label {
    type Error = BadLabel;

    fn try_from(text: String) -> Result<Self, BadLabel> {
        let is_part = |part: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            (1..=PART_MAX_BYTES).contains(&part.len()) && part.bytes().all(fits)
        };
        match text.split_once('=') {
            Some((key, value)) if is_part(key) && is_part(value) => Ok(Self(text)),
            _ => Err(BadLabel),
        }
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
