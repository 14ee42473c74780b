//! Where plugins come from: artefacts that are fetched, verified and kept.
//!
//! | module | what |
//! |---|---|
//! | [`cache`] | the artefacts that were fetched, by their digests |
//!
//! Nothing here runs on the thread that renews the lease: what fetches blocks the thread that calls it.

pub mod cache;
