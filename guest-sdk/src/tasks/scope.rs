//! Tasks that end with `on_elected`.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::future::{AbortHandle, LocalBoxFuture, abortable};
use futures_util::stream::{FuturesUnordered, Stream};

thread_local! {
    /// The scope of the `on_elected` that this thread polls.
    static CURRENT: RefCell<Option<Rc<Spawned>>> = const { RefCell::new(None) };
}

type Spawned = RefCell<Vec<LocalBoxFuture<'static, ()>>>;

/// The tasks of one `on_elected`: dropped with it.
#[derive(Default)]
pub(crate) struct Scope {
    spawned: Rc<Spawned>,
    running: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

impl Scope {
    /// Polls what `on_elected` awaits, then its tasks.
    pub(crate) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut main: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        let _entered = Entered(CURRENT.replace(Some(Rc::clone(&self.spawned))));
        if let Poll::Ready(output) = main.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        loop {
            self.running.extend(self.spawned.take());
            if let Poll::Ready(None) | Poll::Pending =
                Pin::new(&mut self.running).poll_next(context)
                && self.spawned.borrow().is_empty()
            {
                return Poll::Pending;
            }
        }
    }
}

/// Gives the thread the scope back that it had.
struct Entered(Option<Rc<Spawned>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// What a task has come to, and who waits for that.
struct Slot<T> {
    output: Option<T>,
    waiting: Option<Waker>,
}

/// A task that was [spawned](spawn_scoped): awaited, it gives what the task returns. Dropped, it lets the task go on.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Plugin, Result, Term, sleep, spawn_scoped};
///
/// #[derive(Default)]
/// struct Impatient;
///
/// impl Plugin for Impatient {
///     async fn on_elected(&mut self, _: Term) -> Result {
///         let (short, long) = (Duration::from_secs(1), Duration::from_hours(1));
///         let quick = spawn_scoped(sleep(short));
///         let slow = spawn_scoped(async move { sleep(long).await; "done" });
///         sleep(2 * short).await;
///         assert!(quick.is_finished());
///         if !slow.is_finished() {
///             slow.cancel();
///         }
///         Ok(())
///     }
/// }
///
/// let test = Harness::new();
/// test.elect::<Impatient>().finish().unwrap();
/// assert_eq!(test.now(), Duration::from_secs(2));
/// ```
#[must_use = "the task goes on without it; write `drop(spawn_scoped(...))` to say that this is meant"]
pub struct Task<T> {
    slot: Rc<RefCell<Slot<T>>>,
    abort: AbortHandle,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

impl<T> Task<T> {
    /// Drops the task where it waits.
    pub fn cancel(self) {
        self.abort.abort();
    }

    /// Whether the task has returned.
    pub fn is_finished(&self) -> bool {
        self.slot.borrow().output.is_some()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.slot.borrow_mut();
        if let Some(output) = slot.output.take() {
            return Poll::Ready(output);
        }
        slot.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Runs `future` beside the rest of `on_elected`, until it returns. It lives no longer than `on_elected`: when that returns
/// or demotion drops it, the task is dropped where it waits. A panic in a task is one of the plugin.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Demotion, Plugin, Result, Term, info, sleep, spawn_scoped};
///
/// #[derive(Default)]
/// struct Two;
///
/// impl Plugin for Two {
///     async fn on_elected(&mut self, _: Term) -> Result {
///         let sum = spawn_scoped(async {
///             sleep(Duration::from_secs(2)).await;
///             1 + 1
///         });
///         drop(spawn_scoped(async {
///             loop {
///                 info!("still here");
///                 sleep(Duration::from_secs(1)).await;
///             }
///         }));
///         info!("the sum is {}", sum.await);
///         Ok(())
///     }
/// }
///
/// let test = Harness::new();
/// test.elect::<Two>().finish().unwrap();
/// assert_eq!(test.messages(), ["still here", "still here", "still here", "the sum is 2"]);
/// ```
///
/// # Panics
/// Panics outside of `on_elected`, and in `on_demoted`: nothing would run the task there.
pub fn spawn_scoped<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    let slot = Rc::new(RefCell::new(Slot {
        output: None,
        waiting: None,
    }));
    let (future, abort) = abortable(future);
    let task = Task {
        slot: Rc::clone(&slot),
        abort,
    };
    let run = async move {
        if let Ok(output) = future.await {
            let waiting = {
                let mut slot = slot.borrow_mut();
                slot.output = Some(output);
                slot.waiting.take()
            };
            waiting.into_iter().for_each(Waker::wake);
        }
    };
    CURRENT.with_borrow(|scope| {
        let scope = scope.as_ref().expect(
            "spawn_scoped was called outside of on_elected: a task lives no longer than that",
        );
        scope.borrow_mut().push(Box::pin(run));
    });
    task
}
