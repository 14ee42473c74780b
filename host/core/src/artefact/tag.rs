//! An image that is meant by its tag.

use std::fmt;

use super::{ArtefactSource, SourceError};
use crate::digest::Digest;
use crate::grants::Origin;

/// An image of an OCI registry by its tag, which can name another image tomorrow. It is resolved once, to a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciTag {
    /// The registry.
    pub registry: Origin,
    /// The name of the repository in the registry.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

impl OciTag {
    /// Reads `oci://registry/team/report:1.0`. None if it is no place in a registry, or one with a digest.
    ///
    /// # Errors
    /// [`SourceError`] says which rule the text breaks.
    pub fn new(text: &str) -> Option<Result<Self, SourceError>> {
        let rest = text.strip_prefix("oci://")?;
        (!rest.contains('@')).then(|| Self::read(text))
    }

    fn read(text: &str) -> Result<Self, SourceError> {
        let (_, last) = text.rsplit_once('/').unwrap_or(("", text));
        let (_, tag) = last.rsplit_once(':').ok_or(SourceError(
            "has neither a tag nor a digest: write REPOSITORY:TAG or REPOSITORY@sha256:...",
        ))?;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_tag = (1..=128).contains(&tag.len())
            && tag.bytes().next().is_some_and(is_word)
            && tag
                .bytes()
                .all(|byte| is_word(byte) || b".-".contains(&byte));
        if !is_tag {
            return Err(SourceError(
                "has a tag that is none: up to 128 letters, digits, _, . and -",
            ));
        }
        if last.len() == text.len() - "oci://".len() {
            return Err(SourceError("has no path after the host"));
        }
        let image = &text[..text.len() - tag.len() - 1];
        let some = Digest::of(b"");
        match ArtefactSource::new(&format!("{image}@sha256:{some}"))? {
            ArtefactSource::Oci {
                registry,
                repository,
                ..
            } => Ok(Self {
                registry,
                repository,
                tag: tag.to_owned(),
            }),
            _ => Err(SourceError("is no image of a registry")),
        }
    }

    /// The same repository's image whose manifest has this digest.
    pub fn at(&self, digest: Digest) -> ArtefactSource {
        ArtefactSource::Oci {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            digest,
        }
    }
}

impl fmt::Display for OciTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            tag,
        } = self;
        write!(f, "oci://{}/{repository}:{tag}", registry.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_shown_as_it_was_written_and_resolved_to_a_digest() {
        let text = "oci://127.0.0.1:5000/acme/report:1.0-rc_1";
        let tag = OciTag::new(text).unwrap().unwrap();
        assert_eq!((tag.to_string().as_str(), &*tag.tag), (text, "1.0-rc_1"));
        let digest = Digest::of(b"abc");
        let expected = format!("oci://127.0.0.1:5000/acme/report@sha256:{digest}");
        assert_eq!(tag.at(digest).to_string(), expected);
    }

    #[test]
    fn what_is_no_tag_is_told_why() {
        for (text, expected) in [
            ("oci://a/b", "neither a tag nor a digest"),
            ("oci://a:5000/b", "neither a tag nor a digest"),
            ("oci://a/b:", "a tag that is none"),
            ("oci://a/b:-c", "a tag that is none"),
            ("oci://a/b:c d", "a tag that is none"),
            ("oci://a/B:c", "a repository that is none"),
            ("oci://a/../b:c", "component of dots"),
            ("oci://a:5", "no path"),
        ] {
            let error = OciTag::new(text).unwrap().unwrap_err();
            assert!(error.0.contains(expected), "{text}: {error}");
        }
        assert_eq!(OciTag::new("https://a/b:c"), None);
        assert_eq!(OciTag::new("oci://a/b@sha256:12"), None);
    }
}
