//! What is wrong with a registry, an image, or the credentials for it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use soloist_core::digest::Digest;

/// What is wrong with a registry, an image, or the credentials for it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OciError {
    #[error("its manifest is none: {0}")]
    Manifest(&'static str),
    #[error(
        "it is an index of several images, and a plugin is the same for every machine: name the one manifest in it by its digest"
    )]
    Index,
    #[error(
        "its layer is of the type {found:?}, and a plugin's is application/wasm: push it with `soloist push`"
    )]
    LayerType { found: String },
    #[error("it has {found} layers, and a plugin is a single one")]
    Layers { found: usize },
    #[error(
        "its manifest says that the plugin has the SHA-256 {found}, and `sha256` says {wanted}"
    )]
    Other { found: Digest, wanted: Digest },
    #[error("the registry answered with the manifest {found}, and {wanted} was asked for")]
    OtherManifest { found: Digest, wanted: Digest },
    #[error(
        "{registry} wants credentials, and there are none for it in {config}: use docker login {registry}"
    )]
    NoCredentials { registry: String, config: String },
    #[error("{registry} does not take the credentials in {config}: use docker login {registry}")]
    Refused { registry: String, config: String },
    #[error("{registry} asks for credentials in a way that is not known here")]
    Challenge { registry: String },
    #[error(
        "{registry} sends those who have credentials to {realm}, without TLS: they are not sent there"
    )]
    Realm { registry: String, realm: String },
    #[error("{registry} gave no token for the credentials")]
    Token { registry: String },
    #[error("{path} cannot be read", path = path.display())]
    Config { path: PathBuf, source: io::Error },
    #[error("{path} is not the configuration of docker: {why}", path = path.display())]
    ConfigText { path: PathBuf, why: &'static str },
    #[error("the credential helper {helper} cannot be run")]
    Helper { helper: String, source: io::Error },
    #[error("the credential helper {helper} has not answered within {after:?}")]
    HelperLate { helper: String, after: Duration },
    #[error("the credential helper {helper} has failed, or answered what are no credentials")]
    HelperFailed { helper: String },
    #[error("only a binary WebAssembly file is pushed: build it, or convert it first")]
    NotWasm,
    #[error("the registry began no upload: it named no place for it")]
    NoUpload,
}

impl OciError {
    /// Whether it may be better later, without anybody changing an image or credentials.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::HelperLate { .. })
    }
}
