use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use tracing::Level;

use super::*;
use crate::digest::Digest;
use crate::term::{FencingToken, Term};

fn term() -> Term {
    Term {
        number: 7,
        fencing_token: FencingToken(1007),
        task: "report".into(),
        host: "a".into(),
        record_version: 7,
    }
}

#[test]
fn every_event_has_an_example_and_all_its_fields_are_serialised() {
    let fields = |event: &Event| {
        let about = About::Session;
        (
            event.name(),
            Value::Object(Report { about, event }.fields()),
        )
    };
    let told: Vec<_> = Event::examples().iter().map(fields).collect();
    let mut names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    names.dedup();
    assert_eq!(names, Event::NAMES);
    let expected = [
        json!({}),
        json!({ "session": "0x1234", "session_timeout": 10.0 }),
        json!({ "retry_in": 1.5 }),
        json!({}),
        json!({ "server": "zk:2181", "session_timeout": 6.0 }),
        json!({ "retry_in": 1.5 }),
        json!({}),
        json!({}),
        json!({ "retry_in": 1.5 }),
        json!({}),
        json!({}),
        json!({ "nodes": 2, "node": "/soloist" }),
        json!({ "nodes": 2, "node": "/soloist" }),
        json!({ "address": "127.0.0.1:9464" }),
        json!({}),
        json!({}),
        json!({ "added": 1, "removed": 2, "replaced": 3, "unchanged": 4 }),
        json!({}),
        json!({ "by": "ann@ops", "reason": "why" }),
        json!({}),
        json!({}),
        json!({ "how": "killed: signal 9", "restart_in": 1.5 }),
        json!({ "terms": 1, "places": 2, "nodes": 3, "left": 0, "took": 1.5 }),
        json!({}),
        json!({ "retry_in": 5.0 }),
        json!({
            "generation": 7,
            "digest": Digest::of(b""),
        }),
        json!({ "generation": 7, "reason": "why", "retry_in": 5.0 }),
        json!({ "reason": "why" }),
        json!({ "ahead": 1, "leader": "b" }),
        json!({}),
        json!({ "to": "b", "reason": "spread" }),
        json!({}),
        json!({ "fields": { "name": "value" }, "omitted_fields": 3 }),
        json!({ "stream": "stdout" }),
        json!({ "import": "network" }),
        json!({ "dropped": 3 }),
        json!({
            "schedule": "main",
            "cause": "catch-up",
            "slots": 3,
            "first": "2026-11-26T03:00:00.000Z",
            "last": "2026-11-28T03:00:00.000Z",
        }),
        json!({ "restart_in": 1.5 }),
        json!({ "by": "b", "in_term": 6, "at": "2026-01-01T00:00:00.000Z", "what": "today" }),
        json!({ "cause": "panic", "backtrace": "0: a\n1: b", "restart_in": 1.5 }),
        json!({ "cause": "panic", "restarts": 5, "terms": 2, "retry_in": 90.0 }),
        json!({ "by": "ann@ops", "reason": "why" }),
        json!({ "reason": "resigned" }),
        json!({ "reason": "resigned" }),
        json!({ "reason": "lease-expiring", "overdue": 0.00125 }),
        json!({}),
        json!({}),
        json!({ "stands_again_in": 90.0 }),
        json!({
            "generation": 2,
            "ready": 1,
            "standing": 3,
            "obstacle": "c",
            "detail": "the disk is full",
        }),
        json!({ "generation": 2, "from": 1 }),
        json!({ "generation": 2 }),
        json!({ "generation": 1 }),
        json!({ "generation": 2 }),
        json!({ "from": 2, "to": 1, "cause": "trap", "detail": "unreachable" }),
        json!({ "retry_in": 1.5 }),
    ];
    for ((name, fields), expected) in told.iter().zip(&expected) {
        assert_eq!(fields, expected, "{name}");
    }
    assert_eq!(told.len(), expected.len());
}

#[test]
fn what_is_not_known_is_left_out_but_for_the_leader() {
    let fields = |event: Event| serde_json::to_value(event).unwrap();
    let standby = Event::Standby {
        ahead: 0,
        leader: None,
    };
    assert_eq!(fields(standby), json!({ "ahead": 0, "leader": null }));
    assert_eq!(fields(Event::session_error("why")), json!({}));
    assert_eq!(fields(Event::Demoted { reason: None }), json!({}));
    let line = Event::PluginLog(PluginLine {
        level: Level::DEBUG,
        text: "a line".into(),
        origin: Origin::Log {
            fields: BTreeMap::new(),
            omitted_fields: None,
        },
    });
    assert_eq!(
        (line.level(), line.message()),
        (Level::DEBUG, "a line".into())
    );
    assert_eq!(fields(line), json!({}));
}

#[test]
fn a_report_names_the_task_and_the_term() {
    let (term, event) = (
        term(),
        Event::Draining {
            reason: Demotion::Resigned,
        },
    );
    let fields = |about| {
        Value::Object(
            Report {
                about,
                event: &event,
            }
            .fields(),
        )
    };
    assert_eq!(fields(About::Session), json!({ "reason": "resigned" }));
    assert_eq!(
        fields(About::Shard(2)),
        json!({ "reason": "resigned", "shard": 2 })
    );
    assert_eq!(
        fields(About::Task("t")),
        json!({ "reason": "resigned", "task": "t" })
    );
    assert_eq!(
        fields(About::Term(&term)),
        json!({ "reason": "resigned", "task": "report", "term": 7, "fencing_token": 1007 })
    );
}

#[test]
fn every_message_says_what_happened() {
    let told: Vec<_> = Event::examples()
        .iter()
        .map(|event| event.message().into_owned())
        .collect();
    let expected = [
        "connecting to zk:2181",
        "session 0x1234 with a timeout of 10s",
        "why",
        "connection lost; the lease lasts 1.5s more",
        "zk:2181 agrees to a session timeout of 6s only, not 10s: the lease is that short from here on. Set the same \
         maxSessionTimeout on all servers, or session_timeout = \"6s\"",
        "why",
        "session 0x1234 has ended",
        "session 0x1234 is closed",
        "why",
        "the files of [zookeeper.tls] hold something else: new connections go by it",
        "the files of [zookeeper.tls] cannot be used any more, and connections go by what they held before: why",
        "2 nodes gave other rights than `acl` says, /soloist and maybe others: they are right now",
        "2 nodes give other rights than `acl` says, /soloist and maybe others, and this host may not set them right: whom \
         they admit may change who leads; set them right with setAcl in zkCli.sh",
        "the page at https://127.0.0.1:9464/; also /metrics, /livez, /readyz, /leader/TASK, /logs/TASK",
        "the files of listen_certificate, listen_key and listen_client_ca hold something else: new connections go by it",
        "the certificates of `listen` cannot be used any more, and connections go by what they held before: why",
        "the configuration is reloaded: added a; removed b, c; replaced d, e, f",
        "the configuration is not reloaded, and nothing has changed: why",
        "ann@ops drains this host (why): it hands over what it leads, and stands for nothing until that is over",
        "this host leads nothing and stands for nothing",
        "this host is drained no more: it stands again",
        "the process of this host is dead (killed: signal 9); it is started again in 1s 500ms",
        "given back: 1 term, 2 places in queues, 3 other nodes",
        "the guardian of this process has gone, and nobody would give back what it holds if it died: it hands its tasks over, and \
         ends",
        "what",
        "generation 7 can run here at once",
        "generation 7 cannot run here: why",
        "not standing: why",
        "standing by behind 1; b leads",
        "elected for term 7",
        "b takes over: this host leads more than its share",
        "the plugin leads",
        "a line",
        "a line",
        "a line",
        "a line",
        "schedule main: 3 slots were missed, from 2026-11-26T03:00:00Z to 2026-11-28T03:00:00Z: due longer ago than the \
         catch-up window",
        "on_elected has returned",
        "b has completed it for today in term 6, at 2026-01-01T00:00:00.000Z: nothing is left to be done",
        "the plugin failed: why",
        "the plugin has failed for good on this host, restarted 5 times: why",
        "ann@ops has the task tried again (why): this host rests no longer",
        "demotion has begun",
        "the plugin has stopped",
        "leadership has ended and the plugin was stopped by force",
        "the plugin cannot be stopped: the system does not come back from a call, to a file or a pipe, that it made",
        "the plugin was stopped at once, and will be at every demotion that finds it in on_elected: it is not async and \
         imports neither should-stop nor sleep, so it could not hear of it. This is said once",
        "released term 7; this host stands again in 1m 30s",
        "generation 2 is wanted, and 1 of 3 hosts are ready for it; c cannot run it: the disk is full",
        "generation 2 becomes the current one, on probation",
        "the state is copied, as it was before generation 2",
        "the state is restored, as generation 1 had left it",
        "generation 2 is healthy",
        "generation 2 is taken back, and generation 1 runs again (trap): unreachable",
        "why",
    ];
    assert_eq!(told, expected);
    let frozen = Event::RolledBack {
        from: 1,
        to: None,
        cause: "trap".into(),
        detail: "unreachable".into(),
    };
    assert_eq!(
        frozen.message(),
        "generation 1 has failed, and there is none to go back to: nobody runs it (trap): unreachable"
    );
    let nobody = Event::Standby {
        ahead: 0,
        leader: None,
    };
    assert_eq!(nobody.message(), "standing by behind 0; nobody leads");
}

/// The names of the events that it was handed.
#[derive(Default)]
struct Names {
    heard: Mutex<Vec<&'static str>>,
    least: Option<Level>,
}

impl Subscriber for Names {
    fn event(&self, report: &Report<'_>) {
        self.heard.lock().unwrap().push(report.event.name());
    }

    fn wants_line(&self, level: Level) -> bool {
        self.least.is_some_and(|least| level <= least)
    }
}

/// The only test of this process that subscribes.
#[test]
fn every_subscriber_hears_of_every_event_and_lines_are_made_for_those_who_want_them() {
    use std::sync::Arc;

    let quiet = Arc::new(Names::default());
    let curious = Arc::new(Names {
        least: Some(Level::INFO),
        ..Names::default()
    });
    assert!(!wants_line(Level::ERROR), "nobody listens");
    let both: [Box<dyn Subscriber>; 2] =
        [Box::new(Arc::clone(&quiet)), Box::new(Arc::clone(&curious))];
    assert_eq!(subscribe(both.into()), Ok(()));
    assert_eq!(subscribe(Vec::new()), Err(AlreadySubscribed));
    assert!(wants_line(Level::INFO) && !wants_line(Level::DEBUG));
    About::Term(&term()).report(&Event::Activated);
    for names in [quiet, curious] {
        assert_eq!(*names.heard.lock().unwrap(), ["activated"]);
    }
}
