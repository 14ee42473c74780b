//! The task's state: values that outlive every term, whichever host leads.
//!
//! Values are kept as JSON: whatever serde can write and read. A write is made in the plugin's own term or not at all, so
//! a host that has lost leadership cannot spoil what the next one reads. What returned `Ok` is there for every later term.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use soloist_sdk::{Result, state};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Progress {
//!     file: String,
//!     line: u64,
//! }
//!
//! async fn work() -> Result {
//!     let mut progress = state::get("progress").await?.unwrap_or(Progress { file: "a.csv".into(), line: 0 });
//!     while progress.line < 1_000 {
//!         progress.line += 1;
//!         state::set("progress", &progress).await?;
//!     }
//!     let runs: u64 = state::update("runs", |runs| runs.unwrap_or(0) + 1).await?;
//!     soloist_sdk::info!(runs = runs, "done with {}", progress.file);
//!     Ok(())
//! }
//! ```
//!
//! - All of it can be called in `on_demoted` too.
//! - A lost connection is waited for: a call can take as long as [`remaining`](crate::remaining). A call that is dropped,
//!   as when demotion drops `on_elected`, may or may not have been done.
//! - Limits: a key is 1 to 128 bytes of text, and neither `.` nor `..`, without a slash, a control character, one for
//!   private use or one beyond U+FFEF, such as an emoji; a value has at most 64 KiB, a task at most 1000 keys, and
//!   at most 64 calls may be under way, unless the task's limits say otherwise. A write that follows many others waits for
//!   its turn, or is refused.
//! - Every server of the ensemble has all of it in memory: it is a place for positions and decisions, not for data.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imports::state as host;

mod error;
mod transaction;

pub use error::Error;
pub(crate) use transaction::refused;
pub use transaction::{Transaction, transaction};

/// A value and the version that it has.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     state::set("page", &7).await.unwrap();
///     let state::Entry { value, version } = state::get_entry::<u32>("page").await.unwrap().unwrap();
///     // Done only if nobody has written it meanwhile.
///     let next = state::transaction().check("page", Some(version)).set("page", &(value + 1));
///     next.commit().await.unwrap();
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Grows with every write of the entry, also across a deletion.
    pub version: u64,
}

/// The value of `key`, if it is there.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     assert_eq!(state::get::<u32>("count").await.unwrap(), None);
///     state::set("count", &1).await.unwrap();
///     assert_eq!(state::get::<u32>("count").await.unwrap(), Some(1));
/// });
/// ```
///
/// # Errors
/// [`Error::BadKey`], [`Error::Unavailable`], [`Error::Decode`].
pub async fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    Ok(get_entry(key).await?.map(|entry| entry.value))
}

/// The value of `key` with its version, for [`compare_and_set`].
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     let version = state::set("at", &7).await.unwrap();
///     let entry = state::get_entry::<u32>("at").await.unwrap().unwrap();
///     assert_eq!((entry.value, entry.version), (7, version));
/// });
/// ```
///
/// # Errors
/// As [`get`].
pub async fn get_entry<T: DeserializeOwned>(key: &str) -> Result<Option<Entry<T>>, Error> {
    let Some(Entry { value, version }) = get_bytes(key).await? else {
        return Ok(None);
    };
    let value = decode(key, &value)?;
    Ok(Some(Entry { value, version }))
}

/// Writes the value of `key`, whether it is there or not; gives its version.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     let first = state::set("names", &["Ada", "Grace"]).await.unwrap();
///     assert!(state::set("names", &["Ada"]).await.unwrap() > first);
/// });
/// ```
///
/// # Errors
/// Any but [`Error::Changed`] and [`Error::Decode`].
pub async fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<u64, Error> {
    set_bytes(key, encode(key, value)?).await
}

/// Writes the value of `key` if it has the version expected; if none is expected, only if it is not there. Gives its
/// version.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     let version = state::compare_and_set("owner", None, "Ada").await.unwrap();
///     let taken = state::compare_and_set("owner", None, "Grace").await.unwrap_err();
///     assert!(matches!(taken, state::Error::Changed { version: Some(found), .. } if found == version));
/// });
/// ```
///
/// # Errors
/// [`Error::Changed`] when it has another version, and as [`set`].
pub async fn compare_and_set<T: Serialize + ?Sized>(
    key: &str,
    expected: Option<u64>,
    value: &T,
) -> Result<u64, Error> {
    compare_and_set_bytes(key, expected, encode(key, value)?).await
}

/// Changes the value of `key` to what `change` makes of it, and gives the new one: as one step, however many tasks of
/// the plugin do so at once. `change` is called again whenever another was quicker.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     for _ in 0..3 {
///         state::update("runs", |runs: Option<u32>| runs.unwrap_or(0) + 1).await.unwrap();
///     }
///     assert_eq!(state::get::<u32>("runs").await.unwrap(), Some(3));
/// });
/// ```
///
/// # Errors
/// Any but [`Error::Changed`].
pub async fn update<T: Serialize + DeserializeOwned>(
    key: &str,
    mut change: impl FnMut(Option<T>) -> T,
) -> Result<T, Error> {
    loop {
        let (value, version) = get_entry(key)
            .await?
            .map_or((None, None), |it| (Some(it.value), Some(it.version)));
        let value = change(value);
        match compare_and_set(key, version, &value).await {
            Ok(_) => return Ok(value),
            Err(Error::Changed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Deletes `key`, if it is there.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     state::set("a", &1).await.unwrap();
///     state::delete("a").await.unwrap();
///     state::delete("a").await.unwrap(); // it need not be there
///     assert!(state::list().await.unwrap().is_empty());
/// });
/// ```
///
/// # Errors
/// [`Error::BadKey`], [`Error::Unavailable`].
pub async fn delete(key: &str) -> Result<(), Error> {
    host::delete(key.to_owned())
        .await
        .map_err(|error| Error::new(key, error))
}

/// Every key there is, sorted.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     state::set("b", &1).await.unwrap();
///     state::set("a", &2).await.unwrap();
///     assert_eq!(state::list().await.unwrap(), ["a", "b"]);
/// });
/// ```
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn list() -> Result<Vec<String>, Error> {
    list_prefix("").await
}

/// Every key there is that begins with `prefix`, sorted.
///
/// ```no_run
/// # use soloist_sdk::{Result, state};
/// # async fn work() -> Result {
/// for key in state::list_prefix("file.").await? {
///     state::delete(&key).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn list_prefix(prefix: &str) -> Result<Vec<String>, Error> {
    host::list(prefix.to_owned())
        .await
        .map_err(|error| Error::new("", error))
}

/// As [`get_entry`], for bytes as they are.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     state::set_bytes("raw", vec![0, 255]).await.unwrap();
///     let entry = state::get_bytes("raw").await.unwrap().unwrap();
///     assert_eq!(entry.value, [0, 255]);
/// });
/// ```
///
/// # Errors
/// [`Error::BadKey`], [`Error::Unavailable`].
pub async fn get_bytes(key: &str) -> Result<Option<Entry<Vec<u8>>>, Error> {
    let entry = host::get(key.to_owned())
        .await
        .map_err(|error| Error::new(key, error))?;
    Ok(entry.map(|host::Entry { value, version }| Entry { value, version }))
}

/// As [`set`], for bytes as they are.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     state::set_bytes("raw", b"as it is".to_vec()).await.unwrap();
/// });
/// ```
///
/// # Errors
/// Any but [`Error::Changed`], [`Error::Encode`] and [`Error::Decode`].
pub async fn set_bytes(key: &str, value: Vec<u8>) -> Result<u64, Error> {
    host::set(key.to_owned(), value)
        .await
        .map_err(|error| Error::new(key, error))
}

/// As [`compare_and_set`], for bytes as they are.
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().block_on(async {
///     let version = state::compare_and_set_bytes("raw", None, vec![1]).await.unwrap();
///     state::compare_and_set_bytes("raw", Some(version), vec![2]).await.unwrap();
/// });
/// ```
///
/// # Errors
/// Any but [`Error::Encode`] and [`Error::Decode`].
pub async fn compare_and_set_bytes(
    key: &str,
    expected: Option<u64>,
    value: Vec<u8>,
) -> Result<u64, Error> {
    host::compare_and_set(key.to_owned(), expected, value)
        .await
        .map_err(|error| Error::new(key, error))
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|source| Error::Decode {
        key: key.to_owned(),
        source,
    })
}

pub(crate) fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|source| Error::Encode {
        key: key.to_owned(),
        source,
    })
}
