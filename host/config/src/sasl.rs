//! Who this host is to the ensemble by SASL: `sasl_file`.

use std::path::Path;

use soloist_core::access::SaslUser;
use soloist_core::secret::Secret;

use crate::problem::BadValue;

/// The longest name of a user.
const NAME_BYTES_MAX: usize = 128;
/// The shortest password: what is shorter could be guessed, and not be kept out of the log.
const PASSWORD_BYTES_MIN: usize = 4;
/// The longest password.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Reads the file that holds `USER:PASSWORD`.
///
/// # Errors
/// [`BadValue::AuthFile`], or [`BadValue::Sasl`], without a word of the text.
pub(crate) fn user(path: &Path) -> Result<SaslUser, BadValue> {
    let secret = Secret::read(path).map_err(|source| BadValue::AuthFile {
        path: path.to_owned(),
        source,
    })?;
    parse(secret.expose()).map_err(|rule| BadValue::Sasl { rule })
}

fn parse(text: &str) -> Result<SaslUser, &'static str> {
    let (name, password) = text.split_once(':').ok_or("it has no colon")?;
    // Whatever else a name has would be quoted in the client's answer, or taken for a part of a Kerberos principal.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
    match (name, password) {
        ("", _) => Err("the user has no name"),
        (name, _) if name.len() > NAME_BYTES_MAX => {
            Err("the name of the user has more than 128 characters")
        }
        (name, _) if !name.bytes().all(is_plain) => Err(
            "the name of the user has another character than letters, digits, `.`, `_`, `-` and `$`",
        ),
        ("digest" | "sasl", password) if password.contains(':') => {
            Err("it begins with a scheme, as `auth_file` does")
        }
        // The bytes that stand for other characters are not the same in all clients and servers (RFC 2831, 2.1.2.1).
        (_, password) if !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => Err(
            "the password has a line break, another control character, or one that is not of ASCII",
        ),
        (_, password) if password.len() < PASSWORD_BYTES_MIN => {
            Err("the password has less than 4 characters")
        }
        (_, password) if password.len() > PASSWORD_BYTES_MAX => {
            Err("the password has more than 1024 characters")
        }
        (name, password) => Ok(SaslUser {
            name: name.to_owned(),
            password: Secret::new(password.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{are_named, refused, zookeeper};

    #[test]
    fn a_file_holds_a_user_and_its_password_or_is_refused_without_a_word_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sasl");
        for (text, rule) in [
            ("soloist:hunter2\n", ""),
            ("a.b_c-$:hunter2:more \"\\,\r\n", ""),
            ("hunter2\n", "no colon"),
            (":hunter2", "no name"),
            (&format!("{}:hunter2", "u".repeat(129)), "more than 128"),
            ("soloist/zk1@HUNTER2:hunter2", "another character"),
            ("s\"hunter2:hunter2", "another character"),
            ("digest:soloist:hunter2", "a scheme"),
            ("soloist:hunter2\nhunter2", "line break"),
            ("soloist:hunter2\u{fc}", "not of ASCII"),
            ("soloist:", "less than 4"),
            ("soloist:abc", "less than 4"),
            (
                &format!("soloist:{}", "hunter2".repeat(200)),
                "more than 1024",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            match user(&path) {
                Ok(user) => {
                    assert_eq!(rule, "", "{text}");
                    assert!(user.password.expose().starts_with("hunter2"));
                    assert!(!format!("{user:?}").contains("hunter2"));
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(!rule.is_empty() && error.contains(rule), "{text}: {error}");
                    assert!(!error.to_lowercase().contains("hunter2"), "{error}");
                }
            }
        }
        std::fs::write(&path, vec![b'x'; 65 * 1024]).unwrap();
        assert!(matches!(user(&path), Err(BadValue::AuthFile { .. })));
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_place_and_counts_as_an_identity() {
        are_named(&[(
            zookeeper("sasl_file = \"no-such-file\""),
            "2:13",
            "zookeeper.sasl_file",
            "etc/no-such-file",
        )]);
        let message = refused(&zookeeper(
            "sasl_file = \"no-such-file\"\nacl = \"creator\"",
        ));
        assert!(!message.contains("zookeeper.acl"), "{message}");
    }
}
