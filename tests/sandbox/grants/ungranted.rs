//! What a plugin and its author learn of a path that no grant covers.

use std::fs;

use soloist_core::grants::{Access, Grants};
use soloist_dev::testbed::Tested;

use super::case::{dir, granting, places, start};
use crate::terms::demote;

/// Has the guest take the steps, and returns what it and the host have told.
fn told(grants: Grants, steps: &[&str]) -> Vec<String> {
    let tested = start(&[("do", "files"), ("steps", &steps.join("\n"))], grants);
    tested.wait_for("plugin-completed", "", 1);
    demote(tested)
}

fn refusal(path: &str, guest: &str) -> String {
    format!(
        "\"{path}\" is in no directory that is granted to this task; if it is meant, add to its [task.allow]: \
         dirs = [{{ host = \"/DIRECTORY\", guest = \"{guest}\" }}]"
    )
}

#[test]
fn a_path_that_no_grant_covers_is_told_with_the_line_that_grants_it() {
    for (step, path, guest) in [
        ("read /data/file", "/data/file", "/data"),
        ("write /data/sub/new x", "/data/sub/new", "/data/sub"),
        ("append /data/file x", "/data/file", "/data"),
        ("list /data", "/data", "/data"),
        ("list /", "/", "/"),
        ("look /data/file", "/data/file", "/data"),
        ("make /data/new", "/data/new", "/data"),
        ("empty /data/new", "/data/new", "/data"),
        ("remove /data/file", "/data/file", "/data"),
        ("follow /data/file", "/data/file", "/data"),
        ("read file", "/file", "/"),
    ] {
        let lines = told(Grants::default(), &[step]);
        assert_eq!(
            lines,
            [refusal(path, guest), format!("{step}: refused")],
            "{step}"
        );
    }
    // The plugin hears it in the way that its language has.
    let lines = told(Grants::default(), &["why /data/file"]);
    assert_eq!(lines[1], "why /data/file: Err(PermissionDenied)");
}

#[test]
fn the_line_is_a_warning_about_files_and_comes_once_for_each_path() {
    let steps = ["read /data/file", "read /data/file", "read /data/other"];
    let tested = start(
        &[("do", "files"), ("steps", &steps.join("\n"))],
        Grants::default(),
    );
    let line = tested.wait_for("plugin-log", "\"/data/file\" is in no directory", 1);
    assert_eq!(
        (&line["level"], &line["import"]),
        (&"warn".into(), &"files".into())
    );
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(demote(tested).len(), 2 + steps.len());
}

#[test]
fn who_says_that_there_are_no_directories_is_told_of_none() {
    let grants = Grants {
        dirs_said: true,
        ..Grants::default()
    };
    let lines = told(grants, &["why /data/file"]);
    assert_eq!(lines, ["why /data/file: Err(PermissionDenied)"]);
}

/// The path with the same beginning is not below the granted one, and what is below is as if there were nothing else.
#[test]
fn granted_paths_are_as_they_were() {
    let place = places();
    let inside = place.path().join("inside");
    let dirs = |guest| granting(vec![dir(&inside, guest, Access::Write)]);
    let steps = [
        "why /data/gone",
        "read /data/file",
        "why /data/../data/file",
        "why /data2/file",
    ];
    assert_eq!(
        told(dirs("/data"), &steps),
        [
            "why /data/gone: Err(NotFound)",
            "read /data/file: from inside",
            "why /data/../data/file: Err(PermissionDenied)",
            &refusal("/data2/file", "/data2"),
            "why /data2/file: Err(PermissionDenied)",
        ]
    );
    // Who is granted `/` has nothing beside it.
    let steps = ["read /file", "why /etc/hostname"];
    assert_eq!(
        told(dirs("/"), &steps),
        [
            "read /file: from inside",
            "why /etc/hostname: Err(NotFound)"
        ]
    );
}

#[test]
fn the_directory_that_stands_for_what_is_not_granted_holds_nothing_and_takes_nothing() {
    let place = places();
    let inside = place.path().join("inside");
    let grants = granting(vec![dir(&inside, "/data", Access::Write)]);
    let tested: Tested = start(&[("do", "ungranted3")], grants);
    tested.wait_for("plugin-completed", "", 1);
    let lines = demote(tested);
    assert_eq!(lines.last().unwrap(), "/: 9 denied, 9 failed", "{lines:#?}");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
    assert_eq!(
        fs::read_to_string(inside.join("file")).unwrap(),
        "from inside"
    );
}
