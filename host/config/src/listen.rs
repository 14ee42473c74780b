//! Where a host tells how it is, and whom: `listen`, `listen_token_file` and `listen_open`.

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
}

impl ListenWire {
    /// What is given where something is, else what the document says.
    pub(crate) fn over(self, document: Self) -> Self {
        Self {
            address: self.address.or(document.address),
            token_file: self.token_file.or(document.token_file),
            open: self.open.or(document.open),
        }
    }

    /// None if the host does not listen.
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<Option<ListenConfig>, Reported> {
        let token_file = self
            .token_file
            .as_ref()
            .map(|file| validator.beside_file(file));
        let token = match (&self.token_file, &token_file) {
            (Some(written), Some(path)) => {
                let read = validator.checked("listen_token_file", written, |_| {
                    let secret = Secret::read(path).map_err(|source| BadValue::TokenFile {
                        path: path.clone(),
                        source,
                    })?;
                    token(secret)
                });
                Some(read)
            }
            _ => None,
        };
        let token = token.transpose();
        let Some(written) = &self.address else {
            return token.map(|_| None);
        };
        let is_open = self.open.as_ref().is_some_and(|open| open.value);
        let is_guarded = self.token_file.is_some() || is_open;
        let address = validator.checked("listen", written, |text| address(text, is_guarded))?;
        Ok(Some(ListenConfig {
            address,
            token: token?,
            token_file,
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
