//! What belongs to one instance of a plugin, and the bounds it lives in.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::Level;
use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::PluginSettings;
use super::failure::OutOfMemory;
use super::leadership::Leadership;
use super::log::PluginLog;
use super::network::{HEADER_BYTES, NetworkAccess};
use super::state::CALLS_MAX;
use super::stdio::Stdio;
use crate::permit::LeaseLost;

/// How many elements the tables of a plugin may have, all together.
const TABLE_ELEMENTS: usize = 200_000;

/// How much a plugin may hand to the host in one call, in bytes.
const HOST_CALL_BYTES: usize = 16 << 20;

/// The data of a plugin's store: what its imports work on.
pub(super) struct Host {
    pub(super) leadership: Leadership,
    pub(super) settings: Arc<PluginSettings>,
    pub(super) log: PluginLog,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
    /// What the plugin said when it panicked.
    pub(super) panic: Option<String>,
    pub(super) resigned: bool,
    pub(super) state_calls: Arc<Semaphore>,
    /// Goes before the table, so that what is open there is cut.
    pub(super) network: NetworkAccess,
    pub(super) table: ResourceTable,
    limits: Limits,
    wasi: WasiCtx,
    http: WasiHttpCtx,
}

impl Host {
    fn new(leadership: Leadership, settings: Arc<PluginSettings>) -> Self {
        let log = PluginLog::new(Arc::clone(&leadership.term));
        let stdout = Stdio::new("stdout", Level::INFO, log.clone());
        let stderr = Stdio::new("stderr", Level::WARN, log.clone());
        // No directory, no variable, no argument, no stdin, no UDP: what is not named here is not there. TCP has sockets of
        // its own.
        let wasi = WasiCtx::builder()
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(2 * HEADER_BYTES);
        Self {
            network: NetworkAccess::new(&leadership, &settings, &log),
            leadership,
            log,
            stdout,
            stderr,
            panic: None,
            resigned: false,
            state_calls: Arc::new(Semaphore::new(CALLS_MAX)),
            limits: Limits { memory_bytes: 0, table_elements: 0, memory_limit_bytes: settings.memory_limit_bytes },
            settings,
            wasi,
            http,
            table: ResourceTable::new(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stdout.finish();
        self.stderr.finish();
        self.log.finish();
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.network, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Makes the store of one attempt. The permit is looked at whenever the guest calls the host or returns from it, and at
/// every epoch tick in between.
pub(super) fn new(engine: &Engine, leadership: Leadership, settings: Arc<PluginSettings>) -> Store<Host> {
    let mut store = Store::new(engine, Host::new(leadership, settings));
    store.limiter(|host| &mut host.limits);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().leadership.permit.check()?;
        // tokio's own yield lets its timers run too, even when every worker is busy with a guest.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store.call_hook(|store, hook| match hook {
        CallHook::CallingHost | CallHook::ReturningFromHost => {
            store.data().leadership.permit.check().map(drop).map_err(<LeaseLost as Into<wasmtime::Error>>::into)
        }
        CallHook::CallingWasm | CallHook::ReturningFromWasm => Ok(()),
    });
    store
}

/// Counts what a plugin has, over all its memories and tables.
struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    memory_limit_bytes: u64,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired - current);
        if u64::try_from(total).unwrap_or(u64::MAX) > self.memory_limit_bytes {
            // A refusal would look like a bug of the plugin; an error ends it and says what happened.
            return Err(OutOfMemory { limit_bytes: self.memory_limit_bytes }.into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired - current);
        if maximum.is_some_and(|maximum| desired > maximum) || total > TABLE_ELEMENTS {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}
