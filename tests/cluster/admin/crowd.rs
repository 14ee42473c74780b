//! Whoever holds connections, or is slow, holds up nobody.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use soloist_tests::PATIENCE;
use soloist_tests::cluster::{Cluster, TASK};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::listening;

/// How many connections come, all in all. Each takes a local port.
const CONNECTIONS: usize = 10_000;

#[tokio::test]
async fn ten_thousand_connections_cost_neither_the_lease_nor_those_who_ask() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (host, pages) = listening(&cluster, "alone", "plugin-log").await?;
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        // Half of them begin a request that never ends. One that is refused by now is as good.
        if let Ok(mut stream) = TcpStream::connect(pages.address).await {
            if number % 2 == 0 {
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x").await;
            }
            held.push(stream);
        }
        // What this process may have open is not what is tried here.
        if held.len() > 500 {
            held.remove(0);
        }
        if number % 1000 == 999 {
            let answer = pages.get("/livez").await?;
            ensure!(answer.status == 200, "after {number}: {answer:?}");
        }
    }
    let told = pages.metrics().await?;
    let open = told.value("process_open_fds").context("no descriptors")?;
    ensure!(open < 400.0, "{open} descriptors are open");
    let (status, told) = pages.leads(TASK).await?;
    ensure!(status == 200 && told["term"] == 1, "{told}");
    let lost = host.records();
    ensure!(
        !lost.iter().any(|record| record.is("draining")),
        "the lease has suffered"
    );
    Ok(())
}

/// A head that never ends, one that is too long, one with too many headers: none is waited for, and none is read to its end.
#[tokio::test]
async fn a_head_is_bounded_in_time_in_bytes_and_in_lines() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (_host, pages) = listening(&cluster, "alone", "plugin-log").await?;
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for bad in [long, many, path, "\0\u{7f}\r\n\r\n".into()] {
        // The connection may be gone before all of it is sent.
        if let Ok(answer) = pages.send(&bad).await {
            ensure!((400..500).contains(&answer.status), "{answer:?}");
        }
        ensure!(pages.get("/livez").await?.status == 200);
    }
    for begun in [
        "",
        "GET /livez HTTP/1.1\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(pages.address).await?;
        stream.write_all(begun.as_bytes()).await?;
        let began = Instant::now();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        ensure!(read.is_ok(), "{begun:?} is waited for");
        ensure!(
            began.elapsed() > Duration::from_secs(1),
            "{begun:?} is not waited for at all"
        );
    }
    Ok(())
}
