//! Plugins in a registry: Debian's docker-registry, on this machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Result, ensure};
use soloist_tests::certificates::{Authority, Identity};
use soloist_tests::cluster::Cluster;
use soloist_tests::ports::Port;
use soloist_tests::process::{self, Process};
use soloist_tests::{PATIENCE, build, eventually};
use tempfile::TempDir;

/// A registry, and a home for who uses it. Stopped, and its files removed, when this is dropped.
struct Registry {
    // Before the directory: the server must be gone before its files are.
    server: Process,
    port: Port,
    home: TempDir,
}

impl Registry {
    /// Starts a registry and waits until it serves. `None` where it is not installed.
    async fn start(auth: &str) -> Result<Option<Self>> {
        Self::start_with(auth, None).await
    }

    /// Starts one that speaks TLS, if it has an identity to show.
    async fn start_with(auth: &str, identity: Option<&Identity>) -> Result<Option<Self>> {
        let probe = Command::new("docker-registry").arg("--version").output();
        if probe.is_err() {
            ensure!(
                std::env::var_os("CI").is_none(),
                "docker-registry is not installed: `make setup`"
            );
            println!("skipped: docker-registry is not installed");
            return Ok(None);
        }
        let (home, port) = (tempfile::tempdir()?, Port::reserve()?);
        let directory = home.path().display();
        let config = home.path().join("registry.yml");
        fs::write(home.path().join("htpasswd"), HTPASSWD)?;
        let tls = match identity {
            None => String::new(),
            Some(Identity { certificate, key }) => {
                fs::write(home.path().join("server.pem"), certificate)?;
                fs::write(home.path().join("server.key"), key)?;
                format!(
                    ", tls: {{certificate: {directory}/server.pem, key: {directory}/server.key}}"
                )
            }
        };
        let auth = auth.replace("HTPASSWD", &format!("{directory}/htpasswd"));
        fs::write(
            &config,
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n\
                 http: {{addr: \"{}\"{tls}}}\n{auth}",
                port.address()
            ),
        )?;
        let mut command = process::command("docker-registry");
        command.arg("serve").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let server = Process::spawn("docker-registry", command)?;
        eventually("the registry to serve", PATIENCE, async || {
            std::net::TcpStream::connect(port.address()).ok()
        })
        .await?;
        Ok(Some(Self { server, port, home }))
    }

    fn image(&self) -> String {
        format!("oci://{}/acme/hello:1.0", self.port.address())
    }

    fn soloist(&self, args: &[&str]) -> Result<(Output, String)> {
        self.soloist_with(args, &[])
    }

    fn soloist_with(&self, args: &[&str], variables: &[(&str, &Path)]) -> Result<(Output, String)> {
        let output = Command::new(&build::artifacts()?.soloist)
            .args(args)
            .envs(variables.iter().copied())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("DOCKER_CONFIG", self.home.path())
            .stdin(Stdio::null())
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = format!("{}{told}", String::from_utf8_lossy(&output.stdout));
        Ok((output, text))
    }
}

/// The user `ada` with the password `between-you-and-me`.
const HTPASSWD: &str = "ada:$2b$05$abcdefghijklmnopqrstuuUzclZUROD8of0OjJeHPZx22ayCBDVp2\n";

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
    registry.server.kill()?;
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
    let config = registry.home.path().join("config.json");
    // base64 of ada:wrong-one, and of ada:between-you-and-me.
    for (pair, is_right) in [
        ("YWRhOndyb25nLW9uZQ==", false),
        ("YWRhOmJldHdlZW4teW91LWFuZC1tZQ==", true),
    ] {
        let address = registry.port.address();
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
    let home = registry.home.path();
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
