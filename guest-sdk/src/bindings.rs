//! The contract of `wit/`, as generated. Not an interface: what of it is meant for authors is re-exported by name.

#![allow(missing_docs, clippy::pedantic)]

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "soloist_sdk::bindings",
});
