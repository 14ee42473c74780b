//! The ensemble that runs in this process, in the place of a server where a test needs none of a server's faults.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use soloist_dev::ensemble::{Ensemble, Settings};
use tokio::runtime::{Builder, Runtime};

/// Says which ensemble all tests have that could have either: `embedded` or `real`. Otherwise each has the one it names.
const VARIABLE: &str = "SOLOIST_ENSEMBLE";

/// Whether a test that would have this one, and could have either, has the embedded one.
pub(super) fn is_wanted(by_default: bool) -> Result<bool> {
    match std::env::var(VARIABLE).as_deref() {
        Ok("embedded") => Ok(true),
        Ok("real") => Ok(false),
        Ok("") | Err(std::env::VarError::NotPresent) => Ok(by_default),
        other => bail!("{VARIABLE} is \"embedded\" or \"real\", not {other:?}"),
    }
}

/// Starts it on threads of its own: a test that keeps its thread busy does not hold it up.
pub(super) async fn start(settings: Settings) -> Result<Ensemble> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(2).thread_name("ensemble");
        builder
            .enable_all()
            .build()
            .expect("threads for the ensemble")
    });
    let started = runtime.spawn(Ensemble::start(settings)).await?;
    started.context("cannot start the embedded ensemble")
}
