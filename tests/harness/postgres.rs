//! A private PostgreSQL server on a free loopback port, with all it writes in a directory that goes when it goes.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::ports::Port;
use crate::process::{self, Process};
use crate::{PATIENCE, POLL, eventually};

/// Where Debian and its kin have the servers, one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The role and the database that are there, and the password.
pub const ROLE: &str = "relay";
/// The database.
pub const DATABASE: &str = "postgres";
/// The password of the role.
pub const PASSWORD: &str = "between-you-and-me";

/// The server. Stopped, and its files removed, when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    // Before the directory: the server must be gone before its files are.
    server: Process,
    port: Port,
    programs: PathBuf,
    _directory: TempDir,
}

/// Whom a server runs as that refuses to run as root: its user and group, if we are root.
struct User(Option<(u32, u32)>);

impl Postgres {
    /// Starts a server and waits until it serves. `None` where PostgreSQL is not installed.
    ///
    /// # Errors
    /// When it is not installed and `CI` is set: where every change is tested it must not be left out.
    pub async fn start() -> Result<Option<Self>> {
        let Some(programs) = programs() else {
            ensure!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not installed: `make setup`, or apt-get install postgresql"
            );
            return Ok(None);
        };
        let user = User::choose()?;
        let directory = tempfile::Builder::new()
            .prefix("soloist-postgres-")
            .tempdir()?;
        let data = directory.path().join("data");
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        if let User(Some((id, group))) = user {
            for path in [directory.path(), &password] {
                chown(path, Some(id), Some(group))?;
            }
        }
        let initdb = user
            .begin(&programs.join("initdb"), |program| Command::new(program))
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
            ])
            .arg(format!("--username={ROLE}"))
            .arg("--pwfile")
            .arg(&password)
            .arg(&data)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .context("cannot run initdb")?;
        let told = String::from_utf8_lossy(&initdb.stderr);
        ensure!(initdb.status.success(), "initdb: {told}");

        let port = Port::reserve()?;
        let mut command = user.begin(&programs.join("postgres"), |it| process::command(it));
        command.arg("-D").arg(&data);
        command.args(["-h", "127.0.0.1", "-p", &port.number().to_string()]);
        for setting in [
            "unix_socket_directories=",
            "fsync=off",
            // What a server that was killed leaves lies in its own directory then.
            "dynamic_shared_memory_type=mmap",
        ] {
            command.args(["-c", setting]);
        }
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Process::spawn("postgres", command)?;
        let this = Self {
            server,
            port,
            programs,
            _directory: directory,
        };
        eventually("PostgreSQL to serve", PATIENCE, async || {
            this.query("SELECT 1").await.ok()
        })
        .await?;
        Ok(Some(this))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Runs statements, for what they return: a line for each row, its columns separated by `|`.
    pub async fn query(&self, statements: &str) -> Result<String> {
        let mut command = process::command(self.programs.join("psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1"])
            .args(["--port", &self.port.number().to_string()])
            .args(["--username", ROLE, "--dbname", DATABASE])
            .args(["--command", statements])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {told}");
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It ends at once, and takes its shared memory along. Whatever is left then is killed.
        if self.server.signal(Signal::QUIT).is_ok() {
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end && matches!(self.server.status(), Ok(None)) {
                std::thread::sleep(POLL);
            }
        }
    }
}

impl User {
    fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let entry = |name: &str| {
            let line = users
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        match entry("postgres").or_else(|| entry("nobody")) {
            Some(ids) => Ok(Self(Some(ids))),
            None => bail!(
                "PostgreSQL does not run as root, and there is no user `postgres` or `nobody`"
            ),
        }
    }

    /// Begins a command for `program` as this user; `command` begins one for what it is given.
    fn begin(&self, program: &Path, command: impl Fn(&OsStr) -> Command) -> Command {
        let Self(Some((user, group))) = self else {
            return command(program.as_os_str());
        };
        let mut command = command(OsStr::new("setpriv"));
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            // A change of the user undoes what was set before, so that the server would outlive us.
            .args(["--clear-groups", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command
    }
}

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let has = |folder: &Path| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|it| folder.join(it).exists())
    };
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has(folder))
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| std::env::split_paths(&path).find(|folder| has(folder)))
}
