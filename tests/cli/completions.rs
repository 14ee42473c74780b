//! What packages install beside the program: completions and man pages.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use soloist_tests::project::soloist;
use soloist_tests::tools::or_skipped;
use tempfile::tempdir;

#[test]
fn completions_are_scripts_that_know_every_command() -> Result<()> {
    let folder = tempdir()?;
    for shell in ["bash", "zsh", "fish"] {
        let script = soloist(folder.path(), &["completions", shell])?;
        ensure!(script.status.success(), "{shell}: {script:?}");
        let script = String::from_utf8(script.stdout)?;
        for command in ["run", "status", "rollback", "manual", "undrain"] {
            ensure!(script.contains(command), "{shell}: {command} is missing");
        }
        if shell == "bash" {
            let file = folder.path().join("soloist.bash");
            fs::write(&file, script)?;
            let read = Command::new("bash").arg("-n").arg(file).output()?;
            ensure!(read.status.success(), "{read:?}");
        }
    }
    let unknown = soloist(folder.path(), &["completions", "csh"])?;
    ensure!(unknown.status.code() == Some(2), "{unknown:?}");
    Ok(())
}

#[test]
fn man_pages_are_without_a_warning_of_mandoc() -> Result<()> {
    let folder = tempdir()?;
    let written = soloist(folder.path(), &["manual", "pages"])?;
    ensure!(written.status.success(), "{written:?}");
    let pages: Vec<_> = fs::read_dir(folder.path().join("pages"))?
        .map(|page| page.map(|page| page.path()))
        .collect::<Result<_, _>>()?;
    ensure!(pages.len() > 30, "{pages:?}");
    let file = soloist(folder.path(), &["manual", "pages/soloist.1"])?;
    let told = String::from_utf8_lossy(&file.stderr);
    ensure!(
        file.status.code() == Some(2) && told.contains("is a file: name a directory"),
        "{file:?}"
    );
    ensure!(
        pages
            .iter()
            .any(|page| page.ends_with("soloist-state-set.1"))
    );
    let there = Command::new("mandoc").stdin(Stdio::null()).output();
    if or_skipped(there.map_err(Into::into), "mandoc")?.is_none() {
        return Ok(());
    }
    let mandoc = Command::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .args(pages)
        .output()?;
    let told = String::from_utf8_lossy(&mandoc.stdout);
    ensure!(mandoc.status.success(), "{told}");
    Ok(())
}
