//! A value as somebody wrote it, with the place it comes from.

use std::ops::Range;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// The place a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line: a flag or an argument, by its name in `--help`.
    Flag(String),
    /// The environment: a variable.
    Variable(String),
    /// A document: its bytes there.
    Document(Range<usize>),
}

/// A value that nobody has judged yet, and the place it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// The value as it was written.
    pub(crate) value: T,
    /// Where it was written.
    pub(crate) source: Source,
}

impl<T> Written<T> {
    /// A value of the command line, for a flag or argument of this name.
    pub fn flag(value: T, name: impl Into<String>) -> Self {
        Self {
            value,
            source: Source::Flag(name.into()),
        }
    }

    /// A value of the environment, in this variable.
    pub fn variable(value: T, name: impl Into<String>) -> Self {
        Self {
            value,
            source: Source::Variable(name.into()),
        }
    }

    /// The value as it was written: nobody has judged it.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The place that the value comes from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            source: Source::Document(spanned.span()),
            value: spanned.into_inner(),
        })
    }
}
