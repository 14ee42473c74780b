//! The few messages of OTLP that are sent, in the encoding of Protocol Buffers
//! (`opentelemetry/proto/collector/trace/v1/trace_service.proto` and what it imports).

use std::time::{SystemTime, UNIX_EPOCH};

use soloist_core::spans::Span;

/// A message, so far.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn fixed(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }
}

/// `ExportTraceServiceRequest`: the spans of a host.
pub(super) fn request(host: &str, spans: &[Span]) -> Vec<u8> {
    let resource = Message::default()
        .message(1, &text("service.name", "soloist"))
        .message(1, &text("service.version", env!("CARGO_PKG_VERSION")))
        .message(1, &text("service.instance.id", host));
    let scope = Message::default()
        .text(1, "soloist")
        .text(2, env!("CARGO_PKG_VERSION"));
    let scope_spans = spans
        .iter()
        .fold(Message::default().message(1, &scope), |scope_spans, it| {
            scope_spans.message(2, &span(it))
        });
    let resource_spans = Message::default()
        .message(1, &resource)
        .message(2, &scope_spans);
    Message::default().message(1, &resource_spans).0
}

/// `Span`.
fn span(span: &Span) -> Message {
    const INTERNAL: u64 = 1;
    const CLIENT: u64 = 3;
    const ERROR: u64 = 2;
    let kind = if span.is_request { CLIENT } else { INTERNAL };
    let mut message = Message::default()
        .bytes(1, &span.trace)
        .bytes(2, &span.id)
        .text(5, span.name)
        .number(6, kind)
        .fixed(7, nanos(span.begun))
        .fixed(8, nanos(span.ended))
        .message(9, &text("soloist.task", &span.term.task))
        .message(9, &number("soloist.term", span.term.number))
        .message(
            9,
            &number("soloist.fencing_token", span.term.fencing_token.0),
        );
    if let Some(parent) = &span.parent {
        message = message.bytes(4, parent);
    }
    if let Some((name, word)) = span.detail {
        message = message.message(9, &text(name, word));
    }
    if span.has_failed {
        message = message.message(15, &Message::default().number(3, ERROR));
    }
    message
}

/// `KeyValue` with a text.
fn text(key: &str, value: &str) -> Message {
    let value = Message::default().text(1, value);
    Message::default().text(1, key).message(2, &value)
}

/// `KeyValue` with a number.
fn number(key: &str, value: u64) -> Message {
    let value = Message::default().number(3, value);
    Message::default().text(1, key).message(2, &value)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
