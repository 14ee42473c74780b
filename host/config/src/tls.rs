//! How connections to the ensemble are encrypted: `[zookeeper.tls]`. What the files hold is judged by who connects.

use std::path::PathBuf;

use serde::Deserialize;

use crate::problem::BadValue;
use crate::validator::{Reported, Validator};
use crate::written::{Source, Written};

/// Which files a connection with TLS needs, and what is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificates of those who vouch for the servers.
    pub ca: PathBuf,
    /// The certificate of this host and its key, if it has one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether a server's certificate has to be for its name.
    pub verify_names: bool,
}

/// What can be set of TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsWire {
    /// See [`TlsConfig::ca`].
    pub ca: Option<Written<PathBuf>>,
    /// The certificate of this host, with its chain.
    pub certificate: Option<Written<PathBuf>>,
    /// Its key.
    pub key: Option<Written<PathBuf>>,
    /// `full`, or `ca`: without the name.
    pub verify: Option<Written<String>>,
}

impl TlsWire {
    /// What is given where something is, else what the document says.
    pub(crate) fn over(self, document: Self) -> Self {
        Self {
            ca: self.ca.or(document.ca),
            certificate: self.certificate.or(document.certificate),
            key: self.key.or(document.key),
            verify: self.verify.or(document.verify),
        }
    }

    /// With the place of what is set first; none if nothing is.
    pub fn written(self) -> Option<Written<Self>> {
        let paths = [&self.ca, &self.certificate, &self.key];
        let paths = paths.into_iter().flatten().map(|path| &path.source);
        let verify = self.verify.iter().map(|verify| &verify.source);
        let source = paths.chain(verify).next()?.clone();
        Some(Written {
            value: self,
            source,
        })
    }

    /// `table` is the place of the table, or of what is set first.
    pub(crate) fn validate(
        &self,
        table: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<TlsConfig, Reported> {
        let verify_names = validator.optional(
            "zookeeper.tls.verify",
            self.verify.as_ref(),
            |text| match text.as_str() {
                "full" => Ok(true),
                "ca" => Ok(false),
                _ => Err(BadValue::choice(text, "\"full\" or \"ca\"")),
            },
        );
        let path = |path: &Option<Written<PathBuf>>, validator: &Validator<'_>| {
            path.as_ref().map(|path| validator.beside_file(path))
        };
        let ca = path(&self.ca, validator);
        let identity = (
            path(&self.certificate, validator),
            path(&self.key, validator),
        );
        let mut missing = |key, remedy| {
            let key = format!("zookeeper.tls.{key}");
            validator.report(&key, table, BadValue::Missing { remedy })
        };
        let identity = match identity {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(
                "key",
                "name the file that holds the key to `certificate`",
            )),
            (None, Some(_)) => Err(missing(
                "certificate",
                "name the file that holds the certificate to `key`",
            )),
        };
        let ca = ca.ok_or_else(|| {
            missing(
                "ca",
                "name the file that holds the certificates of those who vouch for the servers",
            )
        });
        Ok(TlsConfig {
            ca: ca?,
            identity: identity?,
            verify_names: verify_names?.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::are_named;

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        let tls = |lines: &str| {
            format!("[zookeeper.tls]\n{lines}\n[[task]]\nname = \"a\"\nplugin = \"a.wasm\"\n")
        };
        #[rustfmt::skip]
        let cases = [
            (tls(""), "1:1", "zookeeper.tls.ca", "those who vouch"),
            (tls("ca = \"a\"\nkey = \"k\""), "1:1", "zookeeper.tls.certificate", "the certificate to `key`"),
            (tls("ca = \"a\"\ncertificate = \"c\""), "1:1", "zookeeper.tls.key", "the key to `certificate`"),
            (tls("ca = \"a\"\nverify = \"none\""), "3:10", "zookeeper.tls.verify", "\"full\" or \"ca\""),
            (tls("cert = \"a\""), "2:1", "zookeeper.tls.cert", "unknown field"),
            ("[zookeeper]\ntls = true\n".to_owned(), "2:7", "zookeeper.tls", "a table"),
        ];
        are_named(&cases);
    }
}
