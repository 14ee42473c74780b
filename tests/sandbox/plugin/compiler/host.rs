//! A compiler and its host: the one ends with the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use soloist_sandbox::COMPILE_WORD;

use super::case::{is_alive, slow, stat, wait_until};
use crate::guests::{guest, soloist};

/// A host in a process of its own.
struct Host(Child);

impl Host {
    fn start(arguments: &[&Path], cache: &Path) -> Self {
        let command = Command::new(soloist())
            .args(arguments)
            .env("XDG_CACHE_HOME", cache)
            .env("API_TOKEN", "hunter2")
            // The process that is asked to stop here is the one that compiles.
            .env("SOLOIST_NO_GUARDIAN", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(command.unwrap())
    }

    /// Waits for the process that compiles for it.
    fn compiler(&self) -> u32 {
        let mut found = Vec::new();
        wait_until("nothing is compiled", || {
            found = compilers_of(self.0.id());
            !found.is_empty()
        });
        found[0]
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that compile for another one.
fn compilers_of(parent: u32) -> Vec<u32> {
    let told = format!("\"parent\":{parent},");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .filter(|process| {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.contains(COMPILE_WORD) && line.contains(&told)
        })
        .collect()
}

/// Whether the process has used a processor for more than 5 ticks of the clock.
fn has_worked(process: u32) -> bool {
    let ticks = stat(process)
        .get(11)
        .and_then(|ticks| ticks.parse::<u64>().ok());
    ticks.is_some_and(|ticks| ticks > 5)
}

/// The plugins that are kept in a cache.
fn notes(cache: &Path) -> Vec<PathBuf> {
    let kept = fs::read_dir(cache.join("soloist/kept"))
        .into_iter()
        .flatten()
        .flatten();
    kept.map(|entry| entry.path())
        .filter(|path| path.extension().is_none())
        .collect()
}

#[test]
fn a_compiler_ends_with_its_host_and_does_not_hear_what_is_for_the_host() {
    let (cache, file) = (tempfile::tempdir().unwrap(), slow());
    let mut host = Host::start(&[Path::new("check"), &file.0], cache.path());
    let process = host.compiler();
    // A compiler stops hearing signals before it begins its work: one that has used a processor hears none.
    wait_until("it does not begin", || {
        has_worked(process) || !is_alive(process)
    });
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    assert!(
        environment.is_empty(),
        "{}",
        String::from_utf8_lossy(&environment)
    );
    let pid = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    assert!(
        is_alive(process)
            || host
                .0
                .try_wait()
                .unwrap()
                .is_none_or(|status| status.success())
    );
    host.0.kill().unwrap();
    wait_until("it outlives its host", || !is_alive(process));
}

/// The host keeps the plugins that were compiled before it was interrupted.
#[test]
fn a_start_that_is_interrupted_keeps_what_was_compiled() {
    let (directory, file) = (tempfile::tempdir().unwrap(), slow());
    let config = directory.path().join("soloist.toml");
    let tasks = [("quick", guest("hello")), ("slow", file.0.clone())];
    let tasks = tasks.map(|(name, plugin)| {
        format!(
            "[[task]]\nname = \"{name}\"\nplugin = \"{}\"\n",
            plugin.display()
        )
    });
    fs::write(
        &config,
        format!(
            "zookeeper = {{ servers = \"127.0.0.1:1\" }}\n{}",
            tasks.concat()
        ),
    )
    .unwrap();
    let mut host = Host::start(&[Path::new("run"), &config], directory.path());
    let kept = || notes(directory.path()).len() == 1;
    wait_until("the first is not kept", kept);
    let process = host.compiler();
    let pid = rustix::process::Pid::from_child(&host.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut ended = None;
    wait_until("it does not end", || {
        ended = host.0.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    wait_until("the compiler outlives its host", || !is_alive(process));
    assert!(kept());
}
