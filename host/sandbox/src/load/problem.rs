//! What can be wrong with a plugin's file.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bounded::describe;
use crate::contract::version::CONTRACTS;
use crate::directories::places::Danger;
use crate::load::bounds::{Excess, Refused};
use crate::load::{MAX_CODE_BYTES, MAX_FILE_BYTES, MAX_TEXT_BYTES};
use soloist_core::digest::Digest;
use soloist_core::grants::NotGranted;
use soloist_core::limits::LimitReached;

/// A plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin {}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: PluginProblem,
}

/// What is wrong with a plugin's file. What its compiler finds passes from one process to another; the rest does not.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum PluginProblem {
    /// The file cannot be opened or read.
    #[error("cannot read the file")]
    #[serde(skip)]
    Read(#[source] io::Error),
    /// It is a directory or a device.
    #[error("it is not a file")]
    #[serde(skip)]
    NotAFile,
    /// It is too large to be a plugin.
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    #[serde(skip)]
    TooLarge,
    /// It is not the file that was meant.
    #[error(
        "its sha256 is {found}, but it is pinned to {expected}: the file has changed, or is not the one that was meant"
    )]
    #[serde(skip)]
    WrongDigest {
        /// What the settings say.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
    /// It is text, and too large for that.
    #[error(
        "it is text of more than {MAX_TEXT_BYTES} bytes: make it a binary, like `wasm-tools parse` does"
    )]
    TextTooLarge,
    /// It asks more of the compiler than it may.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// It could not be compiled in time.
    #[error(
        "it could not be compiled within {limit:?}: if it may take that long, raise `limits.compile_timeout`"
    )]
    #[serde(skip)]
    TooSlow {
        /// The time it had.
        limit: Duration,
    },
    /// Something panicked over it: a bug, though not one of the plugin.
    #[error("the compiler, or what makes it ready for it, panicked: {message}")]
    Panicked {
        /// What was said.
        message: String,
    },
    /// There are no threads to compile it.
    #[error(
        "cannot start threads to compile it: raise the limit of processes and threads (`ulimit -u`, a service's TasksMax), or \
         `limits.compile_memory`"
    )]
    Threads(#[source] Told),
    /// The process that compiles cannot be started, or spoken to.
    #[error("cannot start the process that compiles it{}", advice(.0))]
    #[serde(skip)]
    Compiler(#[source] io::Error),
    /// That process could not give up what it does not need.
    #[error("the process that compiles it cannot confine itself")]
    Confine(#[source] Told),
    /// That process has ended before it was done.
    #[error(
        "the process that compiles it has ended ({status}), and said: {said}. It may have {memory} bytes: if it may take \
         more, raise `limits.compile_memory`"
    )]
    #[serde(skip)]
    Crashed {
        /// How it has ended.
        status: String,
        /// The first that it said of that.
        said: String,
        /// How much it could have, in bytes.
        memory: u64,
    },
    /// That process said something that makes no sense, and was ended: a bug.
    #[error(
        "what the process that compiles it says of it makes no sense, so it was ended; it also said: {said}"
    )]
    #[serde(skip)]
    Senseless {
        /// The first that it said besides.
        said: String,
    },
    /// There is no directory to compile it in.
    #[error(
        "there is no directory to compile it in: set XDG_CACHE_HOME or TMPDIR to one that can be written to"
    )]
    #[serde(skip)]
    Scratch(#[source] io::Error),
    /// The compiler cannot write what it has made.
    #[error("what was compiled cannot be written")]
    Write(#[source] Told),
    /// What was compiled is too large.
    #[error(
        "what the compiler makes of it is larger than {MAX_CODE_BYTES} bytes, or than a file may be (`ulimit -f`)"
    )]
    CodeTooLarge,
    /// What was compiled is not where it should be, or damaged, or too large for what memory is left.
    #[error(
        "what was compiled for it was not found again, or cannot be loaded: is there enough address space (`ulimit -v`)?"
    )]
    #[serde(skip)]
    NotFound,
    /// It cannot have an engine on this machine.
    #[error("this machine cannot run it")]
    #[serde(skip)]
    Engine(#[source] wasmtime::Error),
    /// It is neither binary WebAssembly nor its text form.
    #[error(
        "it is not WebAssembly: neither a component, nor a core module, nor the text form (.wat) of one"
    )]
    NotWasm,
    /// It is WebAssembly text with a mistake.
    #[error("the WebAssembly text has a mistake")]
    Text(#[source] Told),
    /// It begins like WebAssembly, but is cut short or broken, or is more than a plugin may use of it.
    #[error("the WebAssembly is cut short or broken, or uses what this host does not offer")]
    Malformed(#[source] Told),
    /// One of the two functions is not there.
    #[error(
        "it does not export `{export}`: a plugin exports both on_elected and on_demoted, in Rust with soloist_sdk::export!"
    )]
    MissingExport {
        /// The function's name, as a component or a bare module spells it.
        export: Cow<'static, str>,
    },
    /// It is made to run from its beginning to its end.
    #[error(
        "it exports `_start`, so it is a program of its own: a plugin is a library (a reactor, as with clang \
         -mexec-model=reactor) that exports both on_elected and on_demoted"
    )]
    Program,
    /// One of the two functions has a type that the contract does not allow.
    #[error("its export `{export}` has the wrong type: expected {expected}, found {found}")]
    WrongExport {
        /// The function's name, as a component or a bare module spells it.
        export: Cow<'static, str>,
        /// The type that it should have.
        expected: Cow<'static, str>,
        /// The type that it has.
        found: String,
    },
    /// A bare module imports something that is neither WASI preview 1 nor the contract by its plain names.
    #[error(
        "it imports `{import}`, which nobody offers: a bare module can import wasi_snapshot_preview1, and what \
         guest-sdk/c/soloist.h has of `soloist`"
    )]
    UnknownImport {
        /// The import, as `module.name`.
        import: String,
    },
    /// A directory that the task grants is not there.
    #[error("the granted directory {} cannot be used", path.display())]
    #[serde(skip)]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory that no plugin may write to.
    #[error("the granted directory {} must not be written to by a plugin: {danger}", path.display())]
    #[serde(skip)]
    Dangerous {
        /// The directory.
        path: PathBuf,
        /// Why not.
        danger: Danger,
    },
    /// A plugin decides where the path to a directory leads.
    #[error(
        "the path of the granted directory {} leads through {}, which a plugin of this host is granted to write: that plugin \
         could make it lead anywhere. Grant a directory that does not lie in another one, or take `write` from the outer one",
        path.display(),
        writable.display()
    )]
    #[serde(skip)]
    Nested {
        /// The directory.
        path: PathBuf,
        /// The directory that is granted to write, to this plugin or to another.
        writable: PathBuf,
    },
    /// A component imports something that its task does not grant.
    #[error(transparent)]
    #[serde(skip)]
    NotGranted(#[from] NotGranted),
    /// A component is made for a version of the contract that the host does not speak.
    #[error(
        "it is made for another version of the contract, as its import `{import}` says: this host speaks soloist:plugin@{}. \
         Build it with an SDK of this host's version, or run a host that speaks that one",
        CONTRACTS.join(" and ")
    )]
    #[serde(skip)]
    Contract {
        /// The import, as `package/interface@version`.
        import: String,
    },
    /// A component imports a function of the contract in a form that it had before the contract's first release.
    #[error(
        "it is made for a draft of the contract: it takes `{function}` of its import `{import}` for `{found}`, which \
         soloist:plugin@{} has in another form. Build it with an SDK of this host's version",
        CONTRACTS.join(" and ")
    )]
    #[serde(skip)]
    Draft {
        /// The import, as `package/interface@version`.
        import: String,
        /// The function.
        function: String,
        /// Its type, as the component has it.
        found: String,
    },
    /// A component imports something that the host does not have, or not with that type.
    #[error(
        "it imports something that this host does not offer: something unknown, or what a newer version of the contract or of \
         WASI has"
    )]
    #[serde(skip)]
    Link(#[source] wasmtime::Error),
    /// It would make more instances, memories or tables than it may.
    #[error("it cannot run within its limits")]
    Limit(#[source] LimitReached),
    /// A module cannot be made a component.
    #[error("the module cannot be made a component")]
    Encode(#[source] Told),
    /// The compiler refuses it.
    #[error("it cannot be compiled")]
    Compile(#[source] Told),
    /// The host's own imports cannot be set up: a bug.
    #[error("the host cannot offer its imports")]
    #[serde(skip)]
    Imports(#[source] wasmtime::Error),
}

impl From<Refused> for PluginProblem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(error) => Self::Malformed(Told::of(&error)),
            Refused::Excess(excess) => Self::Excess(excess),
        }
    }
}

/// What to do when a process that compiles cannot be started.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (this program, which it finds in /proc: mount that)",
        io::ErrorKind::WouldBlock => {
            " (raise the limit of processes and threads: `ulimit -u`, a service's TasksMax)"
        }
        _ => "",
    }
}

/// What an error says, in words that pass from one process to another.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Told(String);

impl Told {
    pub(crate) fn of(error: &dyn Error) -> Self {
        Self(describe(error))
    }
}
