//! Where plugins come from: artefacts that are fetched, verified and kept.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | who signed a manifest, and whether that is enough |
//! | [`accepted`] | which generations a host has accepted, so that none is replayed |
//! | [`cache`] | the artefacts that were fetched, by their digests |
//!
//! Nothing here runs on the thread that renews the lease: what fetches blocks the thread that calls it.

pub mod accepted;
pub mod cache;
pub mod trust;
