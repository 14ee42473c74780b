//! How many servers a test has, where they run, and how they are configured.

use std::path::Path;
use std::time::Duration;

use crate::certificates::Certificates;
use crate::netns::Node;

/// What kind of servers to have.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) servers: usize,
    pub(super) tick: Duration,
    pub(super) properties: Vec<(String, String)>,
    pub(super) system_properties: Vec<(String, String)>,
    pub(super) nodes: Vec<Node>,
    pub(super) place: Place,
    /// Whether the servers speak TLS as well, on a port of its own.
    pub(super) secure: bool,
}

/// Whether the servers can be the ensemble in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is to be that, unless real servers are asked for throughout.
    Embedded,
    /// It is not to be that, unless the embedded one is asked for throughout.
    Apart,
    /// It cannot be that.
    Real,
}

impl Settings {
    /// One server alone, with a tick of 500 ms: sessions of 1 to 10 seconds. Where `SOLOIST_ENSEMBLE=embedded` is set it is
    /// the ensemble in this process, which has no faults: see [`Settings::real`].
    pub fn standalone() -> Self {
        Self {
            servers: 1,
            tick: Duration::from_millis(500),
            properties: Vec::new(),
            system_properties: Vec::new(),
            nodes: Vec::new(),
            place: Place::Apart,
            secure: false,
        }
    }

    /// The same as the ensemble in this process, which has no faults and starts at once. Where `SOLOIST_ENSEMBLE=real` is set
    /// it is a server.
    pub fn embedded() -> Self {
        Self {
            place: Place::Embedded,
            ..Self::standalone()
        }
    }

    /// An ensemble of three.
    pub fn ensemble() -> Self {
        Self {
            servers: 3,
            ..Self::standalone().real()
        }
    }

    /// Has the servers be real whatever is set: to be killed, paused or asked for what they log.
    #[must_use]
    pub fn real(mut self) -> Self {
        self.place = Place::Real;
        self
    }

    /// An ensemble with one server on each of those nodes, rather than on the loopback device.
    pub fn on(nodes: &[Node]) -> Self {
        Self {
            servers: nodes.len(),
            nodes: nodes.to_vec(),
            ..Self::standalone().real()
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
        self.real()
    }

    /// Has the servers speak TLS with those certificates as well, on a port of its own, to whoever has one of the same authority.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.secure = true;
        let (server, ca) = (certificates.server(), certificates.ca());
        self.property(
            "serverCnxnFactory",
            "org.apache.zookeeper.server.NettyServerCnxnFactory",
        )
        .property(
            "authProvider.x509",
            "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        )
        .property("ssl.keyStore.location", &server.display().to_string())
        .property("ssl.trustStore.location", &ca.display().to_string())
    }

    /// Has the servers know users by SASL, as that file of JAAS has them, and ACLs of theirs.
    #[must_use]
    pub fn sasl(self, jaas: &Path) -> Self {
        self.system_property(
            "java.security.auth.login.config",
            &jaas.display().to_string(),
        )
        .property(
            "authProvider.sasl",
            "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
        )
    }

    /// Sets a property of the servers' Java machine.
    #[must_use]
    pub fn system_property(mut self, name: &str, value: &str) -> Self {
        self.system_properties
            .push((name.to_owned(), value.to_owned()));
        self.real()
    }
}
