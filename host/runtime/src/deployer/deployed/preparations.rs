//! The generations of one task that the host prepares, and how far it is with each.

use std::collections::VecDeque;
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

/// How many generations are remembered that this host does not take and that are not named any more: whoever names them in turns
/// has each of them judged once.
const REFUSED_MAX: usize = 16;
/// After so many that were refused and none that was ready, the next one waits: somebody makes them up.
const REFUSALS_MAX: u32 = 8;
/// For how long it waits.
const DISTRUST: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));

/// The generations that the host prepares.
pub(super) struct Preparations {
    all: Vec<Preparation>,
    /// Those that were refused when they were named last, the latest one at the end.
    refused: VecDeque<Preparation>,
    /// How many were refused since the last one was ready.
    refusals: u32,
    distrust: Backoff,
    /// Until then none is judged for the first time.
    waits_until: Moment,
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

impl Default for Preparations {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            refused: VecDeque::new(),
            refusals: 0,
            distrust: DISTRUST,
            waits_until: Moment::default(),
            under_way: JoinSet::new(),
            retired: Vec::new(),
            news: Vec::new(),
        }
    }
}

enum State {
    Preparing,
    Ready(Ready),
    Unready {
        reason: String,
        again_at: Moment,
        is_refused: bool,
    },
}

impl Preparation {
    fn new(generation: Generation) -> Self {
        Self {
            generation,
            state: State::Preparing,
            manifest: None,
            retry: RETRY,
            doubted_at: None,
            attempt: None,
        }
    }
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
            match preparation.state {
                State::Ready(ready) => self.retired.push(ready.plugin),
                State::Unready {
                    is_refused: true, ..
                } => {
                    self.refused.push_back(Preparation {
                        attempt: None,
                        ..preparation
                    });
                    if self.refused.len() > REFUSED_MAX {
                        self.refused.pop_front();
                    }
                }
                State::Preparing | State::Unready { .. } => {}
            }
        }
        for generation in named {
            if !self.all.iter().any(|it| it.generation == *generation) {
                let before = self
                    .refused
                    .iter()
                    .position(|it| it.generation == *generation);
                let before = before.and_then(|index| self.refused.remove(index));
                self.all
                    .push(before.unwrap_or_else(|| Preparation::new(*generation)));
            }
        }
        let now = clock::now();
        for it in &mut self.all {
            let is_due = match it.state {
                State::Preparing => self.waits_until <= now,
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
        self.refused.clear();
        self.trust();
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
            State::Preparing => Some(self.waits_until),
            State::Ready(_) => it.doubted_at,
        });
        dues.min()
    }

    /// What is to be told, once.
    pub(super) fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    /// Nobody makes generations up, as far as this host knows.
    fn trust(&mut self) {
        (self.refusals, self.waits_until) = (0, Moment::default());
        self.distrust.reset();
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
                self.trust();
            }
            Err(Unready {
                reason,
                manifest,
                is_refused,
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
                it.state = State::Unready {
                    reason,
                    again_at,
                    is_refused,
                };
                if is_refused && matches!(before, State::Preparing) {
                    self.refusals = self.refusals.saturating_add(1);
                    if self.refusals >= REFUSALS_MAX {
                        self.waits_until = clock::now() + self.distrust.step();
                    }
                }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use soloist_core::digest::Digest;

    use super::*;

    fn generation(number: u64) -> Generation {
        Generation {
            number,
            sha256: Digest::of(&number.to_be_bytes()),
        }
    }

    /// Names each of these in turn; says how often one was judged. Each of them is refused.
    async fn judged(preparations: &mut Preparations, named: impl Iterator<Item = u64>) -> usize {
        let times = Arc::new(AtomicUsize::new(0));
        for number in named {
            preparations.keep(&[generation(number)], |_, _| {
                times.fetch_add(1, Ordering::Relaxed);
                async {
                    Err(Unready {
                        reason: "nobody has signed it".into(),
                        manifest: None,
                        is_refused: true,
                    })
                }
            });
            if preparations.all.iter().any(|it| it.attempt.is_some()) {
                preparations.progress().await;
            }
        }
        times.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn whoever_names_refused_generations_in_turns_has_each_judged_once() {
        let mut preparations = Preparations::default();
        let named = (0..100).map(|turn| turn % 4);
        assert_eq!(judged(&mut preparations, named).await, 4);
        assert_eq!(preparations.news().len(), 4);
        let unready = preparations.readiness(generation(3));
        assert!(matches!(unready, Readiness::Unready { .. }), "{unready:?}");
        // What the host takes has changed.
        preparations.doubt();
        assert_eq!(judged(&mut preparations, 0..4).await, 4);
    }

    #[tokio::test]
    async fn whoever_makes_generations_up_has_few_judged() {
        let mut preparations = Preparations::default();
        let judged = judged(&mut preparations, 0..1000).await;
        assert_eq!(judged, REFUSALS_MAX as usize);
        assert!(preparations.refused.len() <= REFUSED_MAX);
        assert!(
            preparations.wake() > Some(clock::now()),
            "it is never judged"
        );
    }
}
