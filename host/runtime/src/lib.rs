//! A host: it stands for its tasks, and runs their plugins while it leads.

pub mod activation;
pub mod contender;
pub mod host;
pub mod reporter;
pub mod shutdown;
