//! Text that must not be seen, where it comes from, and what keeps it out of what others wrote.

use std::env::{self, VarError};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

mod redactor;

pub use redactor::Redactor;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The longest secret.
const BYTES_MAX: u64 = 64 * 1024;

/// The shortest secret of a plugin: what is shorter would be taken out of every second line of the log.
const BYTES_MIN: usize = 4;

/// The most lines of a secret: each is looked for in each line of the log. A file of certificates of that size has fewer.
const LINES_MAX: usize = 1100;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Text")]
pub struct Secret(String);

/// A secret as it is written. What is none, like a number, is not quoted by serde, as it would otherwise be.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, in quotes")]
enum Text {
    Text(String),
}

impl From<Text> for Secret {
    fn from(Text::Text(text): Text) -> Self {
        Self(text)
    }
}

impl Secret {
    /// Keeps the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads a file that holds a secret, without the line break at its end.
    ///
    /// # Errors
    /// The file cannot be read, is not text, or is too long to be a secret.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        let bytes = File::open(path)?
            .take(BYTES_MAX + 1)
            .read_to_string(&mut text)?;
        if bytes as u64 > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// The text itself: not for a message, a log or a node.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Whether every user of this machine can read the file: it lets them, and so does every directory that it lies in.
pub fn others_can_read(file: &Path) -> bool {
    let Ok(real) = fs::canonicalize(file) else {
        return false;
    };
    let lets = |path: &Path, right: u32| {
        fs::metadata(path).is_ok_and(|metadata| metadata.mode() & right != 0)
    };
    lets(&real, 0o004)
        && real
            .ancestors()
            .skip(1)
            .all(|directory| lets(directory, 0o001))
}

/// Where a secret of a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// The plugin's variable for it.
    pub name: String,
    /// The file that holds it; without one, the host's variable of the same name does.
    pub file: Option<PathBuf>,
}

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error(
        "the secret {name:?} is not in the environment of this host: set the variable, or name a file that holds it"
    )]
    NotSet {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("the secret {name:?} cannot be read from {}", path.display())]
    Read {
        /// The secret.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there cannot be the value of a variable.
    #[error("the secret {name:?} {rule}")]
    Unfit {
        /// The secret.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// See [`SecretError`]; nothing of the secret is in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let name = || self.name.clone();
        let unfit = |rule| SecretError::Unfit { name: name(), rule };
        let secret = match &self.file {
            Some(path) => Secret::read(path).map_err(|source| SecretError::Read {
                name: name(),
                path: path.clone(),
                source,
            })?,
            None => match env::var(&self.name) {
                Ok(text) => Secret::new(text),
                Err(VarError::NotPresent) => return Err(SecretError::NotSet { name: name() }),
                Err(VarError::NotUnicode(_)) => return Err(unfit("is not text in UTF-8")),
            },
        };
        match secret.expose() {
            text if text.len() as u64 > BYTES_MAX => Err(unfit("is longer than 64 KiB")),
            text if text.contains('\0') => {
                Err(unfit("has a zero byte, which no variable can have"))
            }
            text if text.len() < BYTES_MIN => Err(unfit(
                "has less than 4 bytes: it could be guessed, and not be kept out of the log",
            )),
            text if text.lines().nth(LINES_MAX).is_some() => Err(unfit(
                "has more than 1100 lines: to look for each of them in the log would take too long",
            )),
            _ => Ok(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_without_its_line_break_or_says_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let source = SecretSource {
            name: "KEY".into(),
            file: Some(path.clone()),
        };
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        for (content, rule) in [
            ("hunter2\r\n", ""),
            ("abc\n", "less than 4"),
            ("zero\0byte", "zero byte"),
            (&"line\n".repeat(1101), "1100 lines"),
        ] {
            std::fs::write(&path, content).unwrap();
            match source.read() {
                Ok(secret) => assert_eq!((secret.expose(), rule), ("hunter2", "")),
                Err(error) => assert!(
                    !rule.is_empty() && error.to_string().contains(rule),
                    "{error}"
                ),
            }
        }
        std::fs::write(&path, vec![b'x'; 65 * 1024]).unwrap();
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        let missing = SecretSource {
            name: "SOLOIST_TEST_NO_SUCH_VARIABLE".into(),
            file: None,
        };
        assert!(matches!(missing.read(), Err(SecretError::NotSet { .. })));
    }

    #[test]
    fn a_file_is_exposed_only_if_others_get_to_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (
            directory.path().join("secret"),
            directory.path().join("link"),
        );
        std::fs::write(&path, "hunter2").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (outside, inside, exposed) in [
            (0o755, 0o644, true),
            (0o711, 0o604, true),
            (0o750, 0o644, false),
            (0o755, 0o640, false),
        ] {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(outside))
                .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(inside)).unwrap();
            assert_eq!(
                (others_can_read(&path), others_can_read(&link)),
                (exposed, exposed),
                "{outside:o} {inside:o}"
            );
        }
        assert!(!others_can_read(&directory.path().join("gone")));
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let secret = Secret::new("hunter2".into());
        let redactor = Redactor::new([&secret]);
        assert!(!format!("{secret:?} {redactor:?}").contains("hunter2"));
    }
}
