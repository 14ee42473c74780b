//! Texts that are signed with the real tool, and what they are good for.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use soloist_core::digest::Digest;
use soloist_tests::cluster::{Answer, Cluster, TASK};
use soloist_tests::deployment::Signer;
use soloist_tests::{build, client, host, process};

use super::case::{envelope, has_failed, plugin, record, succeeds};

/// Writes the next text to sign, with this entry of the configuration, and signs it. Gives the files of both.
async fn signed(cluster: &Cluster, signer: &Signer, name: &str) -> Result<(String, String)> {
    let file = cluster
        .file(&format!("{name}.json"), "")?
        .display()
        .to_string();
    let plugin = plugin()?;
    let entry = format!("name={name}");
    let args = [
        "deploy", &plugin, "--task", TASK, "--out", &file, "--config", &entry,
    ];
    let answer = cluster.operator(&[], &args).await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.is_empty(),
        "{answer:?}"
    );
    ensure!(
        answer.stderr.contains(&format!("minisign -S -m {file}")),
        "{answer:?}"
    );
    let text = std::fs::read_to_string(&file)?;
    let signature = cluster.file(&format!("{name}.minisig"), signer.sign(&text)?)?;
    Ok((file, signature.display().to_string()))
}

async fn deploy(cluster: &Cluster, (text, signature): &(String, String)) -> Result<Answer> {
    let plugin = plugin()?;
    let args = [
        "deploy",
        &plugin,
        "--manifest",
        text,
        "--signature",
        signature,
        "--no-wait",
    ];
    cluster.operator(&[], &args).await
}

/// What was signed is deployed byte for byte, and once: by the number of an older generation nothing is deployed again.
#[tokio::test]
async fn a_signed_text_is_deployed_byte_for_byte_and_once() -> Result<()> {
    let (cluster, signer) = (Cluster::embedded().await?, Signer::new()?);
    let client = cluster.client().await?;
    let first = signed(&cluster, &signer, "first").await?;
    ensure!(
        client
            .check_stat("/soloist/manifests/beat")
            .await?
            .is_none()
    );
    let answer = deploy(&cluster, &first).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let kept = envelope(&client, 1).await?;
    ensure!(kept.text == std::fs::read_to_string(&first.0)?);
    ensure!(kept.signatures == [std::fs::read_to_string(&first.1)?]);
    let current = record(&client).await?.current;
    ensure!(current.is_some_and(|it| it.sha256 == Digest::of(kept.text.as_bytes())));

    // Both are made by what is deployed now: whoever comes second makes the text anew.
    let second = signed(&cluster, &signer, "second").await?;
    let late = signed(&cluster, &signer, "late").await?;
    ensure!(deploy(&cluster, &second).await?.code == Some(0));
    let old = ["generation 2 is no newer than 2", "the next number, 3"];
    has_failed(&deploy(&cluster, &late).await?, 1, &old)?;
    has_failed(
        &deploy(&cluster, &first).await?,
        1,
        &["generation 1 is no newer than 2"],
    )?;
    ensure!(record(&client).await?.newest == 2);
    client::close(client).await;
    Ok(())
}

/// A text whose generation would go back to another one than it says is not what was agreed on.
#[tokio::test]
async fn a_text_that_replaces_another_generation_is_made_anew() -> Result<()> {
    let (cluster, signer) = (Cluster::embedded().await?, Signer::new()?);
    let client = cluster.client().await?;
    ensure!(
        deploy(&cluster, &signed(&cluster, &signer, "first").await?)
            .await?
            .code
            == Some(0)
    );
    let second = signed(&cluster, &signer, "second").await?;
    // A leader finds the first one healthy: from now on it is the one to go back to.
    let mut healthy = record(&client).await?;
    healthy.stage = soloist_core::records::Stage::Healthy;
    client
        .set_data("/soloist/manifests/beat", &healthy.encode()?, None)
        .await?;
    let words = [
        "the manifest says that it replaces none",
        "make the manifest anew",
    ];
    has_failed(&deploy(&cluster, &second).await?, 1, &words)?;
    client::close(client).await;
    Ok(())
}

/// Has the first generation deployed again, from this directory.
async fn again(
    cluster: &Cluster,
    directory: &Path,
    more: &[&str],
) -> Result<(Option<i32>, String)> {
    let mut command = process::command(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command
        .env("SOLOIST_ZOOKEEPER", cluster.servers())
        .current_dir(directory)
        .args(["rollback", TASK, "--to", "1"])
        .args(more)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), told))
}

/// Whoever writes to the ensemble has nobody sign what he wrote: neither another plugin under a signature that was good for the old
/// one, nor a text without any; and no file is written over.
#[tokio::test]
async fn nobody_is_asked_to_sign_what_somebody_else_wrote_to_the_ensemble() -> Result<()> {
    let (cluster, signer) = (Cluster::embedded().await?, Signer::new()?);
    let client = cluster.client().await?;
    for name in ["first", "second"] {
        let answer = deploy(&cluster, &signed(&cluster, &signer, name).await?).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
    }
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("beat-3.json");
    let key = cluster.file("key.pub", &signer.key)?;
    let key = key.to_str().context("no text")?.to_owned();
    let with_key = ["--key", &*key];
    std::fs::write(&file, "mine")?;
    let (code, told) = again(&cluster, directory.path(), &with_key).await?;
    ensure!(code == Some(1) && told.contains("beat-3.json"), "{told}");
    ensure!(std::fs::read_to_string(&file)? == "mine");
    std::fs::remove_file(&file)?;

    // Another one that was signed, in its place.
    let node = "/soloist/tasks/beat/generations/1";
    let first = envelope(&client, 1).await?;
    let second = envelope(&client, 2).await?;
    client.set_data(node, &second.encode(), None).await?;
    for more in [&with_key[..], &["--unsigned"]] {
        let (code, told) = again(&cluster, directory.path(), more).await?;
        ensure!(
            code == Some(1) && told.contains("is generation 2 of beat"),
            "{told}"
        );
    }
    client.set_data(node, &first.encode(), None).await?;

    let mut changed = envelope(&client, 1).await?;
    changed.text = changed.text.replace("\"first\"", "\"other\"");
    client.set_data(node, &changed.encode(), None).await?;
    let (code, told) = again(&cluster, directory.path(), &with_key).await?;
    ensure!(
        code == Some(1) && told.contains("0 of the 1 keys"),
        "{told}"
    );
    changed.signatures.clear();
    client.set_data(node, &changed.encode(), None).await?;
    let out = ["--out", "beat-3.json", "--key", &key];
    let (code, told) = again(&cluster, directory.path(), &out).await?;
    ensure!(
        code == Some(2) && told.contains("nobody has signed"),
        "{told}"
    );
    ensure!(!file.exists());
    client::close(client).await;
    Ok(())
}

/// An older generation is deployed again under a new number, for which its signature is none: the text to sign is written.
#[tokio::test]
async fn an_older_generation_that_was_signed_is_to_be_signed_again() -> Result<()> {
    let (cluster, signer) = (Cluster::embedded().await?, Signer::new()?);
    let client = cluster.client().await?;
    for name in ["first", "second"] {
        let answer = deploy(&cluster, &signed(&cluster, &signer, name).await?).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
    }
    let directory = tempfile::tempdir()?;
    let key = cluster.file("key.pub", &signer.key)?;
    let key = key.to_str().context("no text")?.to_owned();
    let (code, told) = again(&cluster, directory.path(), &[]).await?;
    ensure!(code == Some(2) && told.contains("--key"), "{told}");
    let (code, told) = again(&cluster, directory.path(), &["--key", &key]).await?;
    ensure!(code == Some(1), "{told}");
    for part in [
        "minisign -S -m ./beat-3.json",
        "generation 1 was signed",
        "nothing was changed",
    ] {
        ensure!(told.contains(part), "no {part:?}: {told}");
    }
    ensure!(record(&client).await?.newest == 2);
    let text = std::fs::read_to_string(directory.path().join("beat-3.json"))?;
    ensure!(text.contains("\"generation\": 3") && text.contains("\"name\": \"first\""));
    let files = (
        cluster.file("third.json", &text)?.display().to_string(),
        cluster
            .file("third.minisig", signer.sign(&text)?)?
            .display()
            .to_string(),
    );
    let answer = deploy(&cluster, &files).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    ensure!(
        record(&client)
            .await?
            .wanted
            .is_some_and(|it| it.number == 3)
    );
    // Whoever knows that hosts want none says so.
    succeeds(
        &cluster,
        &["rollback", TASK, "--to", "1", "--unsigned", "--no-wait"],
    )
    .await?;
    let fourth = envelope(&client, 4).await?;
    ensure!(fourth.signatures.is_empty() && fourth.text.contains("\"name\": \"first\""));
    client::close(client).await;
    Ok(())
}
