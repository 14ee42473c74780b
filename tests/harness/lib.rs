//! What the integration tests, the demo and the benchmarks stand on: real ZooKeeper servers and real hosts, each a
//! process of its own on this machine, all of them gone when their owner is dropped or dies.
//!
//! | module | what it is |
//! |---|---|
//! | [`process`] | a process that cannot outlive its owner |
//! | [`netns`] | a network of nodes in namespaces of their own, with cuts |
//! | [`clock`] | a wall clock that can be set, for one process alone |
//! | [`effects`] | what plugins did, who came after whom, and how long nobody did anything |
//! | [`load`] | a machine that is busy with something else |
//! | [`browser`] | a browser without a screen |
//! | [`certificates`] | an authority, and servers that it vouches for |
//! | [`notify`] | what a service manager hears |
//! | [`pages`] | what a host tells over HTTP |
//! | [`ports`] | loopback ports that stay reserved |
//! | [`postgres`] | a private PostgreSQL server |
//! | [`registry`] | a private registry of images |
//! | [`tools`] | what makes plugins of other languages than Rust |
//! | [`zookeeper`] | private ZooKeeper servers: one alone, or an ensemble |
//! | [`build`] | the binaries and guests under test, built once |
//! | [`host`] | a running `soloist`, with its events |
//! | [`project`] | a plugin's project, made and built as its author would |
//! | [`history`] | all that happened, from every host, in one place to wait on |
//! | [`cluster`] | servers and the hosts that contend on them |
//! | [`oracle`] | judges a history: at most one host active, tokens that grow |
//! | [`proxy`] | a TCP proxy in front of a server that cuts, swallows, and loses replies |
//! | [`mod@reference`] | what REFERENCE.md says of events, as a schema |
//! | [`revocation`] | plugins that were stopped by force: how close to the end of their lease |
//! | [`session`] | a session that the host's own code keeps within the test |
//! | [`client`] | a bare client, and a foreign contender of the plain recipe |
//!
//! Nothing here decides by an error's kind, whoever calls only shows it: hence `anyhow` throughout.

pub mod browser;
pub mod build;
pub mod certificates;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod deployment;
pub mod effects;
pub mod history;
pub mod host;
pub mod load;
pub mod netns;
pub mod notify;
pub mod oracle;
pub mod pages;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod project;
pub mod proxy;
pub mod reference;
pub mod registry;
pub mod revocation;
pub mod session;
pub mod tools;
pub mod zookeeper;

use std::time::Duration;

/// How long a condition may take to come true before a test gives up: long enough for a machine busy with other work.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition that cannot be waited on is looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// Asks `probe` again and again until it answers.
///
/// # Errors
/// Names `what` when no answer has come within `patience`.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let asking = async {
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(patience, asking)
        .await
        .map_err(|_| anyhow::anyhow!("waited {patience:?} in vain for {what}"))
}
