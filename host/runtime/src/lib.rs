//! A host: it stands for its tasks, and runs their plugins while it leads.

pub mod activation;
pub mod apart;
pub mod contender;
pub mod deployer;
pub mod duties;
pub mod host;
pub mod lookout;
pub mod placement;
pub mod reload;
pub mod report;
pub mod rollout;
pub mod shutdown;
pub mod signals;
