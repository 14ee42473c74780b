//! What renews the lease.

use std::time::Duration;

use zookeeper_client::Error;

use super::{Keeper, Session};
use crate::connect::SessionError;
use crate::error::{Doing, NodeError};
use soloist_core::clock::{self, Moment};
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::lease::{Lease, Timing};
use soloist_core::records;

impl Keeper {
    /// Renews the lease, until the host's node turns out to be somebody else's, or the servers leave no room for a lease.
    pub(super) async fn heartbeats(
        &self,
        session: &Session,
        lease: &mut Lease,
        timing: &mut Timing,
    ) {
        let path = records::host_path(&self.settings.ensemble.root, &self.settings.host);
        let record = self.record();
        let mut agreed = self.probe.changes();
        let mut failing = false;
        let mut beat = Box::pin(self.beat(session, clock::now(), &path, &record));
        loop {
            let (sent, outcome) = tokio::select! {
                beaten = &mut beat => beaten,
                () = session.left.notified() => return self.leave(session, lease).await,
                // The sender lives as long as the keeper.
                _ = agreed.changed() => {
                    match self.shorten(session, lease, timing.session_timeout()) {
                        Ok(shorter) => *timing = shorter.unwrap_or(*timing),
                        Err(error) => {
                            About::Session.report(&Event::session_error(chain(&error)));
                            return self.leave(session, lease).await;
                        }
                    }
                    continue;
                }
            };
            beat.set(self.beat(session, sent + timing.heartbeat(), &path, &record));
            match outcome {
                Ok(None) => {
                    failing = false;
                    lease.committed(sent, clock::now());
                    session.deadline.set(lease.deadline());
                }
                Ok(Some(owner)) if records::is_session(owner) => {
                    let message = format!(
                        "host id {} was taken by session {owner:#x}",
                        self.settings.host
                    );
                    About::Session.report(&Event::session_error(message));
                    return self.leave(session, lease).await;
                }
                Ok(Some(_)) => {
                    let error = SessionError::Unowned { path: path.clone() };
                    About::Session.report(&Event::session_error(chain(&error)));
                    return self.leave(session, lease).await;
                }
                // Proves nothing: the lease simply is not renewed. That a connection is lost is reported elsewhere.
                Err(Error::ConnectionLoss | Error::SessionExpired | Error::Custom(_)) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = NodeError::at(Doing::Heartbeat, &path)(error);
                        About::Session.report(&Event::session_error(chain(&error)));
                    }
                }
            }
        }
    }

    /// Leaves the session's tasks the time of a demotion, so that they stop in good order, and no more.
    async fn leave(&self, session: &Session, lease: &mut Lease) {
        let end = clock::now() + *self.demote_timeout.borrow();
        let mut agreed = self.probe.changes();
        loop {
            // The session may still move to a server that agrees to less.
            if let Some((_, to)) = self.probe.shortest() {
                lease.shorten(to);
            }
            let end = end.min(lease.deadline());
            session.deadline.set(end);
            // Whoever sleeps until the old deadline has to look at the new one.
            self.view.send_modify(|_| {});
            tokio::select! {
                () = clock::sleep_until(end) => return,
                // The sender lives as long as the keeper.
                _ = agreed.changed() => {}
            }
        }
    }

    /// Sends a heartbeat at `due`, or at once if that is over; gives the time at which it was sent, and, when it was
    /// answered, the owner of what is at the place of the host's node, if that is not this session.
    async fn beat(
        &self,
        session: &Session,
        due: Moment,
        path: &str,
        record: &[u8],
    ) -> (Moment, Result<Option<i64>, Error>) {
        clock::sleep_until(due).await;
        let sent = clock::now();
        let outcome = match session.client.set_data(path, record, None).await {
            Ok(stat) => Ok(Some(stat.ephemeral_owner).filter(|owner| *owner != session.id())),
            // Somebody deleted the node. Creating it is a committed write as well.
            Err(Error::NoNode) => self.register(session, path).await,
            Err(error) => Err(error),
        };
        (sent, outcome)
    }

    /// Shortens the lease to what the servers are known to agree to; gives the new times, if they are new.
    fn shorten(
        &self,
        session: &Session,
        lease: &mut Lease,
        from: Duration,
    ) -> Result<Option<Timing>, SessionError> {
        let Some((server, to)) = self.probe.shortest().filter(|(_, to)| *to < from) else {
            return Ok(None);
        };
        lease.shorten(to);
        session.deadline.set(lease.deadline());
        // Whoever sleeps until the old deadline has to look at the new one as well.
        self.view
            .send_modify(|view| view.session_timeout = Some(to));
        About::Session.report(&Event::SessionShortened {
            server,
            session_timeout: Seconds(to),
            before: from,
        });
        self.timing(to).map(Some)
    }
}
