//! A scripted life of a task: what happens to it, step by step, and what is expected of its plugin.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use soloist_config::{ConfigError, Document, Format, Place};
use soloist_core::term::Demotion;
use tracing::Level;

mod read;

/// When a life begins, unless the script says so: 2026-01-01T00:00:00Z.
const DATE_DEFAULT: Duration = Duration::from_secs(1_767_225_600);

/// A life that is valid.
#[derive(Clone, Debug)]
pub struct Script {
    /// When it begins.
    pub(super) date: SystemTime,
    pub(super) answers: Vec<Answer>,
    pub(super) steps: Vec<Step>,
}

/// One thing that happens, and where the script says so.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) place: Option<Place>,
    pub(super) act: Act,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Elect(String),
    Advance(Duration),
    Demote(Demotion),
    LoseLease,
    Kill,
    State(StateMode),
    Set(BTreeMap<String, String>),
    Expect(Expectation),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StateMode {
    Answer,
    Refuse,
    Hold,
}

/// How a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    Running,
    Demoted,
    Revoked,
}

impl Standing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Demoted => "demoted",
            Self::Revoked => "revoked",
        }
    }
}

/// What is expected at one moment: all of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Expectation {
    pub(super) log: Option<String>,
    pub(super) level: Option<Level>,
    pub(super) event: Option<String>,
    pub(super) times: Option<u32>,
    pub(super) state: BTreeMap<String, String>,
    pub(super) absent: Vec<String>,
    pub(super) requests: Option<u32>,
    pub(super) ended: Option<Standing>,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) url: Uri,
    pub(super) method: Option<Method>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) after: Duration,
    /// How often it is given; `None` is for ever.
    pub(super) times: Option<u32>,
}

/// A script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read, is not TOML, or has an unknown key or a value of another type.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// Some of its values are wrong: each of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<BadStep>),
}

/// One value of a script that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct BadStep {
    /// Where it stands.
    place: Place,
    /// What is wrong, and what would be right.
    what: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`]: every bad value at once, each with its place and remedy, unless the file cannot be read as a script
    /// in the first place.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        Self::of(&Document::open(path, Format::Toml)?)
    }

    /// Reads a script that is at hand.
    ///
    /// # Errors
    /// As [`Script::read`].
    pub fn of(document: &Document) -> Result<Self, ScriptError> {
        read::script(document)
    }

    /// A life as any task has it: one host leads for an hour and is stopped, then another.
    pub fn usual() -> Self {
        let hour = Duration::from_secs(3600);
        let acts = ["a", "b"].into_iter().flat_map(|host| {
            [
                Act::Elect(host.to_owned()),
                Act::Advance(hour),
                Act::Demote(Demotion::Shutdown),
            ]
        });
        Self {
            date: SystemTime::UNIX_EPOCH + DATE_DEFAULT,
            answers: Vec::new(),
            steps: acts.map(|act| Step { place: None, act }).collect(),
        }
    }

    /// Whether a failure of this kind is part of the script.
    pub(super) fn expects(&self, event: &str) -> bool {
        self.expectations().any(|expected| {
            let standing = expected.ended.is_some_and(|ended| ended.name() == event);
            standing || expected.event.as_deref() == Some(event)
        })
    }

    /// Whether the state does not answer at times.
    pub(super) fn stops_state(&self) -> bool {
        let stops = |act: &Act| matches!(act, Act::State(StateMode::Refuse | StateMode::Hold));
        self.steps.iter().any(|step| stops(&step.act))
    }

    fn expectations(&self) -> impl Iterator<Item = &Expectation> {
        self.steps.iter().filter_map(|step| match &step.act {
            Act::Expect(expected) => Some(expected),
            _ => None,
        })
    }
}
