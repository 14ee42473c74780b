//! What a new configuration changes, and what it cannot: pure, no IO.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use soloist_config::{Config, EnsembleConfig, TaskConfig};
use soloist_core::digest::Digest;
use soloist_core::event::Event;
use soloist_core::secret::Secret;

/// A task, and all else that decides what runs: two of these that are equal run the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What is said of it.
    pub task: TaskConfig,
    /// What its plugin's file holds.
    pub digest: Digest,
    /// What its plugin's secrets are, in the order of their names.
    pub secrets: Vec<Secret>,
}

/// Which tasks a new configuration changes, by their names in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that were not there.
    pub added: Vec<String>,
    /// Those that are there no more.
    pub removed: Vec<String>,
    /// Those that are set up in another way.
    pub replaced: Vec<String>,
    /// How many go on untouched.
    pub unchanged: usize,
}

impl Changes {
    /// What changes from the `old` tasks to the `new` ones.
    pub fn between(old: &[Setup], new: &[Setup]) -> Self {
        let named = |setups: &[Setup], is_changed: &dyn Fn(&Setup) -> bool| {
            let changed = setups.iter().filter(|setup| is_changed(setup));
            let mut names: Vec<_> = changed.map(|setup| setup.task.name.to_string()).collect();
            names.sort();
            names
        };
        let (old_ones, new_ones) = (by_name(old), by_name(new));
        let before = |setup: &Setup| old_ones.get(&*setup.task.name).copied();
        let is_unchanged = |setup: &&Setup| before(setup) == Some(setup);
        Self {
            added: named(new, &|setup| before(setup).is_none()),
            removed: named(old, &|setup| !new_ones.contains_key(&*setup.task.name)),
            replaced: named(new, &|setup| before(setup).is_some_and(|old| old != setup)),
            unchanged: new.iter().filter(is_unchanged).count(),
        }
    }

    /// What a host tells once these changes are done.
    pub fn done(&self) -> Event {
        Event::Reloaded {
            added: self.added.len(),
            removed: self.removed.len(),
            replaced: self.replaced.len(),
            unchanged: self.unchanged,
            changes: self.to_string(),
        }
    }

    /// Whether this task is stood for anew.
    pub fn starts(&self, task: &str) -> bool {
        is_among(&self.added, task) || is_among(&self.replaced, task)
    }

    /// Whether this task is given back.
    pub fn stops(&self, task: &str) -> bool {
        is_among(&self.removed, task) || is_among(&self.replaced, task)
    }
}

fn by_name(setups: &[Setup]) -> BTreeMap<&str, &Setup> {
    let named = setups.iter().map(|setup| (&*setup.task.name, setup));
    named.collect()
}

/// Whether it is among those names, which are in alphabetical order.
fn is_among(names: &[String], task: &str) -> bool {
    names.binary_search_by(|name| (**name).cmp(task)).is_ok()
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("replaced", &self.replaced),
        ];
        let told: Vec<_> = kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        if told.is_empty() {
            f.write_str("nothing has changed")
        } else {
            f.write_str(&told.join("; "))
        }
    }
}

/// Settings that belong to the process or its session have changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} cannot change while a host runs: restart it, or take that back", .0.join(", ")
)]
pub struct NeedsRestart(Vec<&'static str>);

impl NeedsRestart {
    /// Compares what cannot change while a host runs.
    ///
    /// # Errors
    /// [`NeedsRestart`], with every key that has changed.
    pub fn check(old: &Config, new: &Config) -> Result<(), Self> {
        let EnsembleConfig {
            servers,
            root,
            session_timeout,
            tick_time,
            tls,
            auth,
            // Where an identity comes from does not matter, only what it is.
            auth_file: _,
            sasl,
            sasl_file: _,
            acl,
            connect_timeout,
            state_rate,
        } = &old.zookeeper;
        let ensemble = &new.zookeeper;
        let keys = [
            ("host_id", old.host != new.host),
            ("nat64", old.nat64 != new.nat64),
            (
                "listen, or a key that begins with listen_",
                old.listen != new.listen,
            ),
            ("otlp", old.otlp != new.otlp),
            ("placement", old.placement != new.placement),
            ("zookeeper.servers", *servers != ensemble.servers),
            ("zookeeper.root", *root != ensemble.root),
            (
                "zookeeper.session_timeout",
                *session_timeout != ensemble.session_timeout,
            ),
            ("zookeeper.tick_time", *tick_time != ensemble.tick_time),
            (
                "zookeeper.connect_timeout",
                *connect_timeout != ensemble.connect_timeout,
            ),
            ("zookeeper.tls", *tls != ensemble.tls),
            ("zookeeper.auth", *auth != ensemble.auth),
            ("zookeeper.sasl_file", *sasl != ensemble.sasl),
            ("zookeeper.acl", *acl != ensemble.acl),
            ("zookeeper.state_rate", *state_rate != ensemble.state_rate),
            (
                "deploy.enabled",
                old.deploy.is_some() != new.deploy.is_some(),
            ),
            (
                "deploy.directory or deploy.cache_size",
                kept(old).is_some() && kept(new).is_some_and(|it| kept(old) != Some(it)),
            ),
        ];
        let changed: Vec<_> = keys
            .into_iter()
            .filter(|(_, has_changed)| *has_changed)
            .map(|(key, _)| key)
            .collect();
        if changed.is_empty() {
            Ok(())
        } else {
            Err(Self(changed))
        }
    }
}

/// Where deployments are kept, and how much of them.
fn kept(config: &Config) -> Option<(&Path, u64)> {
    let deploy = config.deploy.as_ref()?;
    Some((&deploy.directory, deploy.cache_size))
}

#[cfg(test)]
mod tests;
