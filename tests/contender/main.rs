//! A bare contender of the plain recipe: what a leader election costs without any plugin, to measure a host against.
//!
//! `contender SERVERS PATH SESSION_TIMEOUT [--act]` prints an event, as a host would, whenever it begins to lead or to wait, and
//! with `--act` one more every 10 ms for as long as it believes that it leads; at SIGTERM it closes its session and ends.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::json;
use soloist_tests::client::{self, Standing};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long a leader waits between its acts.
const INTERVAL: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (acts, arguments) = match arguments.as_slice() {
        [before @ .., last] if last == "--act" => (true, before),
        all => (false, all),
    };
    let [servers, path, timeout] = arguments else {
        bail!("usage: contender SERVERS PATH SESSION_TIMEOUT [--act]");
    };
    let timeout = humantime::parse_duration(timeout).context("bad session timeout")?;
    let mut terminated = signal(SignalKind::terminate())?;
    let client = client::connect(servers, timeout).await?;
    let (report, standing) = watch::channel(Standing::Connecting);
    let contending = async { while client::contend(&client, path, &report).await.is_ok() {} };
    tokio::select! {
        () = contending => bail!("the session has ended"),
        () = announce(standing.clone()) => {}
        () = act(standing), if acts => {}
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
        tell(event);
    }
}

async fn act(standing: watch::Receiver<Standing>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if *standing.borrow() == Standing::Leading {
            tell("act");
        }
    }
}

fn tell(event: &str) {
    let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    println!(
        "{}",
        json!({ "timestamp": timestamp, "message": event, "event": event })
    );
}
