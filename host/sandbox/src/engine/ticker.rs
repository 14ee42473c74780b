//! The clock tick that interrupts guests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How often a guest that computes without a pause is interrupted, and so how late it sees the end of its permit.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Advances the epoch of every engine that has guests, on a thread of its own. The thread sleeps while there is no guest.
pub(crate) struct Ticker {
    state: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct TickerState {
    live: Mutex<Live>,
    changed: Condvar,
}

#[derive(Default)]
struct Live {
    /// The engines that have guests, by their numbers, with how many.
    engines: BTreeMap<u64, (EngineWeak, usize)>,
    /// How many engines there ever were.
    numbered: u64,
    stopped: bool,
}

/// An engine, as the ticker knows it.
pub(crate) struct Pulse {
    ticker: Arc<Ticker>,
    number: u64,
    engine: EngineWeak,
}

/// Keeps the ticker at one guest.
pub(crate) struct Ticking {
    state: Arc<TickerState>,
    number: u64,
}

impl TickerState {
    fn update<T>(&self, change: impl FnOnce(&mut Live) -> T) -> T {
        // The counts are right whoever panicked while holding them.
        let changed = change(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        changed
    }

    fn run(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        while !live.stopped {
            if live.engines.is_empty() {
                live = self
                    .changed
                    .wait(live)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // A whole tick: guests that come and go must not interrupt others more often.
            (live, _) = self
                .changed
                .wait_timeout_while(live, EPOCH_TICK, |live| !live.stopped)
                .unwrap_or_else(PoisonError::into_inner);
            let engines = live.engines.values();
            for engine in engines.filter_map(|(engine, _)| engine.upgrade()) {
                engine.increment_epoch();
            }
        }
    }
}

impl Ticker {
    /// Starts the thread. It ends with the returned value.
    pub(crate) fn start() -> io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let thread = std::thread::Builder::new()
            .name("soloist-epoch".into())
            .spawn({
                let state = Arc::clone(&state);
                move || state.run()
            })?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// What interrupts the guests of an engine.
    pub(crate) fn pulse(self: &Arc<Self>, engine: &Engine) -> Pulse {
        let number = self.state.update(|live| {
            live.numbered += 1;
            live.numbered
        });
        Pulse {
            ticker: Arc::clone(self),
            number,
            engine: engine.weak(),
        }
    }
}

impl Pulse {
    /// Guests of the engine are interrupted for as long as the returned value lives.
    pub(crate) fn tick(&self) -> Ticking {
        let state = &self.ticker.state;
        state.update(|live| {
            let none = || (self.engine.clone(), 0);
            live.engines.entry(self.number).or_insert_with(none).1 += 1;
        });
        Ticking {
            state: Arc::clone(state),
            number: self.number,
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.update(|live| live.stopped = true);
        if let Some(thread) = self.thread.take() {
            // The thread cannot have panicked: it only waits and counts.
            let _ = thread.join();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.state.update(|live| {
            if let Some((_, guests)) = live.engines.get_mut(&self.number) {
                *guests -= 1;
                if *guests == 0 {
                    live.engines.remove(&self.number);
                }
            }
        });
    }
}
