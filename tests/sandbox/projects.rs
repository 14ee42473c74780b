//! What `soloist new` makes leads a term: it says what its template promises, and stops when it is told to.

use std::sync::Arc;

use soloist_core::clock;
use soloist_core::grants::{Grants, NetworkPolicy};
use soloist_core::limits::Limits;
use soloist_core::permit::SharedDeadline;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested};
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::{Plugin, PluginSettings};
use soloist_tests::project::Project;

use crate::guests::engine;

/// A project's plugin, with a state and a network that reaches nothing; `None` for want of its compiler.
fn plugin(lang: &str, template: &str) -> Option<Arc<Plugin>> {
    let project = Project::new(
        &format!("my-{template}"),
        &["--lang", lang, "--template", template],
    )
    .unwrap();
    if !project.find_tools(lang).unwrap() {
        return None;
    }
    project.build().unwrap();
    let network = NetworkPolicy {
        http: Some(Vec::new()),
        tcp: Some(Vec::new()),
        ..NetworkPolicy::default()
    };
    let grants = Grants {
        state: true,
        network,
        ..Grants::default()
    };
    let limits = Limits {
        // Ten seconds of computing, which on a busy machine can be minutes.
        compile_timeout: 60 * PATIENCE,
        ..Limits::default()
    };
    let settings = PluginSettings {
        grants,
        limits,
        ..PluginSettings::default()
    };
    Some(Arc::new(
        Plugin::load(&engine(), &project.plugin().unwrap(), settings).unwrap(),
    ))
}

fn settings() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: PATIENCE,
        ..ActivationSettings::default()
    }
}

/// What a plugin that completes says in a term.
fn said(plugin: Arc<Plugin>) -> Vec<String> {
    let mut tested = Tested::start(plugin, settings());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    tested.lines()
}

#[test]
fn hello_says_hello_and_is_done() {
    for lang in ["rust", "python", "c", "js"] {
        let Some(plugin) = plugin(lang, "hello") else {
            continue;
        };
        let lines = said(plugin);
        assert!(
            lines[0].starts_with("hello from tested, leader of task-"),
            "{lang}: {lines:?}"
        );
    }
    assert!(said(plugin("wat", "hello").unwrap()).is_empty());
}

/// The next leader goes on where the last one was stopped by force.
#[test]
fn a_worker_goes_on_where_the_last_one_stopped() {
    for lang in ["rust", "python", "c"] {
        let Some(plugin) = plugin(lang, "worker") else {
            continue;
        };
        let state = Arc::<Memory>::default();
        let lead = |item: &str| {
            let deadline = SharedDeadline::default();
            deadline.set(clock::now() + 100 * PATIENCE);
            let (state, plugin) = (Arc::clone(&state), Arc::clone(&plugin));
            let tested = Tested::start_in(state, plugin, settings(), deadline, |_| ());
            tested.wait_for("plugin-log", item, 1);
            tested
        };
        let first = lead("item 2").lines();
        assert!(
            first[0].starts_with("item 1") && first[1].starts_with("item 2"),
            "{first:?}"
        );
        let mut second = lead("item 3");
        let lines = second.lines();
        let begins = lines[0].starts_with("item 2") || lines[0].starts_with("item 3");
        assert!(begins, "{lang}: {lines:?}");
        // Nobody but the term has the state, or the end of the term would be taken for one that keeps it.
        drop(state);
        second.activation().demote(Demotion::Shutdown);
        assert!(!second.stopped(), "{lang}");
    }
}

#[test]
fn a_cron_job_is_done_at_its_slots() {
    let mut tested = Tested::start(plugin("rust", "cron").unwrap(), settings());
    let done = tested.wait_for("plugin-log", "doing what is due at ", 2);
    let key = done["fields"]["key"].as_str().unwrap();
    assert!(key.contains("/main@"), "{key}");
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}
