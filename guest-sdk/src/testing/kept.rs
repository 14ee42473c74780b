//! The state of a task, in memory: the rules of the host, without ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::soloist::plugin::state::{
    Assignment, Entry, Error, Expectation, Operation, Refusal,
};

const KEY_MAX_BYTES: usize = 128;
const KEYS_MAX: usize = 1000;
const VALUE_MAX_BYTES: usize = 64 * 1024;
const TRANSACTION_MAX_BYTES: usize = 512 * 1024;
const OPERATIONS_MAX: usize = 32;

/// What the task keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: BTreeMap<String, Entry>,
    last_version: u64,
    /// Why every call fails, if it does.
    pub(super) refusal: Option<String>,
}

impl Kept {
    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.check(key)?;
        Ok(self.entries.get(key).cloned())
    }

    pub(super) fn set(&mut self, key: &str, value: Vec<u8>) -> Result<u64, Error> {
        self.check(key)?;
        if value.len() > VALUE_MAX_BYTES {
            return Err(Error::TooLarge);
        }
        if self.entries.len() >= KEYS_MAX && !self.entries.contains_key(key) {
            return Err(Error::TooMany);
        }
        self.last_version += 1;
        let version = self.last_version;
        self.entries
            .insert(key.to_owned(), Entry { value, version });
        Ok(version)
    }

    pub(super) fn compare_and_set(
        &mut self,
        key: &str,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> Result<u64, Error> {
        let found = self.get(key)?.map(|entry| entry.version);
        if found != expected {
            return Err(Error::Changed(found));
        }
        self.set(key, value)
    }

    pub(super) fn delete(&mut self, key: &str) -> Result<(), Error> {
        self.check(key)?;
        self.entries.remove(key);
        Ok(())
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.answers()?;
        let mut keys = self.keys();
        keys.retain(|key| key.starts_with(prefix));
        Ok(keys)
    }

    /// Does all of the operations or none.
    pub(super) fn transact(&mut self, operations: Vec<Operation>) -> Result<Option<u64>, Refusal> {
        let whole = |reason| Refusal { at: None, reason };
        self.answers().map_err(whole)?;
        if operations.len() > OPERATIONS_MAX {
            let reason = "nothing was done: a transaction has at most 32 operations";
            return Err(whole(Error::Unavailable(reason.into())));
        }
        let mut keys = self.entries.keys().cloned().collect::<BTreeSet<_>>();
        let mut bytes = 0;
        let mut seen = BTreeSet::new();
        for (at, operation) in (0..).zip(&operations) {
            let refused = |reason| Refusal {
                at: Some(at),
                reason,
            };
            let (key, is_check) = match operation {
                Operation::Check(Expectation { key, .. }) => (key, true),
                Operation::Set(Assignment { key, .. }) | Operation::Delete(key) => (key, false),
            };
            self.check(key).map_err(refused)?;
            if !seen.insert((key.clone(), is_check)) {
                let twice = "it is checked twice, or written twice, in one transaction";
                return Err(refused(Error::BadKey(twice.into())));
            }
            match operation {
                Operation::Check(Expectation { key, expected }) => {
                    let found = self.entries.get(key).map(|entry| entry.version);
                    if found != *expected {
                        return Err(refused(Error::Changed(found)));
                    }
                }
                Operation::Set(Assignment { key, value }) => {
                    if value.len() > VALUE_MAX_BYTES {
                        return Err(refused(Error::TooLarge));
                    }
                    bytes += value.len();
                    keys.insert(key.clone());
                }
                Operation::Delete(key) => drop(keys.remove(key)),
            }
        }
        if bytes > TRANSACTION_MAX_BYTES {
            return Err(whole(Error::TooLarge));
        }
        if keys.len() > KEYS_MAX.max(self.entries.len()) {
            return Err(whole(Error::TooMany));
        }
        let version = self.last_version + 1;
        for operation in operations {
            match operation {
                Operation::Check(_) => {}
                Operation::Set(Assignment { key, value }) => {
                    self.last_version = version;
                    self.entries.insert(key, Entry { value, version });
                }
                Operation::Delete(key) => drop(self.entries.remove(&key)),
            }
        }
        Ok((self.last_version == version).then_some(version))
    }

    /// The value of a key, whether the state answers or not.
    pub(super) fn peek(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.get(key).map(|entry| entry.value.clone())
    }

    /// The keys, whether the state answers or not.
    pub(super) fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn answers(&self) -> Result<(), Error> {
        match &self.refusal {
            Some(reason) => Err(Error::Unavailable(reason.clone())),
            None => Ok(()),
        }
    }

    fn check(&self, key: &str) -> Result<(), Error> {
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
            return self.answers();
        };
        Err(Error::BadKey(wrong.into()))
    }
}
