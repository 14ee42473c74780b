//! Everything that talks to ZooKeeper, and the only place that knows how.
//!
//! [`session`] keeps a session and its lease; [`task`] does what the election of one task asks for; [`state`] keeps what
//! its plugin writes; [`fence`] ties what a term writes to the term; [`failed`] marks a task whose plugin fails for good;
//! [`observer`] answers an operator's questions; [`examine`] looks at the ensemble itself; [`rights`] compares ACLs with what is configured; [`watches`] say that
//! something has changed; [`placement`] reads what decides where tasks are led. Of deployed tasks, [`manifests`] follows what is to run, [`deployed`] reads generations and says how
//! far a host is, [`rollout`] is what a leader reads and writes, and [`artefacts`] keeps small plugins. What is kept where is
//! said by [`soloist_core::records`].

pub mod acl;
pub mod artefacts;
pub mod connect;
pub mod deployed;
pub mod error;
pub mod examine;
pub mod failed;
pub mod fence;
pub mod guardian;
pub mod manifests;
pub mod observer;
pub mod placement;
pub mod rights;
pub mod rollout;
pub mod session;
pub mod state;
pub mod task;
pub mod watches;
