//! Where an artefact, the file of a plugin, comes from; and which such places are trusted. Pure, no IO.
//!
//! A place has one way to be written, so that none can be written in a guise: no user, no percent-encoding, no `..`, no empty
//! component, and names of hosts in lower case.

mod tag;

use std::fmt;
use std::str::FromStr;

pub use self::tag::OciTag;
use crate::digest::Digest;
use crate::grants::{HostPattern, Origin};
use crate::text::is_printable;

/// How large an artefact may be, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// The longest text of a place, in bytes.
const BYTES_MAX: usize = 1024;

/// Where an artefact is fetched from. Its digest says whether it is the right one, wherever it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtefactSource {
    /// The ensemble itself, below its node for artefacts.
    Ensemble,
    /// A file of every host, by its absolute path.
    File(String),
    /// A file of a server.
    Https {
        /// The server.
        origin: Origin,
        /// The path, which begins with a slash.
        path: String,
    },
    /// An image of an OCI registry.
    Oci {
        /// The registry. Its scheme is that of TLS.
        registry: Origin,
        /// The name of the repository in the registry.
        repository: String,
        /// The digest of the image's manifest.
        digest: Digest,
    },
}

/// The rule that the text of a place breaks, as the rest of a sentence about it ("has a fragment").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub &'static str);

impl ArtefactSource {
    /// Reads `ensemble:`, `file:///srv/report.wasm`, `https://host/report.wasm` or `oci://registry/team/report@sha256:...`.
    ///
    /// # Errors
    /// [`SourceError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, SourceError> {
        let place = Place::split(text)?;
        if place.kind != Kind::Ensemble && place.path.ends_with('/') {
            return Err(SourceError("names no file"));
        }
        match (place.kind, place.origin) {
            (Kind::Https, Some(origin)) => Ok(Self::Https {
                origin,
                path: path(place.kind, place.path)?,
            }),
            (Kind::Oci, Some(registry)) => {
                let (repository, digest) = place.path.split_once('@').ok_or(SourceError(
                    "has no digest: write REPOSITORY@sha256:..., since a tag can be moved",
                ))?;
                let digest = digest.strip_prefix("sha256:").and_then(Digest::parse);
                let digest = digest.ok_or(SourceError(
                    "has a digest other than sha256: and 64 hexadecimal digits",
                ))?;
                let repository = path(place.kind, repository)?[1..].to_owned();
                Ok(Self::Oci {
                    registry,
                    repository,
                    digest,
                })
            }
            (Kind::File, _) => Ok(Self::File(path(place.kind, place.path)?)),
            _ => Ok(Self::Ensemble),
        }
    }

    fn place(&self) -> (Kind, Option<&Origin>, String) {
        match self {
            Self::Ensemble => (Kind::Ensemble, None, String::new()),
            Self::File(path) => (Kind::File, None, path.clone()),
            Self::Https { origin, path } => (Kind::Https, Some(origin), path.clone()),
            Self::Oci {
                registry,
                repository,
                ..
            } => (Kind::Oci, Some(registry), format!("/{repository}")),
        }
    }
}

impl fmt::Display for ArtefactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, origin, path) = self.place();
        write_place(f, kind, origin, &path)?;
        match self {
            Self::Oci { digest, .. } => write!(f, "@sha256:{digest}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for ArtefactSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        Self::new(text)
    }
}

/// Places that artefacts may come from: one, and all that are below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePrefix {
    kind: Kind,
    origin: Option<Origin>,
    /// Empty, or a slash and what follows. If it ends with a slash, it is no place itself.
    path: String,
}

impl SourcePrefix {
    /// Reads the beginning of a place, up to the end of a component of its path: `ensemble:`, `file:///srv/`,
    /// `https://host/team/` or `oci://registry/team/`.
    ///
    /// # Errors
    /// [`SourceError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, SourceError> {
        let Place { kind, origin, path } = Place::split(text)?;
        let (components, end) = match path.strip_suffix('/') {
            Some(components) => (components, "/"),
            None => (path, ""),
        };
        let path = match components {
            "" => end.to_owned(),
            components => self::path(kind, components)? + end,
        };
        Ok(Self { kind, origin, path })
    }

    /// Whether an artefact from there is one from these places.
    pub fn covers(&self, source: &ArtefactSource) -> bool {
        let (kind, origin, path) = source.place();
        let below = path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        kind == self.kind && origin == self.origin.as_ref() && below
    }
}

impl fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.kind, self.origin.as_ref(), &self.path)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ensemble,
    File,
    Https,
    Oci,
}

fn write_place(
    f: &mut fmt::Formatter<'_>,
    kind: Kind,
    origin: Option<&Origin>,
    path: &str,
) -> fmt::Result {
    f.write_str(match kind {
        Kind::Ensemble => "ensemble:",
        Kind::File => "file://",
        Kind::Https => "https://",
        Kind::Oci => "oci://",
    })?;
    if let Some(origin) = origin {
        f.write_str(&origin.authority())?;
    }
    f.write_str(path)
}

/// A place in its parts.
struct Place<'a> {
    kind: Kind,
    origin: Option<Origin>,
    /// Empty, or what follows the host, from its slash on.
    path: &'a str,
}

impl<'a> Place<'a> {
    fn split(text: &'a str) -> Result<Self, SourceError> {
        if text.len() > BYTES_MAX {
            return Err(SourceError("has more than 1024 bytes"));
        }
        if text == "ensemble:" {
            return Ok(Self {
                kind: Kind::Ensemble,
                origin: None,
                path: "",
            });
        }
        let (scheme, rest) = text.split_once("://").ok_or(SourceError(
            "begins neither with ensemble:, nor with file://, https:// or oci://",
        ))?;
        let kind = match scheme {
            "file" => Kind::File,
            "https" => Kind::Https,
            "oci" => Kind::Oci,
            "http" => {
                return Err(SourceError(
                    "comes without encryption, where anybody on the way could see it: write https://",
                ));
            }
            _ => return Err(SourceError("has a scheme other than file, https and oci")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if kind == Kind::File {
            return match (authority, path) {
                ("", "") => Err(SourceError("has no path")),
                ("", path) => Ok(Self {
                    kind,
                    origin: None,
                    path,
                }),
                _ => Err(SourceError(
                    "names a host: write three slashes, as in file:///srv/report.wasm",
                )),
            };
        }
        let origin = Origin::new(&format!("https://{authority}"));
        let origin = origin.map_err(|error| SourceError(error.0))?;
        if let HostPattern::Below(_) = origin.host {
            return Err(SourceError("has a pattern in the place of a host"));
        }
        Ok(Self {
            kind,
            origin: Some(origin),
            path,
        })
    }
}

/// Checks every component of a path that begins with a slash.
fn path(kind: Kind, text: &str) -> Result<String, SourceError> {
    let components = text
        .strip_prefix('/')
        .ok_or(SourceError("has no path after the host"))?;
    let unsafe_character = |character: char| match kind {
        Kind::File => !is_printable(character) || "%?#\\".contains(character),
        _ => !(character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(character)),
    };
    for component in components.split('/') {
        if component.is_empty() {
            return Err(SourceError("has a path with an empty component"));
        }
        if matches!(component, "." | "..") {
            return Err(SourceError("has a path with a component of dots"));
        }
        if component.contains(unsafe_character) {
            return Err(SourceError(
                "has a path with a character that could mean something else: %, ?, #, \\ and spaces are not taken",
            ));
        }
        if kind == Kind::Oci && !is_repository_part(component) {
            return Err(SourceError(
                "has a repository that is none: parts of lower case letters and digits, with ., _ or - between them",
            ));
        }
    }
    Ok(text.to_owned())
}

fn is_repository_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes()
        .all(|byte| plain(byte) || b"._-".contains(&byte))
        && part.bytes().next().is_some_and(plain)
        && part.bytes().last().is_some_and(plain)
}

#[cfg(test)]
mod tests;
