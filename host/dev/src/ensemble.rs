//! An ensemble in the process, for development: a server that speaks ZooKeeper's protocol on the loopback device, in memory.
//!
//! The session, election and lease code in front of it is the one that runs in production. It answers as ZooKeeper 3.8 does,
//! alone (`standalone`): `tests/ensemble` compares them. It promises nothing of what ZooKeeper is there for: it is
//! one process, and what it holds is gone with it, but for a snapshot where one is asked for.
//!
//! | module | what |
//! |---|---|
//! | `wire` | messages: read with bounds, and written |
//! | `access`, `acls`, `path`, `node`, `tree` | the nodes, and who may do what with them |
//! | `transactions` | changes: all or nothing |
//! | `sessions`, `watches` | who is there, and who hears of what |
//! | `machine` | all of that as one: messages and time go in, messages come out |
//! | `snapshot` | that as a file, if it shall outlive the process |
//! | `clock`, `server` | real or moved time; connections |
//!
//! ```
//! use soloist_dev::ensemble::{Ensemble, Settings};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let ensemble = Ensemble::start(Settings::default()).await.unwrap();
//! println!("zookeeper = {{ servers = \"{}\" }}", ensemble.address());
//! ensemble.stop().await.unwrap();
//! # });
//! ```

mod access;
mod acls;
mod clock;
mod error;
mod machine;
mod node;
mod path;
mod refusal;
mod server;
mod sessions;
mod snapshot;
mod transactions;
mod tree;
mod watches;
mod wire;

pub use self::clock::Clock;
pub use self::error::EnsembleError;
pub use self::server::{Door, Ensemble, NodeInfo, SessionInfo, Settings};
pub use self::snapshot::BadSnapshot;
