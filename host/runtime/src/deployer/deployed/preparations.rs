//! The generations of one task that the host prepares, and how far it is with each.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use soloist_config::Manifest;
use soloist_core::backoff::Backoff;
use soloist_core::clock::{self, Moment};
use soloist_core::event::{Event, Seconds};
use soloist_core::records::{Generation, Readiness};
use soloist_sandbox::Plugin;
use tokio::task::{AbortHandle, JoinSet};

use super::{Ready, Unready};

/// The pauses before a generation that could not be prepared is prepared again: a registry may be back, or a file.
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(5));

/// The generations that the host prepares.
#[derive(Default)]
pub(super) struct Preparations {
    all: Vec<Preparation>,
    under_way: JoinSet<(Generation, Result<Ready, Unready>)>,
    /// Plugins that may still run in a term. Whoever drops one last does so for milliseconds.
    retired: Vec<Arc<Plugin>>,
    news: Vec<Event>,
}

struct Preparation {
    generation: Generation,
    state: State,
    /// What its manifest says, once the host trusts it.
    manifest: Option<Arc<Manifest>>,
    retry: Backoff,
    /// When it has to be prepared again, although it is ready.
    doubted_at: Option<Moment>,
    /// The attempt that is under way, if one is.
    attempt: Option<AbortHandle>,
}

enum State {
    Preparing,
    Ready(Ready),
    Unready { reason: String, again_at: Moment },
}

impl Preparations {
    /// Prepares these generations, if that is not under way or done, and no others.
    pub(super) fn keep<F>(
        &mut self,
        named: &[Generation],
        prepare: impl Fn(Generation, Option<Arc<[u8]>>) -> F,
    ) where
        F: Future<Output = Result<Ready, Unready>> + Send + 'static,
    {
        let (kept, dropped) = std::mem::take(&mut self.all)
            .into_iter()
            .partition(|it| named.contains(&it.generation));
        self.all = kept;
        for preparation in Vec::from_iter::<Vec<Preparation>>(dropped) {
            if let Some(attempt) = &preparation.attempt {
                attempt.abort();
            }
            if let State::Ready(ready) = preparation.state {
                self.retired.push(ready.plugin);
            }
        }
        for generation in named {
            if !self.all.iter().any(|it| it.generation == *generation) {
                self.all.push(Preparation {
                    generation: *generation,
                    state: State::Preparing,
                    manifest: None,
                    retry: RETRY,
                    doubted_at: None,
                    attempt: None,
                });
            }
        }
        let now = clock::now();
        for it in &mut self.all {
            let is_due = match it.state {
                State::Preparing => true,
                State::Ready(_) => false,
                State::Unready { again_at, .. } => again_at <= now,
            };
            let is_doubted = it.doubted_at.is_some_and(|at| at <= now);
            if (is_due || is_doubted) && it.attempt.is_none() {
                it.doubted_at = None;
                let before = match &it.state {
                    State::Ready(ready) => Some(Arc::clone(&ready.data)),
                    _ => None,
                };
                let (generation, prepared) = (it.generation, prepare(it.generation, before));
                let attempt = async move { (generation, prepared.await) };
                it.attempt = Some(self.under_way.spawn(attempt));
            }
        }
        self.drop_retired();
    }

    /// Waits until one attempt has ended.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn progress(&mut self) {
        loop {
            match self.under_way.join_next().await {
                Some(Ok((generation, result))) => return self.ended(generation, result),
                // It was dropped; or it panicked, which is told, and the task stays as it is.
                Some(Err(_)) => {}
                None => pending().await,
            }
        }
    }

    /// What the host is allowed to take has changed: everything is judged anew. Until then things are as they were.
    pub(super) fn doubt(&mut self) {
        for it in &mut self.all {
            if let Some(attempt) = it.attempt.take() {
                attempt.abort();
            }
            it.doubted_at = Some(Moment::default());
            it.retry = RETRY;
        }
    }

    /// Those that are kept.
    pub(super) fn generations(&self) -> Vec<Generation> {
        self.all.iter().map(|it| it.generation).collect()
    }

    pub(super) fn ready(&self, generation: Generation) -> Option<&Ready> {
        match &self.find(generation)?.state {
            State::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    pub(super) fn manifest(&self, generation: Generation) -> Option<Arc<Manifest>> {
        self.find(generation)?.manifest.clone()
    }

    pub(super) fn readiness(&self, generation: Generation) -> Readiness {
        match self.find(generation).map(|it| &it.state) {
            None | Some(State::Preparing) => Readiness::Preparing,
            Some(State::Ready(_)) => Readiness::Ready,
            Some(State::Unready { reason, .. }) => Readiness::unready(reason),
        }
    }

    /// A generation that is ready cannot be run after all, for this reason.
    pub(super) fn refuse(&mut self, generation: Generation, reason: &str) {
        let unready = Unready {
            reason: reason.to_owned(),
            manifest: self.manifest(generation),
            is_refused: true,
        };
        self.ended(generation, Err(unready));
    }

    /// When the next one is to be prepared again.
    pub(super) fn wake(&self) -> Option<Moment> {
        let waiting = self.all.iter().filter(|it| it.attempt.is_none());
        let dues = waiting.filter_map(|it| match it.state {
            State::Unready { again_at, .. } => Some(again_at),
            _ => it.doubted_at,
        });
        dues.min()
    }

    /// What is to be told, once.
    pub(super) fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    fn find(&self, generation: Generation) -> Option<&Preparation> {
        self.all.iter().find(|it| it.generation == generation)
    }

    fn ended(&mut self, generation: Generation, result: Result<Ready, Unready>) {
        let Some(it) = self.all.iter_mut().find(|it| it.generation == generation) else {
            return;
        };
        it.attempt = None;
        let pause = match &result {
            Ok(_) => Duration::ZERO,
            Err(_) => it.retry.step(),
        };
        let again_at = clock::now() + pause;
        if let State::Ready(_) = it.state
            && let Err(failed) = &result
            && !failed.is_refused
        {
            it.doubted_at = Some(again_at);
            self.news.push(Event::DeployError {
                text: format!(
                    "generation {} goes on, though it could not be prepared anew: {}",
                    generation.number, failed.reason
                ),
                retry_in: Some(Seconds(pause)),
            });
            return;
        }
        let before = std::mem::replace(&mut it.state, State::Preparing);
        match result {
            Ok(ready) => {
                it.manifest = Some(Arc::clone(&ready.manifest));
                it.retry = RETRY;
                if !matches!(before, State::Ready(_)) {
                    self.news.push(Event::GenerationReady {
                        generation: generation.number,
                        digest: ready.manifest.artefact.sha256,
                    });
                }
                it.state = State::Ready(ready);
            }
            Err(Unready {
                reason, manifest, ..
            }) => {
                it.manifest = manifest.or(it.manifest.take());
                let is_told =
                    matches!(&before, State::Unready { reason: told, .. } if *told == reason);
                if !is_told {
                    self.news.push(Event::GenerationUnready {
                        generation: generation.number,
                        reason: reason.clone(),
                        retry_in: Seconds(pause),
                    });
                }
                it.state = State::Unready { reason, again_at };
            }
        }
        if let State::Ready(ready) = before {
            self.retired.push(ready.plugin);
        }
    }

    /// Drops the plugins that nobody else has, on a thread of its own: it takes milliseconds.
    fn drop_retired(&mut self) {
        let (done, used) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition::<Vec<_>, _>(|plugin| Arc::strong_count(plugin) == 1);
        self.retired = used;
        if !done.is_empty() {
            // Without a thread it takes them here.
            let _ = std::thread::Builder::new().spawn(move || drop(done));
        }
    }
}
