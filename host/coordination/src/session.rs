//! Keeps a ZooKeeper session, and the lease that rests on it.
//!
//! ```text
//!   connecting --> read-only --> connecting ...
//!       |
//!       +--> registered --> [ heartbeats; connected <-> disconnected ] --> expired, auth failed --> connecting ...
//!                                                                    \--> closed (shutdown)
//! ```
//!
//! A host has one session, and further ones if it has many tasks: one session can watch only so much. Each has a keeper, a lease,
//! and a node that its heartbeats write. The keeper publishes the session as a [`View`] once that node exists. When the session
//! has ended, the keeper withdraws it, ends its lease at once, and asks for a new session. It never stops to ask.

mod drain;
mod establish;
mod heartbeats;
mod keeper;
mod order;
mod turns;
mod view;
mod visit;

pub use drain::{Drain, Presence, Present};
pub use keeper::{GaveUp, Keeper, SessionEnd, Siblings};
pub use turns::{Turn, Urgency};
pub(crate) use view::ensure_path;
pub use view::{Session, View};
pub(crate) use visit::Visit;
