//! What a guardian has seen of the processes before this one.

use serde::{Deserialize, Serialize};

use super::Death;

/// What a guardian has seen so far. It tells each process that it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// How many deaths there were after which the guardian starts the process again.
    pub restarts: u64,
    /// The last death of any kind.
    pub last_death: Option<LastDeath>,
}

/// A death, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDeath {
    /// How the process has ended.
    pub death: Death,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl Past {
    /// The process has died at that time. `restarts`: it is started again.
    pub fn died(&mut self, death: Death, at: u64, restarts: bool) {
        self.restarts += u64::from(restarts);
        self.last_death = Some(LastDeath { death, at });
    }

    /// The bytes that a process is told.
    pub fn encode(&self) -> Vec<u8> {
        crate::records::encode(self)
    }

    /// Reads what was told. None if it is nothing of the kind.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guardian_has_seen_is_read_as_it_was_told() {
        let mut past = Past::default();
        assert_eq!(Past::decode(&past.encode()), Some(past));
        past.died(Death::Killed(9), 7, true);
        past.died(Death::Exited(1), 8, false);
        assert_eq!(past.restarts, 1);
        assert_eq!(past.last_death.unwrap().death, Death::Exited(1));
        assert_eq!(Past::decode(&past.encode()), Some(past));
        assert_eq!(Past::decode(b"x"), None);
    }
}
