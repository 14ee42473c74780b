//! Judges what was written, value by value, and collects what is wrong, so that every bad value is told at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::amount;
use crate::file::Document;
use crate::problem::{BadValue, ConfigError, PROBLEMS_MAX, Place, Problem};
use crate::written::{Source, Written};

/// A problem has been reported, so there is no value.
pub(crate) struct Reported;

/// Collects what is wrong.
pub(crate) struct Validator<'a> {
    document: Option<&'a Document>,
    problems: Vec<Problem>,
}

impl<'a> Validator<'a> {
    /// Judges values of this document, and of flags and the environment.
    pub(crate) fn new(document: Option<&'a Document>) -> Self {
        Self {
            document,
            problems: Vec::new(),
        }
    }

    /// Validates with a function that returns a value if it reports no problem.
    pub(crate) fn run<T>(
        document: Option<&'a Document>,
        validate: impl FnOnce(&mut Self) -> Result<T, Reported>,
    ) -> Result<T, ConfigError> {
        let mut validator = Self::new(document);
        match validate(&mut validator) {
            Ok(value) if validator.problems.is_empty() => Ok(value),
            _ => Err(ConfigError::Invalid(validator.problems)),
        }
    }

    /// Reports a bad value, once: what follows from it at the same place is no second problem.
    pub(crate) fn report(&mut self, key: &str, source: &Source, bad: BadValue) -> Reported {
        if self.problems.len() == PROBLEMS_MAX {
            return Reported;
        }
        let place = match source {
            Source::Flag(name) => Place::Flag(name.clone()),
            Source::Variable(name) => Place::Variable(name.clone()),
            Source::Document(span) => self
                .document
                .expect("only a document makes such a source")
                .place(span, Some(key.to_owned())),
        };
        if self.problems.iter().all(|problem| problem.place != place) {
            self.problems.push(Problem { place, bad });
        }
        Reported
    }

    /// Validates a value.
    pub(crate) fn checked<T, V>(
        &mut self,
        key: &str,
        written: &Written<V>,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<T, Reported> {
        parse(&written.value).map_err(|bad| self.report(key, &written.source, bad))
    }

    /// Validates a value, if there is one.
    pub(crate) fn optional<T, V>(
        &mut self,
        key: &str,
        written: Option<&Written<V>>,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<Option<T>, Reported> {
        written
            .map(|written| self.checked(key, written, parse))
            .transpose()
    }

    /// Validates a value that has to be there; `source` is the place of the table that it belongs to.
    pub(crate) fn required<T, V>(
        &mut self,
        key: &str,
        written: Option<&Written<V>>,
        source: &Source,
        remedy: &'static str,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<T, Reported> {
        let value = self.optional(key, written, parse)?;
        value.ok_or_else(|| self.report(key, source, BadValue::Missing { remedy }))
    }

    /// Validates a duration, if there is one.
    pub(crate) fn optional_duration(
        &mut self,
        key: &str,
        written: Option<&Written<String>>,
    ) -> Result<Option<Duration>, Reported> {
        self.optional(key, written, |text| amount::duration(text))
    }

    /// Validates a duration that has a default.
    pub(crate) fn duration(
        &mut self,
        key: &str,
        written: Option<&Written<String>>,
        default: Duration,
    ) -> Result<Duration, Reported> {
        Ok(self.optional_duration(key, written)?.unwrap_or(default))
    }

    /// Validates every entry of a list.
    pub(crate) fn list<T, V>(
        &mut self,
        key: &str,
        list: &[Written<V>],
        parse: impl Fn(&V) -> Result<T, BadValue>,
    ) -> Result<Vec<T>, Reported> {
        every(list.iter().map(|entry| self.checked(key, entry, &parse)))
    }

    /// A relative path that stands in a file is relative to the file.
    pub(crate) fn beside_file(&self, written: &Written<PathBuf>) -> PathBuf {
        self.resolved(&written.source, &written.value)
    }

    /// Resolves a path that is a part of a value from this place.
    pub(crate) fn resolved(&self, source: &Source, path: &Path) -> PathBuf {
        match (source, self.document.and_then(Document::directory)) {
            (Source::Document(_), Some(directory)) => directory.join(path),
            _ => path.to_owned(),
        }
    }
}

/// Collects values after all of them have been looked at, not only those up to the first bad one.
pub(crate) fn every<T, C: FromIterator<T>>(
    values: impl Iterator<Item = Result<T, Reported>>,
) -> Result<C, Reported> {
    values.collect::<Vec<_>>().into_iter().collect()
}
