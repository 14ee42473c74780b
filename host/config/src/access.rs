//! Who this host is to the ensemble, and who may do what with its nodes, as it is written.

use soloist_core::access::{AclEntry, AclSetting, Auth, Permission};
use soloist_core::secret::Secret;

use super::problem::{BadValue, Excerpt};

/// Reads `SCHEME:CREDENTIAL`.
///
/// # Errors
/// [`BadValue::Auth`], without a word of the text.
pub(super) fn auth(text: &Secret) -> Result<Auth, BadValue> {
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
        ("digest", None | Some("")) => Err(refuse("the scheme digest wants USER:PASSWORD")),
        _ if credential.is_empty() => Err(refuse("the credential is empty")),
        _ => Ok(Auth {
            scheme: scheme.to_owned(),
            credential: Secret::new(credential.to_owned()),
        }),
    }
}

/// Reads one of the words, or entries separated by commas.
///
/// # Errors
/// [`BadValue::Acl`] names the entry that is wrong.
pub(super) fn acl(text: &str) -> Result<AclSetting, BadValue> {
    match text {
        "world" => Ok(AclSetting::World),
        "creator" => Ok(AclSetting::Creator),
        "creator-world-read" => Ok(AclSetting::CreatorWorldRead),
        entries => acl_list(entries.split(',')),
    }
}

/// Reads entries.
///
/// # Errors
/// [`BadValue::Acl`] names the entry that is wrong, or what no entry permits that hosts need.
pub(super) fn acl_list<'a>(
    entries: impl IntoIterator<Item = &'a str>,
) -> Result<AclSetting, BadValue> {
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
