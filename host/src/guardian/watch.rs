//! The guardian's part: it waits for the death of the process, and does what follows.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use rustix::process::Signal;
use soloist_admin::{Listener, Obituary, Tls, TlsFiles};
use soloist_config::EnsembleConfig;
use soloist_coordination::guardian::{GivenBack, give_back};
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::guardian::{Death, Estate, OnDeath, Past, next_pause};
use soloist_core::secret::Secret;
use soloist_runtime::host::ensemble;
use soloist_runtime::report::LastLines;
use soloist_runtime::signals::ignores_hangup;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::sleep;

use super::process::Process;
use super::service::Service;
use crate::service::Manager;

/// How long the guardian still gives back once it is asked to stop.
const LAST_TIME: Duration = Duration::from_secs(1);

/// Sets up the log in the name of a host.
type Speak = dyn FnOnce(&str) -> anyhow::Result<LastLines>;

/// What the guardian knows before it starts the process.
pub(crate) struct Guardian {
    /// The ensemble, as the process knows it too. Certificates are read when they are needed: they may have been exchanged.
    pub(crate) ensemble: EnsembleConfig,
    /// The id of the host.
    pub(crate) host: Arc<str>,
    /// Nobody has set it: the processes are told of it, so that all of them have the same.
    pub(crate) is_host_drawn: bool,
    /// What follows a death.
    pub(crate) on_death: OnDeath,
    /// The service manager, if there is one.
    pub(crate) manager: Option<Manager>,
    /// The address at which the host answers, if it does. The guardian has it, so that it is the same for each process, and
    /// answers there while there is none.
    pub(crate) door: Option<Door>,
    /// Makes it able to say something in the name of a host. It says nothing until the process has died.
    pub(crate) speak: Box<Speak>,
}

/// Where the host answers, and whom.
#[derive(Debug)]
pub(crate) struct Door {
    /// The address.
    pub(crate) listener: Listener,
    /// The certificates, if it answers over TLS. They are read when they are needed.
    pub(crate) tls: Option<TlsFiles>,
    /// What a request has to show, if anything.
    pub(crate) token: Option<Secret>,
    /// Whether everybody who can reach the address may ask without that.
    pub(crate) is_open: bool,
}

impl fmt::Debug for Guardian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guardian")
            .field("host", &self.host)
            .field("on_death", &self.on_death)
            .finish_non_exhaustive()
    }
}

/// The signals that the host handles: they are passed on.
struct Heard {
    terminate: Signals,
    interrupt: Signals,
    hang_up: Option<Signals>,
    abort: Signals,
    child: Signals,
}

/// What the guardian hears of.
enum Happened {
    Asked(Signal),
    ChildEnded,
}

impl Guardian {
    /// Starts the process, and guards it until one ends that is not started again. Gives the code to exit with.
    ///
    /// # Errors
    /// The process cannot be started, or the system refuses what the guardian needs.
    pub(crate) fn guard(self) -> anyhow::Result<u8> {
        // Everything happens on this thread.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime of the guardian")?
            .block_on(self.watch())
    }

    async fn watch(self) -> anyhow::Result<u8> {
        let mut heard = Heard::new().context("cannot listen to signals")?;
        let (mut speak, mut voice) = (Some(self.speak), None);
        let guarded = Guarded {
            config: self.ensemble,
            host: self.host,
            door: self.door,
        };
        let mut pauses = None;
        let mut past = Past::default();
        let mut service = Service::new(self.manager);
        loop {
            service.starts();
            let host_id = self.is_host_drawn.then_some(&*guarded.host);
            let listener = guarded.door.as_ref().map(|door| door.listener.socket());
            let mut process = Process::start(host_id, &past, listener).context(
                "cannot start the process that runs plugins; --no-guardian does without",
            )?;
            let mut asked_to_stop = false;
            let death = loop {
                let happened = tokio::select! {
                    state = process.listen() => {
                        service.heard(state);
                        continue;
                    }
                    () = service.tell_again() => continue,
                    happened = heard.next() => happened,
                };
                match happened {
                    // The service manager has not heard of the process for too long. It is ended here, so that what it has is
                    // given back: the manager would end both.
                    Happened::Asked(Signal::ABORT) => {
                        asked_to_stop = true;
                        process.signal(Signal::KILL);
                    }
                    Happened::Asked(signal) => {
                        // Whether SIGHUP means to stop the process knows; it exits with 0 if it does.
                        asked_to_stop |= signal != Signal::HUP;
                        process.signal(signal);
                    }
                    Happened::ChildEnded => {
                        if let Some(death) = process.reap() {
                            break death;
                        }
                    }
                }
            };
            let died = Instant::now();
            let lived = died.duration_since(process.since());
            let pause = next_pause(death, self.on_death, asked_to_stop, lived, &mut pauses);
            past.died(death, now_in_seconds(), pause.is_some());
            let estate = process.into_ledger().estate();
            if pause.is_some() || estate.is_some() {
                service.died(death, pause);
            }
            if voice.is_none() && (pause.is_some() || estate.is_some()) {
                voice = speak.take().map(|speak| speak(&guarded.host)).transpose()?;
            }
            if pause.is_some() || estate.is_some() {
                About::Session.report(&Event::HostDied {
                    how: death.to_string(),
                    restart_in: pause.map(Seconds),
                });
            }
            let ends = tokio::select! {
                ends = guarded.clear_up(&mut heard, estate, death, died, pause) => ends,
                // It goes on for as long as there is no process.
                () = service.feed() => None,
                never = guarded.answer(death, past) => match never {},
            };
            if let Some(code) = ends {
                service.stops();
                drop(voice);
                return Ok(code);
            }
        }
    }
}

/// What stays while processes come and go.
struct Guarded {
    config: EnsembleConfig,
    host: Arc<str>,
    door: Option<Door>,
}

impl Guarded {
    /// Gives back what the process had, and waits until it is time to start the next one. Gives the code to exit with, if there
    /// is to be none.
    async fn clear_up(
        &self,
        heard: &mut Heard,
        estate: Option<Estate>,
        death: Death,
        died: Instant,
        pause: Option<Duration>,
    ) -> Option<u8> {
        if let Some(estate) = estate {
            tokio::select! {
                () = free(&self.config, &self.host, estate, death, died) => {}
                // What is left goes with its session. Usually all is done within milliseconds.
                () = async {
                    heard.asked_to_stop().await;
                    sleep(LAST_TIME).await;
                } => return Some(death.exit_code()),
            }
        }
        let Some(pause) = pause else {
            return Some(death.exit_code());
        };
        tokio::select! {
            () = sleep(pause) => None,
            () = heard.asked_to_stop() => Some(0),
        }
    }

    /// Answers in the place of the dead process, if it answered somewhere. The certificates are read anew: they may have been
    /// exchanged.
    async fn answer(&self, death: Death, past: Past) -> Infallible {
        if let Some(door) = &self.door {
            let host = Arc::clone(&self.host);
            let obituary = Obituary::new(host, death, past, door.token.as_ref(), door.is_open);
            let answered = async {
                let tls = door.tls.clone().map(Tls::load).transpose()?;
                door.listener.mourn(tls, obituary).await?;
                anyhow::Ok(())
            };
            if let Err(error) = answered.await {
                tracing::warn!(
                    "nothing is answered at `listen` until the process runs again: {error:#}"
                );
            }
        }
        std::future::pending().await
    }
}

/// The time, in seconds since 1970.
fn now_in_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

async fn free(
    config: &EnsembleConfig,
    host: &Arc<str>,
    estate: Estate,
    death: Death,
    died: Instant,
) {
    let GivenBack {
        terms,
        places,
        nodes,
        left,
    } = match ensemble(config) {
        Ok(ensemble) => give_back(&ensemble, host, estate, death).await,
        Err(error) => {
            About::Session.report(&Event::session_error(chain(&error)));
            GivenBack {
                left: estate.places.len() + estate.nodes.len(),
                ..GivenBack::default()
            }
        }
    };
    About::Session.report(&Event::GivenBack {
        terms,
        places,
        nodes,
        left,
        took: Seconds(died.elapsed()),
    });
}

impl Heard {
    fn new() -> std::io::Result<Self> {
        // Who was started to ignore it, as `nohup` does, goes on ignoring it, and so does the process.
        let hang_up = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: hang_up.transpose()?,
            abort: signal(SignalKind::from_raw(Signal::ABORT.as_raw()))?,
            child: signal(SignalKind::child())?,
        })
    }

    async fn next(&mut self) -> Happened {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => drop(hang_up.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Happened::Asked(Signal::TERM),
            _ = self.interrupt.recv() => Happened::Asked(Signal::INT),
            () = hang_up => Happened::Asked(Signal::HUP),
            _ = self.abort.recv() => Happened::Asked(Signal::ABORT),
            _ = self.child.recv() => Happened::ChildEnded,
        }
    }

    /// Waits for a signal that asks to stop, while there is no process that it could be passed on to.
    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
