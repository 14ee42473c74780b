//! The credentials that `docker login` has left: in the configuration of docker, or with one of its helpers.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use soloist_core::secret::Secret;

use crate::error::OciError;

const CONFIG_BYTES_MAX: u64 = 1 << 20;
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How long a helper may take: it may ask a service.
const HELPER_PATIENCE: Duration = Duration::from_secs(30);

/// A user whom this name stands for shows a token in the place of a password.
const TOKEN_USER: &str = "<token>";

/// What a registry is shown.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Password {
        user: String,
        password: Secret,
    },
    /// It is exchanged for a token.
    Identity(Secret),
}

/// The configuration of docker, which names credentials or who has them.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    pub(crate) path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    auths: BTreeMap<String, AuthWire>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthWire {
    auth: Option<Secret>,
    identitytoken: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerWire {
    username: String,
    secret: Secret,
}

impl DockerConfig {
    /// The one of this user: `config.json` in `DOCKER_CONFIG`, or in `.docker` of `HOME`.
    pub fn of_user() -> Self {
        let directory = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self {
            path: directory
                .or_else(home)
                .map(|directory| directory.join("config.json")),
        }
    }

    /// The file, for messages.
    pub(super) fn shown(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => {
                "the configuration of docker (neither DOCKER_CONFIG nor HOME is set)".to_owned()
            }
        }
    }

    /// What a registry is shown, if there is anything. Blocks while a helper is asked.
    pub(super) fn find(&self, registry: &str) -> Result<Option<Credentials>, OciError> {
        let Some(wire) = self.read()? else {
            return Ok(None);
        };
        let names = names(registry);
        let helper = names
            .iter()
            .find_map(|name| wire.cred_helpers.get(name))
            .or(wire.creds_store.as_ref());
        if let Some(helper) = helper {
            let found = names
                .iter()
                .map(|name| ask(helper, name, HELPER_PATIENCE))
                .find(|asked| !matches!(asked, Err(OciError::HelperFailed { .. }) | Ok(None)));
            if let Some(found) = found {
                return found;
            }
        }
        let Some(auth) = names.iter().find_map(|name| wire.auths.get(name)) else {
            return Ok(None);
        };
        if let Some(token) = &auth.identitytoken {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
            return Ok(Some(Credentials::Password {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        let Some(auth) = &auth.auth else {
            return Ok(None);
        };
        let decoded = BASE64_STANDARD.decode(auth.expose().trim()).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) =
            pair.ok_or_else(|| self.bad("an `auth` in it is not USER:PASSWORD in base64"))?;
        Ok(Some(Credentials::Password {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        }))
    }

    fn read(&self) -> Result<Option<Wire>, OciError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let mut text = Vec::new();
        match File::open(path)
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text))
        {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(OciError::Config {
                    path: path.clone(),
                    source,
                });
            }
        }
        if text.len() as u64 > CONFIG_BYTES_MAX {
            return Err(self.bad("it has more than 1 MiB"));
        }
        // What serde says could quote a secret.
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| self.bad("it is not the JSON that docker writes"))
    }

    fn bad(&self, why: &'static str) -> OciError {
        OciError::ConfigText {
            path: self.path.clone().unwrap_or_default(),
            why,
        }
    }
}

/// What a registry may be called in the configuration.
fn names(registry: &str) -> Vec<String> {
    let mut names = vec![registry.to_owned(), format!("https://{registry}")];
    if registry == "docker.io" {
        names.insert(0, "https://index.docker.io/v1/".to_owned());
    }
    names
}

/// Asks a helper for credentials. None if it has none.
fn ask(helper: &str, server: &str, patience: Duration) -> Result<Option<Credentials>, OciError> {
    let failed = || OciError::HelperFailed {
        helper: helper.to_owned(),
    };
    let is_name = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if helper.is_empty() || !is_name(helper) {
        return Err(failed());
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It could tell what nobody may read.
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| OciError::Helper {
            helper: helper.to_owned(),
            source,
        })?;
    let (sender, answered) = mpsc::channel();
    let pipes = (child.stdin.take(), child.stdout.take());
    let server = server.to_owned();
    thread::spawn(move || {
        let (Some(mut stdin), Some(stdout)) = pipes else {
            return;
        };
        // A helper may answer without having read.
        let _ = stdin.write_all(server.as_bytes());
        drop(stdin);
        let mut text = Vec::new();
        let read = stdout.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let answered = answered.recv_timeout(patience);
    end(&mut child);
    let text = match answered {
        Ok(Ok(text)) if text.len() as u64 <= ANSWER_BYTES_MAX => text,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            return Err(OciError::HelperLate {
                helper: helper.to_owned(),
                after: patience,
            });
        }
        _ => return Err(failed()),
    };
    let answer: AnswerWire = serde_json::from_slice(&text).map_err(|_| failed())?;
    Ok(Some(if answer.username == TOKEN_USER {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Password {
            user: answer.username,
            password: answer.secret,
        }
    }))
}

/// Ends a helper, and whatever it has started.
fn end(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests;
