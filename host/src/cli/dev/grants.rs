//! The `[task.allow]` that covers what a plugin has contacted.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use soloist_core::grants::{Grant, Grants};
use soloist_core::text;
use soloist_sandbox::Contacted;

/// What has to be granted to a plugin that needs these grants, has these, and has contacted that: TOML.
pub(super) fn allow(needs: &[Grant], has: &Grants, contacted: &Contacted) -> String {
    let mut toml = String::from("[task.allow]\n");
    if needs.contains(&Grant::State) {
        toml.push_str("state = true\n");
    }
    let lists = [
        ("http", Grant::Http, &contacted.http),
        ("tcp", Grant::Tcp, &contacted.tcp),
    ];
    for (key, grant, entries) in lists {
        if needs.contains(&grant) {
            list(&mut toml, key, entries);
        }
    }
    // A network that is granted is no contact: its addresses pass.
    let granted = has.network.networks.iter().map(ToString::to_string);
    let networks: BTreeSet<_> = granted.chain(contacted.networks.iter().cloned()).collect();
    if !networks.is_empty() {
        list(&mut toml, "networks", &networks);
    }
    if !has.dirs.is_empty() || !has.env.is_empty() || !has.secrets.is_empty() {
        toml.push_str(
            "# Directories, variables and secrets are not recorded: keep those that are granted.\n",
        );
    }
    toml
}

fn list(toml: &mut String, key: &str, entries: &BTreeSet<String>) {
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| text::json(entry).unwrap_or_default())
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(toml, "{key} = [{}]", entries.join(", "));
}

#[cfg(test)]
mod tests {
    use soloist_core::grants::Network;

    use super::*;

    #[test]
    fn what_was_contacted_is_granted_and_no_more() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let contacted = Contacted {
            http: texts(&["https://a.example", "http://b:8080"]),
            tcp: texts(&[]),
            networks: texts(&["127.0.0.1"]),
        };
        let mut has = Grants::default();
        has.network
            .networks
            .push(Network::new("10.0.0.0/8").unwrap());
        has.env.insert("TZ".into(), "UTC".into());
        assert_eq!(
            allow(&[Grant::State, Grant::Http, Grant::Tcp], &has, &contacted),
            "[task.allow]\nstate = true\nhttp = [\"http://b:8080\", \"https://a.example\"]\ntcp = []\n\
             networks = [\"10.0.0.0/8\", \"127.0.0.1\"]\n\
             # Directories, variables and secrets are not recorded: keep those that are granted.\n"
        );
        assert_eq!(
            allow(&[], &Grants::default(), &Contacted::default()),
            "[task.allow]\n"
        );
    }
}
