//! C: clang and wasi-libc make a bare module, and `soloist.h` is all that it knows of Soloist.

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;

use super::tools::{kept, or_skipped, run};
use super::{place, through_a_failover};

/// The next leader goes on with the piece after the last one that was done.
#[tokio::test]
async fn a_worker_in_c_goes_on_where_the_last_one_stopped() -> Result<()> {
    let (source, built) = (
        build::workspace().join("plugins/c-worker"),
        kept("c")?.join("worker.wasm"),
    );
    // As its README says, and with every warning.
    let args = "--target=wasm32-wasi -mexec-model=reactor -O2 -I../../guest-sdk/c worker.c \
                -Wall -Wextra -pedantic -Werror -o";
    let target = built.display().to_string();
    let args: Vec<_> = args.split_whitespace().chain([&*target]).collect();
    let version = or_skipped(run("clang", &source, &["--version"]), "clang")?;
    let library = std::fs::metadata("/usr/include/wasm32-wasi/stdio.h").map_err(Into::into);
    let library = or_skipped(library, "wasi-libc")?;
    if version.is_none() || library.is_none() {
        return Ok(());
    }
    run("clang", &source, &args)?;
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
