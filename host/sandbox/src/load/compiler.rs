//! Compiles a plugin in a process of its own. The process runs this very program.
//!
//! A stranger's file may make the compiler panic, crash, or use too much of the machine. Then only that process ends. It gets
//! its orders by its arguments and the file by its standard input. It gets nothing else of the host: no environment, no
//! grants, no secrets.

use std::path::{Path, PathBuf};

use crate::load::compile::{Made, compile};
use crate::load::problem::PluginProblem;
use soloist_core::limits::Limits;

mod compilation;
mod confined;
mod order;

pub use confined::compile_as_told;

use compilation::Compilation;

/// The first argument of a process that compiles.
pub const COMPILE_WORD: &str = "compile-plugin";

/// Where the host compiles plugins.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a new process for each plugin. The process runs the program at this path, which calls [`compile_as_told`] if its first
    /// argument is [`COMPILE_WORD`].
    Process(PathBuf),
    /// On threads of this process, without limits. A fuzzer needs it, because it cannot see into another process.
    Here,
}

impl Compiler {
    /// The program that runs now, even if its file was replaced since.
    pub fn this_program() -> Self {
        Self::Process("/proc/self/exe".into())
    }

    /// Compiles a file's content into a directory.
    pub(crate) fn compile(
        &self,
        path: &Path,
        bytes: &[u8],
        into: &Path,
        limits: &Limits,
    ) -> Result<Made, PluginProblem> {
        match self {
            Self::Process(program) => Compilation {
                program,
                path,
                bytes,
                into,
                limits,
            }
            .run(),
            Self::Here => compile(bytes.to_vec(), into, limits),
        }
    }
}
