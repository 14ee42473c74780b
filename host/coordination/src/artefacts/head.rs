//! What the node of an artefact says.

use serde::{Deserialize, Serialize};

use super::error::ArtefactError;
use super::pack::{BYTES_MAX, PACKED_MAX_BYTES};
use soloist_core::records;

/// The length of a chunk, in bytes. A server takes up to 1 MiB in one request unless it is told otherwise, but it keeps its last
/// transactions by their number, whatever their length.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks an artefact may have. Another release may cut it into chunks of another length.
const CHUNKS_MAX: usize = 1024;

/// What the node of an artefact says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) upload: String,
    pub(super) chunks: usize,
    pub(super) packed: usize,
    pub(super) bytes: usize,
}

impl Head {
    pub(super) const VERSION: u32 = 1;

    /// Reads the head of the artefact at `path`. The version is read first, because a newer head may have any shape.
    pub(super) fn read(path: &str, data: &[u8]) -> Result<Self, ArtefactError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let no_record = || ArtefactError::damaged(path, "its head is no record of one");
        let Version { version } = records::decode(data).ok_or_else(no_record)?;
        if version != Self::VERSION {
            return Err(ArtefactError::Version {
                path: path.to_owned(),
                found: version,
                known: Self::VERSION,
            });
        }
        let head: Self = records::decode(data).ok_or_else(no_record)?;
        let is_possible = head.chunks <= head.packed.min(CHUNKS_MAX)
            && head.packed <= PACKED_MAX_BYTES
            && head.bytes <= BYTES_MAX
            && head.upload.len() <= 64
            && head.upload.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_possible
            .then_some(head)
            .ok_or_else(|| ArtefactError::damaged(path, "its head says what no upload has"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_as_the_release_before_wrote_it_and_a_newer_one_is_left_to_newer_programs() {
        let text = r#"{"version":1,"upload":"1f0v2","chunks":2,"packed":600000,"bytes":900000}"#;
        let read = |text: &str| Head::read("/a", text.as_bytes()).map(|head| head.chunks);
        assert_eq!(read(text).ok(), Some(2));
        let head = Head::read("/a", text.as_bytes()).unwrap();
        assert_eq!(records::encode(&head), text.as_bytes());
        assert_eq!(read(&text.replace('}', r#","later":1}"#)).ok(), Some(2));
        let newer = read(r#"{"version":2,"chunks":["a"]}"#).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "the artefact at /a is of version 2, and this program knows version 1: update it"
        );
        for text in [
            "",
            r#"{"version":1,"upload":"1","chunks":1025,"packed":600000,"bytes":900000}"#,
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"upload":"/","chunks":0,"packed":0,"bytes":0}"#,
        ] {
            assert!(
                matches!(read(text), Err(ArtefactError::Damaged { .. })),
                "{text}"
            );
        }
    }
}
