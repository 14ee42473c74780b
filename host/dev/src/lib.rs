//! What serves those who write plugins, and Soloist's own tests. A host needs none of it.
//!
//! | module | what |
//! |---|---|
//! | [`build`] | a project's plugin, made by the compiler of its language |
//! | [`ensemble`] | a server in the process that speaks ZooKeeper's protocol |
//! | [`playground`] | two hosts and the ensemble in one process, and orders to let things happen to them |
//! | [`scaffold`] | a new project |
//! | [`testbed`] | a term of a plugin without an election: no ZooKeeper, and a lease that the test decides on |
//! | [`trial`] | the scripted life of a task, in virtual time, and what a failover at any point of it would do |

pub mod build;
pub mod ensemble;
pub mod playground;
pub mod scaffold;
pub mod testbed;
pub mod trial;
