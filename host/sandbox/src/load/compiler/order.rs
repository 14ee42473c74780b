//! What the host orders a compiler to do.

use serde::{Deserialize, Serialize};

use crate::load::compile::MAX_THREADS;
use soloist_core::limits::Limits;

/// The limits of a compilation, as an argument of the compiler's process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The id of the host's process.
    pub(super) parent: i32,
    /// How much address space the compiler may have, in bytes.
    pub(super) memory: u64,
    /// How much processor time the compiler may use, in seconds.
    pub(super) processor: u64,
    instances: u32,
    memories: u32,
    tables: u32,
}

impl Order {
    pub(super) fn within(limits: &Limits) -> Self {
        let Limits {
            compile_memory,
            compile_timeout,
            instances,
            memories,
            tables,
            ..
        } = *limits;
        let processor = (compile_timeout.as_secs() + 1).saturating_mul(MAX_THREADS as u64);
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        Self {
            parent,
            memory: compile_memory,
            processor,
            instances,
            memories,
            tables,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let Self {
            instances,
            memories,
            tables,
            ..
        } = *self;
        Limits {
            instances,
            memories,
            tables,
            ..Limits::default()
        }
    }
}
