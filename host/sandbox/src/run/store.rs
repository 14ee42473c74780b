//! What belongs to one instance of a plugin, and the bounds it lives in.

use std::sync::Arc;

use tracing::Level;
use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::directories::Directories;
use crate::engine::cpu::Cpu;
use crate::engine::turn::Turn;
use crate::imports::blocking_clock::BlockingClockView;
use crate::imports::blocking_state::BlockingStateView;
use crate::imports::clocks::ClocksView;
use crate::imports::config::ConfigView;
use crate::imports::files::{FilesView, OpenFiles, Ungranted};
use crate::imports::leadership::LeadershipView;
use crate::imports::log::LogView;
use crate::imports::schedule::{ScheduleAccess, ScheduleView};
use crate::imports::state::{StateAccess, StateView};
use crate::imports::stdio::Stdio;
use crate::imports::wasi;
use crate::imports::writes::Writes;
use crate::leadership::Leadership;
use crate::log::{LogVolume, PluginLog};
use crate::network::{HEADER_BYTES, NetworkAccess, SocketsView};
use crate::run::elected::Elected;
use crate::run::start::Start;
use crate::run::usage::Usage;
use crate::settings::PluginSettings;
use soloist_core::clock;
use soloist_core::limits::{Limit, count};
use soloist_core::permit::LeaseLost;
use soloist_core::secret::Redactor;

/// How many calls a plugin may have under way, between its components and to the host. Each takes memory of the host.
const CALLS_MAX: usize = 10_000;

/// The data of a plugin's store. Each import works on a view of it.
pub(crate) struct InstanceData {
    pub(crate) leadership: Leadership,
    pub(crate) settings: Arc<PluginSettings>,
    pub(crate) log: PluginLog,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    /// What the plugin said when it panicked.
    pub(crate) panic: Option<String>,
    pub(crate) resigned: bool,
    /// Whether the plugin has asked if it should stop.
    asks: bool,
    pub(crate) elected: Elected,
    state: StateAccess,
    schedule: ScheduleAccess,
    pub(crate) start: Start,
    /// The group of imports that the plugin has called last.
    import: &'static str,
    pub(crate) cpu: Cpu,
    pub(crate) turn: Turn,
    /// Is dropped before the table, so that the connections that lie there are cut.
    network: NetworkAccess,
    table: ResourceTable,
    open_files: OpenFiles,
    ungranted: Ungranted,
    usage: Usage,
    wasi: WasiCtx,
    http: WasiHttpCtx,
}

impl InstanceData {
    fn new(
        leadership: Leadership,
        settings: Arc<PluginSettings>,
        directories: &Directories,
        writes: Writes,
        volume: LogVolume,
    ) -> wasmtime::Result<Self> {
        let limits = &settings.limits;
        let log = PluginLog::new(
            Arc::clone(&leadership.term),
            leadership.permit.clone(),
            limits,
            Redactor::new(settings.secrets.values()),
            volume,
        );
        let stdout = Stdio::new("stdout", Level::INFO, log.clone());
        let stderr = Stdio::new("stderr", Level::WARN, log.clone());
        let secrets = settings.secrets.iter();
        let variables = settings.grants.env.iter();
        let variables = variables
            .map(|(name, value)| (&**name, &**value))
            .chain(secrets.map(|(name, secret)| (&**name, secret.expose())));
        let wasi = directories.give(wasi::context(
            variables,
            settings.clock.clone(),
            settings.random.as_ref(),
            stdout.clone(),
            stderr.clone(),
        ))?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(count(limits.resources.into()));
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(2 * HEADER_BYTES);
        let state = StateAccess::new(
            Arc::clone(&leadership.state),
            leadership.permit.clone(),
            writes,
            limits,
        );
        let elected = Elected::default();
        let cpu = Cpu::new(limits.cpu, leadership.permit.meter());
        let usage = Usage::new(limits.clone(), leadership.permit.meter());
        Ok(Self {
            schedule: ScheduleAccess::new(
                state.clone(),
                elected.watch(),
                Arc::clone(&leadership.term),
                settings.clock.clone(),
                log.clone(),
            ),
            state,
            network: NetworkAccess::new(
                Arc::clone(&leadership.term),
                leadership.permit.clone(),
                (settings.grants.network.clone(), settings.contacts.clone()),
                Arc::clone(&settings.resolver),
                settings.answers.clone(),
                count(limits.sockets.into()),
                log.clone(),
            ),
            leadership,
            log,
            stdout,
            stderr,
            panic: None,
            resigned: false,
            asks: false,
            elected,
            start: Start::within(limits.start_timeout),
            import: "",
            cpu,
            turn: Turn::default(),
            open_files: OpenFiles::new(limits.files),
            ungranted: Ungranted::new(&settings.grants),
            usage,
            settings,
            wasi,
            http,
            table,
        })
    }
}

/// The views. An import that asks for its view was called by the plugin, which is a sign of life.
impl InstanceData {
    /// wasmtime's call hook would not do for it: that is called at epoch ticks as well.
    fn gives_sign(&self) {
        self.start.called_host();
        self.leadership.permit.pulse().lives();
    }

    fn called(&mut self, import: &'static str) {
        self.gives_sign();
        self.import = import;
    }

    pub(super) fn leadership(&mut self) -> LeadershipView<'_> {
        self.called("leadership");
        LeadershipView {
            leadership: &self.leadership,
            log: &self.log,
            resigned: &mut self.resigned,
            asks: &mut self.asks,
        }
    }

    pub(super) fn log(&mut self) -> LogView<'_> {
        self.called("log");
        LogView {
            log: &self.log,
            panic: &mut self.panic,
        }
    }

    pub(super) fn schedule(&mut self) -> ScheduleView<'_> {
        self.called("schedule");
        ScheduleView(&self.schedule)
    }

    pub(super) fn state(&mut self) -> StateView<'_> {
        self.called("state");
        StateView(&self.state)
    }

    pub(super) fn blocking_clock(&mut self) -> BlockingClockView<'_> {
        self.gives_sign();
        BlockingClockView {
            clock: &self.settings.clock,
            leadership: &self.leadership,
            is_cut: self.elected.is_running(),
        }
    }

    pub(super) fn blocking_state(&mut self) -> BlockingStateView<'_> {
        self.called("state");
        BlockingStateView(&self.state)
    }

    pub(super) fn config(&mut self) -> ConfigView<'_> {
        self.called("config");
        ConfigView(&self.settings.config)
    }

    pub(super) fn clocks(&mut self) -> ClocksView<'_> {
        self.called("clocks");
        ClocksView {
            clock: &self.settings.clock,
            table: &mut self.table,
            cut_by: (self.asks && self.elected.is_running()).then_some(&self.leadership),
        }
    }

    pub(super) fn files(&mut self) -> FilesView<'_> {
        self.called("files");
        FilesView {
            ctx: self.wasi.filesystem(),
            table: &mut self.table,
            open: &mut self.open_files,
            ungranted: &mut self.ungranted,
            permit: &self.leadership.permit,
            log: &self.log,
        }
    }

    pub(super) fn sockets(&mut self) -> SocketsView<'_> {
        self.called("sockets");
        SocketsView {
            network: &self.network,
            table: &mut self.table,
        }
    }
}

impl Drop for InstanceData {
    fn drop(&mut self) {
        self.stdout.finish();
        self.stderr.finish();
        self.log.finish();
    }
}

impl WasiView for InstanceData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.called("wasi");
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.called("http");
        WasiHttpCtxView {
            hooks: &mut self.network,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Makes the store of one attempt. It looks at the permit when the guest calls the host, when the host returns to the guest,
/// and at every epoch tick in between.
///
/// # Errors
/// A granted directory is no more.
pub(crate) fn new(
    engine: &Engine,
    leadership: Leadership,
    settings: Arc<PluginSettings>,
    directories: &Directories,
    writes: Writes,
    volume: LogVolume,
) -> wasmtime::Result<Store<InstanceData>> {
    let call_bytes = count(settings.limits.call_bytes);
    let mut store = Store::new(
        engine,
        InstanceData::new(leadership, settings, directories, writes, volume)?,
    );
    store.limiter(|host| &mut host.usage);
    store.set_hostcall_fuel(call_bytes);
    store.set_max_component_handles(CALLS_MAX);
    if let Some(calls) = store.concurrent_resource_table() {
        calls.set_max_capacity(4 * CALLS_MAX);
    }
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        let host = store.data();
        host.leadership.permit.check()?;
        if let Some(meter) = host.leadership.permit.meter() {
            meter.interrupted();
        }
        host.leadership.permit.pulse().computes(clock::now());
        if host.start.is_overdue() {
            return Err(host.settings.limits.reached(Limit::StartTimeout).into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(give_way(host))))
    });
    store.call_hook(|store, hook| {
        let data = store.data();
        let permit = &data.leadership.permit;
        match (hook, &data.settings.calls) {
            (CallHook::CallingWasm | CallHook::ReturningFromWasm, _) => return Ok(()),
            (CallHook::CallingHost, Some(calls)) => calls.before(),
            (CallHook::ReturningFromHost, Some(calls)) => calls.after(data.import),
            (CallHook::CallingHost | CallHook::ReturningFromHost, None) => {}
        }
        let checked = match hook {
            CallHook::CallingHost => permit.enter(),
            _ => permit.check(),
        };
        checked
            .map(drop)
            .map_err(<LeaseLost as Into<wasmtime::Error>>::into)
    });
    Ok(store)
}

/// What a guest does at an epoch tick, if it computes: it lets other guests run. A guest that has used up its share of the
/// processor rests first.
fn give_way(host: &InstanceData) -> impl Future<Output = ()> + use<> {
    let (rest, permit) = (host.cpu.charge(), host.leadership.permit.clone());
    let (start, turn) = (host.start.clone(), host.turn.clone());
    start.interrupted();
    turn.end();
    async move {
        if !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = permit.ended() => {}
            }
        }
        turn.begin().await;
        start.resumed();
    }
}
