//! The settings of the session, from the configuration.

use std::time::Duration;

use soloist_config::{Config, EnsembleConfig, TlsConfig};
use soloist_coordination::acl::acl;
use soloist_coordination::connect::tls::{IdentityFiles, Tls, TlsError, TlsFiles, Verify};
use soloist_coordination::connect::{Credentials, Ensemble, SessionSettings};
use soloist_core::guardian::Teller;

/// The ensemble, from the configuration. It reads the files of `[zookeeper.tls]`.
///
/// # Errors
/// [`TlsError`]: one of these files cannot be used, or a server cannot be verified.
pub fn ensemble(config: &EnsembleConfig) -> Result<Ensemble, TlsError> {
    let servers = config.servers.hosts();
    let tls = config
        .tls
        .as_ref()
        .map(|tls| Tls::load(files(tls), servers));
    Ok(Ensemble {
        servers: servers.to_owned(),
        chroot: config.servers.chroot().to_owned(),
        root: config.root.clone(),
        session_timeout: config.session_timeout,
        tls: tls.transpose()?,
        auth: config.auth.as_ref().map(Credentials::from),
        sasl: config.sasl.clone(),
        acl: acl(config.acl.as_ref()),
    })
}

fn files(config: &TlsConfig) -> TlsFiles {
    let identity = config.identity.as_ref();
    TlsFiles {
        ca: config.ca.clone(),
        identity: identity.map(|(certificate, key)| IdentityFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        verify: if config.verify_names {
            Verify::Full
        } else {
            Verify::Ca
        },
    }
}

pub(super) fn session_settings(
    config: &Config,
    guardian: Teller,
) -> Result<SessionSettings, TlsError> {
    Ok(SessionSettings {
        ensemble: ensemble(&config.zookeeper)?,
        host: config.host.clone(),
        tick_time: config.zookeeper.tick_time,
        demote_timeout: Duration::ZERO,
        connect_timeout: config.zookeeper.connect_timeout,
        guardian,
    })
}

/// Says what deserves a word about how the ensemble is used, though a host can run.
pub(super) fn warn_of(config: &EnsembleConfig) {
    let identity = match &config.tls {
        _ if config.auth.is_some() => Some("auth"),
        _ if config.sasl.is_some() => Some("sasl_file"),
        Some(tls) if tls.identity.is_some() => Some("tls.certificate"),
        _ => None,
    };
    if let Some(identity) = identity.filter(|_| config.acl.is_none()) {
        tracing::warn!(
            "`{identity}` is set but `acl` is not: everybody may change the nodes; set acl = \"creator\""
        );
    }
    if config.sasl.is_some() {
        tracing::warn!(
            "`sasl_file` is set: DIGEST-MD5 is weak and obsolete (RFC 6331), and servers after 3.9.5 refuse it unless \
             zookeeper.fips-mode is false; prefer TLS with a certificate of this host (tls.certificate)"
        );
    }
    if config.tls.as_ref().is_some_and(|tls| !tls.verify_names) {
        tracing::warn!(
            "tls.verify is \"ca\": whoever has a certificate of the same authority can pass for a server of the ensemble; give the \
             servers certificates with their names (subjectAltName), and set verify = \"full\""
        );
    }
}
