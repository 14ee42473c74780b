//! What a plugin sees of the system: the directories and variables that its task grants, and nothing else.

use wasmtime_wasi::WasiCtx;

use crate::PluginSettings;
use crate::directories::Directories;
use crate::imports::stdio::Stdio;

/// Makes the view of the system that one instance has.
///
/// # Errors
/// A granted directory that is no more.
pub(crate) fn context(
    settings: &PluginSettings,
    directories: &Directories,
    stdout: Stdio,
    stderr: Stdio,
) -> wasmtime::Result<WasiCtx> {
    // No argument, no stdin, no network: what is not named here is not there.
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdout)
        .stderr(stderr)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    for (name, value) in &settings.grants.env {
        wasi.env(name, value);
    }
    for (name, secret) in &settings.secrets {
        wasi.env(name, secret.expose());
    }
    directories.give(wasi.build())
}
