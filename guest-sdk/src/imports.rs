//! What a plugin imports: from the host on WebAssembly, from the fakes of [`testing`](crate::testing) in a native build.
//!
//! Both have the same functions. No other module of this crate calls a binding.

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::imports::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;

#[cfg(target_family = "wasm")]
mod wasm;
