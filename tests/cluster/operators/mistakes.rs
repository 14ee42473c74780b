//! What is refused of a deployment, and said with what to do: nothing is written of it.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use soloist_core::digest::Digest;
use soloist_tests::build;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use zookeeper_client::{Acls, CreateMode};

use super::case::{deploy, has_failed, plugin, succeeds};

/// Nothing is below the root.
async fn nothing_is_written(cluster: &Cluster) -> Result<()> {
    let client = cluster.client().await?;
    for parent in ["/soloist/manifests", "/soloist/tasks", "/soloist/artefacts"] {
        let children = client.list_children(parent).await.unwrap_or_default();
        ensure!(children.is_empty(), "{parent}: {children:?}");
    }
    client::close(client).await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused_before_anything_is_written() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = plugin()?;
    let toml = |name: &str, text: &str| -> Result<String> {
        Ok(cluster.file(name, text)?.display().to_string())
    };
    let task = format!("[[task]]\nname = \"beat\"\nplugin = {plugin:?}\n");
    let two = toml("two.toml", &task.repeat(2))?;
    let relative = format!("{task}allow.dirs = [{{ host = \"data\", guest = \"/data\" }}]\n");
    let relative = toml("relative.toml", &relative)?;
    let unknown = toml("unknown.toml", &format!("canary = 5\n{task}"))?;
    let gone = toml("gone.toml", &task.replace(&plugin, "gone.wasm"))?;
    let not_granted = build::artifacts()?.guest("counter").display().to_string();
    let text = toml("text.wasm", "not a plugin")?;
    let sha = "0".repeat(64);
    for (args, words) in [
        (
            &["deploy", &two][..],
            &["two.toml:4:1: task: is one of 2 tasks"][..],
        ),
        (
            &["deploy", &relative],
            &["relative.toml:4:15", "\"data\" is not a whole path"],
        ),
        (
            &["deploy", &unknown],
            &["unknown.toml:1:1: canary", "unknown field"],
        ),
        (&["deploy", &gone], &["gone.wasm"]),
        (&["deploy", &text], &["text.wasm"]),
        (
            &["deploy", &not_granted, "--task", TASK],
            &["state", "allow"],
        ),
        (
            &["deploy", &plugin, "--task", "a/b"],
            &["--task", "cannot be a name"],
        ),
        (
            &["deploy", &two, "--allow-state"],
            &["--allow-state: belongs to a single plugin"],
        ),
        (&["deploy", &plugin, "--sha256", &sha], &["its SHA-256 is"]),
        (
            &["deploy", &plugin, "--path", "/a"],
            &["--path: cannot be in a manifest"],
        ),
        (
            &["deploy", &plugin, "--config", "api_token=x"],
            &["looks like a secret"],
        ),
        (
            &["deploy", &plugin, "--source", "http://a/b"],
            &["--source", "without encryption"],
        ),
        (
            &["deploy", &plugin, "--source", "oci://a/b"],
            &["neither a tag nor a digest"],
        ),
        (
            &["deploy", &plugin, "--migrates", "perhaps"],
            &["--migrates"],
        ),
        (
            &["deploy", &plugin, "--wait-for", "luck"],
            &["\"runs\" or \"healthy\""],
        ),
        (&["deploy"], &["TASK.toml"]),
        (&["deploy", "--signature", "x"], &["--manifest"]),
        (&["diff", &two], &["is one of 2 tasks"]),
        (&["diff", &relative, "3"], &["leave the number out"]),
    ] {
        let answer = cluster.operator(&[], args).await?;
        has_failed(&answer, 2, words).map_err(|error| error.context(format!("{args:?}")))?;
    }
    nothing_is_written(&cluster).await
}

#[tokio::test]
async fn a_text_that_is_no_manifest_of_this_plugin_is_refused() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = plugin()?;
    let args = ["deploy", &plugin, "--task", TASK, "--dry-run"];
    let text = succeeds(&cluster, &args).await?;
    let file = |name: &str, text: &str| -> Result<String> {
        Ok(cluster.file(name, text)?.display().to_string())
    };
    let good = file("good.json", &text)?;
    let unknown = text.replacen("\"migrates\"", "\"sudo\": true,\n  \"migrates\"", 1);
    let unknown = file("unknown.json", &unknown)?;
    let later = file(
        "later.json",
        &text.replacen("\"manifest\": 1", "\"manifest\": 2", 1),
    )?;
    let mut long = text.clone();
    write!(long, "{}", " ".repeat(2 * 1024 * 1024))?;
    let long = file("long.json", &long)?;
    let other = build::artifacts()?.guest("hello").display().to_string();
    let garbage = file("garbage.minisig", "hunter2")?;
    for (args, words) in [
        (
            &[&*plugin, "--manifest", &unknown][..],
            &["unknown.json", "sudo"][..],
        ),
        (
            &[&plugin, "--manifest", &later],
            &["later.json", "not a version"],
        ),
        (
            &[&plugin, "--manifest", &long],
            &["long.json", "a manifest has 262144 at most"],
        ),
        (
            &[&other, "--manifest", &good],
            &["the manifest names", "hello"],
        ),
        (
            &["--manifest", &good],
            &["the ensemble, which does not have it"],
        ),
        (
            &[&plugin, "--manifest", &good, "--signature", &garbage],
            &["no signature of minisign"],
        ),
        (&["--manifest", "gone.json"], &["gone.json cannot be read"]),
        (
            &[&plugin, "--manifest", &good, "--allow-state"],
            &["--allow-state: the manifest says"],
        ),
    ] {
        let all = [&["deploy"], args].concat();
        let answer = cluster.operator(&[], &all).await?;
        has_failed(&answer, 2, words).map_err(|error| error.context(format!("{args:?}")))?;
        ensure!(!answer.stderr.contains("hunter2"), "{answer:?}");
    }
    nothing_is_written(&cluster).await
}

/// What the ensemble cannot keep is named with what to do.
#[tokio::test]
async fn a_plugin_that_is_too_large_for_the_ensemble_is_to_be_pushed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    // A module with nothing but nine megabytes that cannot be compressed.
    let noise: Vec<u8> = (0..300_000_u32)
        .flat_map(|number| Digest::of(&number.to_be_bytes()).to_string().into_bytes())
        .collect();
    let mut module = b"\0asm\x01\0\0\0\0".to_vec();
    let mut size = noise.len() + 2;
    while size > 0 {
        let more = if size > 127 { 0x80 } else { 0 };
        module.push(u8::try_from(size & 127)? | more);
        size >>= 7;
    }
    module.extend(b"\x01x");
    module.extend(noise);
    let file = cluster.file("large.wasm", module)?.display().to_string();
    let args = ["deploy", &file, "--task", TASK, "--no-check", "--no-wait"];
    let answer = cluster.operator(&[], &args).await?;
    has_failed(&answer, 2, &["large.wasm", "--source oci://"])?;
    nothing_is_written(&cluster).await
}

/// Orders to tasks and generations that are not there.
#[tokio::test]
async fn what_is_not_there_is_said_with_what_there_is() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let never = &["nightly", "never deployed"][..];
    for (args, words) in [
        (&["tasks", "show", "nightly"][..], never),
        (&["rollback", "nightly"], never),
        (&["rollback", "nightly", "--to", "1"], never),
        (&["diff", "nightly"], never),
        (&["pause", "nightly"], &["not deployed"]),
        (&["resume", "nightly"], &["not deployed"]),
        (&["undeploy", "nightly"], &["not deployed"]),
        (&["undeploy", "nightly", "--purge-state", "--yes"], never),
        (&["forget", "nightly", "--yes"], &["no task nightly"]),
    ] {
        let answer = cluster.operator(&[], args).await?;
        has_failed(&answer, 1, words)?;
    }
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    for (args, words) in [
        (
            &["rollback", TASK][..],
            &["there is no generation before 1"][..],
        ),
        (
            &["rollback", TASK, "--to", "9"],
            &["no generation 9", "are kept: 1"],
        ),
        (
            &["tasks", "show", TASK, "--generation", "9"],
            &["no generation 9"],
        ),
        (&["diff", TASK], &["nothing to compare"]),
        (&["diff", TASK, "1", "9"], &["no generation 9"]),
        (&["resume", TASK], &["not paused"]),
        (
            &["forget", TASK, "--yes"],
            &["generation 1 of the task is deployed"],
        ),
    ] {
        has_failed(&cluster.operator(&[], args).await?, 1, words)?;
    }
    for args in [&["forget", TASK][..], &["undeploy", TASK, "--purge-state"]] {
        has_failed(&cluster.operator(&[], args).await?, 2, &["--yes"])?;
    }
    succeeds(&cluster, &["undeploy", TASK]).await?;
    for args in [
        &["undeploy", TASK][..],
        &["pause", TASK],
        &["rollback", TASK],
    ] {
        has_failed(&cluster.operator(&[], args).await?, 1, &["not deployed"])?;
    }
    Ok(())
}

/// Records that nobody wrote so, or a newer program: they are neither gone by nor written over.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_alone() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    client::make_path(&client, "/soloist/manifests").await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let node = "/soloist/manifests/beat";
    client.create(node, b"", &options).await?;
    for (data, words) in [
        (&b"\x1b[2J"[..], &[node, "no record of a rollout"][..]),
        (br#"{"version":2}"#, &["version 2", "update this"]),
        (&vec![b'x'; 900_000], &["900000 bytes"]),
    ] {
        client.set_data(node, data, None).await?;
        for args in [
            &["tasks", "show", TASK][..],
            &["pause", TASK],
            &["undeploy", TASK],
            &["rollback", TASK],
            &["forget", TASK, "--yes"],
        ] {
            has_failed(&cluster.operator(&[], args).await?, 1, words)?;
        }
        has_failed(&deploy(&cluster, &[]).await?, 1, words)?;
        let listed = succeeds(&cluster, &["tasks"]).await?;
        ensure!(
            listed.contains("unreadable") && !listed.contains('\u{1b}'),
            "{listed}"
        );
        ensure!(
            client.get_data(node).await?.0 == data,
            "it was written over"
        );
    }
    client::close(client).await;
    Ok(())
}

/// An operator who may not write is told which node, and nothing of the deployment is there.
#[tokio::test]
async fn a_node_without_rights_is_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let owner = cluster.client_as("soloist:secret").await?;
    client::make_path(&owner, "/soloist").await?;
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    for node in ["/soloist/manifests", "/soloist/tasks", "/soloist/artefacts"] {
        owner.create(node, b"", &options).await?;
    }
    let answer = deploy(&cluster, &[]).await?;
    has_failed(&answer, 1, &["/soloist/", "auth"])?;
    let identity = [
        ("SOLOIST_ZOOKEEPER_AUTH", "digest:soloist:secret"),
        ("SOLOIST_ACL", "creator"),
    ];
    let plugin = plugin()?;
    let args = ["deploy", &plugin, "--task", TASK, "--no-wait"];
    let answer = cluster.operator(&identity, &args).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let (_, stat) = owner.get_data("/soloist/manifests/beat").await?;
    ensure!(stat.version == 0);
    // Whoever lacks the identity can neither read nor order.
    for args in [&["tasks"][..], &["pause", TASK], &["undeploy", TASK]] {
        has_failed(&cluster.operator(&[], args).await?, 1, &["auth"])?;
    }
    client::close(owner).await;
    Ok(())
}
