//! What a guardian knows of the process that it guards, and what follows when that process is dead: pure, no IO.
//!
//! The guarded process tells where it may have something in the ensemble: [`Message`]s. The guardian keeps them in a
//! [`Ledger`]. What was told says only where to look. What is given back is what is read there and belongs to a session of the
//! dead process, so it does no harm if the last message was never sent.

mod death;
mod ledger;
mod message;
mod past;
mod tell;

pub use death::{Death, OnDeath, next_pause};
pub use ledger::{ENTRIES_MAX, Estate, Ledger};
pub use message::{MESSAGE_MAX_BYTES, Message, Node, Place, Subject, TooLong};
pub use past::{LastDeath, Past};
pub use tell::{Listener, Teller, Told};
