//! ACLs as configured, in the client's terms.

use zookeeper_client::{Acl, AuthId, Permission as Allowed};

use soloist_core::access::{AclSetting, Permission};

/// The ACL of every node that a host creates; open to the world when nothing else was said.
pub fn acl(setting: Option<&AclSetting>) -> Vec<Acl> {
    let world = |allowed| Acl::new(allowed, AuthId::anyone());
    let creator = || Acl::new(Allowed::ALL, AuthId::authed());
    match setting {
        None | Some(AclSetting::World) => vec![world(Allowed::ALL)],
        Some(AclSetting::Creator) => vec![creator()],
        Some(AclSetting::CreatorWorldRead) => vec![creator(), world(Allowed::READ)],
        Some(AclSetting::List(entries)) => entries
            .iter()
            .map(|entry| {
                Acl::new(
                    allowed(&entry.permissions),
                    AuthId::new(&entry.scheme, &entry.id),
                )
            })
            .collect(),
    }
}

fn allowed(permissions: &[Permission]) -> Allowed {
    permissions.iter().fold(Allowed::NONE, |all, permission| {
        all | match permission {
            Permission::Read => Allowed::READ,
            Permission::Write => Allowed::WRITE,
            Permission::Create => Allowed::CREATE,
            Permission::Delete => Allowed::DELETE,
            Permission::Admin => Allowed::ADMIN,
        }
    })
}
