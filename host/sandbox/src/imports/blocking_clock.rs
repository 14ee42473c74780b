//! The import `blocking-clock`: sleep that holds the guest, and nothing else, until it is over or demotion begins.

use std::time::Duration;

use wasmtime::component::{HasData, Linker};

use crate::contract::bindings::blocking_clock;
use crate::leadership::Leadership;
use soloist_core::clock::TaskClock;

/// What the import works on.
pub(crate) struct BlockingClockView<'a> {
    pub(crate) clock: &'a TaskClock,
    pub(crate) leadership: &'a Leadership,
    /// Whether demotion ends the sleep.
    pub(crate) is_cut: bool,
}

struct Import;

impl HasData for Import {
    type Data<'a> = BlockingClockView<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> BlockingClockView<'_>,
) -> wasmtime::Result<()> {
    blocking_clock::add_to_linker::<_, Import>(linker, view)
}

impl blocking_clock::Host for BlockingClockView<'_> {
    async fn sleep(&mut self, nanoseconds: u64) -> wasmtime::Result<bool> {
        tokio::select! {
            () = self.clock.sleep(Duration::from_nanos(nanoseconds)) => {}
            // Yields, so that one that sleeps in a loop all the same does not keep the thread for itself.
            _ = self.leadership.demotion(), if self.is_cut => tokio::task::yield_now().await,
        }
        Ok(self.leadership.has_demotion_begun())
    }
}
