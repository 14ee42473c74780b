//! How to reach the ensemble, and how to behave there: `[zookeeper]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use soloist_core::access::{AclSetting, Auth, SaslUser};
use soloist_core::limits::HOST_STATE_RATE;
use soloist_core::secret::Secret;

use crate::amount::{Amount, KIB, MIB};
use crate::identity::{self, AclWire};
use crate::node;
use crate::problem::BadValue;
use crate::sasl;
use crate::servers::ConnectString;
use crate::shape;
use crate::tls::{TlsConfig, TlsWire};
use crate::validator::{Reported, Validator};
use crate::written::Written;

const ROOT_DEFAULT: &str = "/soloist";
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TICK_TIME_DEFAULT: Duration = Duration::from_secs(2);

/// How to reach a ZooKeeper ensemble, and how to behave there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsembleConfig {
    /// Where its servers are.
    pub servers: ConnectString,
    /// The node, below the chroot, under which everything of Soloist is kept.
    pub root: String,
    /// The session timeout to ask for.
    pub session_timeout: Duration,
    /// The ensemble's own `tickTime`.
    pub tick_time: Duration,
    /// How connections are encrypted, if they are.
    pub tls: Option<TlsConfig>,
    /// The identity to show.
    pub auth: Option<Auth>,
    /// The file that holds the identity, if it is in one.
    pub auth_file: Option<PathBuf>,
    /// Who to be by SASL, beside that identity.
    pub sasl: Option<SaslUser>,
    /// The file that holds the user and the password.
    pub sasl_file: Option<PathBuf>,
    /// Who may do what with the nodes that are created. When nobody has said, everybody may do everything: a host with
    /// an identity warns then.
    pub acl: Option<AclSetting>,
    /// Give up when there is no first session within this time; never if there is none. A host that has had a session
    /// tries for ever.
    pub connect_timeout: Option<Duration>,
    /// How many bytes a second all plugins of this host may write to their states in the long run.
    pub state_rate: u64,
}

/// What can be set of the ensemble.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleWire {
    /// See [`EnsembleConfig::servers`].
    pub servers: Option<Written<String>>,
    /// See [`EnsembleConfig::root`].
    pub root: Option<Written<String>>,
    /// See [`EnsembleConfig::session_timeout`].
    #[serde(deserialize_with = "shape::duration")]
    pub session_timeout: Option<Written<String>>,
    /// See [`EnsembleConfig::tick_time`].
    #[serde(deserialize_with = "shape::duration")]
    pub tick_time: Option<Written<String>>,
    /// See [`EnsembleConfig::connect_timeout`].
    #[serde(deserialize_with = "shape::duration")]
    pub connect_timeout: Option<Written<String>>,
    /// See [`EnsembleConfig::tls`].
    #[serde(deserialize_with = "shape::some_table")]
    pub tls: Option<Written<TlsWire>>,
    /// See [`EnsembleConfig::auth`].
    pub auth: Option<Written<Secret>>,
    /// A file that holds what `auth` would.
    pub auth_file: Option<Written<PathBuf>>,
    /// A file that holds the user and the password of [`EnsembleConfig::sasl`].
    pub sasl_file: Option<Written<PathBuf>>,
    /// See [`EnsembleConfig::acl`].
    pub acl: Option<Written<AclWire>>,
    /// See [`EnsembleConfig::state_rate`].
    pub state_rate: Option<Written<Amount>>,
    /// Whether nobody is shown to the ensemble, since it is another one than the document's: identities of the document are
    /// not read then, which may be out of reach.
    #[serde(skip)]
    pub anonymous: bool,
}

impl EnsembleConfig {
    /// The files that hold identities.
    pub fn identity_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.auth_file.iter().chain(&self.sasl_file)
    }

    /// What of the identities is never shown.
    pub fn secrets(&self) -> Vec<Secret> {
        let sasl = self.sasl.iter().map(|user| user.password.clone());
        let auth = self.auth.iter().flat_map(Auth::secrets);
        auth.chain(sasl).collect()
    }
}

impl EnsembleWire {
    /// What is given where something is, else what the document says.
    pub(crate) fn over(self, document: Self) -> Self {
        // An identity and the file that holds one are two ways to say the same thing.
        let (auth, auth_file) = match (self.auth, self.auth_file) {
            _ if self.anonymous => (None, None),
            (None, None) => (document.auth, document.auth_file),
            given => given,
        };
        let sasl_file = self.sasl_file.or(document.sasl_file);
        let tls = match (self.tls, document.tls) {
            (Some(given), Some(Written { value, source })) => Some(Written {
                value: given.value.over(value),
                source,
            }),
            (given, document) => given.or(document),
        };
        Self {
            servers: self.servers.or(document.servers),
            root: self.root.or(document.root),
            session_timeout: self.session_timeout.or(document.session_timeout),
            tick_time: self.tick_time.or(document.tick_time),
            connect_timeout: self.connect_timeout.or(document.connect_timeout),
            tls,
            auth,
            auth_file,
            sasl_file: sasl_file.filter(|_| !self.anonymous),
            acl: self.acl.or(document.acl),
            state_rate: self.state_rate.or(document.state_rate),
            anonymous: self.anonymous,
        }
    }

    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<EnsembleConfig, Reported> {
        let servers = validator.optional("zookeeper.servers", self.servers.as_ref(), |text| {
            ConnectString::new(text)
        });
        let root = validator.optional("zookeeper.root", self.root.as_ref(), |text| {
            node::path(text)
        });
        let session_timeout = validator.duration(
            "zookeeper.session_timeout",
            self.session_timeout.as_ref(),
            SESSION_TIMEOUT_DEFAULT,
        );
        let tick_time = validator.duration(
            "zookeeper.tick_time",
            self.tick_time.as_ref(),
            TICK_TIME_DEFAULT,
        );
        let connect_timeout =
            validator.optional_duration("zookeeper.connect_timeout", self.connect_timeout.as_ref());
        let auth_file = self
            .auth_file
            .as_ref()
            .map(|file| validator.beside_file(file));
        let auth = self.auth(auth_file.as_deref(), validator);
        let sasl_file = self.sasl_file.as_ref().map(|written| {
            let path = validator.beside_file(written);
            let user = validator.checked("zookeeper.sasl_file", written, |_| sasl::user(&path));
            user.map(|user| (user, path))
        });
        let tls = self.tls.as_ref();
        let has_certificate = tls.is_some_and(|tls| tls.value.certificate.is_some());
        let tls = tls.map(|Written { value, source }| value.validate(source, validator));
        let has_auth = self.auth.is_some()
            || auth_file.is_some()
            || sasl_file.is_some()
            || has_certificate
            || self.anonymous;
        let acl = validator.optional("zookeeper.acl", self.acl.as_ref(), |acl| acl.read(has_auth));
        let state_rate =
            validator.optional("zookeeper.state_rate", self.state_rate.as_ref(), |amount| {
                amount.bytes(KIB..=1024 * MIB)
            });
        let (sasl, sasl_file) = sasl_file.transpose()?.unzip();
        Ok(EnsembleConfig {
            servers: servers?.unwrap_or_default(),
            root: root?.unwrap_or_else(|| ROOT_DEFAULT.to_owned()),
            session_timeout: session_timeout?,
            tick_time: tick_time?,
            tls: tls.transpose()?,
            auth: auth?,
            auth_file,
            sasl,
            sasl_file,
            acl: acl?,
            connect_timeout: connect_timeout?,
            state_rate: state_rate?.unwrap_or(HOST_STATE_RATE),
        })
    }

    /// What the identity is; `file` is the path of the file that holds it, if one does.
    fn auth(
        &self,
        file: Option<&Path>,
        validator: &mut Validator<'_>,
    ) -> Result<Option<Auth>, Reported> {
        let auth = validator.optional("zookeeper.auth", self.auth.as_ref(), identity::auth);
        let (Some(written), Some(path)) = (&self.auth_file, file) else {
            return auth;
        };
        validator
            .checked("zookeeper.auth_file", written, |_| {
                if self.auth.is_some() {
                    return Err(BadValue::AuthTwice);
                }
                let secret = Secret::read(path).map_err(|source| BadValue::AuthFile {
                    path: path.to_owned(),
                    source,
                })?;
                identity::auth(&secret)
            })
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{are_named, zookeeper};

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (zookeeper("session_timout = \"10s\""), "2:1", "zookeeper.session_timout", "unknown field `session_timout`"),
            (zookeeper("session_timeout = 10"), "2:19", "zookeeper.session_timeout", "10 has no unit: write a duration as text, like \"10s\""),
            (zookeeper("session_timeout = -1"), "2:19", "zookeeper.session_timeout", "like \"10s\""),
            (zookeeper("session_timeout = 1.5"), "2:19", "zookeeper.session_timeout", "like \"10s\""),
            (zookeeper("session_timeout = [10]"), "2:19", "zookeeper.session_timeout", "like \"10s\""),
            (zookeeper("session_timeout = \"10\""), "2:19", "zookeeper.session_timeout", "unit"),
            (zookeeper("session_timeout = \"-1s\""), "2:19", "zookeeper.session_timeout", "not a duration"),
            (zookeeper("tick_time = \"0s\""), "2:13", "zookeeper.tick_time", "out of range"),
            (zookeeper("tick_time = \"10us\""), "2:13", "zookeeper.tick_time", "out of range"),
            (zookeeper("connect_timeout = \"999999999y\""), "2:19", "zookeeper.connect_timeout", "out of range"),
            (zookeeper("connect_timeout = \"99999999999999999999s\""), "2:19", "zookeeper.connect_timeout", "not a duration"),
            (zookeeper("servers = \"a/b/\""), "2:11", "zookeeper.servers", "ends with a slash"),
            (zookeeper("state_rate = 1"), "2:14", "zookeeper.state_rate", "write 1KiB to 1GiB"),
            ("zookeeper = 5\n".to_owned(), "1:13", "zookeeper", "a table, its name in one pair of brackets"),
            ("[[zookeeper]]\n".to_owned(), "1:1", "zookeeper", "in one pair of brackets"),
        ];
        are_named(&cases);
    }
}
