//! What can be chosen for a new project.

/// The language of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// Python, with componentize-py.
    Python,
    /// C, with clang.
    C,
    /// JavaScript, with componentize-qjs.
    Js,
    /// WebAssembly text.
    Wat,
}

/// What a project begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Says hello once.
    Hello,
    /// Does something at the slots of a cron expression, each of them once.
    Cron,
    /// Works on one item after another, and notes in its state how far it is.
    Worker,
}

impl Language {
    /// All of them, the first is the default.
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::C, Self::Js, Self::Wat];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::C => "c",
            Self::Js => "js",
            Self::Wat => "wat",
        }
    }

    /// The command that a project in it needs once, before it can be built.
    pub fn once(self) -> Option<&'static str> {
        match self {
            Self::Python => {
                Some("python3 -m venv venv && venv/bin/pip install componentize-py==0.25.1")
            }
            Self::Js => Some("npm install"),
            Self::Rust | Self::C | Self::Wat => None,
        }
    }
}

impl Template {
    /// All of them, the first is the default.
    pub const ALL: [Self; 3] = [Self::Hello, Self::Cron, Self::Worker];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Cron => "cron",
            Self::Worker => "worker",
        }
    }
}
