//! Polls a future on this thread, in the same order every time.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::world::World;

/// How often a future may be polled while the clock stands: one that goes beyond that never waits.
const POLLS_MAX: u32 = 1_000_000;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A future under way, and what it has come to.
pub(super) struct Driven<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    woken: Arc<Woken>,
    output: Option<T>,
}

impl<'a, T> Driven<'a, T> {
    pub(super) fn new(future: impl Future<Output = T> + 'a) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self {
            future: Some(Box::pin(future)),
            woken,
            output: None,
        }
    }

    pub(super) fn output(&self) -> Option<&T> {
        self.output.as_ref()
    }

    pub(super) fn into_output(self) -> Option<T> {
        self.output
    }

    pub(super) fn is_over(&self) -> bool {
        self.future.is_none()
    }

    /// Drops the future where it waits.
    pub(super) fn cut(&mut self, world: &Rc<World>) {
        let _entered = world.enter();
        self.future = None;
    }
}

/// What can be polled until it waits.
pub(super) trait Drive {
    /// Polls it if it was woken. Says whether it was.
    fn poll(&mut self, world: &Rc<World>) -> bool;
}

impl<T> Drive for Driven<'_, T> {
    fn poll(&mut self, world: &Rc<World>) -> bool {
        let Some(future) = &mut self.future else {
            return false;
        };
        if !self.woken.0.swap(false, Ordering::Relaxed) {
            return false;
        }
        let _entered = world.enter();
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.output = Some(output);
            self.future = None;
        }
        true
    }
}

/// Polls all of `driven` until each waits for the clock, or is over.
pub(super) fn settle(world: &Rc<World>, driven: &mut [&mut dyn Drive]) {
    for _ in 0..POLLS_MAX {
        let polled = driven
            .iter_mut()
            .map(|it| it.poll(world))
            .collect::<Vec<_>>();
        if !polled.contains(&true) {
            return;
        }
    }
    panic!(
        "the plugin was polled {POLLS_MAX} times while the clock stood: it wakes itself again and again, but waits for nothing"
    );
}
