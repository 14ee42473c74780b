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
//! | `tls` | the certificates of the listener, and who vouches for whoever asks |
//! | `pages` | what is asked for |
//! | `admission` | who may ask |
//! | `answer` | how answers look |
//! | `health` | `/livez`, `/readyz`, `/leader/TASK` |
//! | `logs` | `/logs/TASK`: the latest lines, as `core::journal` keeps them |
//! | `page` | `/`: the page for people, and what it asks for below `/api/` |
//! | `metrics` | `/metrics` |
//! | `obituary` | what a guardian answers while the process of its host is dead |
//! | `client` | asks another host for lines about a task |
//! | `token` | what a request shows, and how it is compared |
//! | `otlp` | spans, on their way to a collector of traces |
//! | `told` | what events tell of the session, and counts of them |
//!
//! What answers only reads, but for the orders that `page` takes from who shows a token for them. Nothing of it runs on the thread
//! that renews the lease, and nobody waits for it.

mod admission;
mod answer;
pub mod client;
mod health;
mod listener;
mod logs;
mod metrics;
mod obituary;
mod otlp;
pub mod page;
mod pages;
mod tls;
mod token;
mod told;

pub use listener::{Listener, Serving};
pub use metrics::{Family, Kind, families};
pub use obituary::Obituary;
pub use otlp::{Exporting, TermSpans};
pub use pages::Pages;
pub use soloist_tls::FileError;
pub use tls::{Tls, TlsFiles};
pub use told::Told;
