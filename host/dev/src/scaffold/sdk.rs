//! Where a project has the SDK from.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a project has the SDK from. It is not on crates.io.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// The folder of the crate, absolute.
    Folder(PathBuf),
    /// A repository that Cargo can clone.
    Git(String),
}

/// There is no SDK where it was looked for.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// Neither a folder nor a URL.
    #[error("there is no folder {} with the SDK: give a checkout of Soloist, or a URL like https://HOST/soloist.git", .0.display())]
    Missing(PathBuf, #[source] io::Error),
    /// A folder with something else in it.
    #[error("{} holds neither the crate soloist-sdk nor a checkout of Soloist with it in guest-sdk", .0.display())]
    Other(PathBuf),
    /// A path that a `Cargo.toml` cannot hold.
    #[error("the path {} is not text in UTF-8: put the SDK elsewhere", .0.display())]
    NotText(PathBuf),
    /// A short form of a URL that Cargo does not know.
    #[error("{0:?} is no URL to Cargo: write ssh://USER@HOST/PATH")]
    NoUrl(String),
}

impl Sdk {
    /// Reads what somebody has typed: the URL of a repository, the folder of the crate, or a checkout of Soloist.
    ///
    /// # Errors
    /// [`SdkError`] when there is no SDK in that folder. A URL is not looked at.
    pub fn find(typed: &str) -> Result<Self, SdkError> {
        if typed.contains("://") {
            return Ok(Self::Git(typed.to_owned()));
        }
        if typed.starts_with("git@") {
            return Err(SdkError::NoUrl(typed.to_owned()));
        }
        let folder = Path::new(typed);
        let real = fs::canonicalize(folder)
            .map_err(|error| SdkError::Missing(folder.to_owned(), error))?;
        let crates = [real.join("guest-sdk"), real.clone()];
        let found = crates.into_iter().find(|folder| is_sdk(folder));
        let found = found.ok_or_else(|| SdkError::Other(folder.to_owned()))?;
        if found.to_str().is_none() {
            return Err(SdkError::NotText(found));
        }
        Ok(Self::Folder(found))
    }
}

/// Whether a folder holds the crate.
fn is_sdk(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| {
        text.lines()
            .any(|line| line.trim() == "name = \"soloist-sdk\"")
    })
}

/// As a dependency in a `Cargo.toml`.
impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Strings of JSON are strings of TOML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Folder(folder) => {
                write!(f, "{{ path = {} }}", quoted(&folder.to_string_lossy()))
            }
            Self::Git(url) => write!(f, "{{ git = {} }}", quoted(url)),
        }
    }
}
