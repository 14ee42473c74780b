//! What this process takes of the machine for its plugins.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use soloist_sandbox::{be_nice, plugin_threads};

/// The threads that plugins run on. Dropping this does not wait for them.
#[derive(Debug)]
pub(super) struct PluginThreads(Option<Runtime>);

impl PluginThreads {
    pub(super) fn start() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .thread_name("plugin")
            .worker_threads(plugin_threads())
            .on_thread_start(be_nice)
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> tokio::runtime::Handle {
        let runtime = self.0.as_ref().expect("it is there until this is dropped");
        runtime.handle().clone()
    }

    /// Waits so long until nothing runs on them.
    pub(super) fn end(mut self, within: Duration) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(within);
        }
    }
}

impl Drop for PluginThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Raises the limit of open files and sockets to what the system allows. Plugins may open many, and the session must still
/// get its own. The usual limit is low for the sake of programs that call `select`, which this one does not.
pub(super) fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it fails, the limit stays as it was.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
