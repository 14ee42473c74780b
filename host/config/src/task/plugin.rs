//! Where a host finds the plugin of a task.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use soloist_core::artefact::{ArtefactSource, OciTag, SourceError};

use crate::problem::BadValue;

/// Where a host finds the plugin of a task. It is shown as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A file of this host, read where it is.
    Path(PathBuf),
    /// An artefact, which is fetched and kept.
    Artefact(ArtefactSource),
    /// An artefact in a registry, by a tag that is resolved whenever the configuration is read.
    Tag(OciTag),
}

impl PluginSource {
    /// Reads what somebody wrote: a path, unless it begins with a scheme and `://`.
    ///
    /// # Errors
    /// [`BadValue::Artefact`] if it has a scheme and cannot be fetched from.
    pub fn read(written: &Path) -> Result<Self, BadValue> {
        let text = written.to_str().filter(|text| has_scheme(text));
        let Some(text) = text else {
            return Ok(Self::Path(written.to_owned()));
        };
        let read = match OciTag::new(text) {
            Some(tag) => tag.map(Self::Tag),
            None if text == "ensemble:" => Err(SourceError(
                "comes from the ensemble, where only tasks are that were deployed",
            )),
            None => ArtefactSource::new(text).map(Self::Artefact),
        };
        read.map_err(|source| BadValue::Artefact { source })
    }

    /// The path, if it is a file of this host.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Whether only a digest beside it can say which file is meant.
    pub(crate) fn needs_digest(&self) -> bool {
        matches!(
            self,
            Self::Artefact(ArtefactSource::File(_) | ArtefactSource::Https { .. })
        )
    }

    /// What a task is named after that has no other name.
    pub(crate) fn stem(&self) -> String {
        let name = match self {
            Self::Path(path) => return stem(path),
            Self::Artefact(ArtefactSource::Oci { repository, .. })
            | Self::Tag(OciTag { repository, .. }) => {
                let last = repository.rsplit_once('/');
                return last.map_or(&**repository, |(_, last)| last).to_owned();
            }
            Self::Artefact(ArtefactSource::File(path) | ArtefactSource::Https { path, .. }) => path,
            Self::Artefact(ArtefactSource::Ensemble) => "",
        };
        stem(Path::new(name))
    }
}

impl From<PathBuf> for PluginSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Artefact(source) => source.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl Serialize for PluginSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Path(path) => path.serialize(serializer),
            other => serializer.collect_str(other),
        }
    }
}

fn stem(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Whether it can be meant as nothing but a URL.
fn has_scheme(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    text == "ensemble:"
        || text
            .split_once("://")
            .is_some_and(|(scheme, _)| is_scheme(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_scheme_is_fetched_and_all_else_is_a_path() {
        let digest = soloist_core::digest::Digest::of(b"abc");
        let image = format!("oci://registry.example/team/report@sha256:{digest}");
        for (text, stem, needs_digest) in [
            ("plugins/report.wasm", "report", false),
            ("/a b/://report.wasm", "report", false),
            ("file:///srv/report.wasm", "report", true),
            ("https://plugins.example/v1/report.wasm", "report", true),
            (
                "oci://registry.example:5000/team/report:1.0",
                "report",
                false,
            ),
            (&image, "report", false),
        ] {
            let source = PluginSource::read(Path::new(text)).unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(
                (source.stem().as_str(), source.needs_digest()),
                (stem, needs_digest)
            );
            assert_eq!(
                source.path().is_some(),
                !text.contains("e://") && !text.contains("s://") && !text.contains("i://")
            );
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_told_why() {
        for (text, expected) in [
            ("http://a/b.wasm", "without encryption"),
            ("ftp://a/b.wasm", "a scheme other than"),
            ("ensemble:", "only tasks are that were deployed"),
            ("oci://a/b", "neither a tag nor a digest"),
            ("https://user:secret@a/b", "names a user"),
        ] {
            let error = PluginSource::read(Path::new(text)).unwrap_err().to_string();
            assert!(
                error.contains(expected) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }
}
