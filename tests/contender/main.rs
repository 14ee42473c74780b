//! A bare contender of the plain recipe: what a leader election costs without any plugin, to measure a host against.
//!
//! `contender SERVERS PATH SESSION_TIMEOUT` prints an event, as a host would, whenever it begins to lead or to wait; at
//! SIGTERM it closes its session and ends.

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::json;
use soloist_tests::client::{self, Standing};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, path, timeout] = arguments.as_slice() else {
        bail!("usage: contender SERVERS PATH SESSION_TIMEOUT");
    };
    let timeout = humantime::parse_duration(timeout).context("bad session timeout")?;
    let mut terminated = signal(SignalKind::terminate())?;
    let client = client::connect(servers, timeout).await?;
    let (report, standing) = watch::channel(Standing::Connecting);
    let contending = async { while client::contend(&client, path, &report).await.is_ok() {} };
    tokio::select! {
        () = contending => bail!("the session has ended"),
        () = announce(standing) => {}
        _ = terminated.recv() => {}
    }
    client::close(client).await;
    Ok(())
}

async fn announce(mut standing: watch::Receiver<Standing>) {
    while standing.changed().await.is_ok() {
        let event = match *standing.borrow_and_update() {
            Standing::Connecting => continue,
            Standing::Waiting => "waiting",
            Standing::Leading => "leading",
        };
        let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        println!(
            "{}",
            json!({ "timestamp": timestamp, "message": event, "event": event })
        );
    }
}
