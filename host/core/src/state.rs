//! A plugin's state, as whoever runs the plugin asks for it and whoever keeps it provides it.
//!
//! Every write is fenced by the term it is made in: once another term has begun, the keeper itself refuses it.

use futures::future::BoxFuture;

/// The longest key, in bytes.
pub const KEY_MAX_BYTES: usize = 128;
/// The largest value, in bytes. ZooKeeper refuses messages of a megabyte.
pub const VALUE_MAX_BYTES: usize = 512 * 1024;
/// How many keys a task can have.
pub const KEYS_MAX: usize = 1_000;
/// How many operations a transaction can have.
pub const OPERATIONS_MAX: usize = 32;

/// A value and the version that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Grows with every write, also across a deletion.
    pub version: u64,
}

/// A request for state that was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The key cannot be used.
    #[error("bad key: {0}")]
    BadKey(&'static str),
    /// The value is too large.
    #[error("a value of {bytes} bytes is too large: at most {VALUE_MAX_BYTES} are kept")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// There are too many keys.
    #[error("the task has as many keys already as it may")]
    TooMany,
    /// The entry is not as expected; this is its version, if it is there.
    #[error("the entry has changed")]
    Changed(Option<u64>),
    /// The term has ended: nothing of it is written any more.
    #[error("the term has ended")]
    Fenced,
    /// The state cannot be reached or refuses access.
    #[error("the state is unavailable: {0}")]
    Unavailable(String),
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing of the transaction is done unless the entry has this version, or, without one, is not there.
    Check {
        /// The entry.
        key: String,
        /// Its version.
        expected: Option<u64>,
    },
    /// Writes an entry, whether it is there or not.
    Set {
        /// The entry.
        key: String,
        /// What it is to hold.
        value: Vec<u8>,
    },
    /// Deletes an entry, if it is there.
    Delete {
        /// The entry.
        key: String,
    },
}

impl Operation {
    /// The entry that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Check { key, .. } | Self::Set { key, .. } | Self::Delete { key } => key,
        }
    }

    /// The bytes that it writes besides its key.
    pub fn value(&self) -> &[u8] {
        match self {
            Self::Set { value, .. } => value,
            Self::Check { .. } | Self::Delete { .. } => &[],
        }
    }
}

/// A transaction of which nothing was done, unless its error says that it may have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", at.map_or_else(|| error.to_string(), |at| format!("operation {at}: {error}")))]
pub struct Refusal {
    /// Which of its operations was refused, counted from 0, if it was one of them.
    pub at: Option<usize>,
    /// Why.
    pub error: StateError,
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        Self { at: None, error }
    }
}

/// Says whether a transaction can be tried: each key can be used, and is checked once and written once at the most.
///
/// # Errors
/// The first operation that cannot be done, or that there are too many, or too many bytes.
pub fn check_transaction(operations: &[Operation]) -> Result<(), Refusal> {
    if operations.len() > OPERATIONS_MAX {
        let reason =
            format!("nothing was done: a transaction has at most {OPERATIONS_MAX} operations");
        return Err(StateError::Unavailable(reason).into());
    }
    let is_check = |operation: &Operation| matches!(operation, Operation::Check { .. });
    for (index, operation) in operations.iter().enumerate() {
        let at = |error| Refusal {
            at: Some(index),
            error,
        };
        check_key(operation.key()).map_err(at)?;
        check_value(operation.value()).map_err(at)?;
        let is_like = |other: &&Operation| {
            other.key() == operation.key() && is_check(other) == is_check(operation)
        };
        if operations[..index].iter().any(|other| is_like(&other)) {
            let twice = "it is checked twice, or written twice, in one transaction";
            return Err(at(StateError::BadKey(twice)));
        }
    }
    let bytes = operations
        .iter()
        .map(|operation| operation.value().len())
        .sum();
    if bytes > VALUE_MAX_BYTES {
        return Err(StateError::TooLarge { bytes }.into());
    }
    Ok(())
}

/// The record of a schedule, written over the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// The name of the schedule.
    pub schedule: String,
    /// What was read.
    pub over: Option<Vec<u8>>,
    /// What is to be there: something else.
    pub record: Vec<u8>,
}

/// The state of one task in one term.
///
/// A request that is cut off by a lost connection waits for the next one and is made again, so it can take as long as the
/// term lasts. Dropped, it may or may not be fulfilled.
pub trait State: std::fmt::Debug + Send + Sync {
    /// Reads an entry.
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>>;

    /// Writes an entry; gives its version.
    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>>;

    /// Deletes an entry, if it is there.
    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>>;

    /// The keys there are that begin with `prefix`, sorted.
    fn list(&self, prefix: String) -> BoxFuture<'_, Result<Vec<String>, StateError>>;

    /// Writes an entry if it has the version expected, or if none is expected and it is not there; gives its version.
    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>>;

    /// Does all of the operations or none; gives the version that all entries have that were set, if any was.
    fn transact(&self, operations: Vec<Operation>) -> BoxFuture<'_, Result<Option<u64>, Refusal>>;

    /// Reads the record of a schedule.
    fn read_schedule(&self, name: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StateError>>;

    /// Writes the record of a schedule and does all of the operations, or does nothing of both.
    ///
    /// A refusal with [`StateError::Changed`] that is about none of the operations is about the record: it is not what was
    /// read. One with [`StateError::TooMany`] that is about none is about either.
    fn write_schedule(
        &self,
        record: RecordWrite,
        operations: Vec<Operation>,
    ) -> BoxFuture<'_, Result<(), Refusal>>;
}

/// Says whether a key can be used.
///
/// # Errors
/// [`StateError::BadKey`] says what is wrong.
pub fn check_key(key: &str) -> Result<(), StateError> {
    let wrong = if key.is_empty() {
        "it is empty"
    } else if key.len() > KEY_MAX_BYTES {
        "it is longer than 128 bytes"
    } else if key == "." || key == ".." {
        "it is . or .."
    } else if key.contains('/') {
        "it contains a slash"
    } else if key
        .chars()
        .any(|it| it.is_control() || matches!(it, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..))
    {
        "it contains a control character, one for private use, or one beyond U+FFEF, such as an emoji"
    } else {
        return Ok(());
    };
    Err(StateError::BadKey(wrong))
}

/// Says whether a value can be kept.
///
/// # Errors
/// [`StateError::TooLarge`].
pub fn check_value(value: &[u8]) -> Result<(), StateError> {
    if value.len() > VALUE_MAX_BYTES {
        Err(StateError::TooLarge { bytes: value.len() })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_node_cannot_be_named_after_are_refused() {
        for good in [
            "a",
            "last-run",
            "ein Schlüssel",
            "...",
            "a.b",
            "\u{d7ff}\u{f900}\u{ffef}",
        ] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "a\0b",
            "a\nb",
            "\u{fffd}",
            "\u{85}",
            "\u{e000}",
            "\u{f8ff}",
            "\u{1f511}",
            &"x".repeat(129),
        ] {
            assert!(
                matches!(check_key(bad), Err(StateError::BadKey(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_transaction_checks_a_key_once_and_writes_it_once() {
        let check = |key: &str| Operation::Check {
            key: key.into(),
            expected: None,
        };
        let set = |key: &str, bytes| Operation::Set {
            key: key.into(),
            value: vec![0; bytes],
        };
        let delete = |key: &str| Operation::Delete { key: key.into() };
        let refused = |operations: &[Operation]| check_transaction(operations).unwrap_err();
        assert_eq!(check_transaction(&[]), Ok(()));
        assert_eq!(
            check_transaction(&[check("a"), set("a", 1), delete("b"), check("b")]),
            Ok(())
        );
        for twice in [
            [check("a"), check("a")],
            [set("a", 1), set("a", 2)],
            [set("a", 1), delete("a")],
        ] {
            let refusal = refused(&twice);
            assert_eq!(refusal.at, Some(1));
            assert!(matches!(refusal.error, StateError::BadKey(_)), "{refusal}");
        }
        assert_eq!(refused(&[check("a"), delete("a/b")]).at, Some(1));
        let half = VALUE_MAX_BYTES / 2;
        assert_eq!(check_transaction(&[set("a", half), set("b", half)]), Ok(()));
        let bytes = 2 * half + 1;
        assert_eq!(
            refused(&[set("a", half), set("b", half + 1)]),
            StateError::TooLarge { bytes }.into()
        );
        let many: Vec<_> = (0..=OPERATIONS_MAX)
            .map(|number| check(&number.to_string()))
            .collect();
        assert_eq!(check_transaction(&many[1..]), Ok(()));
        assert!(refused(&many).to_string().contains("at most 32 operations"));
    }

    #[test]
    fn values_are_bounded() {
        assert_eq!(check_value(&vec![0; VALUE_MAX_BYTES]), Ok(()));
        let bytes = VALUE_MAX_BYTES + 1;
        assert_eq!(
            check_value(&vec![0; bytes]),
            Err(StateError::TooLarge { bytes })
        );
    }
}
