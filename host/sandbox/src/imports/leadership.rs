//! The import `leadership`: what a plugin can know and do about the term it acts in.

use wasmtime::component::{HasData, Linker};

use crate::contract::bindings::leadership;
use crate::leadership::Leadership;
use crate::log::PluginLog;

/// How long the reason of a resignation may be, in bytes; what is longer is cut.
const MAX_REASON_BYTES: usize = 1024;

/// What the import works on.
pub(crate) struct LeadershipView<'a> {
    pub(crate) leadership: &'a Leadership,
    /// What cleans the reason of a resignation.
    pub(crate) log: &'a PluginLog,
    /// Whether the plugin has resigned.
    pub(crate) resigned: &'a mut bool,
    /// Whether the plugin has asked if it should stop.
    pub(crate) asks: &'a mut bool,
}

struct Import;

impl HasData for Import {
    type Data<'a> = LeadershipView<'a>;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> LeadershipView<'_>,
) -> wasmtime::Result<()> {
    leadership::add_to_linker::<_, Import>(linker, view)
}

impl leadership::Host for LeadershipView<'_> {
    fn remaining(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.leadership.remaining().as_nanos()).unwrap_or(u64::MAX))
    }

    fn current_term(&mut self) -> wasmtime::Result<leadership::Term> {
        Ok((&*self.leadership.term).into())
    }

    fn should_stop(&mut self) -> wasmtime::Result<bool> {
        *self.asks = true;
        Ok(self.leadership.has_demotion_begun())
    }

    fn resign(&mut self, reason: String) -> wasmtime::Result<()> {
        if !std::mem::replace(self.resigned, true) {
            let reason = self.log.clean(&reason, MAX_REASON_BYTES);
            // Nobody listens any more if the term is ending anyway.
            let _ = self.leadership.resignations.send(reason);
        }
        Ok(())
    }
}
