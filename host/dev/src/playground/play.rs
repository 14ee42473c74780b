//! The loop: orders, changes of the sources, the end.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use soloist_config::{Config, ConnectString};
use soloist_core::clock::TaskClock;
use soloist_core::event::chain;
use soloist_runtime::host::HostError;
use soloist_runtime::reload::Setup;
use soloist_runtime::shutdown::Shutdown;
use soloist_sandbox::Plugin;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::Level;

use super::member::Part;
use super::order::{Order, UnknownOrder};
use super::pair::{OrderError, Pair};
use super::sources::Sources;
use super::teller::Teller;
use crate::ensemble::{Clock, Ensemble, EnsembleError, Settings};

/// The pause between two looks at the sources.
const LOOK_PAUSE: Duration = Duration::from_millis(150);

/// A playground has failed.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// There is no ensemble.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// A host has ended by itself, or not as it was told to.
    #[error("host {host} has ended")]
    Host {
        /// The host.
        host: &'static str,
        /// Why.
        source: HostError,
    },
    /// A script orders what does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownOrder),
    /// Orders of a script were not carried out.
    #[error("orders that were not carried out: {0}, see above")]
    Refused(usize),
}

/// What is played.
#[derive(Debug)]
pub struct Made {
    /// The configuration, with one task. Where its ensemble is does not matter.
    pub config: Config,
    /// The task with all that decides what runs.
    pub setup: Setup,
    /// The plugin of the task. It goes by the clock of the game.
    pub plugin: Arc<Plugin>,
}

/// Makes what is played, again and again.
pub trait Maker: Send + Sync + 'static {
    /// Builds, reads the configuration and loads the plugin. Blocks for as long as that takes.
    ///
    /// # Errors
    /// What is wrong, for a person.
    fn make(&self) -> Result<Made, String>;

    /// Whether that takes a compiler.
    fn builds(&self) -> bool;
}

/// A playground that is to be.
pub struct Game {
    /// What is played at first.
    pub first: Made,
    /// What makes it again.
    pub maker: Arc<dyn Maker>,
    /// What it is made of.
    pub sources: Sources,
    /// The time that the plugin lives by.
    pub clock: TaskClock,
    /// Hears of every event of this process, and tells what happens.
    pub teller: Arc<Teller>,
    /// Whether orders come from a script: an unknown one ends the game then, and one that fails is an error at the end.
    pub is_script: bool,
}

/// Plays until the order to quit, or until asked to stop. Orders are carried out one after the other. When no more can
/// come, the hosts go on.
///
/// # Errors
/// See [`PlayError`].
///
/// # Cancellation safety
/// None: the hosts would go on.
pub async fn play(
    game: Game,
    orders: mpsc::UnboundedReceiver<Result<Order, UnknownOrder>>,
    shutdown: Shutdown,
) -> Result<(), PlayError> {
    let Game {
        first,
        maker,
        sources,
        clock,
        teller,
        is_script,
    } = game;
    let Made {
        mut config,
        setup,
        plugin,
    } = first;
    let tick = config.zookeeper.tick_time;
    let ensemble = Ensemble::start(Settings {
        tick,
        clock: Clock::real(),
        ..Settings::default()
    })
    .await?;
    let address = ensemble.address();
    config.zookeeper.servers =
        ConnectString::new(&address.to_string()).expect("a loopback address is one of a server");
    let message = format!(
        "for development: hosts a and b and an ensemble in memory (127.0.0.1:{}), all in this process\n{}",
        address.port(),
        Order::keys()
    );
    teller.say(Level::INFO, None, "playing", &message);
    let part = Part { setup, plugin };
    let pair = Pair::start(ensemble, config, part, Arc::clone(&teller), clock)
        .map_err(PlayError::Thread)?;
    let sources = Arc::new(Watched {
        sources: Mutex::new(sources),
        changed: Notify::new(),
    });
    look_again_and_again(Arc::downgrade(&sources)).map_err(PlayError::Thread)?;
    let mut table = Table {
        pair,
        maker,
        sources,
        teller,
        is_script,
        refused: 0,
    };
    let played = tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        played = table.play(orders) => played,
    };
    let refused = table.refused;
    let ended = table.pair.end().await;
    played?;
    ended.map_err(|(host, source)| PlayError::Host { host, source })?;
    if is_script && refused > 0 {
        return Err(PlayError::Refused(refused));
    }
    Ok(())
}

/// The sources, and whether they may have changed.
struct Watched {
    sources: Mutex<Sources>,
    changed: Notify,
}

impl Watched {
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the sources on a thread of its own, until nobody is interested.
fn look_again_and_again(watched: Weak<Watched>) -> io::Result<()> {
    let look = move || {
        while let Some(watched) = watched.upgrade() {
            if watched.sources().has_changed() {
                watched.changed.notify_one();
            }
            drop(watched);
            thread::sleep(LOOK_PAUSE);
        }
    };
    thread::Builder::new()
        .name("sources".into())
        .spawn(look)
        .map(drop)
}

struct Table {
    pair: Pair,
    maker: Arc<dyn Maker>,
    sources: Arc<Watched>,
    teller: Arc<Teller>,
    is_script: bool,
    /// How many orders were not carried out.
    refused: usize,
}

impl Table {
    async fn play(
        &mut self,
        mut orders: mpsc::UnboundedReceiver<Result<Order, UnknownOrder>>,
    ) -> Result<(), PlayError> {
        loop {
            tokio::select! {
                Some(order) = orders.recv() => match order {
                    Ok(Order::Quit) => return Ok(()),
                    Ok(order) => self.order(order).await,
                    Err(unknown) if self.is_script => return Err(unknown.into()),
                    Err(unknown) => self.teller.say(Level::WARN, None, "unknown", &unknown.to_string()),
                },
                () = self.sources.changed.notified() => {
                    let is_behind = self.sources.sources().is_behind();
                    if is_behind {
                        self.reload(false).await;
                    }
                }
                (host, ended) = self.pair.failed() => match ended {
                    Err(source) => return Err(PlayError::Host { host, source }),
                    Ok(()) => return Ok(()),
                },
            }
        }
    }

    async fn order(&mut self, order: Order) {
        if order.needs_two() {
            self.pair.settle().await;
        }
        let done = match order {
            Order::Elect => self.pair.hand_over(true).await,
            Order::Demote => self.pair.hand_over(false).await,
            Order::FailOver => self.pair.fail_over().await,
            Order::Expire => self.pair.expire().await,
            Order::Cut => self.pair.cut().await,
            Order::Show => self.pair.show().await,
            Order::Reload => return self.reload(true).await,
            Order::Hour => return self.pair.put_ahead(),
            Order::Help => {
                return self
                    .teller
                    .say(Level::INFO, None, "keys", &format!("\n{}", Order::help()));
            }
            Order::Quit => return,
        };
        if let Err(error) = done {
            self.refuse(&error);
        }
    }

    fn refuse(&mut self, error: &OrderError) {
        self.refused += 1;
        self.teller.say(Level::WARN, None, "refused", &chain(error));
    }

    /// Makes the plugin again and exchanges it, if it differs or somebody has asked for that. Otherwise, and if it cannot be
    /// made, the old one goes on.
    async fn reload(&mut self, is_asked_for: bool) {
        self.sources.sources().build_begins(is_asked_for);
        if self.maker.builds() {
            self.teller
                .say(Level::INFO, None, "building", "the sources have changed");
        }
        let made = make(Arc::clone(&self.maker)).await;
        let restless = self.sources.sources().build_ends();
        for file in restless {
            let message = format!(
                "{} changes whenever it is built: it is not looked at any more, until somebody orders to reload",
                file.display()
            );
            self.teller.say(Level::WARN, None, "left-out", &message);
        }
        let Made {
            config,
            setup,
            plugin,
        } = match made {
            Ok(made) => made,
            Err(why) => {
                self.refused += usize::from(is_asked_for);
                let message = format!("the old plugin goes on: {why}");
                return self
                    .teller
                    .say(Level::ERROR, None, "not-reloaded", &message);
            }
        };
        if !is_asked_for && setup == *self.pair.setup() {
            return self.teller.say(
                Level::INFO,
                None,
                "unchanged",
                "the plugin is the same: it goes on",
            );
        }
        let part = Part { setup, plugin };
        match self.pair.exchange(&config, part).await {
            Ok(()) => self
                .teller
                .say(Level::INFO, None, "reloaded", "the new plugin leads"),
            Err(error) => self.refuse(&error),
        }
    }
}

/// Makes it on a thread of its own, for which the end of the process does not wait.
async fn make(maker: Arc<dyn Maker>) -> Result<Made, String> {
    let (sender, made) = oneshot::channel();
    thread::Builder::new()
        .name("make".into())
        .spawn(move || drop(sender.send(maker.make())))
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    made.await
        .unwrap_or_else(|_| Err("making it has failed".into()))
}
