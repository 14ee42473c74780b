//! Plugins in OCI registries: an image with one layer, which is the plugin.

mod challenge;
mod credentials;
mod manifest;
mod registry;

pub use self::credentials::DockerConfig;
pub(crate) use self::manifest::Manifest;
pub(crate) use self::registry::{MANIFEST_BYTES_MAX, Registry};
