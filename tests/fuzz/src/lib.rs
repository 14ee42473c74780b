//! What is fuzzed: each target takes any bytes and panics if something is wrong with how they are taken.
//!
//! `tests/short/main.rs` gives them the corpus and seeded mutations of it, in every run of the tests; `make fuzz` lets
//! libFuzzer look for what no one thought of.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use soloist_config::{
    Config, DeployConfig, Document, EnsembleConfig, EnsembleWire, Format, Given, Manifest,
    TaskConfig,
};
use soloist_core::records::{
    Candidate, DrainOrder, FailedRecord, History, HostRecord, MasterRecord, NUMBER_MAX,
    ResignOrder, TermEntry, TermRecord, decode, encode, holder_name,
};
use soloist_core::schedule::{
    Now, OnMissed, Overlap, Record, Rule, Schedule, Settings, Then, Time,
};
use soloist_core::text::{is_printable, printable};
use soloist_sandbox::{Compiler, Plugin, PluginEngine, PluginProblem, PluginSettings, component};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 4] = [
    ("loader", loader),
    ("config", config),
    ("records", records),
    ("schedules", schedules),
];

/// The inputs that a target begins with, by name. The loader's are text, kept also as the binaries that they mean.
pub fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = fs::read_dir(corpus).expect("there is a corpus for each target");
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("the corpus can be listed").path();
            let content = fs::read(&path).expect("the corpus can be read");
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (name, content)
        })
        .collect();
    let binaries = inputs.iter().filter_map(|(name, content)| {
        let stem = name.strip_suffix(".wat")?;
        let binary = wat::parse_bytes(content).ok()?;
        Some((format!("{stem}.wasm"), binary.into_owned()))
    });
    let binaries: Vec<_> = binaries.collect();
    if let Some((_, module)) = binaries.iter().find(|(name, _)| name == "contract.wasm") {
        inputs.push(("with-metadata.wasm".into(), with_metadata(module.clone())));
    }
    inputs.extend(binaries);
    inputs.sort();
    inputs
}

/// A module with the types of the contract in it.
fn with_metadata(mut module: Vec<u8>) -> Vec<u8> {
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/wit");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(contract).expect("the contract is there");
    let world = resolve
        .select_world(&[package], Some("plugin"))
        .expect("it has a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the module is a plugin");
    module
}

/// Larger components are only prepared for the compiler: it is slow, and sees no more of them than of small ones.
const COMPILED_BYTES_MAX: usize = 4096;

thread_local! {
    static SCRATCH: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().expect("there is room for a file"));
}

/// Writes a file for the code under test to read.
fn file<T>(name: &str, content: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    SCRATCH.with_borrow(|directory| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("there is room for a file");
        read(&path)
    })
}

/// A plugin's file: it is loaded or refused, whatever is in it.
pub fn loader(data: &[u8]) {
    static ENGINE: LazyLock<Arc<PluginEngine>> = LazyLock::new(|| {
        Arc::new(
            PluginEngine::with_cache(Compiler::Here, None).expect("this machine runs WebAssembly"),
        )
    });
    let problem = match component(data.to_vec()) {
        Ok(component) if component.len() > COMPILED_BYTES_MAX => return,
        Ok(_) => file("plugin", data, |path| {
            Plugin::load(&ENGINE, path, PluginSettings::default()).err()
        }),
        Err(problem) => {
            shown(&problem.to_string());
            return;
        }
    };
    if let Some(error) = problem {
        let ours = matches!(
            error.problem,
            PluginProblem::Panicked { .. }
                | PluginProblem::TooSlow { .. }
                | PluginProblem::Imports(_)
        );
        assert!(!ours, "{error:?}");
    }
}

const PASSWORD: &str = "hunter2";

/// A configuration in TOML and in JSON, a task and a manifest in JSON, and what a host takes in TOML: each is understood, or what is wrong with it is said in lines
/// that can be printed.
pub fn config(data: &[u8]) {
    // Every corpus entry that has an identity has this one. Moved elsewhere it is no identity.
    let lines = String::from_utf8_lossy(data);
    let secret = lines
        .lines()
        .filter(|line| line.contains(PASSWORD))
        .all(is_identity);
    let document = |name: &str, format| Document::new(name.into(), format, data.to_vec());
    let task = document("task", Format::Json).and_then(|task| TaskConfig::read(&task));
    let deploy = document("deploy", Format::Toml).and_then(|table| DeployConfig::read(&table));
    let manifest = Manifest::read(Path::new("manifest"), data);
    if let Ok(manifest) = &manifest {
        let text = manifest.text().expect("what is read can be written");
        let again = Manifest::read(Path::new("manifest"), text.as_bytes());
        assert_eq!(&again.expect("what is written is read"), manifest);
    }
    let mut errors = vec![task.err(), deploy.err(), manifest.err()];
    for name in ["soloist.toml", "soloist.json"] {
        errors.extend(file(name, data, |path| {
            [
                Config::load(path, Given::default()).err(),
                EnsembleConfig::load(Some(path), EnsembleWire::default()).err(),
            ]
        }));
    }
    for error in errors.into_iter().flatten() {
        let told = error.to_string();
        assert!(
            told.chars()
                .all(|character| is_printable(character) || character == '\n'),
            "{told:?}"
        );
        assert!(!secret || !told.contains(PASSWORD), "{told:?}");
    }
}

/// Whether a line gives an identity and nothing else: in TOML, or in JSON, where a line can have more keys than one.
fn is_identity(line: &str) -> bool {
    let in_json = line.trim_start().strip_prefix("\"auth\": \"");
    line.starts_with("auth = ") || in_json.is_some_and(|rest| rest.matches('"').count() <= 1)
}

/// What is read from ZooKeeper: the first two bytes are a version, the rest is the data of a node or the name of one.
pub fn records(data: &[u8]) {
    let (version, data) = data.split_at(data.len().min(2));
    let version = i32::from(version.first().copied().unwrap_or(0)) << 24
        | i32::from(version.get(1).copied().unwrap_or(0));
    let (kept, record) = TermRecord::read(data, version);
    assert!(
        record.number <= NUMBER_MAX,
        "there are numbers for the terms to come"
    );
    assert_eq!((record.number, record.version), (kept.term.number, version));
    entry(&kept.term);
    let mut history = History::read(data);
    if let Some(lost) = kept.lost(7) {
        history = history.with(lost);
    }
    let written = encode(&history);
    if let Some(read) = decode::<History>(&written) {
        assert_eq!(read, history, "what one host writes another reads");
    }
    history.0.iter().for_each(entry);
    if let Some(HostRecord {
        host,
        version,
        started,
        ..
    }) = decode(data)
    {
        for text in [host, version, started] {
            shown(&text);
        }
    }
    if let Ok(order) = DrainOrder::decode(data) {
        for text in [&order.by, &order.at, &order.why()] {
            shown(text);
        }
        assert_eq!(DrainOrder::decode(&order.encode()), Ok(order));
    }
    if let Some(failed) = decode::<FailedRecord>(data) {
        let at = SystemTime::UNIX_EPOCH;
        assert!(failed.retry_after(at).is_none_or(|retry_at| retry_at > at));
        for text in [failed.host, failed.at, failed.cause, failed.detail] {
            shown(&text);
        }
    }
    if let Some(ResignOrder { to, reason, .. }) = decode(data) {
        for text in [to, reason].into_iter().flatten() {
            shown(&text);
        }
    }
    let _ = decode::<MasterRecord>(data);
    slots(data);
    shown(&holder_name(data, i64::from(version)));
    let name = String::from_utf8_lossy(data).into_owned();
    if let Some(candidate) = Candidate::read(name.clone()) {
        assert_eq!(candidate.name, name);
        assert!(name.contains(&candidate.host));
    }
}

/// What plugins write as an expression of cron: a line with the expression, and one with the time zone.
pub fn schedules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (expression, zone) = text.split_once('\n').unwrap_or((&text, "UTC"));
    let rule = Rule::Cron {
        expression: expression.to_owned(),
        zone: zone.to_owned(),
    };
    match schedule(rule) {
        Ok(schedule) => {
            let mut last = Time::from_secs(1_774_000_000);
            for _ in 0..50 {
                let Some(next) = schedule.next_after(last) else {
                    return;
                };
                assert!(next > last, "{next} follows {last}");
                last = next;
            }
        }
        Err(told) => assert!(told.len() < 2_000, "{told}"),
    }
}

fn schedule(rule: Rule) -> Result<Schedule, String> {
    let settings = Settings {
        name: "main".into(),
        rule,
        jitter: Duration::ZERO,
        overlap: Overlap::Skip,
        catch_up: Duration::from_hours(1),
        on_missed: OnMissed::RunAll,
    };
    Schedule::new("report", settings).map_err(|invalid| invalid.to_string())
}

/// The record of a schedule, whoever wrote it, decides as any other does.
fn slots(data: &[u8]) {
    let Ok(record) = Record::decode(data) else {
        return;
    };
    assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
    let minutes = schedule(Rule::Every(Duration::from_mins(1))).expect("it can be used");
    let time = Time::from_secs(1_795_662_090);
    let now = Now {
        time,
        waiting_since: time,
        busy: None,
        token: 7,
    };
    let decision = minutes.decide(Some(&record), now);
    match decision.then {
        Then::Wait(until) => assert!(until > time),
        Then::Again | Then::Run(_) => assert_ne!(decision.record, Some(record)),
    }
}

fn entry(term: &TermEntry) {
    let TermEntry {
        host, since, end, ..
    } = term;
    shown(host);
    shown(since);
    if let Some(end) = end {
        shown(&end.reason);
        shown(end.detail.as_deref().unwrap_or_default());
    }
}

/// What is shown of anything cannot drive a terminal.
fn shown(text: &str) {
    let shown = printable(text);
    assert!(shown.chars().all(is_printable), "{shown:?}");
}
