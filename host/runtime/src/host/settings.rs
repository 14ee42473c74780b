//! The settings of the session, from the configuration.

use std::time::Duration;

use soloist_config::{Config, EnsembleConfig};
use soloist_coordination::acl::acl;
use soloist_coordination::connect::{Credentials, Ensemble, SessionSettings};

/// The ensemble, from the configuration.
pub fn ensemble(config: &EnsembleConfig) -> Ensemble {
    Ensemble {
        servers: config.servers.hosts().to_owned(),
        chroot: config.servers.chroot().to_owned(),
        root: config.root.clone(),
        session_timeout: config.session_timeout,
        auth: config.auth.as_ref().map(Credentials::from),
        acl: acl(config.acl.as_ref()),
    }
}

pub(super) fn session_settings(config: &Config) -> SessionSettings {
    SessionSettings {
        ensemble: ensemble(&config.zookeeper),
        host: config.host.clone(),
        tick_time: config.zookeeper.tick_time,
        demote_timeout: Duration::ZERO,
        connect_timeout: config.zookeeper.connect_timeout,
    }
}
