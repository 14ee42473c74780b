//! What no manifest may say of a task: what belongs to one host alone, and what everybody who reads it would then know.

use std::path::Path;

use crate::grants::SecretWire;
use crate::problem::{BadValue, Excerpt};
use crate::task::TaskWire;
use crate::validator::Validator;
use crate::written::Written;

/// How the name of what holds a secret ends, in lower case and without what stands between its words.
const SECRET_NAMES: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "credential",
    "credentials",
];

/// Refuses what tells a host where its plugin is: a manifest says that as its artefact.
pub(super) fn refuse_plugin(task: &TaskWire, validator: &mut Validator<'_>) {
    let remedy = "name the plugin's file as the artefact of the manifest, with its sha256";
    let plugin = task.plugin.as_ref().map(Written::source);
    let sha256 = task.sha256.as_ref().map(Written::source);
    for (key, source) in [("task.plugin", plugin), ("task.sha256", sha256)] {
        if let Some(source) = source {
            validator.report(key, source, BadValue::NotInManifest { remedy });
        }
    }
}

/// Refuses what else no manifest may say.
pub(crate) fn check(task: &TaskWire, validator: &mut Validator<'_>) {
    if let Some(path) = &task.path {
        // A generation with another master node would not exclude the leader of the one before.
        let remedy = "a master node elsewhere is set in the hosts' own files, for a [[task]] that is not deployed";
        let bad = BadValue::NotInManifest { remedy };
        validator.report("task.path", path.source(), bad);
    }
    for written in task.allow.dirs.iter().flatten() {
        absolute("task.allow.dirs", written, &written.value.host, validator);
    }
    for written in &task.allow.secrets {
        if let SecretWire::File(secret) = &written.value {
            absolute("task.allow.secrets", written, &secret.file, validator);
        }
    }
    let tables = [("config", &task.config), ("allow.env", &task.allow.env)];
    for (table, entries) in tables {
        for (name, written) in entries {
            if is_secret(name, &written.value) {
                let key = format!("task.{table}.{name}");
                validator.report(&key, written.source(), BadValue::SecretInManifest);
            }
        }
    }
}

fn absolute<T>(key: &str, written: &Written<T>, path: &Path, validator: &mut Validator<'_>) {
    if let Err(bad) = check_absolute(path) {
        validator.report(key, written.source(), bad);
    }
}

/// Checks that a path means the same wherever it is read.
pub(crate) fn check_absolute(path: &Path) -> Result<(), BadValue> {
    // `components` would pass over a dot within a path.
    let text = path.to_string_lossy();
    let dots = text.split('/').any(|part| matches!(part, "." | ".."));
    if path.is_absolute() && !dots {
        return Ok(());
    }
    Err(BadValue::NotAbsolute {
        text: Excerpt::of(&text),
    })
}

/// Whether this looks like a secret: by its name, as a private key, or as a URL with a password in it. What is kept elsewhere
/// and only named here does not.
fn is_secret(name: &str, value: &str) -> bool {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let is_named = SECRET_NAMES.iter().any(|end| name.ends_with(end));
    let is_key = value.contains("-----BEGIN") && value.contains("PRIVATE KEY-----");
    !value.is_empty() && (is_named || is_key || has_password(value))
}

/// Whether there is a URL with a user and a password, like `postgres://user:password@host`.
fn has_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let user = rest[..end].rsplit_once('@').map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':'));
        password.is_some_and(|(_, password)| !password.is_empty())
    })
}
