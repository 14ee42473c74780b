//! What a service manager hears: the socket of `NOTIFY_SOCKET`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::PATIENCE;

/// More than any message has.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// A service manager that listens.
#[derive(Debug)]
pub struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// Begins to listen.
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(directory.path().join("notify"))?;
        Ok(Self {
            directory,
            socket,
            heard: Vec::new(),
        })
    }

    /// Where it listens.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    /// The next message, with all its lines.
    ///
    /// # Errors
    /// None comes within [`PATIENCE`].
    pub async fn next(&mut self) -> Result<String> {
        self.next_within(PATIENCE)
            .await?
            .with_context(|| format!("nothing more was said after {:#?}", self.heard))
    }

    /// The next message, or None if there is none within that time.
    pub async fn next_within(&mut self, within: Duration) -> Result<Option<String>> {
        let mut bytes = vec![0; MESSAGE_MAX_BYTES];
        let Ok(received) = timeout(within, self.socket.recv(&mut bytes)).await else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes[..received?].to_vec())?;
        self.heard.push(text.clone());
        Ok(Some(text))
    }

    /// Waits for a message with this line, and gives it whole.
    ///
    /// # Errors
    /// None comes within [`PATIENCE`].
    pub async fn hears(&mut self, line: &str) -> Result<String> {
        loop {
            let message = self.next().await.with_context(|| line.to_owned())?;
            if message.lines().any(|it| it == line) {
                return Ok(message);
            }
        }
    }

    /// Waits until the last text for people begins so.
    ///
    /// # Errors
    /// None does within [`PATIENCE`].
    pub async fn says(&mut self, status: &str) -> Result<()> {
        while !self
            .statuses()
            .last()
            .is_some_and(|last| last.starts_with(status))
        {
            self.next().await.with_context(|| status.to_owned())?;
        }
        Ok(())
    }

    /// All that was heard, without what only says that somebody is there, and without texts for people.
    pub fn phases(&self) -> Vec<&str> {
        let lines = self.heard.iter().flat_map(|message| message.lines());
        lines
            .filter(|line| {
                ["READY=", "RELOADING=", "STOPPING="]
                    .iter()
                    .any(|it| line.starts_with(it))
            })
            .collect()
    }

    /// All texts for people.
    pub fn statuses(&self) -> Vec<&str> {
        let lines = self.heard.iter().flat_map(|message| message.lines());
        lines
            .filter_map(|line| line.strip_prefix("STATUS="))
            .collect()
    }
}
