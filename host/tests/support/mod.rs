//! What the tests of the plugin side share: built guests, an engine, and the events that a term reports.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use serde_json::Value;
use soloist::activation::{Activation, ActivationSettings, Notice};
use soloist::clock;
use soloist::permit::{Permit, SharedDeadline};
use soloist::plugin::{Grants, Limits, LoadError, NetworkPolicy, Plugin, PluginEngine, PluginSettings};
use soloist::reporter::{LogFormat, Reporter};
use soloist::state::{Entry, KEYS_MAX, State, StateError, check_key, check_value};
use soloist::term::{FencingToken, Term};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::layer::SubscriberExt;

/// Long enough for a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The guests, built once per test process.
pub fn guest(name: &str) -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host is a member of a workspace");
        // target/<profile>/deps/<test>
        let test = std::env::current_exe().expect("a test has an executable");
        let target = test.ancestors().nth(3).expect("a test lies in the target directory");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .args([
                "-p",
                "hello",
                "-p",
                "heartbeat",
                "-p",
                "counter",
                "-p",
                "misbehave",
                "-p",
                "granted",
                "-p",
                "network",
                "--target-dir",
            ])
            .arg(target)
            .current_dir(workspace)
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the guests do not build");
        target.join("wasm32-wasip2/release")
    });
    BUILT.join(format!("{name}.wasm"))
}

/// One engine for all tests of a process, without a cache outside the target directory.
pub fn engine() -> Arc<PluginEngine> {
    static ENGINE: LazyLock<Arc<PluginEngine>> =
        LazyLock::new(|| Arc::new(PluginEngine::with_cache(None).expect("this machine runs WebAssembly")));
    LazyLock::force(&REPORTED);
    Arc::clone(&ENGINE)
}

/// The guest `misbehave`, told what to do, within these limits.
pub fn limited(what: &str, limits: Limits) -> Arc<Plugin> {
    let settings = PluginSettings { limits, ..config(&[("do", what)]) };
    Arc::new(Plugin::load(&engine(), &guest("misbehave"), settings).expect("the guest loads"))
}

pub fn config(entries: &[(&str, &str)]) -> PluginSettings {
    let config: BTreeMap<_, _> = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    // Its sockets are there, and reach nothing.
    let network = NetworkPolicy { tcp: Some(Vec::new()), ..NetworkPolicy::default() };
    let grants = Grants { state: true, network, ..Grants::default() };
    PluginSettings { config, grants, ..PluginSettings::default() }
}

/// The guest `misbehave`, told what to do.
pub fn misbehave(what: &str) -> Arc<Plugin> {
    Arc::new(Plugin::load(&engine(), &guest("misbehave"), config(&[("do", what)])).expect("the guest loads"))
}

/// A plugin from WebAssembly text.
pub fn text(wat: &str) -> Arc<Plugin> {
    limited_text(wat, Limits::default()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// A plugin from WebAssembly text, within these limits.
pub fn limited_text(wat: &str, limits: Limits) -> Result<Arc<Plugin>, LoadError> {
    let file = File::new("wat", wat.as_bytes());
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    Plugin::load(&engine(), &file.0, settings).map(Arc::new)
}

/// A bare module that writes `text` to stdout with WASI preview 1 when it is elected, and then does `more`.
pub fn printing(text: &str, more: &str) -> String {
    let (length, text) = (text.len(), text.escape_default());
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\{length:02x}\00\00\00")
            (data (i32.const 16) "{text}")
            (func (export "on_elected")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                {more})
            (func (export "on_demoted")))"#
    )
}

/// A module as a toolchain without components makes it: the contract's types lie in a custom section.
pub fn module_with_metadata() -> Vec<u8> {
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 1024))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $free)
                (global.set $free (i32.add (global.get $free) (local.get 3))))
            ;; The outcome lies at 16, where a zero says that it is no error.
            (func (export "on-elected") (param i64 i64 i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "on-demoted") (param i32) (if (i32.ne (local.get 0) (i32.const 1)) (then unreachable))))"#,
    )
    .unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/wit");
    let (package, _) = resolve.push_dir(contract).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    module
}

/// A file that is gone when the test is over.
pub struct File(pub PathBuf);

impl File {
    pub fn new(extension: &str, content: &[u8]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("soloist-test-{}-{count}.{extension}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("the temporary directory can be written");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Everything reported in this process, as JSON.
#[derive(Default)]
struct Reported {
    events: Mutex<Vec<Value>>,
    more: Condvar,
}

static REPORTED: LazyLock<Reported> = LazyLock::new(|| {
    let writer: fn() -> Sink = || Sink;
    let reporter = Reporter::new(writer, LogFormat::Json, tracing::Level::TRACE, false, "tested".into());
    let subscriber = tracing_subscriber::registry().with(reporter);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
    Reported::default()
});

/// Waits until something is reported, anywhere in this process, whose message contains `text`.
pub fn wait_for_message(text: &str) {
    let said = |event: &Value| event["message"].as_str().is_some_and(|message| message.contains(text));
    let events = REPORTED.events.lock().expect("no test panics here");
    let waited = REPORTED.more.wait_timeout_while(events, PATIENCE, |events| !events.iter().any(said));
    assert!(!waited.expect("no test panics here").1.timed_out(), "nobody said {text:?}");
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let event = serde_json::from_slice::<Value>(bytes).map_err(io::Error::other)?;
        REPORTED.events.lock().expect("no test panics here").push(event);
        REPORTED.more.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A task's state in memory.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    /// Calls wait while this is set.
    pub held: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<String, Entry>,
    writes: u64,
    refusal: Option<StateError>,
}

impl Memory {
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.kept().entries.get(key).map(|entry| entry.value.clone())
    }

    /// How many bytes are kept.
    pub fn bytes(&self) -> usize {
        self.kept().entries.values().map(|entry| entry.value.len()).sum()
    }

    /// How many writes there have been.
    pub fn writes(&self) -> u64 {
        self.kept().writes
    }

    /// Answers every call so from here on.
    pub fn refuse(&self, error: StateError) {
        self.kept().refusal = Some(error);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no test panics here")
    }

    fn call<'a, T: Send>(
        &'a self,
        call: impl FnOnce(&mut Kept) -> Result<T, StateError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StateError>> {
        Box::pin(async {
            let _ = self.held.subscribe().wait_for(|held| !held).await;
            let mut kept = self.kept();
            match &kept.refusal {
                Some(error) => Err(error.clone()),
                None => call(&mut kept),
            }
        })
    }
}

impl Kept {
    fn write(&mut self, key: String, value: Vec<u8>) -> Result<u64, StateError> {
        check_key(&key)?;
        check_value(&value)?;
        if !self.entries.contains_key(&key) && self.entries.len() >= KEYS_MAX {
            return Err(StateError::TooMany);
        }
        self.writes += 1;
        self.entries.insert(key, Entry { value, version: self.writes });
        Ok(self.writes)
    }
}

impl State for Memory {
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>> {
        self.call(move |kept| check_key(&key).map(|()| kept.entries.get(&key).cloned()))
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>> {
        self.call(|kept| kept.write(key, value))
    }

    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>> {
        self.call(move |kept| check_key(&key).map(|()| drop(kept.entries.remove(&key))))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        self.call(|kept| Ok(kept.entries.keys().cloned().collect()))
    }

    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>> {
        self.call(move |kept| match kept.entries.get(&key).map(|entry| entry.version) {
            version if version == expected => kept.write(key, value),
            version => Err(StateError::Changed(version)),
        })
    }
}

pub fn term(task: &str) -> Term {
    Term { number: 7, fencing_token: FencingToken(1007), task: task.into(), host: "tested".into(), record_version: 7 }
}

/// What plugins run on: one worker, so that whatever a guest keeps to itself is missing at once.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

/// One term of a plugin under test.
pub struct Tested {
    pub activation: Option<Activation>,
    pub permit: Permit,
    pub deadline: SharedDeadline,
    pub state: Arc<Memory>,
    pub notices: mpsc::UnboundedReceiver<Notice>,
    task: String,
    handle: tokio::runtime::Handle,
    /// None for a term that runs beside another.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Tested {
    /// Starts a term with a lease that does not end by itself.
    pub fn start(plugin: Arc<Plugin>, settings: ActivationSettings) -> Self {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + 100 * PATIENCE);
        Self::start_with(plugin, settings, deadline, |_| ())
    }

    /// Starts a term; `first` is done with the activation before anything else can happen to it.
    pub fn start_with(
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        Self::start_in(Arc::default(), plugin, settings, deadline, first)
    }

    /// As `start_with`, with a state that is there already.
    pub fn start_in(
        state: Arc<Memory>,
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        let runtime = runtime();
        let mut tested = Self::start_on(runtime.handle().clone(), state, plugin, settings, deadline, first);
        tested.runtime = Some(runtime);
        tested
    }

    /// Starts a term on the very thread that this one runs on.
    pub fn beside(&self, plugin: Arc<Plugin>, settings: ActivationSettings) -> Self {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + 100 * PATIENCE);
        Self::start_on(self.handle.clone(), Arc::default(), plugin, settings, deadline, |_| ())
    }

    fn start_on(
        handle: tokio::runtime::Handle,
        state: Arc<Memory>,
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let task = format!("task-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let term = term(&task);
        let permit = Permit::new(deadline.clone());
        let (sender, notices) = mpsc::unbounded_channel();
        let activation = Activation::start(&handle, plugin, settings, term, permit.clone(), state.clone(), sender);
        first(&activation);
        Self { activation: Some(activation), permit, deadline, state, notices, task, handle, runtime: None }
    }

    pub fn activation(&self) -> &Activation {
        self.activation.as_ref().expect("not dropped by the test")
    }

    /// Everything reported of this term so far.
    pub fn events(&self) -> Vec<Value> {
        self.of(&REPORTED.events.lock().expect("no test panics here"))
    }

    fn of(&self, events: &[Value]) -> Vec<Value> {
        events.iter().filter(|event| event["task"] == *self.task).cloned().collect()
    }

    /// Waits until something of that kind was reported so many times, and returns the last one.
    pub fn wait_for(&self, event: &str, message: &str, times: usize) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut events = REPORTED.events.lock().expect("no test panics here");
        loop {
            let mut found = self.of(&events);
            found.retain(|found| found["event"] == event && found["message"].as_str().unwrap_or("").contains(message));
            if found.len() >= times {
                return found.swap_remove(times - 1);
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                let reported = self.of(&events);
                // The other tests go on.
                drop(events);
                panic!("no {event} {message:?} ({times}): {reported:#?}");
            };
            events = REPORTED.more.wait_timeout(events, left).expect("no test panics here").0;
        }
    }

    /// The next notice that is not only about how the plugin fares.
    pub fn notice(&mut self) -> Notice {
        loop {
            match self.any_notice() {
                Notice::Completed | Notice::Healthy => {}
                notice => return notice,
            }
        }
    }

    /// The next notice.
    pub fn any_notice(&mut self) -> Notice {
        let runtime = self.handle.clone();
        let notice = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.notices.recv()).await });
        notice.unwrap_or_else(|_| panic!("no notice: {:#?}", self.events())).expect("the last notice has not come")
    }

    /// How long the thread that runs the plugin has had a processor.
    pub fn processor_time(&self) -> Duration {
        let runtime = self.handle.clone();
        let time = async { rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime) };
        let time = runtime.block_on(runtime.spawn(time)).expect("it does not panic");
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
    }

    /// Waits for the end, and returns whether it was by force. Nothing may come after it.
    pub fn stopped(&mut self) -> bool {
        let by_force = loop {
            match self.notice() {
                Notice::Stopped { by_force } => break by_force,
                Notice::ResignRequested { .. } | Notice::Completed | Notice::Healthy | Notice::Failed(_) => {}
            }
        };
        assert_eq!(Arc::strong_count(&self.state), 1, "the term still holds its state");
        let runtime = self.handle.clone();
        let after = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.notices.recv()).await });
        assert_eq!(after.expect("the sender is gone after the last notice"), None);
        let last = self.events().pop().expect("something was reported");
        assert_eq!(last["event"], if by_force { "revoked" } else { "demoted" });
        assert!(self.permit.check().is_err(), "nothing is allowed any more");
        by_force
    }

    /// What was reported, by event names, without the lines of the plugin.
    pub fn story(&self) -> Vec<String> {
        let names = self.events().into_iter().filter_map(|event| event["event"].as_str().map(str::to_owned));
        names.filter(|name| name != "plugin-log").collect()
    }

    /// The lines of the plugin.
    pub fn lines(&self) -> Vec<String> {
        let events = self.events().into_iter().filter(|event| event["event"] == "plugin-log");
        events.filter_map(|event| event["message"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        drop(self.activation.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}
