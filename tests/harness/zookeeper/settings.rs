//! How many servers a test has, where they run, and how they are configured.

use std::time::Duration;

use crate::netns::Node;

/// What kind of servers to have.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) servers: usize,
    pub(super) tick: Duration,
    pub(super) properties: Vec<(String, String)>,
    pub(super) system_properties: Vec<(String, String)>,
    pub(super) nodes: Vec<Node>,
}

impl Settings {
    /// One server alone, with a tick of 500 ms: sessions of 1 to 10 seconds.
    pub fn standalone() -> Self {
        Self {
            servers: 1,
            tick: Duration::from_millis(500),
            properties: Vec::new(),
            system_properties: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// An ensemble of three.
    pub fn ensemble() -> Self {
        Self {
            servers: 3,
            ..Self::standalone()
        }
    }

    /// An ensemble with one server on each of those nodes, rather than on the loopback device.
    pub fn on(nodes: &[Node]) -> Self {
        Self {
            servers: nodes.len(),
            nodes: nodes.to_vec(),
            ..Self::standalone()
        }
    }

    /// Sets the servers' tickTime.
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Adds a line to the servers' configuration.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a property of the servers' Java machine.
    #[must_use]
    pub fn system_property(mut self, name: &str, value: &str) -> Self {
        self.system_properties
            .push((name.to_owned(), value.to_owned()));
        self
    }
}
