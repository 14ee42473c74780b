//! What serves those who write plugins, and Soloist's own tests. A host needs none of it.
//!
//! | module | what |
//! |---|---|
//! | [`testbed`] | a term of a plugin without an election: no ZooKeeper, and a lease that the test decides on |

pub mod testbed;
