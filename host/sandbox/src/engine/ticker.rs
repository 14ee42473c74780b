//! The clock tick that interrupts guests.

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
    /// The engines that have guests, with how many.
    engines: Vec<(EngineWeak, usize)>,
    stopped: bool,
}

impl Live {
    fn position(&self, of: &EngineWeak) -> Option<usize> {
        let of = of.upgrade()?;
        let is_it = |engine: &EngineWeak| {
            engine
                .upgrade()
                .is_some_and(|engine| Engine::same(&engine, &of))
        };
        self.engines.iter().position(|(engine, _)| is_it(engine))
    }
}

impl TickerState {
    fn update(&self, change: impl FnOnce(&mut Live)) {
        // The counts are right whoever panicked while holding them.
        change(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn begin(&self, engine: &Engine) {
        let engine = engine.weak();
        self.update(|live| match live.position(&engine) {
            Some(at) => live.engines[at].1 += 1,
            None => live.engines.push((engine, 1)),
        });
    }

    fn end(&self, engine: &EngineWeak) {
        self.update(|live| match live.position(engine) {
            Some(at) if live.engines[at].1 > 1 => live.engines[at].1 -= 1,
            Some(at) => drop(live.engines.swap_remove(at)),
            None => live
                .engines
                .retain(|(engine, _)| engine.upgrade().is_some()),
        });
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
            (live, _) = self
                .changed
                .wait_timeout(live, EPOCH_TICK)
                .unwrap_or_else(PoisonError::into_inner);
            for engine in live
                .engines
                .iter()
                .filter_map(|(engine, _)| engine.upgrade())
            {
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

    /// Guests of this engine are interrupted for as long as the returned value lives.
    pub(crate) fn tick(&self, engine: &Engine) -> Ticking {
        self.state.begin(engine);
        Ticking {
            state: Arc::clone(&self.state),
            engine: engine.weak(),
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

/// Keeps the ticker at one guest.
pub(crate) struct Ticking {
    state: Arc<TickerState>,
    engine: EngineWeak,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.state.end(&self.engine);
    }
}
