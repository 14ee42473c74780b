//! The names under which the cache holds things.

use std::hash::{Hash, Hasher};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use soloist_core::digest::Digest;

/// A number that grows whenever a new version of the host makes something else of the same file.
const FORMAT: u32 = 3;

/// The name of a plugin's file in the cache. Engines of another kind have another name for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(pub(super) Digest);

impl Key {
    pub(crate) fn of(file: Digest, engine: &Engine) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        (FORMAT, env!("CARGO_PKG_VERSION"), file).hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(Digest::of(&hasher.0.finalize()))
    }
}

/// The name under which wasmtime looks for the code of a component. This must be the rule of wasmtime's cache. With another
/// rule wasmtime would find nothing, and no plugin would start.
pub(crate) fn code_name(component: &[u8], engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    let (debug_information, intrinsics) = (None::<&[u8]>, None::<&str>);
    (
        engine.precompile_compatibility_hash(),
        component,
        debug_information,
        intrinsics,
    )
        .hash(&mut hasher);
    BASE64_URL_SAFE_NO_PAD.encode(hasher.0.finalize())
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        unreachable!("the digest is taken instead")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
