//! The contract's imports as Rust traits, generated from the one copy of the WIT.

#![allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../guest-sdk/wit",
    world: "plugin",
    imports: { default: trappable },
    require_store_data_send: true,
    with: {
        "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
        "wasi:http": wasmtime_wasi_http::p3::bindings::http,
    },
});

pub use self::soloist::plugin::{leadership, log, state};
pub use self::wasi::config::store as config;
