//! The crate `log`.

use ::log::kv::{self, Key, Value, VisitSource};
use ::log::{LevelFilter, Log, Metadata, Record};

use crate::{Level, imports};

struct Bridge;

pub(super) fn install() {
    // It fails where the plugin has set a logger of its own.
    if ::log::set_logger(&Bridge).is_ok() {
        ::log::set_max_level(LevelFilter::Trace);
    }
}

impl Log for Bridge {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            ::log::Level::Trace => Level::Trace,
            ::log::Level::Debug => Level::Debug,
            ::log::Level::Info => Level::Info,
            ::log::Level::Warn => Level::Warn,
            ::log::Level::Error => Level::Error,
        };
        let mut fields = Fields(vec![("target".into(), record.target().into())]);
        // It fails only where `fields` does, and that never does.
        let _ = record.key_values().visit(&mut fields);
        imports::log(level, &record.args().to_string(), &fields.0);
    }

    fn flush(&self) {}
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}
