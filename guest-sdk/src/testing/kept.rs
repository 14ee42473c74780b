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
        check_size(&value)?;
        self.check(key)?;
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
        check_size(&value)?;
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
        check_transaction(&operations)?;
        self.answers().map_err(whole)?;
        let mut keys = self.entries.keys().cloned().collect::<BTreeSet<_>>();
        for (at, operation) in (0..).zip(&operations) {
            match operation {
                Operation::Check(Expectation { key, expected }) => {
                    let found = self.entries.get(key).map(|entry| entry.version);
                    if found != *expected {
                        return Err(Refusal {
                            at: Some(at),
                            reason: Error::Changed(found),
                        });
                    }
                }
                Operation::Set(Assignment { key, .. }) => drop(keys.insert(key.clone())),
                Operation::Delete(key) => drop(keys.remove(key)),
            }
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
        check_key(key)?;
        self.answers()
    }
}

/// Judges a transaction as a host does before it asks the ensemble, in the same order.
fn check_transaction(operations: &[Operation]) -> Result<(), Refusal> {
    let whole = |reason| Refusal { at: None, reason };
    let at = |at| {
        move |reason| Refusal {
            at: Some(at),
            reason,
        }
    };
    let mut bytes = 0;
    for (index, operation) in (0..).zip(operations) {
        if let Operation::Set(Assignment { value, .. }) = operation {
            check_size(value).map_err(at(index))?;
            bytes += value.len();
        }
    }
    if operations.len() > OPERATIONS_MAX {
        let reason = "nothing was done: a transaction has at most 32 operations";
        return Err(whole(Error::Unavailable(reason.into())));
    }
    let mut seen = BTreeSet::new();
    for (index, operation) in (0..).zip(operations) {
        let (key, is_check) = match operation {
            Operation::Check(Expectation { key, .. }) => (key, true),
            Operation::Set(Assignment { key, .. }) | Operation::Delete(key) => (key, false),
        };
        check_key(key).map_err(at(index))?;
        if !seen.insert((key, is_check)) {
            let twice = "it is checked twice, or written twice, in one transaction";
            return Err(at(index)(Error::BadKey(twice.into())));
        }
    }
    if bytes > TRANSACTION_MAX_BYTES {
        return Err(whole(Error::TooLarge));
    }
    Ok(())
}

fn check_size(value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_MAX_BYTES {
        return Err(Error::TooLarge);
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Error> {
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
    Err(Error::BadKey(wrong.into()))
}

#[cfg(test)]
mod tests {
    use soloist_core::state as host;

    use super::*;

    /// What a host answers: it has judged the sizes of values by the limits of the task before.
    fn judged(operations: &[Operation]) -> Option<(Option<u32>, String)> {
        let operations: Vec<_> = operations
            .iter()
            .cloned()
            .map(|operation| match operation {
                Operation::Check(Expectation { key, expected }) => {
                    host::Operation::Check { key, expected }
                }
                Operation::Set(Assignment { key, value }) => host::Operation::Set { key, value },
                Operation::Delete(key) => host::Operation::Delete { key },
            })
            .collect();
        let refusal = host::check_transaction(&operations).err()?;
        let reason = match refusal.error {
            host::StateError::BadKey(reason) => reason.to_owned(),
            host::StateError::TooLarge { .. } => "too large".into(),
            host::StateError::Unavailable(reason) => reason,
            other => panic!("no transaction is refused so before it is tried: {other}"),
        };
        Some((refusal.at.map(|at| u32::try_from(at).unwrap()), reason))
    }

    fn told(refusal: Refusal) -> (Option<u32>, String) {
        let reason = match refusal.reason {
            Error::BadKey(reason) | Error::Unavailable(reason) => reason,
            Error::TooLarge => "too large".into(),
            other => panic!("no transaction is refused so before it is tried: {other:?}"),
        };
        (refusal.at, reason)
    }

    #[test]
    fn a_transaction_is_judged_as_by_a_host() {
        let long = "x".repeat(KEY_MAX_BYTES + 1);
        let keys = [
            "a", "b", "", ".", "..", "a/b", "a\n", "\u{e000}", "\u{fff0}", &long,
        ];
        let make = |number: usize| {
            let key = keys[number / 3 % keys.len()].to_owned();
            match number % 3 {
                0 => Operation::Check(Expectation {
                    key,
                    expected: None,
                }),
                1 => Operation::Set(Assignment {
                    key,
                    value: vec![0; 8],
                }),
                _ => Operation::Delete(key),
            }
        };
        let all = 3 * keys.len();
        let mut compared = 0;
        let mut compare = |operations: &[Operation]| {
            let fake = check_transaction(operations).map_err(told).err();
            assert_eq!(fake, judged(operations), "{operations:?}");
            compared += 1;
        };
        for first in 0..all {
            for second in 0..all {
                compare(&[make(first), make(second)]);
                compare(&[make(0), make(first), make(second)]);
            }
        }
        let check = |number: usize| {
            Operation::Check(Expectation {
                key: number.to_string(),
                expected: None,
            })
        };
        let set = |number: usize| {
            Operation::Set(Assignment {
                key: number.to_string(),
                value: vec![0; VALUE_MAX_BYTES],
            })
        };
        for count in 0..=OPERATIONS_MAX + 1 {
            compare(&(0..count).map(check).collect::<Vec<_>>());
            compare(&(0..count).map(set).collect::<Vec<_>>());
        }
        assert!(compared > 1800);
    }

    #[test]
    fn the_limits_are_those_of_a_host() {
        assert_eq!(KEY_MAX_BYTES, host::KEY_MAX_BYTES);
        assert_eq!(TRANSACTION_MAX_BYTES, host::VALUE_MAX_BYTES);
        assert_eq!(OPERATIONS_MAX, host::OPERATIONS_MAX);
        assert_eq!(KEYS_MAX, host::KEYS_MAX);
        let limits = soloist_core::limits::Limits::default();
        assert_eq!(VALUE_MAX_BYTES as u64, limits.state_value);
    }

    #[test]
    fn a_value_is_judged_before_its_key_and_what_is_there() {
        let large = || vec![0; VALUE_MAX_BYTES + 1];
        let mut kept = Kept::default();
        assert!(matches!(kept.set("a/b", large()), Err(Error::TooLarge)));
        let expects = kept.compare_and_set("a", Some(7), large());
        assert!(matches!(expects, Err(Error::TooLarge)), "{expects:?}");
    }
}
