//! The heartbeats, which renew the lease.

use std::time::Duration;

use zookeeper_client::Error;

use super::keeper::Keeper;
use super::view::Session;
use crate::connect::SessionError;
use crate::error::{Doing, NodeError};
use soloist_core::clock::{self, Moment};
use soloist_core::event::{Event, Seconds, chain};
use soloist_core::lease::{Lease, Timing};
use soloist_core::records;
use soloist_core::roster::roster;

impl Keeper {
    /// Renews the lease. Returns when the host has to give the session up: a task has let it go, another session owns the host's
    /// node, or the servers leave no room for a lease.
    pub(super) async fn heartbeats(
        &self,
        session: &Session,
        lease: &mut Lease,
        timing: &mut Timing,
    ) {
        let path = self.node();
        let mut agreed = self.probe.changes();
        let mut failing = false;
        let mut beat = Box::pin(self.beat(session, clock::now(), &path));
        loop {
            let (sent, outcome) = tokio::select! {
                beaten = &mut beat => beaten,
                () = session.left.notified() => return self.leave(session, lease).await,
                // The sender lives as long as the keeper.
                _ = agreed.changed() => {
                    match self.shorten(session, lease, timing.session_timeout()) {
                        Ok(shorter) => *timing = shorter.unwrap_or(*timing),
                        Err(error) => {
                            self.about().report(&Event::session_error(chain(&error)));
                            return self.leave(session, lease).await;
                        }
                    }
                    continue;
                }
            };
            beat.set(self.beat(session, sent + timing.heartbeat(), &path));
            match outcome {
                Ok(None) => {
                    failing = false;
                    let committed = clock::now();
                    lease.committed(sent, committed);
                    session.deadline.set(lease.deadline());
                    if let Some(roster) = roster() {
                        roster.heartbeat(committed.saturating_since(sent));
                    }
                }
                Ok(Some(owner)) if records::is_session(owner) => {
                    let message = format!(
                        "host id {} was taken by session {owner:#x}",
                        self.settings.host
                    );
                    self.about().report(&Event::session_error(message));
                    return self.leave(session, lease).await;
                }
                Ok(Some(_)) => {
                    let error = SessionError::Unowned { path: path.clone() };
                    self.about().report(&Event::session_error(chain(&error)));
                    return self.leave(session, lease).await;
                }
                // Without an answer the lease is not renewed. `follow` reports the lost connection.
                Err(Error::ConnectionLoss | Error::SessionExpired | Error::Custom(_)) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = NodeError::at(Doing::Heartbeat, &path)(error);
                        self.about().report(&Event::session_error(chain(&error)));
                    }
                }
            }
        }
    }

    /// Ends the lease after the time of a demotion, so that the session's tasks can stop in good order.
    async fn leave(&self, session: &Session, lease: &mut Lease) {
        let end = clock::now() + *self.demote_timeout.borrow();
        let mut agreed = self.probe.changes();
        loop {
            // The session may still move to a server that grants a shorter timeout.
            if let Some((_, to)) = self.probe.shortest() {
                lease.shorten(to);
            }
            let end = end.min(lease.deadline());
            session.deadline.set(end);
            // Wakes all that sleep until the old deadline.
            self.view.send_modify(|_| {});
            tokio::select! {
                () = clock::sleep_until(end) => return,
                // The sender lives as long as the keeper.
                _ = agreed.changed() => {}
            }
        }
    }

    /// Sends a heartbeat at `due`, or at once if `due` has passed. Gives the time at which it was sent, and the answer: the
    /// owner of the host's node, if that is not this session.
    async fn beat(
        &self,
        session: &Session,
        due: Moment,
        path: &str,
    ) -> (Moment, Result<Option<i64>, Error>) {
        clock::sleep_until(due).await;
        let sent = clock::now();
        let outcome = match session.client.set_data(path, &self.record(), None).await {
            Ok(stat) => Ok(Some(stat.ephemeral_owner).filter(|owner| *owner != session.id())),
            // Somebody has deleted the node. To create it is a committed write as well.
            Err(Error::NoNode) => self.register(session, path).await,
            Err(error) => Err(error),
        };
        (sent, outcome)
    }

    /// Shortens the lease to the shortest session timeout that a server is known to grant. Gives the new times, if they change.
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
        // This also wakes all that sleep until the old deadline.
        self.view
            .send_modify(|view| view.session_timeout = Some(to));
        self.about().report(&Event::SessionShortened {
            server,
            session_timeout: Seconds(to),
            before: from,
        });
        self.timing(to).map(Some)
    }
}
