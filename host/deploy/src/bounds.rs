//! How much is waited for, and how long.

use std::time::Duration;

use soloist_core::artefact::MAX_BYTES;

/// What bounds the fetching of an artefact, besides the deadline that each call has.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many bytes an artefact may have.
    pub bytes: u64,
    /// How long a server may take to accept a connection, TLS included.
    pub connect: Duration,
    /// How long a server may be silent.
    pub silence: Duration,
    /// How many attempts may fail in a row without bringing a byte.
    pub attempts: u32,
    /// The first pause between two attempts. Each is twice as long as the one before.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Bounds {
    /// For somebody who waits: after five attempts in a row that have brought nothing, the error is told.
    fn default() -> Self {
        Self {
            bytes: MAX_BYTES,
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            attempts: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
        }
    }
}
