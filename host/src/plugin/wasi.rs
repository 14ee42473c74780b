//! What a plugin sees of the system: the directories and variables that its task grants, and nothing else.

use wasmtime_wasi::WasiCtx;

use super::PluginSettings;
use super::grants::Directory;
use super::stdio::Stdio;

/// Makes the view of the system that one instance has.
///
/// # Errors
/// A granted directory that cannot be opened.
pub(super) fn context(settings: &PluginSettings, stdout: Stdio, stderr: Stdio) -> wasmtime::Result<WasiCtx> {
    // No argument, no stdin, no network: what is not named here is not there.
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdout).stderr(stderr).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    // On the plugin's own thread: what a thread of its own does would go on when the plugin is stopped.
    wasi.allow_blocking_current_thread(true);
    for Directory { host, guest, access } in &settings.grants.dirs {
        wasi.preopened_dir(host, guest, access.permissions())
            .map_err(|error| error.context(format!("cannot open the granted directory {}", host.display())))?;
    }
    for (name, value) in &settings.grants.env {
        wasi.env(name, value);
    }
    for (name, secret) in &settings.secrets {
        wasi.env(name, secret.expose());
    }
    Ok(wasi.build())
}
