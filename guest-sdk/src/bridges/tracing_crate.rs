//! The crate `tracing`.

use std::error::Error;
use std::fmt::{self, Write};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::{Level, imports};

struct Bridge;

pub(super) fn install() {
    let dispatch = tracing_core::Dispatch::new(tracing_subscriber::registry().with(Bridge));
    // It fails where the plugin has set a subscriber of its own.
    let _ = tracing_core::dispatcher::set_global_default(dispatch);
}

/// The fields of a span or an event, in the order in which they were given, each once.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, name: &str, value: String) {
        match self.others.iter_mut().find(|(found, _)| found == name) {
            Some((_, found)) => *found = value,
            None => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.record_debug(field, &format_args!("{text}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field.name(), format!("{value:?}"));
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bridge {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            tracing_core::Level::TRACE => Level::Trace,
            tracing_core::Level::DEBUG => Level::Debug,
            tracing_core::Level::INFO => Level::Info,
            tracing_core::Level::WARN => Level::Warn,
            tracing_core::Level::ERROR => Level::Error,
        };
        let mut fields = Fields::default();
        fields.put("target", metadata.target().into());
        // The fields of the spans around it, the inner ones last, so that they count.
        let mut names = Vec::new();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            names.push(span.name());
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.others {
                    fields.put(name, value.clone());
                }
            }
        }
        if !names.is_empty() {
            fields.put("span", names.join(":"));
        }
        event.record(&mut fields);
        imports::log(level, &fields.message, &fields.others);
    }
}
