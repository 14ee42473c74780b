//! Spans of terms and effects, as a collector gets them.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::{Command, Host};
use soloist_tests::pages::Pages;
use soloist_tests::{PATIENCE, build, eventually};

use crate::examples::server::{Reply, Server};

/// What is sent, as `opentelemetry/proto/trace/v1/trace.proto` and its like have it.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ExportTraceServiceRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub(super) resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub(super) scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub(super) attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ScopeSpans {
        #[prost(message, repeated, tag = "2")]
        pub(super) spans: Vec<Span>,
    }

    #[expect(clippy::struct_field_names, reason = "the names of trace.proto")]
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub(super) name: String,
        #[prost(int32, tag = "6")]
        pub(super) kind: i32,
        #[prost(fixed64, tag = "7")]
        pub(super) start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub(super) end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub(super) attributes: Vec<KeyValue>,
        #[prost(message, optional, tag = "15")]
        pub(super) status: Option<Status>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(int32, tag = "3")]
        pub(super) code: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KeyValue {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(message, optional, tag = "2")]
        pub(super) value: Option<AnyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct AnyValue {
        #[prost(oneof = "Value", tags = "1, 3")]
        pub(super) value: Option<Value>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Value {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(int64, tag = "3")]
        Number(i64),
    }
}

const CLIENT: i32 = 3;

/// Attributes, each value as text.
fn attributes(list: &[proto::KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &proto::KeyValue| match value.value.as_ref()?.value.as_ref()? {
        proto::Value::Text(text) => Some(text.clone()),
        proto::Value::Number(number) => Some(number.to_string()),
    };
    list.iter()
        .filter_map(|it| Some((&*it.key, text(it)?)))
        .collect()
}

/// All spans that a collector has got, and the attributes of their resources.
fn spans(collector: &Server) -> Result<(Vec<proto::Span>, Vec<proto::KeyValue>)> {
    let (mut spans, mut resources) = (Vec::new(), Vec::new());
    for request in collector.seen() {
        ensure!(request.path == "/v1/traces", "{}", request.path);
        let kind = request.header("content-type");
        ensure!(kind == Some("application/x-protobuf"), "{kind:?}");
        let read = proto::ExportTraceServiceRequest::decode(request.bytes)?;
        for resource_spans in read.resource_spans {
            resources.extend(resource_spans.resource.context("no resource")?.attributes);
            spans.extend(
                resource_spans
                    .scope_spans
                    .into_iter()
                    .flat_map(|it| it.spans),
            );
        }
    }
    Ok((spans, resources))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A host whose plugin asks a server again and again, and keeps what it has seen.
fn polling(cluster: &Cluster, web: &Server, collector: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("http-poller");
    let command = cluster.host_of("first", &plugin)?;
    Ok(command
        .flag("--task", "poller")
        .arg("--allow-state")
        .flag("--allow-http", web.url(""))
        .flag("--allow-networks", "127.0.0.0/8")
        .flag("--config", format!("url={}", web.url("/news")))
        .flag("--config", "interval=50ms")
        .flag("--otlp", collector))
}

#[tokio::test]
async fn a_collector_gets_the_span_of_a_term_and_those_of_its_effects_and_servers_join_it()
-> Result<()> {
    let cluster = Cluster::embedded().await?;
    let news = |_: &_| Reply::status(200).header("etag", "\"1\"");
    let (web, collector) =
        tokio::try_join!(Server::start(news), Server::start(|_| Reply::status(200)))?;
    let command = polling(&cluster, &web, &collector.url("/"))?;
    let mut host: Host = command.start(&cluster.history)?;
    let elected = host.event("elected").await?;
    let token = &elected.event().context("no event")?.line["fencing_token"];
    web.requests(3).await?;
    // While the term goes on, its effects are told.
    eventually("spans", PATIENCE, async || {
        let (spans, _) = spans(&collector).ok()?;
        spans.iter().any(|span| span.name == "http").then_some(())
    })
    .await?;
    ensure!(host.terminate().await?.success(), "{}", host.errors());

    let (spans, resources) = spans(&collector)?;
    let resources = attributes(&resources);
    ensure!(resources["service.name"] == "soloist", "{resources:?}");
    ensure!(resources["service.instance.id"] == "first", "{resources:?}");
    let terms: Vec<_> = spans.iter().filter(|span| span.name == "term").collect();
    let [term] = terms[..] else {
        anyhow::bail!("not one term: {spans:#?}");
    };
    let told = attributes(&term.attributes);
    for (name, value) in [
        ("soloist.task", "poller"),
        ("soloist.term", "1"),
        ("soloist.fencing_token", &token.to_string()),
        ("soloist.end", "shutdown"),
    ] {
        ensure!(
            told.get(name).is_some_and(|it| it == value),
            "{name}: {told:?}"
        );
    }
    ensure!(term.parent_span_id.is_empty() && term.trace_id.len() == 16);
    for name in ["http", "state"] {
        let effects: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        ensure!(!effects.is_empty(), "no {name}");
        for effect in effects {
            ensure!(effect.trace_id == term.trace_id && effect.parent_span_id == term.span_id);
            ensure!(effect.span_id.len() == 8 && (effect.kind == CLIENT) == (name == "http"));
            ensure!(effect.start_time_unix_nano >= term.start_time_unix_nano);
            ensure!(effect.start_time_unix_nano < effect.end_time_unix_nano);
            let told = attributes(&effect.attributes);
            ensure!(
                told["soloist.fencing_token"].parse().ok() == token.as_u64(),
                "{told:?}"
            );
            let is_done = told["soloist.outcome"] == "done";
            ensure!(is_done == effect.status.is_none(), "{told:?}");
        }
    }
    // The server learns within which span it is asked.
    let trace = hex(&term.trace_id);
    let known: Vec<_> = spans
        .iter()
        .map(|span| format!("00-{trace}-{}-01", hex(&span.span_id)))
        .collect();
    let asked = web.seen();
    let first = asked.first().context("nothing was asked")?;
    let parent = first.header("traceparent").context("no traceparent")?;
    ensure!(
        known.iter().any(|it| it == parent),
        "{parent} is none of {known:?}"
    );
    Ok(())
}

/// Nothing waits for a collector that is not there, that refuses, or that does not answer.
#[tokio::test]
async fn a_collector_that_is_away_or_slow_costs_a_count() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let news = |_: &_| Reply::status(200).header("etag", "\"1\"");
    let web = Server::start(news).await?;
    let gone = {
        let server = Server::start(|_| Reply::status(200)).await?;
        server.url("")
    };
    let refuses = Server::start(|_| Reply::status(503)).await?;
    let silent = Server::start(|_| Reply::never()).await?;
    for (collector, failed) in [
        (gone, true),
        (refuses.url(""), true),
        (silent.url(""), false),
    ] {
        let from = (cluster.history.len(), web.seen().len());
        let command = polling(&cluster, &web, &collector)?.flag("--listen", "127.0.0.1:0");
        let mut host = command.start(&cluster.history)?;
        let listening = host.event_after(from.0, "host-listening", |_| true).await?;
        let address = listening.event().and_then(|event| event.text("address"));
        let pages = Pages::at(address.context("no address")?.parse()?);
        web.requests(from.1 + 3).await?;
        if failed {
            let failed = "soloist_spans_total{outcome=\"failed\"}";
            pages.series(failed, |count| count > 0.0).await?;
        } else {
            silent.requests(1).await?;
        }
        let told = pages.metrics().await?;
        let sent = told.value("soloist_spans_total{outcome=\"sent\"}");
        ensure!(sent == Some(0.0), "{}", told.text);
        let begun = Instant::now();
        ensure!(host.terminate().await?.success(), "{}", host.errors());
        ensure!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        let lost = |record: &soloist_tests::history::Record| record.is("plugin-failed");
        ensure!(
            !cluster.history.since(from.0).iter().any(lost),
            "it has cost a run"
        );
    }
    Ok(())
}
