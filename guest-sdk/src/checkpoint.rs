//! How far work has come, so that the next leader goes on from there.
//!
//! A [`Checkpoint`] is one value in the [`state`]. A worker reads it when elected, and moves it on after each item, or
//! after each batch:
//!
//! ```
//! use soloist_sdk::checkpoint::Checkpoint;
//! use soloist_sdk::testing::{Answer, Harness};
//! use soloist_sdk::{Plugin, Result, Term, http};
//!
//! #[derive(Default)]
//! struct Mailer;
//!
//! impl Plugin for Mailer {
//!     async fn on_elected(&mut self, term: Term) -> Result {
//!         let mut done = Checkpoint::<u64>::load("mailed").await?;
//!         loop {
//!             let url = format!("http://shop.example/orders?after={}", done.position());
//!             let orders: Vec<u64> = http::get(url).await?.json()?;
//!             if orders.is_empty() {
//!                 return Ok(());
//!             }
//!             for order in orders {
//!                 // Whoever leads next sends the same key for the same order: the server mails it once.
//!                 let key = format!("{}/{order}", term.task);
//!                 let mail = http::Request::post("http://mail.example/send").json(&order)?;
//!                 mail.idempotency_key(key).retries(3).send().await?.error_for_status()?;
//!                 done.advance(order).await?;
//!             }
//!         }
//!     }
//! }
//!
//! let mut mails = 0;
//! let test = Harness::new().task("mailer").http(move |request| match request.url.as_str() {
//!     "http://shop.example/orders?after=0" => Answer::json(&[1, 2, 3]),
//!     "http://shop.example/orders?after=2" => Answer::json(&[3]),
//!     "http://mail.example/send" => {
//!         mails += 1;
//!         if mails == 3 { Answer::status(400) } else { Answer::status(202) }
//!     }
//!     _ => Answer::text("[]"),
//! });
//! let failed = test.elect::<Mailer>().finish();
//! assert_eq!(failed.unwrap_err(), "http://mail.example/send answered with status 400");
//! assert_eq!(test.elect::<Mailer>().finish(), Ok(()));
//! assert_eq!(test.state::<u64>("mailed"), Some(3));
//! let sent = test.requests().into_iter().filter_map(|it| it.header("idempotency-key").map(str::to_owned));
//! assert_eq!(sent.collect::<Vec<_>>(), ["mailer/1", "mailer/2", "mailer/3", "mailer/3"]);
//! ```
//!
//! What this makes of a failover: nothing is left out, and only what was under way when the leader was lost is done
//! again, by the next one: at most one item, or one batch. So the effect has to bear that: by an idempotency key, as above,
//! or by a store that writes the effect together with the position, or refuses an earlier
//! [fencing token](crate::Term::fencing_token).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state::{self, Error};

/// A position that is kept in the state.
///
/// ```
/// use soloist_sdk::checkpoint::Checkpoint;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new();
/// test.block_on(async {
///     let mut line = Checkpoint::<usize>::load("line").await.unwrap();
///     for batch in ["a", "b", "c", "d", "e"].chunks(2) {
///         // The work on all of the batch.
///         line.advance(line.position() + batch.len()).await.unwrap();
///     }
///     assert_eq!(*line.position(), 5);
/// });
/// assert_eq!(test.state::<usize>("line"), Some(5));
/// ```
#[derive(Debug)]
pub struct Checkpoint<T> {
    key: String,
    position: T,
    /// What the state holds, as far as is known.
    kept: Option<Vec<u8>>,
    version: Option<u64>,
    /// A write that may have been done: it failed without an answer, or was dropped.
    unknown: Option<Vec<u8>>,
}

impl<T: Serialize + DeserializeOwned> Checkpoint<T> {
    /// Reads the position from the state; if none is there, it is the default one, such as 0.
    ///
    /// # Errors
    /// As [`state::get`].
    pub async fn load(key: impl Into<String>) -> Result<Self, Error>
    where
        T: Default,
    {
        Self::load_or(key, T::default()).await
    }

    /// Reads the position from the state; if none is there, it is `first`.
    ///
    /// ```
    /// use soloist_sdk::checkpoint::Checkpoint;
    /// use soloist_sdk::testing::Harness;
    ///
    /// Harness::new().block_on(async {
    ///     let day = Checkpoint::load_or("day", String::from("2026-01-01")).await.unwrap();
    ///     assert_eq!(day.position(), "2026-01-01");
    /// });
    /// ```
    ///
    /// # Errors
    /// As [`state::get`].
    pub async fn load_or(key: impl Into<String>, first: T) -> Result<Self, Error> {
        let key = key.into();
        let entry = state::get_bytes(&key).await?;
        let position = match &entry {
            Some(entry) => state::decode(&key, &entry.value)?,
            None => first,
        };
        let (kept, version) = entry.map(|entry| (entry.value, entry.version)).unzip();
        Ok(Self {
            key,
            position,
            kept,
            version,
            unknown: None,
        })
    }

    /// Where the work has come to.
    pub fn position(&self) -> &T {
        &self.position
    }

    /// Keeps that the work has come to `position`: when this returns `Ok`, every later leader goes on from there.
    ///
    /// After an error, or when the call is dropped, the position in here is the one before; the write may have been done
    /// all the same, and the next call takes that into account.
    ///
    /// # Errors
    /// [`Error::Changed`] if something else in the plugin has written the key; and as [`state::set`].
    pub async fn advance(&mut self, position: T) -> Result<(), Error> {
        let value = state::encode(&self.key, &position)?;
        self.settle().await?;
        self.unknown = Some(value.clone());
        let written = state::compare_and_set_bytes(&self.key, self.version, value.clone()).await;
        if !matches!(written, Err(Error::Unavailable { .. })) {
            self.unknown = None;
        }
        self.version = Some(written?);
        self.kept = Some(value);
        self.position = position;
        Ok(())
    }

    /// Finds out what has become of a write whose outcome is unknown.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(unknown) = &self.unknown else {
            return Ok(());
        };
        let entry = state::get_bytes(&self.key).await?;
        let (found, version) = entry.map(|entry| (entry.value, entry.version)).unzip();
        if found != self.kept && found.as_ref() != Some(unknown) {
            let key = self.key.clone();
            return Err(Error::Changed { key, version });
        }
        self.kept = found;
        self.version = version;
        self.unknown = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::Harness;
    use crate::timeout;

    #[test]
    fn a_write_of_unknown_outcome_is_looked_into_before_the_next() {
        let second = Duration::from_secs(1);
        let test = Harness::new();
        test.block_on(async {
            let mut checkpoint = Checkpoint::<u32>::load("at").await.unwrap();
            checkpoint.advance(1).await.unwrap();
            // Dropped before it was done.
            test.state_takes(second);
            timeout(second / 2, checkpoint.advance(2))
                .await
                .unwrap_err();
            assert_eq!(*checkpoint.position(), 1);
            // Refused.
            test.state_takes(Duration::ZERO)
                .refuse_state(Some("no quorum"));
            checkpoint.advance(3).await.unwrap_err();
            test.refuse_state(None);
            checkpoint.advance(4).await.unwrap();
            assert_eq!(test.state::<u32>("at"), Some(4));
            // Done, without the plugin having heard of it.
            checkpoint.unknown = Some(b"5".to_vec());
            test.set_state("at", &5);
            checkpoint.advance(6).await.unwrap();
            assert_eq!(test.state::<u32>("at"), Some(6));
        });
    }

    #[test]
    fn a_position_that_something_else_has_written_is_not_overwritten() {
        let test = Harness::new().set_state("at", &7);
        test.block_on(async {
            let mut checkpoint = Checkpoint::<u32>::load("at").await.unwrap();
            assert_eq!(*checkpoint.position(), 7);
            for unknown in [None, Some(b"8".to_vec())] {
                test.set_state("at", &100);
                checkpoint.unknown = unknown;
                let error = checkpoint.advance(8).await.unwrap_err();
                assert!(matches!(error, Error::Changed { .. }), "{error}");
            }
        });
        assert_eq!(test.state::<u32>("at"), Some(100));
    }
}
