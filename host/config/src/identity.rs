//! Who this host is to the ensemble, and who may do what with its nodes: `auth`, `auth_file` and `acl`.

use serde::Deserialize;
use soloist_core::access::{AclEntry, AclSetting, Auth, Permission};
use soloist_core::secret::Secret;

use crate::problem::{BadValue, Excerpt};

/// An access control list as it can be written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"world\", \"creator\", \"creator-world-read\" or a list of \"SCHEME:ID:PERMISSIONS\""
)]
pub enum AclWire {
    /// A word, or entries separated by commas.
    Line(String),
    /// A list of entries.
    List(Vec<String>),
}

impl AclWire {
    /// Reads the list; `has_auth` says whether this host has an identity.
    ///
    /// # Errors
    /// [`BadValue::Acl`], or [`BadValue::AclWithoutAuth`].
    pub(crate) fn read(&self, has_auth: bool) -> Result<AclSetting, BadValue> {
        let (acl, text) = match self {
            Self::Line(line) => (acl(line)?, line.as_str()),
            Self::List(entries) => (acl_list(entries.iter().map(String::as_str))?, "the list"),
        };
        if acl.needs_auth() && !has_auth {
            return Err(BadValue::AclWithoutAuth {
                text: Excerpt::of(text),
            });
        }
        Ok(acl)
    }
}

/// Reads `SCHEME:CREDENTIAL`.
///
/// # Errors
/// [`BadValue::Auth`], without a word of the text.
pub(crate) fn auth(text: &Secret) -> Result<Auth, BadValue> {
    let refuse = |rule| BadValue::Auth { rule };
    let text = text.expose();
    if text.chars().any(char::is_control) {
        return Err(refuse("it has a line break or another control character"));
    }
    let (scheme, credential) = text
        .split_once(':')
        .ok_or_else(|| refuse("it has no colon"))?;
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refuse("what stands before the first colon is not a scheme"));
    }
    let user = credential.split_once(':').map(|(user, _)| user);
    match (scheme, user) {
        ("x509", _) => Err(refuse(
            "the scheme x509 is that of a certificate: set tls.certificate and tls.key",
        )),
        ("ip" | "world" | "auth" | "sasl", _) => Err(refuse(
            "its scheme is none that anybody can show: digest:USER:PASSWORD is",
        )),
        // Servers can have schemes of their own, so not every other one is a mistake.
        _ if scheme != "digest" && is_nearly_digest(scheme) => Err(refuse(
            "its scheme is unknown, did you mean digest:USER:PASSWORD?",
        )),
        ("digest", None | Some("")) => Err(refuse("the scheme digest wants USER:PASSWORD")),
        _ if credential.is_empty() => Err(refuse("the credential is empty")),
        _ => Ok(Auth {
            scheme: scheme.to_owned(),
            credential: Secret::new(credential.to_owned()),
        }),
    }
}

/// Whether it is the word but for its case, one letter more, less or other, or two that are exchanged.
fn is_nearly_digest(scheme: &str) -> bool {
    let scheme = scheme.to_ascii_lowercase();
    let (word, bytes) = (b"digest".as_slice(), scheme.as_bytes());
    let same_start = word.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let (rest, other) = (&word[same_start..], &bytes[same_start..]);
    let (left, right) = (rest.get(1..), other.get(1..));
    let exchanged = matches!(
        (rest, other),
        ([a, b, tail @ ..], [c, d, end @ ..]) if (a, b, tail) == (d, c, end)
    );
    left == right || left == Some(other) || right == Some(rest) || exchanged
}

/// Reads one of the words, or entries separated by commas.
fn acl(text: &str) -> Result<AclSetting, BadValue> {
    match text {
        "world" => Ok(AclSetting::World),
        "creator" => Ok(AclSetting::Creator),
        "creator-world-read" => Ok(AclSetting::CreatorWorldRead),
        entries => acl_list(entries.split(',')),
    }
}

/// Reads entries that together permit what hosts need.
fn acl_list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<AclSetting, BadValue> {
    let written: Vec<&str> = entries.into_iter().collect();
    let entries = written
        .iter()
        .copied()
        .map(acl_entry)
        .collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(BadValue::Acl {
            text: Excerpt::of(""),
            rule: "gives nobody any permission",
        });
    }
    let granted = |wanted| {
        entries
            .iter()
            .any(|entry| entry.permissions.contains(&wanted))
    };
    for (wanted, rule) in [
        (Permission::Create, "lets nobody create (c): hosts have to"),
        (
            Permission::Delete,
            "lets nobody delete (d): hosts have to, or no term could be given back",
        ),
        (Permission::Read, "lets nobody read (r): hosts have to"),
        (Permission::Write, "lets nobody write (w): hosts have to"),
    ] {
        if !granted(wanted) {
            let entries = written.join(",");
            return Err(BadValue::Acl {
                text: Excerpt::of(&entries),
                rule,
            });
        }
    }
    Ok(AclSetting::List(entries))
}

fn acl_entry(text: &str) -> Result<AclEntry, BadValue> {
    let refuse = |rule| BadValue::Acl {
        text: Excerpt::of(text),
        rule,
    };
    if text.chars().any(char::is_control) {
        return Err(refuse("has a control character"));
    }
    let parts = text
        .split_once(':')
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
    let (scheme, (id, letters)) =
        parts.ok_or_else(|| refuse("is neither a known word nor an entry"))?;
    match (scheme, id) {
        ("", _) => return Err(refuse("has no scheme")),
        ("world", id) if id != "anyone" => {
            return Err(refuse("needs the id anyone for the scheme world"));
        }
        ("auth", id) if !id.is_empty() => {
            return Err(refuse("cannot have an id for the scheme auth"));
        }
        ("digest", id) if !id.contains(':') => {
            return Err(refuse("needs the id USER:HASH for the scheme digest"));
        }
        (scheme, "") if scheme != "auth" => return Err(refuse("has no id")),
        _ => {}
    }
    let mut permissions = Vec::new();
    for letter in letters.chars() {
        let permission = match letter {
            'c' => Permission::Create,
            'd' => Permission::Delete,
            'r' => Permission::Read,
            'w' => Permission::Write,
            'a' => Permission::Admin,
            _ => return Err(refuse("has an unknown permission")),
        };
        if permissions.contains(&permission) {
            return Err(refuse("has a permission twice"));
        }
        permissions.push(permission);
    }
    if permissions.is_empty() {
        return Err(refuse("has no permissions"));
    }
    Ok(AclEntry {
        scheme: scheme.to_owned(),
        id: id.to_owned(),
        permissions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{are_named, refused, zookeeper};

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (zookeeper("auth = \"hunter2\""), "2:8", "zookeeper.auth", "no colon"),
            (zookeeper("auth = \"digest:hunter2\""), "2:8", "zookeeper.auth", "USER:PASSWORD"),
            (zookeeper("auth = \"dig est:hunter2\""), "2:8", "zookeeper.auth", "scheme"),
            (zookeeper("auth = \"own:\""), "2:8", "zookeeper.auth", "empty"),
            (zookeeper("auth = \"x509:CN=hunter2\""), "2:8", "zookeeper.auth", "tls.certificate"),
            (zookeeper("auth = \"ip:hunter2\""), "2:8", "zookeeper.auth", "none that anybody can show"),
            (zookeeper("auth = \"Digest:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"digst:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"diggest:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"dogest:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"idgest:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"digets:u:hunter2\""), "2:8", "zookeeper.auth", "did you mean digest"),
            (zookeeper("auth = \"digest:u:hunter2\"\nauth_file = \"x\""), "3:13", "zookeeper.auth_file", "twice"),
            (zookeeper("auth_file = \"no-such-file\""), "2:13", "zookeeper.auth_file", "etc/no-such-file"),
            (zookeeper("acl = 5"), "2:7", "zookeeper.acl", "creator-world-read"),
            (zookeeper("acl = \"creator\""), "2:7", "zookeeper.acl", "SOLOIST_ZOOKEEPER_AUTH"),
            (zookeeper("acl = [\"auth::cdrw\"]"), "2:7", "zookeeper.acl", "SOLOIST_ZOOKEEPER_AUTH"),
            (zookeeper("acl = \"open\""), "2:7", "zookeeper.acl", "known word"),
            (zookeeper("acl = []"), "2:7", "zookeeper.acl", "nobody"),
            (zookeeper("acl = [\"world:anyone:crwa\"]"), "2:7", "zookeeper.acl", "lets nobody delete (d)"),
            (zookeeper("acl = [\"world:anyone:cdra\", \"ip:10.0.0.1:r\"]"), "2:7", "zookeeper.acl", "lets nobody write (w)"),
            (zookeeper("acl = [\"world:anyone:x\"]"), "2:7", "zookeeper.acl", "unknown permission"),
            (zookeeper("acl = [\"world:anyone:rr\"]"), "2:7", "zookeeper.acl", "twice"),
            (zookeeper("acl = [\"world:anyone:\"]"), "2:7", "zookeeper.acl", "no permissions"),
            (zookeeper("acl = [\"world:me:r\"]"), "2:7", "zookeeper.acl", "anyone"),
            (zookeeper("acl = [\"digest:user:r\"]"), "2:7", "zookeeper.acl", "USER:HASH"),
            (zookeeper("acl = [\"ip::r\"]"), "2:7", "zookeeper.acl", "no id"),
            (zookeeper("acl = [\":x:r\"]"), "2:7", "zookeeper.acl", "no scheme"),
        ];
        are_named(&cases);
    }

    #[test]
    fn access_control_lists_are_read_from_a_line_and_from_a_list() {
        let line = acl("digest:user:hash:cdrwa,world:anyone:r").unwrap();
        assert_eq!(
            line,
            acl_list(["digest:user:hash:cdrwa", "world:anyone:r"]).unwrap()
        );
        let AclSetting::List(entries) = line else {
            panic!("a list")
        };
        assert_eq!(entries[0].scheme, "digest");
        assert_eq!(entries[0].id, "user:hash");
        assert_eq!(entries[0].permissions.len(), 5);
        assert_eq!(entries[1].permissions, [Permission::Read]);
    }

    #[test]
    fn a_secret_that_looks_like_a_key_is_not_printed() {
        for broken in [
            "auth = { \"digest:user:hunter2\" }",
            "auth = \"\" \"digest:user:hunter2\"",
            "auth = {x=1 \"u:hunter2\"",
        ] {
            let message = refused(&format!("[zookeeper]\n{broken}\n"));
            assert!(
                message.starts_with("etc/soloist.toml:2:") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let auth = auth(&Secret::new("digest:user:secret".to_owned())).unwrap();
        assert!(!format!("{auth:?}").contains("secret"));
    }
}
