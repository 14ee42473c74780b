//! Lines that are no events: what libraries say, and our own remarks. What is in them is not known beforehand: it may be what
//! a plugin has passed to its host, or the identity that a client shows.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::{Map, Value};
use tracing::Level;

use super::levels::{OWN, is_part_of};
use soloist_core::clock;
use soloist_core::secret::{Redactor, Secret};
use soloist_core::volume::Volume;

/// Lines a second, lines at once, and bytes a second of libraries, and of remarks for those who look for a fault.
const VOLUME: [u64; 3] = [200, 1000, 256 << 10];

/// How long such a line is, in bytes; what is longer is cut.
pub(super) const LINE_BYTES: usize = 8 << 10;

/// The secrets that no such line tells. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Arc<RwLock<Arc<Redactor>>>);

impl Hidden {
    /// Hides these secrets from here on, and no others.
    pub fn set<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        let redactor = Arc::new(Redactor::of_bytes(secrets));
        // Whatever was there is replaced.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is done to lines that are no events.
#[derive(Debug)]
pub(super) struct Remarks {
    hidden: Hidden,
    volume: Mutex<Volume>,
}

impl Remarks {
    pub(super) fn new(hidden: Hidden) -> Self {
        let [lines, burst, bytes] = VOLUME;
        Self {
            hidden,
            volume: Mutex::new(Volume::new(lines, burst, bytes)),
        }
    }

    /// How much has to be there of each text for [`Remarks::clean`], in bytes.
    pub(super) fn seen_bytes(&self) -> usize {
        LINE_BYTES + self.hidden.redactor().longest()
    }

    /// Lets a line pass, saying how many were dropped before it, or drops it. What operators have to know always passes.
    pub(super) fn admit(&self, target: &str, level: Level) -> Option<u64> {
        if level <= Level::INFO && is_part_of(target, OWN) {
            return Some(0);
        }
        self.volume().admit(clock::now())
    }

    /// Notes that a line was reported.
    pub(super) fn reported(&self, line: &str) {
        self.volume().reported(line.len() as u64, clock::now());
    }

    /// What is said of lines that were dropped.
    pub(super) fn dropped(number: u64) -> String {
        let [lines, burst, bytes] = VOLUME;
        format!(
            "{number} lines of libraries or for debugging dropped: more than {lines} a second, {burst} at once or {bytes} \
             bytes a second"
        )
    }

    /// Takes the secrets out of a message and its fields, and what is more than a line.
    pub(super) fn clean(&self, message: &mut String, fields: &mut Map<String, Value>) {
        let (redactor, mut room) = (self.hidden.redactor(), LINE_BYTES);
        // A text that is as long as is of use may have been longer, by a character that did not fit at least.
        let seen = LINE_BYTES + redactor.longest() - char::MAX_LEN_UTF8;
        let mut clean = |text: &str| {
            let missing = usize::from(text.len() > seen);
            let (kept, missing) = redactor.redact_within(text, missing, room);
            room = room.saturating_sub(kept.len());
            if missing > 0 {
                format!("{kept}…")
            } else {
                kept
            }
        };
        *message = clean(message);
        for value in fields.values_mut() {
            if let Value::String(text) = value {
                *text = clean(text);
            }
        }
    }

    fn volume(&self) -> MutexGuard<'_, Volume> {
        // The counts are right whoever panicked while holding them.
        self.volume.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes so many bytes of what is written, and then fails: whoever writes stops there.
pub(super) struct Beginning {
    pub(super) text: String,
    pub(super) max_bytes: usize,
}

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = &text[..text.floor_char_boundary(self.max_bytes - self.text.len())];
        self.text.push_str(taken);
        if taken.len() == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}
