//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use super::values::BadValue;
use crate::reporter::printable;

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{} has more than {max_bytes} bytes: it cannot be a configuration", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max_bytes: u64,
    },
    /// The file is not text.
    #[error("{} is not text in UTF-8: {source}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where not.
        source: std::str::Utf8Error,
    },
    /// The file is not TOML, or has an unknown key or a value of another type.
    #[error("{place}: {}", printable(message))]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// Some values are wrong: each of them, in the order in which they were looked at.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
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

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag or an argument, by the name it has in `--help`.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
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
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line, column, key } => {
                write!(f, "{}:{line}:{column}", path.display())?;
                match key {
                    Some(key) => write!(f, ": {}", printable(key)),
                    None => Ok(()),
                }
            }
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
