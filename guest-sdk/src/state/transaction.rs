//! Several entries that are written together or not at all.

use serde::Serialize;

use super::{Error, encode, host};

/// Begins a transaction: nothing is done until [`Transaction::commit`].
///
/// ```
/// use soloist_sdk::state;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new();
/// let both = state::transaction().set("from", &70).set("to", &30);
/// test.block_on(both.commit()).unwrap();
/// assert_eq!((test.state("from"), test.state("to")), (Some(70), Some(30)));
/// ```
pub fn transaction() -> Transaction {
    Transaction::default()
}

/// Writes of several entries, which are done together or not at all.
///
/// At most 32 operations; a key is checked once and written once at the most; all values together have no more bytes than
/// the largest value of a state.
///
/// ```
/// # use soloist_sdk::testing::Harness;
/// # use soloist_sdk::{Result, state};
/// # async fn work() -> Result {
/// # state::set("queue", &["a", "b"]).await?;
/// let queue = state::get_entry::<Vec<String>>("queue").await?;
/// let (mut names, version) = queue.map_or((vec![], None), |it| (it.value, Some(it.version)));
/// if let Some(name) = names.pop() {
///     state::transaction()
///         .check("queue", version)
///         .set("queue", &names)
///         .set("current", &name)
///         .delete("idle")
///         .commit()
///         .await?;
/// }
/// # Ok(())
/// # }
/// # let test = Harness::new();
/// # test.block_on(work()).unwrap();
/// # assert_eq!(test.state_keys(), ["current", "queue"]);
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is done until it is committed"]
pub struct Transaction {
    operations: Vec<host::Operation>,
    /// The first value that could not be encoded: `commit` says so, that the calls can be chained.
    failed: Option<Error>,
}

impl Transaction {
    /// Has nothing done unless `key` has the version expected; if none is, unless it is not there.
    pub fn check(self, key: &str, expected: Option<u64>) -> Self {
        self.with(host::Operation::Check(host::Expectation {
            key: key.to_owned(),
            expected,
        }))
    }

    /// Writes the value of `key`, whether it is there or not.
    pub fn set<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        match encode(key, value) {
            Ok(value) => self.set_bytes(key, value),
            Err(error) => {
                self.failed.get_or_insert(error);
                self
            }
        }
    }

    /// As [`set`](Self::set), for bytes as they are.
    pub fn set_bytes(self, key: &str, value: Vec<u8>) -> Self {
        self.with(host::Operation::Set(host::Assignment {
            key: key.to_owned(),
            value,
        }))
    }

    /// Deletes `key`, if it is there.
    pub fn delete(self, key: &str) -> Self {
        self.with(host::Operation::Delete(key.to_owned()))
    }

    /// Does all of it or nothing. Gives the version that every entry has that was set, if any was.
    ///
    /// # Errors
    /// Any but [`Error::Decode`]; the error names the key of the operation that was refused. After
    /// [`Error::Unavailable`] it may have been done all the same, unless the reason says otherwise.
    pub async fn commit(self) -> Result<Option<u64>, Error> {
        let (operations, keys) = self.into_parts()?;
        host::transact(operations)
            .await
            .map_err(|refusal| refused(&keys, refusal))
    }

    /// The operations, and the keys that they are about.
    pub(crate) fn into_parts(self) -> Result<(Vec<host::Operation>, Vec<String>), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let keys = self.operations.iter().map(key).collect();
        Ok((self.operations, keys))
    }

    fn with(mut self, operation: host::Operation) -> Self {
        self.operations.push(operation);
        self
    }
}

fn key(operation: &host::Operation) -> String {
    match operation {
        host::Operation::Check(it) => it.key.clone(),
        host::Operation::Set(it) => it.key.clone(),
        host::Operation::Delete(key) => key.clone(),
    }
}

/// An error that names the key of the operation that was refused.
pub(crate) fn refused(keys: &[String], refusal: host::Refusal) -> Error {
    let at = refusal.at.and_then(|at| usize::try_from(at).ok());
    let key = at.and_then(|at| keys.get(at)).map_or("", String::as_str);
    Error::new(key, refusal.reason)
}
