//! Sessions: who they are, and until when. Time is a parameter.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::watches::ConnectionId;

/// How long a password of a session is.
const PASSWORD_BYTES: usize = 16;
/// The shortest and the longest timeout, in ticks.
const TICKS: (u32, u32) = (2, 20);

/// What the passwords of all sessions are made from. Never printed.
#[derive(Clone, Copy)]
pub(super) struct Secret(pub(super) [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// What was agreed on.
    pub(super) timeout: Duration,
    /// When it is over, if nothing is heard of it.
    pub(super) expiry: Duration,
    /// The connection that it uses.
    pub(super) connection: Option<ConnectionId>,
    /// Until when it is denied a connection.
    pub(super) cut_until: Duration,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: BTreeMap<i64, Session>,
    tick: Duration,
    last_id: i64,
    secret: Secret,
}

impl Sessions {
    /// None. The first will have a number above `last_id`.
    pub(super) fn new(tick: Duration, last_id: i64, secret: Secret) -> Self {
        Self {
            by_id: BTreeMap::new(),
            tick,
            last_id,
            secret,
        }
    }

    /// The timeout that is agreed on where so many milliseconds are asked for.
    pub(super) fn negotiate(&self, asked: i32) -> Duration {
        let asked = Duration::from_millis(u64::try_from(asked).unwrap_or(0));
        asked.clamp(self.tick * TICKS.0, self.tick * TICKS.1)
    }

    /// Begins a session.
    pub(super) fn begin(&mut self, timeout: Duration, now: Duration) -> i64 {
        self.last_id += 1;
        self.restore(self.last_id, timeout, now);
        self.last_id
    }

    /// Puts a session back that was there before.
    pub(super) fn restore(&mut self, id: i64, timeout: Duration, now: Duration) {
        self.last_id = self.last_id.max(id);
        let session = Session {
            timeout,
            expiry: expiry(self.tick, timeout, now),
            connection: None,
            cut_until: Duration::ZERO,
        };
        self.by_id.insert(id, session);
    }

    /// Something was heard of a session.
    pub(super) fn touch(&mut self, id: i64, now: Duration) {
        let tick = self.tick;
        if let Some(session) = self.by_id.get_mut(&id) {
            session.expiry = expiry(tick, session.timeout, now);
        }
    }

    pub(super) fn end(&mut self, id: i64) -> Option<Session> {
        self.by_id.remove(&id)
    }

    pub(super) fn get(&self, id: i64) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: i64) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = (i64, &Session)> {
        self.by_id.iter().map(|(id, session)| (*id, session))
    }

    /// What proves that a session is the client's own.
    pub(super) fn password(&self, id: i64) -> [u8; PASSWORD_BYTES] {
        let digest = Sha1::new()
            .chain_update(self.secret.0)
            .chain_update(id.to_be_bytes());
        let digest: [u8; 20] = digest.finalize().into();
        std::array::from_fn(|index| digest[index])
    }

    /// The next moment at which a session is over.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.by_id.values().map(|session| session.expiry).min()
    }

    /// A session that is over.
    pub(super) fn expired(&self, now: Duration) -> Option<i64> {
        let mut over = self.all().filter(|(_, session)| session.expiry <= now);
        over.next().map(|(id, _)| id)
    }

    pub(super) fn secret(&self) -> Secret {
        self.secret
    }

    /// The highest id that was ever given.
    pub(super) fn last_id(&self) -> i64 {
        self.last_id
    }
}

/// ZooKeeper ends sessions at whole ticks only: the first one after the timeout.
fn expiry(tick: Duration, timeout: Duration, now: Duration) -> Duration {
    let tick = tick.as_millis().max(1);
    let ticks = now.saturating_add(timeout).as_millis() / tick + 1;
    Duration::from_millis(u64::try_from(ticks * tick).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    fn sessions() -> Sessions {
        Sessions::new(TICK, 0x100, Secret([7; 32]))
    }

    #[test]
    fn a_timeout_is_at_least_two_ticks_and_at_most_twenty() {
        let agreed = |asked| sessions().negotiate(asked).as_millis();
        assert_eq!(agreed(i32::MIN), 1000);
        assert_eq!(agreed(100), 1000);
        assert_eq!(agreed(1500), 1500);
        assert_eq!(agreed(i32::MAX), 10_000);
    }

    #[test]
    fn a_session_is_over_at_the_first_tick_after_its_timeout() {
        let mut sessions = sessions();
        let at = Duration::from_millis;
        let id = sessions.begin(at(1000), at(250));
        assert_eq!(sessions.next_expiry(), Some(at(1500)));
        sessions.touch(id, at(500));
        assert_eq!(sessions.next_expiry(), Some(at(2000)));
        assert_eq!(sessions.expired(at(1999)), None);
        assert_eq!(sessions.expired(at(2000)), Some(id));
    }

    #[test]
    fn each_session_has_a_password_of_its_own() {
        let sessions = sessions();
        assert_ne!(sessions.password(1), sessions.password(2));
        let others = Sessions::new(TICK, 0x100, Secret([8; 32]));
        assert_ne!(sessions.password(1), others.password(1));
    }
}
