//! What a server says of itself, when it is asked with one of the four-letter words.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It serves alone.
    Standalone,
    /// It leads the ensemble.
    Leader,
    /// It follows the leader.
    Follower,
    /// It has lost the quorum and serves reads only.
    ReadOnly,
}

/// What the server at that address says it is.
pub(super) async fn mode(server: SocketAddr) -> Result<Mode> {
    let answer = ask(server, "srvr").await?;
    match answer.lines().find_map(|line| line.strip_prefix("Mode: ")) {
        Some("standalone") => Ok(Mode::Standalone),
        Some("leader") => Ok(Mode::Leader),
        Some("follower") => Ok(Mode::Follower),
        Some("read-only") => Ok(Mode::ReadOnly),
        _ => bail!("the ZooKeeper server at {server} does not serve: {answer}"),
    }
}

/// Sends a word to the server at that address, for its answer.
pub(super) async fn ask(server: SocketAddr, word: &str) -> Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(5), asking).await?
}
