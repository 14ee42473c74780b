//! What is wrong with a configuration, and where.

mod bad_value;
mod similar;

use std::fmt;
use std::path::PathBuf;

use soloist_core::text::{printable, printable_path, quoted};

pub use bad_value::BadValue;
pub(crate) use similar::with_similar;

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", printable_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is not a file", printable_path(path))]
    NotAFile {
        /// What it was taken for.
        path: PathBuf,
    },
    /// The name of the file is that of a configuration in a format that is not read.
    #[error(
        "{} is neither a plugin nor a configuration by its name: write the configuration in TOML or JSON, and call it \
         NAME.toml or NAME.json",
        printable_path(path)
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is too large to be a configuration.
    #[error(
        "{} has more than {max_bytes} bytes: it cannot be a configuration",
        printable_path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max_bytes: u64,
    },
    /// The text is too long to be a manifest.
    #[error(
        "{} has {found} bytes: a manifest has {max} at most; put what is larger into the artefact, or into files of the hosts",
        printable_path(path)
    )]
    ManifestTooLarge {
        /// What stands for its place.
        path: PathBuf,
        /// How long it is.
        found: usize,
        /// How long it may be.
        max: usize,
    },
    /// The manifest cannot be written as JSON, like a path that is not text in UTF-8.
    #[error("the manifest cannot be written")]
    Unwritable {
        /// Why not.
        source: serde_json::Error,
    },
    /// The file is not text.
    #[error("{} is not text in UTF-8", printable_path(path))]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where not.
        source: std::str::Utf8Error,
    },
    /// The document is not TOML or JSON, or has an unknown key or a value of another type.
    #[error("{place}: {}", printable(message))]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// The document has several unknown keys, or values of another type: each of them, in the order in which they stand.
    #[error("{}", malformed(.0))]
    Malformed(Vec<(Place, String)>),
    /// Some values are wrong: each of them, in the order in which they were looked at.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// The error of these mistakes of shape: at least one.
    pub(crate) fn of_shapes(mut mistakes: Vec<(Place, String)>) -> Self {
        match mistakes.pop() {
            Some((place, message)) if mistakes.is_empty() => Self::Syntax { place, message },
            last => {
                mistakes.extend(last);
                Self::Malformed(mistakes)
            }
        }
    }

    /// The same, where what a parser says of a mistake is told in other words, if there are any.
    pub(crate) fn in_other_words(self, tell: impl Fn(&str) -> Option<String>) -> Self {
        let told = |message: String| tell(&message).unwrap_or(message);
        match self {
            Self::Syntax { place, message } => Self::Syntax {
                place,
                message: told(message),
            },
            Self::Malformed(mistakes) => {
                let mistakes = mistakes.into_iter();
                Self::Malformed(
                    mistakes
                        .map(|(place, message)| (place, told(message)))
                        .collect(),
                )
            }
            other => other,
        }
    }
}

/// One bad value.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {bad}")]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// What is wrong.
    #[source]
    pub bad: BadValue,
}

/// The beginning of what somebody wrote, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const CHARS_MAX: usize = 60;

    pub(crate) fn of(text: &str) -> Self {
        let mut characters = text.chars();
        let mut start: String = characters.by_ref().take(Self::CHARS_MAX).collect();
        if characters.next().is_some() {
            start.push('…');
        }
        Self(start)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.0))
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag or an argument, by the name it has in `--help`.
    Flag(String),
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The key with its tables, like `zookeeper.servers`, where there is one.
        key: Option<String>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(&printable(name)),
            Self::File {
                path,
                line,
                column,
                key,
            } => {
                write!(f, "{}:{line}:{column}", printable_path(path))?;
                match key {
                    Some(key) => write!(f, ": {}", printable(key)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The most bad values that are reported at once.
pub(crate) const PROBLEMS_MAX: usize = 50;

fn malformed(mistakes: &[(Place, String)]) -> String {
    let lines = mistakes.iter();
    bounded(
        lines
            .map(|(place, message)| format!("{place}: {}", printable(message)))
            .collect(),
    )
}

fn lines(problems: &[Problem]) -> String {
    bounded(problems.iter().map(ToString::to_string).collect())
}

fn bounded(mut lines: Vec<String>) -> String {
    if lines.len() == PROBLEMS_MAX {
        lines.push(format!(
            "(these are the first {PROBLEMS_MAX}, there may be more)"
        ));
    }
    lines.join("\n")
}
