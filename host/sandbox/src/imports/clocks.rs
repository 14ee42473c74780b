//! The clocks of WASI: a plugin sees and waits for the time that its task lives by.
//!
//! wasmtime-wasi lets a host say what time it is, but waits by the machine's clock. So what waits is ours, for WASI 0.2, which
//! preview 1 is made of, and for 0.3.

use std::time::{Duration, SystemTime};

use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock as p2;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock as p3;

use crate::leadership::Leadership;
use soloist_core::clock::TaskClock;

/// What the imports work on.
pub(crate) struct ClocksView<'a> {
    pub(crate) clock: &'a TaskClock,
    pub(crate) table: &'a mut ResourceTable,
    /// Whose demotion ends the waits of WASI 0.2, if any does: these hold the whole plugin, so nobody could call it meanwhile.
    pub(crate) cut_by: Option<&'a Leadership>,
}

struct Clocks;

impl HasData for Clocks {
    type Data<'a> = ClocksView<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ClocksView<'_>,
) -> wasmtime::Result<()> {
    p2::add_to_linker::<_, Clocks>(linker, view)?;
    p3::add_to_linker::<_, Clocks>(linker, view)
}

/// The date of a task, as wasmtime-wasi asks for it.
pub(crate) struct Date(pub(crate) TaskClock);

impl HostWallClock for Date {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        // Nothing before 1970 can be told.
        let since = self.0.date().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default()
    }
}

/// What Linux says of its own clocks.
const RESOLUTION: Duration = Duration::from_nanos(1);

impl ClocksView<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn subscribe(&mut self, due: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = Alarm {
            clock: self.clock.clone(),
            due,
            cut_by: self.cut_by.cloned(),
            yields: due <= self.clock.elapsed(),
        };
        let alarm = self.table.push(alarm)?;
        subscribe(self.table, alarm)
    }
}

impl p2::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(ClocksView::now(self))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(Duration::from_nanos(when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let due = self.clock.elapsed() + Duration::from_nanos(duration);
        self.subscribe(due)
    }
}

impl p3::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(ClocksView::now(self))
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }
}

impl<T> p3::HostWithStore<T> for Clocks {
    async fn wait_until(accessor: &Accessor<T, Self>, when: u64) -> wasmtime::Result<()> {
        let clock = accessor.with(|mut view| view.get().clock.clone());
        clock.sleep_until(Duration::from_nanos(when)).await;
        Ok(())
    }

    async fn wait_for(accessor: &Accessor<T, Self>, duration: u64) -> wasmtime::Result<()> {
        let clock = accessor.with(|mut view| view.get().clock.clone());
        clock.sleep(Duration::from_nanos(duration)).await;
        Ok(())
    }
}

/// A moment that a plugin waits for in WASI 0.2.
struct Alarm {
    clock: TaskClock,
    due: Duration,
    /// Whose demotion makes it due as well.
    cut_by: Option<Leadership>,
    /// It was due from the beginning. A plugin that polls in a loop, with such an alarm beside its sockets, lets these become
    /// ready.
    yields: bool,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        if std::mem::take(&mut self.yields) {
            tokio::task::yield_now().await;
        }
        let demoted = async {
            match &self.cut_by {
                Some(leadership) => drop(leadership.demotion().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.clock.sleep_until(self.due) => {}
            () = demoted => tokio::task::yield_now().await,
        }
    }
}
