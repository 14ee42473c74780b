//! A private etcd on loopback, with all it writes in a directory that goes when it goes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use soloist_tests::ports::Port;
use soloist_tests::process::{self, Process};
use soloist_tests::{PATIENCE, eventually};
use tempfile::TempDir;

/// The server. Killed when this is dropped.
pub(super) struct Etcd {
    // Before the directory: the server must be gone before its files are.
    _server: Process,
    port: Port,
    _directory: TempDir,
}

impl Etcd {
    pub(super) async fn start() -> Result<Self> {
        for (program, version) in [("etcd", "--version"), ("etcdctl", "version")] {
            let mut asked = Command::new(program);
            let there = asked.env("ETCDCTL_API", "3").arg(version).output();
            ensure!(
                there.is_ok_and(|output| output.status.success()),
                "there is no {program}: apt-get install etcd-server etcd-client"
            );
        }
        let directory = tempfile::tempdir()?;
        let (port, peers) = (Port::reserve()?, Port::reserve()?);
        let (clients, peers) = (endpoint(&port), endpoint(&peers));
        let mut command = process::command("etcd");
        command.arg("--data-dir").arg(directory.path());
        command.args(["--listen-client-urls", &clients]);
        command.args(["--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers]);
        command.args(["--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Process::spawn("etcd", command)?;
        let etcd = Self {
            _server: server,
            port,
            _directory: directory,
        };
        eventually("etcd to serve", PATIENCE, async || etcd.keys("none").ok()).await?;
        Ok(etcd)
    }

    pub(super) fn endpoint(&self) -> String {
        endpoint(&self.port)
    }

    /// How many keys a lock has: one for each who holds it or waits for it.
    pub(super) fn keys(&self, lock: &str) -> Result<usize> {
        Ok(self.list(lock)?.len())
    }

    /// Deletes the key of who holds the lock.
    pub(super) fn delete_first(&self, lock: &str) -> Result<()> {
        let keys = self.list(lock)?;
        let first = keys.first().context("nobody holds the lock")?;
        self.ask(&["del", first]).map(drop)
    }

    fn list(&self, lock: &str) -> Result<Vec<String>> {
        let prefix = format!("{lock}/");
        let told = self.ask(&[
            "get",
            "--prefix",
            "--keys-only",
            "--sort-by=CREATE",
            &prefix,
        ])?;
        let keys = told.lines().filter(|line| !line.is_empty());
        Ok(keys.map(str::to_owned).collect())
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint()])
            .args(arguments)
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "etcdctl {arguments:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn endpoint(port: &Port) -> String {
    format!("http://{}", port.address())
}
