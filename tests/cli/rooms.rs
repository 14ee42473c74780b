//! The crates of the host know each other as ARCHITECTURE.md says, and each foreign world has one door.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::build;

/// Each crate below `host/`, and the crates of ours that it may depend on. Tests of a crate may use `soloist-seed` as well.
const ROOMS: [(&str, &[&str]); 10] = [
    ("soloist-core", &[]),
    ("soloist-tls", &["soloist-core"]),
    ("soloist-coordination", &["soloist-core", "soloist-tls"]),
    ("soloist-sandbox", &["soloist-core", "soloist-tls"]),
    ("soloist-config", &["soloist-core"]),
    ("soloist-deploy", &["soloist-core", "soloist-tls"]),
    ("soloist-admin", &["soloist-core", "soloist-tls"]),
    (
        "soloist-runtime",
        &[
            "soloist-core",
            "soloist-coordination",
            "soloist-sandbox",
            "soloist-config",
            "soloist-deploy",
        ],
    ),
    (
        "soloist-dev",
        &[
            "soloist-core",
            "soloist-coordination",
            "soloist-sandbox",
            "soloist-config",
            "soloist-runtime",
        ],
    ),
    (
        "soloist",
        &[
            "soloist-core",
            "soloist-coordination",
            "soloist-sandbox",
            "soloist-config",
            "soloist-deploy",
            "soloist-admin",
            "soloist-runtime",
            "soloist-dev",
        ],
    ),
];

/// What one crate below `host/` may name, and no other.
const DOORS: [(&str, &str); 3] = [
    ("zookeeper-client", "soloist-coordination"),
    ("wasmtime", "soloist-sandbox"),
    ("clap", "soloist"),
];

/// A dependency as a `Cargo.toml` names it.
struct Dependency {
    name: String,
    is_of_tests: bool,
}

/// The dependencies of every crate of the workspace, as Cargo reads them.
fn crates() -> Result<BTreeMap<String, Vec<Dependency>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(build::workspace())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let list = |value: &Value| value.as_array().cloned().context("no list");
    let mut crates = BTreeMap::new();
    for package in list(&metadata["packages"])? {
        let mut dependencies = Vec::new();
        for dependency in list(&package["dependencies"])? {
            dependencies.push(Dependency {
                name: text(&dependency["name"])?,
                is_of_tests: dependency["kind"] == "dev",
            });
        }
        crates.insert(text(&package["name"])?, dependencies);
    }
    Ok(crates)
}

#[test]
fn a_crate_depends_on_those_below_it_alone() -> Result<()> {
    let crates = crates()?;
    for (room, below) in ROOMS {
        for dependency in crates.get(room).with_context(|| format!("no {room}"))? {
            let name = dependency.name.as_str();
            let is_ours = crates.contains_key(name);
            let may = below.contains(&name) || dependency.is_of_tests && name == "soloist-seed";
            ensure!(!is_ours || may, "{room} depends on {name}");
        }
    }
    Ok(())
}

#[test]
fn nobody_depends_on_the_program() -> Result<()> {
    for (name, dependencies) in crates()? {
        ensure!(
            dependencies
                .iter()
                .all(|dependency| dependency.name != "soloist"),
            "{name} depends on the program"
        );
    }
    Ok(())
}

/// A crate below `host/` that is in no rule would be bound by none.
#[test]
fn every_crate_of_the_host_is_a_room() -> Result<()> {
    let rooms: BTreeSet<_> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    let others = [
        "soloist-fuzz",
        "soloist-sdk",
        "soloist-seed",
        "soloist-tests",
    ];
    let there: BTreeSet<_> = crates()?
        .into_keys()
        .filter(|name| name.starts_with("soloist") && !others.contains(&name.as_str()))
        .collect();
    ensure!(
        there == rooms,
        "there are {there:?}, and rules for {rooms:?}"
    );
    Ok(())
}

#[test]
fn zookeeper_wasmtime_and_the_command_line_have_one_door_each() -> Result<()> {
    let crates = crates()?;
    for (what, door) in DOORS {
        for (room, _) in ROOMS {
            let is_named = crates[room]
                .iter()
                .any(|dependency| dependency.name == what && !dependency.is_of_tests);
            ensure!(is_named == (room == door), "{what} is {door}'s: {room}");
        }
    }
    Ok(())
}

/// The lint can be silenced: see `workspace.lints` in Cargo.toml.
#[test]
fn the_host_is_unsafe_in_one_place_alone() -> Result<()> {
    let mut waiting = vec![build::workspace().join("host")];
    let mut silenced = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        } else if path.extension().is_some_and(|it| it == "rs")
            && std::fs::read_to_string(&path)?.contains("unsafe_code")
        {
            silenced.push(path);
        }
    }
    ensure!(
        matches!(&silenced[..], [one] if one.ends_with("coordination/src/connect/tls.rs")),
        "{silenced:?}"
    );
    Ok(())
}
