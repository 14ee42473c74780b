//! What commands have in common: where the ensemble is, what to run, and the settings that can be given beside a file.

use std::env::{self, VarError};
use std::path::PathBuf;

use anyhow::bail;
use clap::ArgMatches;
use clap::parser::ValueSource;
use soloist_config::{
    AclWire, Amount, BadValue, Config, ConfigError, EnsembleWire, Given, ListenWire, Place,
    Problem, TlsWire, Written,
};
use soloist_core::secret::Secret;
use soloist_runtime::host::ensemble;

use super::Failure;
use super::inspect::refuse_folder;
use super::listener::tls;

mod task;

pub(super) use task::TaskOptions;

const AUTH_VARIABLE: &str = "SOLOIST_ZOOKEEPER_AUTH";

/// How to reach the ensemble, for hosts and operators alike.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct EnsembleOptions {
    /// Servers of the ensemble and a chroot [default: localhost:2181]
    #[arg(long, env = "SOLOIST_ZOOKEEPER", value_name = "HOST:PORT,...[/CHROOT]", help_heading = ENSEMBLE)]
    zookeeper: Option<String>,

    /// Node, below the chroot, that everything Soloist keeps lies below [default: /soloist]
    #[arg(long, env = "SOLOIST_ROOT", value_name = "NODE", help_heading = ENSEMBLE)]
    root: Option<String>,

    /// Session timeout to ask for: a host that dies is replaced after about this time [default: 10s]
    #[arg(long, env = "SOLOIST_SESSION_TIMEOUT", value_name = "DURATION", help_heading = ENSEMBLE)]
    session_timeout: Option<String>,

    /// Give up after this time without a first session; whoever has had one tries for ever [default: never]
    #[arg(long, env = "SOLOIST_CONNECT_TIMEOUT", value_name = "DURATION", help_heading = ENSEMBLE)]
    connect_timeout: Option<String>,

    /// File that holds the certificates of those who vouch for the servers, in PEM: connections are encrypted then
    /// [default: none]
    #[arg(long, env = "SOLOIST_TLS_CA", value_name = "FILE", help_heading = ENSEMBLE)]
    tls_ca: Option<PathBuf>,

    /// File that holds the certificate to show with TLS, and its chain, in PEM [default: none]
    #[arg(long, env = "SOLOIST_TLS_CERTIFICATE", value_name = "FILE", help_heading = ENSEMBLE)]
    tls_certificate: Option<PathBuf>,

    /// File that holds the key to that certificate, in PEM [default: none]
    #[arg(long, env = "SOLOIST_TLS_KEY", value_name = "FILE", help_heading = ENSEMBLE)]
    tls_key: Option<PathBuf>,

    /// What of a server's certificate is verified: full, or ca, which is all but the name [default: full]
    #[arg(long, env = "SOLOIST_TLS_VERIFY", value_name = "full|ca", help_heading = ENSEMBLE)]
    tls_verify: Option<String>,

    /// File that holds the identity to show, SCHEME:CREDENTIAL; the variable SOLOIST_ZOOKEEPER_AUTH can hold it instead
    /// [default: none]
    #[arg(long, env = "SOLOIST_AUTH_FILE", value_name = "FILE", help_heading = ENSEMBLE)]
    auth_file: Option<PathBuf>,

    /// File that holds who to be by SASL (DIGEST-MD5), USER:PASSWORD [default: none]
    #[arg(long, env = "SOLOIST_SASL_FILE", value_name = "FILE", help_heading = ENSEMBLE)]
    sasl_file: Option<PathBuf>,

    /// Who may do what with the nodes: world, creator, creator-world-read, or SCHEME:ID:PERMISSIONS,...
    /// [default: world]
    #[arg(long, env = "SOLOIST_ACL", help_heading = ENSEMBLE)]
    acl: Option<String>,
}

/// All that decides what a host does. Every option that can stand alone has a variable of its own.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// A configuration, if its name ends in .toml or .json, else a plugin to run as the only task
    #[arg(value_name = "PLUGIN|CONFIG.toml|CONFIG.json")]
    subject: PathBuf,

    #[command(flatten)]
    ensemble: EnsembleOptions,

    /// tickTime of the ensemble [default: 2s]
    #[arg(long, env = "SOLOIST_TICK_TIME", value_name = "DURATION", help_heading = ENSEMBLE)]
    tick_time: Option<String>,

    /// Bytes a second that all plugins of this host together may write to their states in the long run [default: 1MiB]
    #[arg(long, env = "SOLOIST_STATE_RATE", value_name = "BYTES", help_heading = ENSEMBLE)]
    state_rate: Option<String>,

    /// Prefixes by which this host's network translates IPv6 to IPv4 (NAT64), like 2001:db8:64::/96: an address in one is
    /// judged as the IPv4 address that it stands for [default: none besides 64:ff9b::/96]
    #[arg(long, env = "SOLOIST_NAT64", value_name = "PREFIX,...", value_delimiter = ',', help_heading = ENSEMBLE)]
    nat64: Option<Vec<String>>,

    /// Id of this host, unique in the ensemble [default: HOSTNAME-RANDOM, new for every process, so that a restarted host
    /// never waits for the session it had before]
    #[arg(long, env = "SOLOIST_HOST_ID", value_name = "ID", help_heading = ENSEMBLE)]
    host_id: Option<String>,

    /// Address at which the host tells how it is over HTTP, like 127.0.0.1:9464: a page for people, /metrics, /livez, /readyz,
    /// /leader/TASK, /logs/TASK.
    /// One that other machines can reach wants a token, --listen-client-ca or --listen-open [default: none]
    #[arg(long, env = "SOLOIST_LISTEN", value_name = "IP:PORT", help_heading = LISTENER)]
    listen: Option<String>,

    /// File that holds the token that requests for /metrics and /leader have to show, as Authorization: Bearer TOKEN
    /// [default: none]
    #[arg(long, env = "SOLOIST_LISTEN_TOKEN_FILE", value_name = "FILE", help_heading = LISTENER)]
    listen_token_file: Option<PathBuf>,

    /// Whether everybody who can reach that address may ask there, without a token [default: false]
    #[arg(long, env = "SOLOIST_LISTEN_OPEN", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = LISTENER)]
    listen_open: Option<String>,

    /// Whether the page shows values of a task's state to who asks for them and has shown the token or is on this machine
    /// [default: false]
    #[arg(long, env = "SOLOIST_LISTEN_VALUES", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = LISTENER)]
    listen_values: Option<String>,

    /// File that holds another token: whoever shows it to the page may have tasks resign, pause, resume and roll back
    /// [default: none; the page takes no orders]
    #[arg(long, env = "SOLOIST_LISTEN_ADMIN_TOKEN_FILE", value_name = "FILE", help_heading = LISTENER)]
    listen_admin_token_file: Option<PathBuf>,

    /// File that holds the certificate that this host shows there, and its chain, in PEM: it answers over TLS alone then
    /// [default: none]
    #[arg(long, env = "SOLOIST_LISTEN_CERTIFICATE", value_name = "FILE", help_heading = LISTENER)]
    listen_certificate: Option<PathBuf>,

    /// File that holds the key to that certificate, in PEM [default: none]
    #[arg(long, env = "SOLOIST_LISTEN_KEY", value_name = "FILE", help_heading = LISTENER)]
    listen_key: Option<PathBuf>,

    /// File that holds the certificates of those who vouch for whoever asks there, in PEM: who has no certificate of theirs
    /// is answered at /livez and /readyz alone [default: none]
    #[arg(long, env = "SOLOIST_LISTEN_CLIENT_CA", value_name = "FILE", help_heading = LISTENER)]
    listen_client_ca: Option<PathBuf>,

    /// URL of a collector of traces, like http://127.0.0.1:4318: a span for each term and for each effect of a plugin is sent
    /// there, by OTLP over HTTP [default: none]
    #[arg(long, env = "SOLOIST_OTLP", value_name = "URL", help_heading = LISTENER)]
    otlp: Option<String>,

    #[command(flatten)]
    task: TaskOptions,
}

pub(super) const ENSEMBLE: &str = "Ensemble";

const LISTENER: &str = "Telemetry";

impl EnsembleOptions {
    /// What was said of the ensemble; `matches` are those that the options come from.
    pub(super) fn given(self, matches: &ArgMatches) -> anyhow::Result<EnsembleWire> {
        let from = Sources(matches);
        let auth_file = from.written("auth_file", self.auth_file);
        // A flag is preferred to any variable, also to one that says the same thing in another way.
        let auth = if from.is_typed("auth_file") {
            None
        } else {
            auth_variable()?
        };
        let tls = TlsWire {
            ca: from.written("tls_ca", self.tls_ca),
            certificate: from.written("tls_certificate", self.tls_certificate),
            key: from.written("tls_key", self.tls_key),
            verify: from.written("tls_verify", self.tls_verify),
        };
        Ok(EnsembleWire {
            servers: from.written("zookeeper", self.zookeeper),
            root: from.written("root", self.root),
            session_timeout: from.written("session_timeout", self.session_timeout),
            tick_time: None,
            connect_timeout: from.written("connect_timeout", self.connect_timeout),
            tls: tls.written(),
            auth,
            auth_file,
            sasl_file: from.written("sasl_file", self.sasl_file),
            acl: from.written("acl", self.acl.map(AclWire::Line)),
            state_rate: None,
            anonymous: false,
        })
    }
}

impl Options {
    /// Puts everything together; `matches` are those that the options come from.
    pub(super) fn config(self, matches: &ArgMatches) -> Result<Config, Failure> {
        let subject = self.subject.clone();
        refuse_folder(&subject)?;
        self.given(matches)
            .and_then(|given| {
                let config = Config::load(&subject, given)?;
                // A file that cannot be used is told before plugins are compiled, which takes its time.
                ensemble(&config.zookeeper)?;
                config.listen.as_ref().map(tls).transpose()?;
                Ok(config)
            })
            .map_err(Failure::Invalid)
    }

    fn given(self, matches: &ArgMatches) -> anyhow::Result<Given> {
        let from = Sources(matches);
        let tick_time = from.written("tick_time", self.tick_time);
        let state_rate = from.written("state_rate", self.state_rate.map(Amount::Text));
        let open = from.parsed("listen_open", self.listen_open, boolean)?;
        let values = from.parsed("listen_values", self.listen_values, boolean)?;
        let listen = ListenWire {
            address: from.written("listen", self.listen),
            token_file: from.written("listen_token_file", self.listen_token_file),
            open: from.written("listen_open", open),
            values: from.written("listen_values", values),
            admin_token_file: from.written("listen_admin_token_file", self.listen_admin_token_file),
            certificate: from.written("listen_certificate", self.listen_certificate),
            key: from.written("listen_key", self.listen_key),
            client_ca: from.written("listen_client_ca", self.listen_client_ca),
        };
        Ok(Given {
            listen,
            otlp: from.written("otlp", self.otlp),
            host_id: from.written("host_id", self.host_id),
            nat64: from.list("nat64", self.nat64),
            zookeeper: EnsembleWire {
                tick_time,
                state_rate,
                ..self.ensemble.given(matches)?
            },
            task: self.task.given(matches)?,
        })
    }
}

/// Reads what a flag or a variable that is on or off says.
pub(super) fn boolean(text: &str) -> Result<bool, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(BadValue::choice(
            text,
            "\"true\", \"yes\", \"on\" or \"1\", or \"false\", \"no\", \"off\" or \"0\"",
        )),
    }
}

fn auth_variable() -> anyhow::Result<Option<Written<Secret>>> {
    match env::var(AUTH_VARIABLE) {
        Ok(auth) => Ok(Some(Written::variable(Secret::new(auth), AUTH_VARIABLE))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            bail!("{AUTH_VARIABLE}: not an identity: it is not text in UTF-8")
        }
    }
}

/// Knows where the value of each option comes from: the command line, or the environment.
pub(super) struct Sources<'a>(pub(super) &'a ArgMatches);

impl Sources<'_> {
    fn is_typed(&self, id: &str) -> bool {
        self.0.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Where the value of an option comes from.
    pub(super) fn place(&self, id: &str) -> Place {
        if self.is_typed(id) {
            Place::Flag(flag(id))
        } else {
            Place::Variable(variable(id))
        }
    }

    /// Reads the value of an option. clap would, but blames a flag for what its variable says.
    pub(super) fn parsed<T>(
        &self,
        id: &str,
        value: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, BadValue>,
    ) -> Result<Option<T>, ConfigError> {
        let bad = |bad| {
            ConfigError::Invalid(vec![Problem {
                place: self.place(id),
                bad,
            }])
        };
        value.map(|text| parse(&text).map_err(bad)).transpose()
    }

    /// Notes where the values of a list come from. What is empty is a list of nothing.
    fn list(&self, id: &str, values: Option<Vec<String>>) -> Option<Vec<Written<String>>> {
        let values = values?.into_iter().filter(|value| !value.is_empty());
        Some(
            values
                .filter_map(|value| self.written(id, Some(value)))
                .collect(),
        )
    }

    /// Notes where the value of an option comes from.
    fn written<T>(&self, id: &str, value: Option<T>) -> Option<Written<T>> {
        let value = value?;
        Some(if self.is_typed(id) {
            Written::flag(value, flag(id))
        } else {
            Written::variable(value, variable(id))
        })
    }
}

/// The flag of an option is named after its id.
fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

/// The variable of an option is named after its id.
fn variable(id: &str) -> String {
    format!("SOLOIST_{}", id.to_uppercase())
}
