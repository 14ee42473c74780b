//! What can be wrong with a call of the state.

use std::fmt;

use super::host;

/// Why a call was not done.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// let error = Harness::new().block_on(state::set("a/b", &1)).unwrap_err();
/// assert!(matches!(error, state::Error::BadKey { .. }));
/// assert_eq!(error.to_string(), "\"a/b\" cannot be a key of the state: it contains a slash");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The key cannot be used.
    BadKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value has more bytes than are kept.
    TooLarge {
        /// The key.
        key: String,
    },
    /// The task has as many keys as are kept.
    TooMany {
        /// The key that is one too many.
        key: String,
    },
    /// The entry does not have the version expected.
    Changed {
        /// The key.
        key: String,
        /// The version that it has, if it is there.
        version: Option<u64>,
    },
    /// The state refuses access or does not answer, or this is more than it takes. A write may have been done all the same,
    /// unless the reason says otherwise.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The value cannot be written as JSON.
    Encode {
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// What is kept is not JSON of this type.
    Decode {
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey { key, reason } => {
                write!(f, "{key:?} cannot be a key of the state: {reason}")
            }
            Self::TooLarge { key } => {
                write!(
                    f,
                    "the value of {key:?} is too large for the state: see `state_value` in the task's limits"
                )
            }
            Self::TooMany { key } => {
                write!(
                    f,
                    "the state has no room for one more key, {key:?}: see `state_keys` in the task's limits"
                )
            }
            Self::Changed {
                key,
                version: Some(version),
            } => write!(f, "{key:?} has changed: it has version {version}"),
            Self::Changed { key, version: None } => {
                write!(f, "{key:?} has changed: it is not there")
            }
            Self::Unavailable { reason } => write!(f, "the state is unavailable: {reason}"),
            Self::Encode { key, .. } => write!(f, "the value of {key:?} cannot be written as JSON"),
            Self::Decode { key, .. } => write!(
                f,
                "the value of {key:?} in the state is not of the type expected"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode { source, .. } | Self::Decode { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn new(key: &str, error: host::Error) -> Self {
        let key = key.to_owned();
        match error {
            host::Error::BadKey(reason) => Self::BadKey { key, reason },
            host::Error::TooLarge => Self::TooLarge { key },
            host::Error::TooMany => Self::TooMany { key },
            host::Error::Changed(version) => Self::Changed { key, version },
            host::Error::Unavailable(reason) => Self::Unavailable { reason },
        }
    }
}
