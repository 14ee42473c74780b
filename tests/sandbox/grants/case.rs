//! The guest `granted`: what a test grants it, has it do, and hears from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use soloist_core::grants::{Access, Directory, Grants};
use soloist_core::limits::Limits;
use soloist_core::secret::Secret;
use soloist_dev::testbed::Tested;
use soloist_sandbox::{Plugin, PluginSettings};

use crate::guests::{engine, guest};
use crate::terms::{demote, without_restart};

/// The word that no event may contain.
pub(super) const SECRET: &str = "a-very-secret-word";

/// The guest `granted`, told what to do.
pub(super) fn start(config: &[(&str, &str)], grants: Grants) -> Tested {
    Tested::start(load(config, grants, Limits::default()), without_restart())
}

/// The guest with this configuration, which knows the secret.
pub(super) fn load(config: &[(&str, &str)], grants: Grants, limits: Limits) -> Arc<Plugin> {
    let config = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let secrets = BTreeMap::from([("SECRET".to_owned(), Secret::new(SECRET.to_owned()))]);
    let settings = PluginSettings {
        config,
        grants,
        secrets,
        limits,
        ..PluginSettings::default()
    };
    Arc::new(Plugin::load(&engine(), &guest("granted"), settings).expect("the guest loads"))
}

/// The guest, with a directory to read and as many files as it likes unless `limits` says otherwise.
pub(super) fn reader(what: &str, host: &Path, limits: Limits) -> Arc<Plugin> {
    let dirs = vec![dir(host, "/data", Access::Read)];
    load(&[("do", what)], granting(dirs), limits)
}

/// Has the guest take the steps in these directories, and returns the outcome of each.
pub(super) fn files(dirs: Vec<Directory>, steps: &[&str]) -> BTreeMap<String, String> {
    let tested = start(
        &[("do", "files"), ("steps", &steps.join("\n"))],
        granting(dirs),
    );
    tested.wait_for("plugin-completed", "", 1);
    let split = |line: String| {
        line.split_once(": ")
            .map(|(step, outcome)| (step.to_owned(), outcome.to_owned()))
    };
    demote(tested).into_iter().filter_map(split).collect()
}

/// A directory of the host, and where the guest sees it.
pub(super) fn dir(host: &Path, guest: &str, access: Access) -> Directory {
    Directory {
        host: host.to_owned(),
        guest: guest.to_owned(),
        access,
    }
}

/// The grants of these directories, and of nothing else.
pub(super) fn granting(dirs: Vec<Directory>) -> Grants {
    Grants {
        dirs,
        ..Grants::default()
    }
}

/// A directory with a file in it, beside one with another that no plugin may see.
pub(super) fn places() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["inside", "outside"] {
        fs::create_dir(place.path().join(name)).unwrap();
        fs::write(place.path().join(name).join("file"), format!("from {name}")).unwrap();
    }
    place
}
