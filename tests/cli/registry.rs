//! Plugins in a registry: Debian's docker-registry, on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::certificates::Authority;
use soloist_tests::cluster::Cluster;
use soloist_tests::registry::Registry;

fn plugin() -> Result<String> {
    Ok(build::artifacts()?.guest("hello").display().to_string())
}

#[tokio::test]
async fn what_was_pushed_is_run_by_its_tag_and_by_its_digest_also_when_the_registry_is_gone()
-> Result<()> {
    let Some(mut registry) = Registry::start("").await? else {
        return Ok(());
    };
    let (plugin, image) = (plugin()?, registry.image());
    let (output, text) = registry.soloist(&["push", &plugin, &image])?;
    ensure!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| {
        let pinned = line.strip_prefix("plugin = \"")?;
        pinned.strip_suffix('"')
    });
    let Some(pinned) = line else {
        anyhow::bail!("no line to write: {text}");
    };
    let digest = soloist_core::digest::Digest::of(&fs::read(&plugin)?).to_string();
    let (output, text) = registry.soloist(&["check", &image])?;
    ensure!(output.status.success() && text.contains(&digest), "{text}");
    ensure!(text.contains(&format!("{image} is {pinned} now")), "{text}");
    let other = digest.replace(['a', '1'], "0");
    let (output, text) = registry.soloist(&["check", pinned, "--sha256", &other])?;
    ensure!(output.status.code() == Some(2), "{text}");
    ensure!(text.contains("`sha256` says"), "{text}");
    registry.kill()?;
    let (output, text) = registry.soloist(&["check", pinned])?;
    ensure!(output.status.success() && text.contains(&digest), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_registry_that_wants_credentials_gets_those_of_docker() -> Result<()> {
    let auth = "auth: {htpasswd: {realm: x, path: \"HTPASSWD\"}}\n";
    let Some(registry) = Registry::start(auth).await? else {
        return Ok(());
    };
    let (plugin, image) = (plugin()?, registry.image());
    let (output, text) = registry.soloist(&["push", &plugin, &image])?;
    ensure!(output.status.code() == Some(1), "{text}");
    ensure!(text.contains("docker login"), "{text}");
    let config = registry.home().join("config.json");
    // base64 of ada:wrong-one, and of ada:between-you-and-me.
    for (pair, is_right) in [
        ("YWRhOndyb25nLW9uZQ==", false),
        ("YWRhOmJldHdlZW4teW91LWFuZC1tZQ==", true),
    ] {
        let address = registry.address();
        let json = format!(r#"{{"auths": {{"{address}": {{"auth": "{pair}"}}}}}}"#);
        fs::write(&config, json)?;
        for args in [&["push", &*plugin, &*image][..], &["check", &*image]] {
            let (output, text) = registry.soloist(args)?;
            ensure!(output.status.success() == is_right, "{args:?}: {text}");
            ensure!(
                !text.contains(pair) && !text.contains("between-you"),
                "{text}"
            );
            ensure!(is_right || text.contains("does not take"), "{text}");
        }
    }
    Ok(())
}

/// A tag is resolved once, when it is deployed, and hosts fetch that image whatever the tag names later.
#[tokio::test]
async fn what_is_deployed_by_a_tag_is_one_image() -> Result<()> {
    let Some(registry) = Registry::start("").await? else {
        return Ok(());
    };
    let cluster = Cluster::embedded().await?;
    let (plugin, image) = (plugin()?, registry.image());
    let deploy = |args: &[&str]| {
        let ensemble = [
            "--zookeeper",
            cluster.servers(),
            "--task",
            "beat",
            "--no-wait",
        ];
        registry.soloist(&[&["deploy"], args, &ensemble[..]].concat())
    };
    let (output, text) = deploy(&[&image])?;
    ensure!(output.status.code() == Some(2), "{text}");
    registry.soloist(&["push", &plugin, &image])?;
    // From the registry itself, and with a file that is the same there.
    for args in [&[&*image][..], &[&plugin, "--source", &image]] {
        let (output, text) = deploy(&[args, &["--json"]].concat())?;
        ensure!(output.status.success(), "{text}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let source = answer["artefact"]["source"].as_str().unwrap_or_default();
        let digest = soloist_core::digest::Digest::of(&fs::read(&plugin)?);
        ensure!(source.contains("/acme/hello@sha256:"), "{answer}");
        ensure!(
            answer["artefact"]["sha256"] == digest.to_string(),
            "{answer}"
        );
    }
    // The tag is moved: the file here is not what hosts would fetch.
    let other = build::artifacts()?.guest("counter").display().to_string();
    registry.soloist(&["push", &other, &image])?;
    let (output, text) = deploy(&[&plugin, "--source", &image])?;
    ensure!(output.status.code() == Some(2), "{text}");
    ensure!(
        text.contains("--source") && text.contains("has the SHA-256"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_registry_with_tls_is_one_that_the_machine_trusts_and_its_helper_is_asked() -> Result<()>
{
    let (trusted, strange) = (Authority::new()?, Authority::new()?);
    let auth = "auth: {htpasswd: {realm: x, path: \"HTPASSWD\"}}\n";
    let identity = trusted.server()?;
    let Some(registry) = Registry::start_with(auth, Some(&identity)).await? else {
        return Ok(());
    };
    let (plugin, image) = (plugin()?, registry.image());
    let home = registry.home();
    fs::write(home.join("config.json"), r#"{"credsStore": "tests"}"#)?;
    let helper = home.join("docker-credential-tests");
    let answer = r#"{"Username": "ada", "Secret": "between-you-and-me"}"#;
    // Written by another process: this one may be starting others, which would keep it open for writing.
    let script = "printf '#!/bin/sh\\necho %s\\n' \"'$1'\" > \"$0\"; chmod 700 \"$0\"";
    let written = Command::new("sh")
        .args(["-c", script])
        .arg(&helper)
        .arg(answer)
        .status()?;
    ensure!(written.success());
    let path = std::env::var("PATH")?;
    let path = format!("{}:{path}", home.display());
    let soloist = |args: &[&str], authority: &Authority| {
        let file = home.join("authority.pem");
        fs::write(&file, &authority.certificate)?;
        let variables = [("SSL_CERT_FILE", &*file), ("PATH", Path::new(&path))];
        registry.soloist_with(args, &variables)
    };
    for args in [&["push", &*plugin, &*image][..], &["check", &image]] {
        let (output, text) = soloist(args, &strange)?;
        ensure!(!output.status.success(), "{args:?}: {text}");
        ensure!(
            text.contains("invalid peer certificate") && text.contains("SSL_CERT_FILE"),
            "{text}"
        );
        let (output, text) = soloist(args, &trusted)?;
        ensure!(output.status.success(), "{args:?}: {text}");
        ensure!(!text.contains("between-you"), "{text}");
    }
    Ok(())
}
