use std::time::Duration;

use super::*;
use crate::file::Format;
use crate::manifest::OnRollback;

fn deployment(text: &str, given: GivenDeployment) -> Result<Deployment, ConfigError> {
    let document = Document::of_file("/etc/soloist/report.toml", Format::Toml, text);
    Deployment::read(document.path(), Some(&document), given)
}

fn deployment_refused(text: &str) -> String {
    let refused = deployment(text, GivenDeployment::default());
    refused.unwrap_err().to_string()
}

#[test]
fn a_task_in_a_file_is_deployed_with_the_plugin_beside_the_file() {
    let text = "healthy_after = \"2m\"\non_rollback = \"keep\"\nmigrates = false\n\
                [[task]]\nname = \"report\"\nplugin = \"report.wasm\"\nallow.state = true\n";
    let given = GivenDeployment {
        on_rollback: Some(Written::flag("restore".to_owned(), "--on-rollback")),
        ..GivenDeployment::default()
    };
    let found = deployment(text, given).unwrap();
    let plugin = Path::new("/etc/soloist/report.wasm");
    assert_eq!(found.plugin.path(), Some(plugin));
    assert!(found.task.grants.state);
    let draft = Draft {
        number: 7,
        replaces: None,
    };
    let artefact = Artefact {
        sha256: Digest::of(b"abc"),
        source: ArtefactSource::Ensemble,
    };
    let manifest = found.manifest(draft, artefact, Time::from_millis(0), "ops@build-1".into());
    assert_eq!(&*manifest.task.name, "report");
    assert_eq!(manifest.healthy_after, Duration::from_mins(2));
    assert_eq!(manifest.on_rollback, OnRollback::Restore);
    assert!(!manifest.migrates);
    let text = manifest.text().unwrap();
    let again = Manifest::read(Path::new("report/7"), text.as_bytes());
    assert_eq!(again.unwrap(), manifest);
}

#[test]
fn what_cannot_be_deployed_is_told_with_its_place() {
    let task = "[[task]]\nname = \"report\"\nplugin = \"report.wasm\"\n";
    // It would be a place of this machine, not of the hosts.
    let text = "[[task]]\nname = \"report\"\nplugin = \"report.wasm\"\n\
                allow.dirs = [{ host = \"data\", guest = \"/data\" }]\nconfig.token = \"hunter2\"\n";
    let message = deployment_refused(text);
    assert_eq!(message.lines().count(), 2, "{message}");
    let start = "/etc/soloist/report.toml:4:15: task.allow.dirs: \"data\" is not a whole path";
    assert!(message.starts_with(start), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    for (text, part) in [
        (format!("{task}{task}"), "toml:4:1: task: is one of 2 tasks"),
        (
            "migrates = true\n".to_owned(),
            "describe the task to deploy",
        ),
        (
            format!("{task}[zookeeper]\n"),
            "zookeeper: belongs to the configuration of hosts",
        ),
        (
            format!("helthy_after = \"1m\"\n{task}"),
            "unknown field `helthy_after`",
        ),
        (
            format!("on_rollback = \"maybe\"\n{task}"),
            "\"restore\" or \"keep\"",
        ),
        (
            format!("{task}path = \"/a\"\n"),
            "task.path: cannot be in a manifest",
        ),
        (
            task.replace("report.wasm", "https://a/b.wasm"),
            "set sha256 too",
        ),
        (
            task.replace("report.wasm", "ensemble:"),
            "only tasks are that were deployed",
        ),
    ] {
        let message = deployment_refused(&text);
        assert!(message.contains(part), "not {part:?}: {message}");
    }
    let task = TaskWire {
        name: Some(Written::flag("a/b".to_owned(), "--task")),
        ..TaskWire::default()
    };
    let given = GivenDeployment {
        task,
        ..GivenDeployment::default()
    };
    let error = Deployment::load(Path::new("report.wasm"), given).unwrap_err();
    assert!(error.to_string().starts_with("--task: "), "{error}");
}
