//! What a dead process has left in the ensemble, given back by its guardian.
//!
//! The guardian asks for a session of its own when it needs one. It reads what is there, and gives back only what a session of
//! the dead process owns. Requests of the dead process that are still on their way find its candidate gone: see
//! [`TaskNodes::give_back`](crate::task::TaskNodes).

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};
use zookeeper_client::Error;

use crate::connect::{Ensemble, SessionError};
use crate::error::{Doing, NodeError};
use crate::session::Visit;
use crate::task::{Returned, TaskNodes};
use soloist_core::backoff::Backoff;
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::guardian::{Death, Estate, Node, Place};
use soloist_core::records::{End, TaskPaths};

/// How many tasks are given back at once: as many requests are on their way together.
const AT_ONCE: usize = 256;

/// The first pause before a failed attempt is made again; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before a failed attempt is made again.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a request of the dead process may be on its way that would create what was not there at the first look.
const LATE: Duration = Duration::from_millis(100);

/// How long the end of the guardian's own session is waited for.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What has been given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// How many terms.
    pub terms: usize,
    /// How many places in queues, without those of the terms.
    pub places: usize,
    /// How many other nodes.
    pub nodes: usize,
    /// How many places and nodes could not be looked at, or not be given back: they go with their sessions.
    pub left: usize,
}

/// Gives back what a dead process has left, and reports each term that it led as released. It tries again until the ensemble
/// must have ended the sessions of the process by itself.
///
/// The caller has made sure that the process is dead: that all of its threads are gone.
///
/// # Cancellation safety
/// What has been given back stays so.
pub async fn give_back(
    ensemble: &Ensemble,
    host: &Arc<str>,
    mut estate: Estate,
    death: Death,
) -> GivenBack {
    let until = Instant::now() + ensemble.session_timeout;
    let (reason, detail) = death.reason();
    let end = End::now(reason, Some(&detail));
    let mut done = GivenBack::default();
    let mut pauses = Backoff::new(PAUSE, PAUSE_MAX);
    loop {
        let attempt = async {
            let visit = Visit::begin(ensemble, host).await?;
            let heir = Heir {
                visit: &visit,
                root: &ensemble.root,
                end: &end,
            };
            let left = heir.give_back(&mut estate, &mut done).await;
            visit.end(CLOSE_TIME).await;
            left.map_err(SessionError::from)
        };
        let error = match timeout_at(until, attempt).await {
            Ok(Ok(())) => return done,
            Ok(Err(error)) => chain(&error),
            Err(_) => "the ensemble does not answer".to_owned(),
        };
        let pause = pauses.step();
        let is_over = Instant::now() + pause >= until;
        About::Session.report(&Event::SessionError {
            text: format!("cannot give back all that the process had: {error}"),
            retry_in: (!is_over).then_some(Seconds(pause)),
        });
        if is_over {
            done.left += estate.places.len() + estate.nodes.len();
            return done;
        }
        sleep(pause).await;
    }
}

/// The guardian's session, and what it needs to give back.
struct Heir<'a> {
    visit: &'a Visit,
    root: &'a str,
    end: &'a End,
}

impl Heir<'_> {
    /// Gives everything back. What fails stays in the estate, and the last error is given.
    async fn give_back(&self, estate: &mut Estate, done: &mut GivenBack) -> Result<(), NodeError> {
        // The server may not have heard of the last writes of the dead process.
        let client = self.visit.session().client();
        client
            .sync("/")
            .await
            .map_err(NodeError::at(Doing::Read, "/"))?;
        let late = self.look(estate, done).await?;
        if late.places.is_empty() && late.nodes.is_empty() {
            return Ok(());
        }
        sleep(LATE).await;
        *estate = late;
        self.look(estate, done).await.map(drop)
    }

    /// Looks at everything once, and gives back what is there. Gives what was not there and may still come: what the process
    /// was about to create.
    async fn look(&self, estate: &mut Estate, done: &mut GivenBack) -> Result<Estate, NodeError> {
        let mut failed = None;
        let mut late = Estate::default();
        let places = std::mem::take(&mut estate.places);
        let returned = stream::iter(places)
            .map(|place| async { (self.place(&place).await, place) })
            .buffer_unordered(AT_ONCE);
        futures::pin_mut!(returned);
        while let Some((returned, place)) = returned.next().await {
            match returned {
                Ok(Returned {
                    term,
                    stood,
                    is_left,
                }) => {
                    if !stood && place.candidates.is_empty() {
                        late.places.push(place);
                    }
                    done.left += usize::from(is_left);
                    done.places += usize::from(stood && term.is_none());
                    if let Some(term) = term {
                        done.terms += 1;
                        About::Term(&term).report(&Event::Released {
                            number: term.number,
                            stands_again_in: None,
                        });
                    }
                }
                Err(error) => {
                    estate.places.push(place);
                    failed = Some(error);
                }
            }
        }
        let nodes = std::mem::take(&mut estate.nodes);
        let deleted = stream::iter(nodes)
            .map(|node| async { (self.node(&node).await, node) })
            .buffer_unordered(AT_ONCE);
        futures::pin_mut!(deleted);
        while let Some((deleted, node)) = deleted.next().await {
            match deleted {
                Ok(true) => done.nodes += 1,
                Ok(false) => late.nodes.push(node),
                Err(error) => {
                    estate.nodes.push(node);
                    failed = Some(error);
                }
            }
        }
        match failed {
            None => Ok(late),
            Some(error) => {
                // The next attempt looks at these as well.
                estate.places.append(&mut late.places);
                estate.nodes.append(&mut late.nodes);
                Err(error)
            }
        }
    }

    async fn place(&self, place: &Place) -> Result<Returned, NodeError> {
        let paths = TaskPaths::new(self.root, &place.task, place.master.as_deref());
        let (session, task) = (Arc::clone(self.visit.session()), Arc::from(&*place.task));
        TaskNodes::left_by(place.session, session, Arc::new(paths), task)
            .give_back(place, self.end)
            .await
    }

    /// Deletes a node, if that session still owns it. Says whether it did.
    async fn node(&self, Node { session, path }: &Node) -> Result<bool, NodeError> {
        let client = self.visit.session().client();
        let failed = NodeError::at(Doing::Write, path);
        loop {
            let stat = client.check_stat(path).await.map_err(failed)?;
            let Some(stat) = stat.filter(|stat| stat.ephemeral_owner == *session) else {
                return Ok(false);
            };
            // A write of the dead process may still arrive, or another process make a node of its own.
            match client.delete(path, Some(stat.version)).await {
                Ok(()) => return Ok(true),
                Err(Error::NoNode | Error::BadVersion) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}
