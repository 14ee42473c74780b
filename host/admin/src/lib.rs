//! Tells over HTTP how a host is: whether it lives, whether it leads, and what it has measured.
//!
//! ```text
//!   contenders, plugins --> core::roster --+
//!   core::event ---------> Told -----------+--> Pages --> Listener, a thread of its own --> whoever asks
//!   the ensemble --> page::Sight, another -+
//! ```
//!
//! | file | what |
//! |---|---|
//! | `listener` | connections: how many, how long, how slow |
//! | `pages` | what is asked for, and who may ask |
//! | `answer` | how answers look |
//! | `health` | `/livez`, `/readyz`, `/leader/TASK` |
//! | `logs` | `/logs/TASK`: the latest lines, as `core::journal` keeps them |
//! | `page` | `/`: the page for people, and what it asks for below `/api/` |
//! | `metrics` | `/metrics` |
//! | `told` | what events tell of the session, and counts of them |
//!
//! It only reads. Nothing of it runs on the thread that renews the lease, and nobody waits for it.

mod answer;
mod health;
mod listener;
mod logs;
mod metrics;
pub mod page;
mod pages;
mod told;

pub use listener::{Listener, Serving};
pub use metrics::{FAMILIES, Family, Kind};
pub use pages::Pages;
pub use told::Told;
