//! The table of PROTOCOL.md has each node that the page says there is, and the version that is written there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::written;

const PROTOCOL: &str = include_str!("../../../../PROTOCOL.md");

/// The rows of the table of versions: the node, and the version of its format.
fn rows() -> Vec<(&'static str, &'static str)> {
    let table = PROTOCOL
        .lines()
        .skip_while(|line| !line.starts_with("| node | version |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let node = cells.next().unwrap_or_default().trim_matches('`');
        (node, cells.next().unwrap_or_default())
    })
    .collect()
}

#[test]
fn every_node_has_a_row() {
    let section = PROTOCOL.split("## Nodes in ZooKeeper").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let nodes: BTreeSet<_> = section
        .lines()
        .filter(|line| line.starts_with('/'))
        .filter_map(|line| line[1..].split_whitespace().next())
        .map(|node| node.trim_end_matches("/..."))
        .collect();
    assert!(nodes.len() > 12, "where are the nodes? {nodes:?}");
    let told = rows().into_iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, told);
}

#[test]
fn a_record_that_has_a_version_says_the_one_of_the_table() {
    let rows = rows();
    let kinds = [
        ("hosts/<host>", written!("host")),
        ("shards/<number>/<host>", written!("host")),
        ("drained/<host>", written!("drain")),
        ("tasks/<task>/master", written!("master")),
        ("tasks/<task>/term", written!("term")),
        ("tasks/<task>/history", written!("history")),
        ("tasks/<task>/schedules/<name>", written!("schedule")),
        ("tasks/<task>/failed", written!("failed")),
        ("tasks/<task>/restarts", written!("restarts")),
        ("tasks/<task>/resign", written!("resign")),
        ("manifests/<task>", written!("rollout")),
        (
            "tasks/<task>/generations/<generation>",
            written!("generation"),
        ),
        ("tasks/<task>/ready/<host>", written!("ready")),
    ];
    for (node, record) in kinds {
        let record: Value = serde_json::from_slice(record).unwrap();
        let version = record
            .get("version")
            .filter(|_| !["hosts/<host>", "shards/<number>/<host>"].contains(&node));
        let version = version.map_or_else(|| "–".to_owned(), Value::to_string);
        assert!(
            rows.contains(&(node, &version)),
            "{node} has version {version}"
        );
    }
}
