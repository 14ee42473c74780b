//! The guardian: a small parent of the process that runs plugins.
//!
//! ```text
//!   guardian (no plugin, one thread)
//!      |  starts the same executable, reaps it, passes signals on
//!      v
//!   guarded process  -- where it may have something in the ensemble, by a socket pair -->  guardian
//! ```
//!
//! When the process is dead, which the system says once all of its threads are gone, the guardian gives back what it had
//! ([`give_back`](soloist_coordination::guardian::give_back)). Nothing else makes it do so: not silence, and not a broken
//! connection.
//!
//! The guardian has the address at which the host answers over HTTP, if it does, and gives it to each process that it starts. While
//! there is none it answers there itself, by the same code: that the process is dead, and how often that has happened.
//!
//! If the guardian goes first, the process hears the end of the socket pair. It hands its tasks over and ends, since whoever
//! watches over the guardian is about to start another one with the same host id. The death signal of the system
//! (`PR_SET_PDEATHSIG`) would say the same, but of a thread rather than a process, and it would say it to a process that does not
//! listen to signals yet.

mod guarded;
mod process;
mod service;
mod watch;

pub(crate) use guarded::{Line, line};
pub(crate) use watch::{Door, Guardian};

/// The first argument of a process that has a guardian. Its standard input is the socket to it.
const GUARDED_WORD: &str = "guarded";
