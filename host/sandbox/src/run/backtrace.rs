//! Where in the plugin something happened: frames that begin in its author's code.

use std::collections::HashMap;

use wasmtime::{FrameInfo, WasmBacktrace};

use crate::bounded::name;
use crate::engine::BACKTRACE_FRAMES;

/// Whose functions are no author's: crates of Rust's library and runtime, and what stands between the plugin and its host.
const RUNTIME_CRATES: [&str; 9] = [
    "__rustc",
    "alloc",
    "core",
    "dlmalloc",
    "panic_abort",
    "panic_unwind",
    "soloist_sdk",
    "std",
    "wit_bindgen",
];

/// Functions by which Rust and C end a program, or have memory.
const RUNTIME_FUNCTIONS: [&str; 15] = [
    "_Exit",
    "__assert_fail",
    "__imported_wasi_snapshot_preview1_proc_exit",
    "__rust_abort",
    "__rust_alloc",
    "__rust_realloc",
    "__rust_start_panic",
    "__wasi_proc_exit",
    "abort",
    "cabi_realloc",
    "exit",
    "malloc",
    "realloc",
    "rust_begin_unwind",
    "rust_panic",
];

/// What makes preview 1 of WASI 0.2, and stands beside the plugin's own modules.
const ADAPTER: &str = "wit-component:";

/// So often a function is on a stack that it overflows by calling itself, among the frames that are told.
const RUNAWAY_CALLS: usize = BACKTRACE_FRAMES / 4;

/// One line for each frame, from the innermost one that is an author's; all of them, if none is. Written here, because wasmtime
/// would write the names out as they were in Rust or C++, and a stranger chose them: of some that are short there is no end.
pub(super) fn told(backtrace: &WasmBacktrace) -> String {
    let frames: Vec<_> = backtrace.frames().iter().map(Frame::of).collect();
    let begin = frames.iter().position(|frame| !frame.is_of_runtime());
    frames[begin.unwrap_or(0)..]
        .iter()
        .enumerate()
        .map(|(number, frame)| frame.line(number))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether functions have called each other for longer than a backtrace tells, and one of them again and again.
pub(super) fn is_runaway(backtrace: &WasmBacktrace) -> bool {
    let frames = backtrace.frames();
    let mut calls = HashMap::new();
    for frame in frames {
        *calls
            .entry((frame.module().name(), frame.func_index()))
            .or_insert(0) += 1;
    }
    frames.len() >= BACKTRACE_FRAMES && calls.into_values().any(|calls| calls >= RUNAWAY_CALLS)
}

struct Frame {
    offset: Option<usize>,
    module: String,
    function: String,
}

impl Frame {
    fn of(frame: &FrameInfo) -> Self {
        Self {
            offset: frame.module_offset(),
            module: frame
                .module()
                .name()
                .map_or_else(|| "<unknown>".into(), name),
            function: frame
                .func_name()
                .map_or_else(|| format!("<wasm function {}>", frame.func_index()), name),
        }
    }

    fn line(&self, number: usize) -> String {
        let offset = self
            .offset
            .map(|offset| format!("{offset:#x} - "))
            .unwrap_or_default();
        format!("{number}: {offset}{}!{}", self.module, self.function)
    }

    fn is_of_runtime(&self) -> bool {
        self.module.starts_with(ADAPTER) || is_of_runtime(&self.function)
    }
}

/// Whether a function, by its name as it was in the source, is the runtime's and no author's.
fn is_of_runtime(function: &str) -> bool {
    let path = function.trim_start_matches(['<', '&', '*', '[', '(']);
    match path.split_once("::") {
        Some((first, _)) => RUNTIME_CRATES.contains(&first),
        None => RUNTIME_FUNCTIONS.contains(&function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_authors_is_told_by_the_first_part_of_the_name() {
        for name in [
            "core::panicking::panic_fmt",
            "<alloc::vec::Vec<app::Thing>>::push",
            "<&core::fmt::Arguments as core::fmt::Display>::fmt",
            "__rustc::rust_begin_unwind",
            "std::process::exit",
            "abort",
        ] {
            assert!(is_of_runtime(name), "{name}");
        }
        for name in [
            "app::work",
            "<app::Thing as core::fmt::Display>::fmt",
            "corelation::run",
            "aborted",
            "main",
            "<wasm function 7>",
        ] {
            assert!(!is_of_runtime(name), "{name}");
        }
    }
}
