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

/// What the world `minimal` has besides.
mod minimal {
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/wit",
        world: "minimal",
        imports: {
            "soloist:plugin/blocking-clock": async | trappable,
            "soloist:plugin/blocking-state": async | trappable,
            default: trappable,
        },
        require_store_data_send: true,
        with: {
            "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
            "wasi:config": super::wasi::config,
            "soloist:plugin/leadership": super::leadership,
            "soloist:plugin/log": super::log,
        },
    });
}

pub use self::minimal::soloist::plugin::{blocking_clock, blocking_state};
pub use self::soloist::plugin::{leadership, log, schedule, state};
pub use self::wasi::config::store as config;
