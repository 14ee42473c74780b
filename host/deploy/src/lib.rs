//! Where plugins come from: artefacts that are fetched, verified and kept.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | who signed a manifest, and whether that is enough |
//! | [`accepted`] | which generations a host has accepted, so that none is replayed |
//! | `artefacts` | from a source to a file of the cache |
//! | `download` | one artefact from a server, resumed after a cut |
//! | `oci` | images of registries, and who may see them |
//! | `http` | requests, redirects, TLS |
//! | `cache` | the artefacts that were fetched, by their digests |
//! | `bounds` | how much is waited for, and how long |
//!
//! Nothing here runs on the thread that renews the lease: what fetches blocks the thread that calls it.

pub mod accepted;
mod artefacts;
mod bounds;
mod cache;
mod download;
mod error;
mod http;
mod oci;
pub mod trust;

pub use artefacts::{Artefact, Artefacts};
pub use bounds::Bounds;
pub use cache::{Cache, CacheError};
pub use error::{FetchError, OciError};
pub use http::HttpError;
pub use oci::DockerConfig;
