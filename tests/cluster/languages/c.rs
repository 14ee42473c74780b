//! C: clang and wasi-libc make a bare module, and `soloist.h` is all that it knows of Soloist.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::history::Event;
use soloist_tests::tools::{or_skipped, run};

use super::kept::kept;
use super::{place, through_a_failover};

/// Compiles as `soloist build` does, but with every warning. Returns false where there is no compiler.
fn compile(folder: &Path, source: &str, built: &Path) -> Result<bool> {
    let version = or_skipped(run("clang", folder, &["--version"]), "clang")?;
    let library = std::fs::metadata("/usr/include/wasm32-wasi/stdio.h").map_err(Into::into);
    let library = or_skipped(library, "wasi-libc")?;
    if version.is_none() || library.is_none() {
        return Ok(false);
    }
    let (header, built) = (
        format!("-I{}", build::workspace().join("guest-sdk/c").display()),
        built.display().to_string(),
    );
    let args = "--target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -pedantic -Werror -o";
    let args = args.split_whitespace().chain([&*built, &*header, source]);
    run("clang", folder, &args.collect::<Vec<_>>())?;
    Ok(true)
}

/// The next leader goes on with the piece after the last one that was done.
#[tokio::test]
async fn a_worker_in_c_goes_on_where_the_last_one_stopped() -> Result<()> {
    let (source, built) = (
        build::workspace().join("plugins/c-worker"),
        kept("c")?.join("worker.wasm"),
    );
    if !compile(&source, "plugin.c", &built)? {
        return Ok(());
    }
    let cluster = Cluster::start().await?;
    let said = through_a_failover(&cluster, &built, ("plugin-log", "piece "), |command| {
        // The sleep between two pieces ends with the term.
        command.flag("--config", "interval_ms=3600000")
    })
    .await?;
    ensure!(
        said.first[0].starts_with("a leads in term 1, token "),
        "{:?}",
        said.first
    );
    ensure!(said.first[0].ends_with("; 0 done"), "{:?}", said.first);
    ensure!(
        said.first[1..] == ["piece 1", "demoted"],
        "{:?}",
        said.first
    );
    ensure!(
        said.second[0].starts_with("b leads in term 2, token "),
        "{:?}",
        said.second
    );
    ensure!(said.second[0].ends_with("; 1 done"), "{:?}", said.second);
    ensure!(place(&said.second, "piece 2")? == 1, "{:?}", said.second);
    Ok(())
}

/// Opens what is not granted, and says why it could not.
const OPENS: &str = r#"
#include "soloist.h"

#include <errno.h>

SOLOIST_ON_ELECTED(void) {
    FILE *file = fopen("/data/orders", "r");
    soloist_log(SOLOIST_INFO, "file %d, denied %d", file != NULL, errno == EACCES);
}

SOLOIST_ON_DEMOTED(void) {
}
"#;

#[tokio::test]
async fn a_file_that_is_not_granted_is_denied_in_c_and_the_log_says_what_to_grant() -> Result<()> {
    let kept = kept("c")?;
    std::fs::write(kept.join("opens.c"), OPENS)?;
    let built = kept.join("opens.wasm");
    if !compile(&kept, "opens.c", &built)? {
        return Ok(());
    }
    let cluster = Cluster::embedded().await?;
    let mut host = cluster
        .host_of("a", &built)?
        .flag("--task", "opens")
        .start(&cluster.history)?;
    let told = host.event("plugin-log").await?;
    let told = told.event().context("it is an event")?;
    ensure!(
        told.message
            .starts_with("\"/data/orders\" is in no directory that is granted to this task"),
        "{told:?}"
    );
    let denied = |event: &Event| event.message == "file 0, denied 1";
    host.event_where("plugin-log", denied).await?;
    host.terminate().await.map(drop)
}
