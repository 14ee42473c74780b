//! The import `log`.

use tracing::Level;
use wasmtime::component::{HasData, Linker};

use crate::bounded::MAX_MESSAGE_BYTES;
use crate::contract::bindings::log;
use crate::log::PluginLog;

/// The parts of an instance that the import uses.
pub(crate) struct LogView<'a> {
    pub(crate) log: &'a PluginLog,
    /// The message of the plugin's panic, if it panicked.
    pub(crate) panic: &'a mut Option<String>,
}

struct Import;

impl HasData for Import {
    type Data<'a> = LogView<'a>;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> LogView<'_>,
) -> wasmtime::Result<()> {
    log::add_to_linker::<_, Import>(linker, view)
}

impl log::Host for LogView<'_> {
    fn log(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => Level::TRACE,
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        self.log
            .write(level, || self.log.clean_fields(&message, &fields));
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        *self.panic = Some(self.log.clean(&message, MAX_MESSAGE_BYTES));
        Ok(())
    }
}
