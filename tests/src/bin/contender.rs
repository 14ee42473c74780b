//! A bare contender of the plain recipe: what a leader election costs without any plugin, to measure a host against.
//!
//! `contender SERVERS PATH SESSION_TIMEOUT` prints the time in microseconds since 1970 when it begins to lead; at
//! SIGTERM it closes its session and ends.

use std::time::SystemTime;

use anyhow::{Context, Result};
use soloist_tests::client::{self, Standing};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<()> {
    let [_, servers, path, timeout] = <[String; 4]>::try_from(std::env::args().collect::<Vec<_>>())
        .map_err(|_| anyhow::anyhow!("usage: contender SERVERS PATH SESSION_TIMEOUT"))?;
    let timeout = humantime::parse_duration(&timeout).context("bad session timeout")?;
    let mut terminated = signal(SignalKind::terminate())?;
    let client = client::connect(&servers, timeout).await?;
    let (report, mut standing) = watch::channel(Standing::Connecting);
    let contending = async { while client::contend(&client, &path, &report).await.is_ok() {} };
    let leading = async {
        while standing.wait_for(|standing| *standing == Standing::Leading).await.is_ok() {
            let now = SystemTime::UNIX_EPOCH.elapsed()?;
            println!("{}", now.as_micros());
            standing.wait_for(|standing| *standing != Standing::Leading).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        () = contending => anyhow::bail!("the session has ended"),
        left = leading => left?,
        _ = terminated.recv() => {}
    }
    client::close(client).await;
    Ok(())
}
