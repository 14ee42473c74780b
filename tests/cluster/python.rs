//! A plugin in Python: the interpreter and a script, made a component by componentize-py.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::build;
use soloist_tests::cluster::Cluster;

/// The package that makes components of Python, and the version that works with the contract.
const COMPONENTIZE: &str = "componentize-py==0.25.1";

fn run(program: impl AsRef<Path>, directory: &Path, args: &[&str]) -> Result<()> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} {args:?}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The plugin, built anew when what it is made of has changed: every build differs, and takes long to compile.
fn component(target: &Path, componentize: &Path) -> Result<PathBuf> {
    let (source, wit) = (
        build::workspace().join("plugins/python-hello"),
        build::workspace().join("guest-sdk/wit"),
    );
    let component = target.join("hello.wasm");
    let changed = |path: &Path| Ok::<_, anyhow::Error>(path.metadata()?.modified()?);
    let newest = [
        changed(&source.join("app.py"))?,
        changed(&wit.join("plugin.wit"))?,
        changed(&wit.join("schedule.wit"))?,
        changed(componentize)?,
    ];
    if changed(&component).is_ok_and(|built| newest.iter().all(|part| built > *part)) {
        return Ok(component);
    }
    let built = target.join("hello.new");
    let path = |path: &Path| path.display().to_string();
    run(
        componentize,
        &source,
        &[
            "-d",
            &path(&wit),
            "-w",
            "plugin",
            "componentize",
            "app",
            "-o",
            &path(&built),
        ],
    )?;
    std::fs::rename(&built, &component)?;
    Ok(component)
}

/// The tool, or `None` where there is no Python or no registry of packages to have it from.
fn componentize(target: &Path) -> Result<Option<PathBuf>> {
    let venv = target.join("venv");
    let tool = venv.join("bin/componentize-py");
    let is_there = || {
        run(
            venv.join("bin/pip"),
            target,
            &["show", "--quiet", "componentize-py"],
        )
        .is_ok()
    };
    if tool.exists() && is_there() {
        return Ok(Some(tool));
    }
    let made = run(
        "python3",
        target,
        &["-m", "venv", "--clear", &venv.display().to_string()],
    );
    let pip = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        COMPONENTIZE,
    ];
    match made.and_then(|()| run(venv.join("bin/pip"), target, &pip)) {
        Ok(()) => Ok(Some(tool)),
        // Where every change is tested it must not be left out.
        Err(error) if std::env::var_os("CI").is_some() => Err(error),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(None)
        }
    }
}

/// It is elected, waits without holding anything up, is demoted while it waits, and prints to the log.
#[tokio::test]
async fn a_plugin_in_python_runs() -> Result<()> {
    let target = build::target()?.join("python");
    std::fs::create_dir_all(&target)?;
    let lock = File::create(target.join("lock"))?;
    lock.lock()?;
    let Some(componentize) = componentize(&target)? else {
        println!("SKIPPED: Python with venv and pip, or {COMPONENTIZE}, is not to be had here");
        return Ok(());
    };
    let component = component(&target, &componentize)?;
    lock.unlock()?;
    let cluster = Cluster::start().await?;
    // Compiling an interpreter takes its time: once for all runs of this test.
    let mut host = cluster
        .host_of("a", &component)?
        .flag("--task", "snake")
        .flag("--config", "interval_ms=50")
        // componentize-py imports all that the world has, whether the script uses it or not.
        .arg("--allow-state")
        // Ten seconds of computing, which on a busy machine can be minutes.
        .flag("--limit", "compile_timeout=1h")
        .arg("--allow-http=")
        .arg("--allow-tcp=")
        .env("XDG_CACHE_HOME", target.join("cache"))
        .start(&cluster.history)?;
    let mut said = async |text: &str| {
        let says = |event: &soloist_tests::history::Event| event.message.contains(text);
        host.event_where("plugin-log", says).await
    };
    said("hello from a, leader of snake in term 1").await?;
    said("beat 3").await?;
    host.signal(Signal::TERM)?;
    ensure!(host.ended().await?.code() == Some(0), "{}", host.errors());
    let lines: Vec<_> = host
        .records()
        .iter()
        .filter_map(|record| record.event().cloned())
        .collect();
    let at = |text: &str| {
        lines
            .iter()
            .position(|event| event.message.contains(text))
            .with_context(|| format!("no {text:?}"))
    };
    let demoted = lines
        .iter()
        .position(|event| event.name == "demoted")
        .context("not demoted in good order")?;
    ensure!(at("demoted: shutdown")? < at("stops after ")? && at("stops after ")? < demoted);
    Ok(())
}
