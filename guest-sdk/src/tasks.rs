//! Several things at once: all of it on the one thread that a plugin has, each going on while the others wait.
//!
//! ```
//! use std::time::Duration;
//!
//! use soloist_sdk::testing::Harness;
//! use soloist_sdk::{sleep, tasks};
//!
//! let seconds = |number| async move { sleep(Duration::from_secs(number)).await; number };
//! let test = Harness::new();
//! let (one, all) = test.block_on(tasks::join(seconds(1), tasks::join_all([seconds(2), seconds(3)])));
//! assert_eq!((one, all, test.now()), (1, vec![2, 3], Duration::from_secs(3)));
//! ```

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

pub use futures_util::future::{join, join_all, try_join, try_join_all};

mod scope;

pub(crate) use scope::Scope;
pub use scope::{Task, spawn_scoped};

/// What came first of two things; see [`select`].
///
/// ```
/// use soloist_sdk::Either;
///
/// let first: Either<u8, &str> = Either::Right("second");
/// assert!(matches!(first, Either::Right("second")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// It was the first one.
    Left(A),
    /// It was the second one.
    Right(B),
}

/// Waits for whichever is ready first, and drops the other; `first` if both are.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Either, select, sleep};
///
/// let test = Harness::new();
/// let first = test.block_on(select(
///     async { sleep(Duration::from_secs(1)).await; "quick" },
///     async { sleep(Duration::from_secs(2)).await; 2 },
/// ));
/// assert_eq!(first, Either::Left("quick"));
/// ```
pub async fn select<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        second.as_mut().poll(context).map(Either::Right)
    })
    .await
}
