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

    /// The keys there are, sorted.
    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, StateError>>;

    /// Writes an entry if it has the version expected, or if none is expected and it is not there; gives its version.
    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>>;
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
    fn values_are_bounded() {
        assert_eq!(check_value(&vec![0; VALUE_MAX_BYTES]), Ok(()));
        let bytes = VALUE_MAX_BYTES + 1;
        assert_eq!(
            check_value(&vec![0; bytes]),
            Err(StateError::TooLarge { bytes })
        );
    }
}
