//! Where a host tells how it is, and whom: `listen` and the keys that begin with it. What the files of certificates hold is
//! judged by who listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use soloist_core::secret::Secret;

use crate::problem::{BadValue, Excerpt};
use crate::validator::{Reported, Validator};
use crate::written::Written;

const TOKEN_CHARS_MIN: usize = 16;
const TOKEN_CHARS_MAX: usize = 512;

/// Where a host answers requests over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// The address. With port 0 the system chooses one.
    pub address: SocketAddr,
    /// What a request has to show. Without one everybody is answered who can reach the address.
    pub token: Option<Secret>,
    /// The file that holds the token, if there is one.
    pub token_file: Option<PathBuf>,
    /// Whether the page shows values of a task's state to who asks for them.
    pub values: bool,
    /// What an order that is given on the page has to show. Without it the page takes none.
    pub orders: Option<Secret>,
    /// The file that holds it.
    pub orders_file: Option<PathBuf>,
    /// The files for TLS. Without them what is asked and answered is not encrypted.
    pub tls: Option<ListenTls>,
}

impl ListenConfig {
    /// The files that decide who is answered, and how.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let tls = self.tls.iter();
        let tls = tls.flat_map(|tls| {
            [&tls.certificate, &tls.key]
                .into_iter()
                .chain(&tls.client_ca)
        });
        self.token_file.iter().chain(&self.orders_file).chain(tls)
    }
}

/// Which files a listener with TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// The certificate of this host, and those of the authorities between it and the one that whoever asks knows.
    pub certificate: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// The certificates of those who vouch for whoever asks. With them a request has to come with a certificate.
    pub client_ca: Option<PathBuf>,
}

/// What can be set of it.
#[derive(Clone, Debug, Default)]
pub struct ListenWire {
    /// See [`ListenConfig::address`].
    pub address: Option<Written<String>>,
    /// See [`ListenConfig::token_file`].
    pub token_file: Option<Written<PathBuf>>,
    /// Whether everybody may be answered who can reach an address that other machines can.
    pub open: Option<Written<bool>>,
    /// See [`ListenConfig::values`].
    pub values: Option<Written<bool>>,
    /// See [`ListenConfig::orders_file`].
    pub admin_token_file: Option<Written<PathBuf>>,
    /// See [`ListenTls::certificate`].
    pub certificate: Option<Written<PathBuf>>,
    /// See [`ListenTls::key`].
    pub key: Option<Written<PathBuf>>,
    /// See [`ListenTls::client_ca`].
    pub client_ca: Option<Written<PathBuf>>,
}

impl ListenWire {
    /// What is given where something is, else what the document says.
    pub(crate) fn over(self, document: Self) -> Self {
        Self {
            address: self.address.or(document.address),
            token_file: self.token_file.or(document.token_file),
            open: self.open.or(document.open),
            values: self.values.or(document.values),
            admin_token_file: self.admin_token_file.or(document.admin_token_file),
            certificate: self.certificate.or(document.certificate),
            key: self.key.or(document.key),
            client_ca: self.client_ca.or(document.client_ca),
        }
    }

    /// The files for TLS: none of them, or at least the first two.
    fn tls(&self, validator: &mut Validator<'_>) -> Result<Option<ListenTls>, Reported> {
        let [certificate, key, client_ca] = [&self.certificate, &self.key, &self.client_ca]
            .map(|file| file.as_ref().map(|file| validator.beside_file(file)));
        let given = [&self.certificate, &self.key, &self.client_ca];
        let Some(first) = given.into_iter().flatten().next() else {
            return Ok(None);
        };
        let mut missing =
            |key, remedy| validator.report(key, &first.source, BadValue::Missing { remedy });
        let certificate = certificate.ok_or_else(|| {
            let remedy =
                "name the file that holds the certificate that this host shows to whoever asks";
            missing("listen_certificate", remedy)
        });
        let key = key.ok_or_else(|| {
            let remedy = "name the file that holds the key to `listen_certificate`";
            missing("listen_key", remedy)
        });
        Ok(Some(ListenTls {
            certificate: certificate?,
            key: key?,
            client_ca,
        }))
    }

    /// None if the host does not listen.
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<Option<ListenConfig>, Reported> {
        let (token_file, token) = from_file(
            validator,
            "listen_token_file",
            self.token_file.as_ref(),
            None,
        );
        let reads = token.as_ref().ok().and_then(Option::as_ref);
        let key = "listen_admin_token_file";
        let (orders_file, orders) =
            from_file(validator, key, self.admin_token_file.as_ref(), reads);
        let tls = self.tls(validator);
        let Some(written) = &self.address else {
            return tls.and(token).and(orders).map(|_| None);
        };
        let is_open = self.open.as_ref().is_some_and(|open| open.value);
        let is_guarded = self.token_file.is_some() || self.client_ca.is_some() || is_open;
        let address = validator.checked("listen", written, |text| address(text, is_guarded))?;
        Ok(Some(ListenConfig {
            address,
            token: token?,
            token_file,
            orders: orders?,
            orders_file,
            values: self.values.as_ref().is_some_and(|values| values.value),
            tls: tls?,
        }))
    }
}

/// Reads an address. One that other machines reach has to be guarded, or be meant to be open.
fn address(text: &str, is_guarded: bool) -> Result<SocketAddr, BadValue> {
    let address: SocketAddr = text.parse().map_err(|_| BadValue::ListenAddress {
        text: Excerpt::of(text),
    })?;
    if address.ip().to_canonical().is_loopback() || is_guarded {
        Ok(address)
    } else {
        Err(BadValue::ListenOpen {
            text: Excerpt::of(text),
        })
    }
}

/// Reads the token in a file, if one is named. `other`: another token, that it must not be.
fn from_file(
    validator: &mut Validator<'_>,
    key: &'static str,
    file: Option<&Written<PathBuf>>,
    other: Option<&Secret>,
) -> (Option<PathBuf>, Result<Option<Secret>, Reported>) {
    let Some(written) = file else {
        return (None, Ok(None));
    };
    let path = validator.beside_file(written);
    let read = validator.checked(key, written, |_| {
        let secret = Secret::read(&path).map_err(|source| BadValue::TokenFile {
            path: path.clone(),
            source,
        })?;
        let token = token(secret)?;
        if Some(&token) == other {
            return Err(BadValue::SameToken);
        }
        Ok(token)
    });
    (Some(path), read.map(Some))
}

/// Reads a token. Nothing of it is told.
fn token(secret: Secret) -> Result<Secret, BadValue> {
    let text = secret.expose();
    if (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        Ok(secret)
    } else {
        Err(BadValue::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Given;
    use crate::testing::{TASK, are_named, load};

    fn listen(lines: &str) -> String {
        format!("{lines}\n{TASK}")
    }

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (listen("listen = \"9464\""), "1:10", "listen", "not an address"),
            (listen("listen = \"localhost:9464\""), "1:10", "listen", "not an address"),
            (listen("listen = \"0.0.0.0:9464\""), "1:10", "listen", "other machines"),
            (listen("listen = \"[::]:9464\"\nlisten_open = false"), "1:10", "listen", "other machines"),
            (listen("listen = 9464"), "1:10", "listen", "expected a string"),
            (listen("listen_open = \"yes\""), "1:15", "listen_open", "expected a boolean"),
            (listen("listen_values = 1"), "1:17", "listen_values", "expected a boolean"),
            (listen("listen = \"127.0.0.1:1\"\nlisten_key = \"k\""), "2:14", "listen_certificate", "this host shows"),
            (listen("listen = \"127.0.0.1:1\"\nlisten_client_ca = \"c\"\nlisten_certificate = \"d\""), "3:22", "listen_key", "the key to"),
            (listen("listen_certificate = \"c\""), "1:22", "listen_key", "the key to"),
            (listen("listen = \"127.0.0.1:1\"\nlisten_token_file = \"no-such-file\""), "2:21", "listen_token_file", "etc/no-such-file"),
        ];
        are_named(&cases);
    }

    #[test]
    fn an_address_that_other_machines_reach_is_taken_if_it_is_meant() {
        let address = |lines: &str| {
            let config = load(&listen(lines), Given::default()).unwrap();
            config.listen.map(|listen| listen.address.to_string())
        };
        assert_eq!(address(""), None);
        for loopback in [
            "127.0.0.1:9464",
            "127.9.9.9:0",
            "[::1]:9464",
            "[::ffff:127.0.0.1]:1",
        ] {
            let lines = format!("listen = \"{loopback}\"");
            assert_eq!(address(&lines).as_deref(), Some(loopback));
        }
        let open = "listen = \"0.0.0.0:9464\"\nlisten_open = true";
        assert_eq!(address(open).as_deref(), Some("0.0.0.0:9464"));
    }

    #[test]
    fn an_address_that_wants_certificates_is_guarded_and_one_that_only_shows_one_is_not() {
        let shows = "listen = \"0.0.0.0:9464\"\nlisten_certificate = \"c\"\nlisten_key = \"k\"";
        are_named(&[(listen(shows), "1:10", "listen", "other machines")]);
        let wants = format!("{shows}\nlisten_client_ca = \"ca\"");
        let config = load(&listen(&wants), Given::default()).unwrap();
        let tls = config.listen.and_then(|listen| listen.tls).unwrap();
        assert!(tls.certificate.ends_with("etc/c") && tls.key.ends_with("etc/k"));
        assert!(tls.client_ca.is_some_and(|ca| ca.ends_with("etc/ca")));
    }

    #[test]
    fn a_token_is_long_enough_and_nothing_of_it_is_told() {
        assert!(token(Secret::new("0123456789abcdef".into())).is_ok());
        for bad in [
            "",
            "short-hunter2",
            "hunter2 with a space in it",
            &"x".repeat(513),
            "häuserkampf-hunter2",
        ] {
            let told = token(Secret::new(bad.to_owned())).unwrap_err().to_string();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
