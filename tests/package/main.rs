//! The container image that `make package` has built: whoever runs these tests has to have it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::{PATIENCE, build, eventually, host};

const IMAGE: &str = concat!("localhost/soloist:", env!("CARGO_PKG_VERSION"));

/// A container of the image, which is removed in the end.
struct Container(String);

impl Container {
    fn new() -> Result<Self> {
        let made = buildah(["from", IMAGE])?;
        Ok(Self(made.trim().to_owned()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = buildah(["rm", &self.0]);
    }
}

fn buildah<const N: usize>(args: [&str; N]) -> Result<String> {
    let output = Command::new("buildah").args(args).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "buildah {args:?}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The processes below this one that run that program, the eldest first.
fn running(pid: i32, program: &Path) -> Vec<i32> {
    // Any thread may have started it.
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let children: String = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|it| it.parse().ok()) {
        let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        if command.starts_with(program.as_os_str().as_encoded_bytes()) {
            found.push(child);
        }
        found.extend(running(child, program));
    }
    found
}

#[tokio::test]
async fn a_host_leads_and_hands_over_in_a_container_that_has_nothing_else() -> Result<()> {
    let container = Container::new()?;
    let run = ["run", "--isolation", "chroot"];
    let version = buildah([
        run[0],
        run[1],
        run[2],
        &container.0,
        "--",
        "/usr/bin/soloist",
        "--version",
    ])?;
    ensure!(version.starts_with("soloist "), "{version}");
    let cluster = Cluster::start().await?;
    let mounted = tempfile::tempdir()?;
    fs::copy(
        build::artifacts()?.guest("heartbeat"),
        mounted.path().join("beat.wasm"),
    )?;
    // A name, since nothing of the C library is there to look it up with but what is linked.
    let servers = cluster
        .zookeeper
        .connect_string()
        .replace("127.0.0.1", "localhost");
    fs::write(
        mounted.path().join("soloist.toml"),
        format!(
            "[zookeeper]\nservers = {servers:?}\n[[task]]\nname = {TASK:?}\nplugin = \"beat.wasm\"\nconfig = {{ interval = \"100ms\" }}\n"
        ),
    )?;
    // Its user is another one.
    Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(mounted.path())
        .status()?;
    let volume = format!("{}:/etc/soloist:ro", mounted.path().display());
    let mut command = host::Command::new("a", "buildah");
    for arg in run {
        command = command.arg(arg);
    }
    let mut host = command
        .flag("--volume", volume)
        .flag("--env", "SOLOIST_LOG_FORMAT=json")
        .flag("--env", "SOLOIST_HOST_ID=a")
        .arg(&container.0)
        .arg("--")
        .arg("/usr/bin/soloist")
        .arg("run")
        .arg("/etc/soloist/soloist.toml")
        .start(&cluster.history)?;
    host.event("plugin-log").await?;
    let pid = i32::try_from(host.pid())?;
    let guardian = eventually("the guardian", PATIENCE, async || {
        let found = running(pid, Path::new(OsStr::new("/usr/bin/soloist")));
        found.first().copied()
    })
    .await?;
    let status = fs::read_to_string(format!("/proc/{guardian}/status"))?;
    ensure!(status.contains("\nUid:\t65532\t"), "{status}");
    kill_process(Pid::from_raw(guardian).context("no process")?, Signal::TERM)?;
    host.event("released").await?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    cluster.verdict().check()
}
