//! Where plugins come from: artefacts that are fetched, verified and kept.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | who signed a manifest, and whether that is enough |
//! | [`accepted`] | which generations a host has accepted, so that none is replayed |
//! | `artefacts` | the door: what a thread with better things to do can wait for |
//! | `apart` | work on a thread of its own, with a deadline |
//! | `fetcher` | from a source to a file of the cache |
//! | `download` | one artefact from a server, resumed after a cut |
//! | `oci` | images of registries, and who may see them |
//! | `http` | requests, redirects, TLS |
//! | `cache` | the artefacts that were fetched, by their digests |
//! | `mounts` | file systems, so that one that hangs keeps none of the others from being read |
//! | `bounds`, `retries` | how much is waited for, how long, and what is tried again |
//!
//! [`Artefacts`] works on threads of its own: whoever renews a lease can wait for it.

pub mod accepted;
mod apart;
mod artefacts;
mod bounds;
mod cache;
mod download;
mod error;
mod fetcher;
mod http;
mod mounts;
mod oci;
mod retries;
pub mod trust;

pub use artefacts::Artefacts;
pub use bounds::Bounds;
pub use cache::{Artefact, Cache, CacheError};
pub use error::{FetchError, OciError};
pub use http::HttpError;
pub use oci::DockerConfig;
