//! A term of a plugin without an election. It runs in this process, as on a host that leads, and the test decides how
//! long the lease lasts, when the term ends, and what the state answers.
//!
//! | item | what |
//! |---|---|
//! | [`Tested`] | a term under test: starts a plugin, waits for what it reports, checks how it ends |
//! | [`Memory`] | a task's state in memory, which can refuse calls or hold them back |
//! | [`listen`], [`wait_for_message`] | what this process reports, whichever test causes it |
//!
//! These functions panic when what they wait for does not come: they are the assertions of a test.

mod memory;
mod reported;
mod tested;

use std::time::Duration;

pub use self::memory::Memory;
pub use self::reported::{listen, wait_for_message};
pub use self::tested::{Tested, runtime, term};

/// How long a test waits before it fails: long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
