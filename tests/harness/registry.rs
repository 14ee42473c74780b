//! A registry of images: Debian's docker-registry, on this machine.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::certificates::Identity;
use crate::ports::Port;
use crate::process::{self, Process};
use crate::{PATIENCE, build, eventually};

/// The user `ada` with the password `between-you-and-me`.
const HTPASSWD: &str = "ada:$2b$05$abcdefghijklmnopqrstuuUzclZUROD8of0OjJeHPZx22ayCBDVp2\n";

/// A registry, and a home for who uses it. Stopped, and its files removed, when this is dropped.
#[derive(Debug)]
pub struct Registry {
    // Before the directory: the server must be gone before its files are.
    server: Process,
    port: Port,
    home: TempDir,
}

impl Registry {
    /// Starts a registry and waits until it serves. `None` where it is not installed.
    ///
    /// # Errors
    /// It does not serve, or this is CI and it is not installed.
    pub async fn start(auth: &str) -> Result<Option<Self>> {
        Self::start_with(auth, None).await
    }

    /// Starts one that speaks TLS, if it has an identity to show. `HTPASSWD` in `auth` is a file with one user, `ada`.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_with(auth: &str, identity: Option<&Identity>) -> Result<Option<Self>> {
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

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The home of who uses it: docker's configuration, and a cache.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// An image in it.
    pub fn image(&self) -> String {
        format!("oci://{}/acme/hello:1.0", self.address())
    }

    /// Stops it.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill().map(drop)
    }

    /// Runs `soloist` with that home: how it ended, and all that it printed.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn soloist(&self, args: &[&str]) -> Result<(Output, String)> {
        self.soloist_with(args, &[])
    }

    /// The same with variables of the environment.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn soloist_with(
        &self,
        args: &[&str],
        variables: &[(&str, &Path)],
    ) -> Result<(Output, String)> {
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
