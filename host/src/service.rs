//! The service manager that runs this process, if one does: systemd, or whoever speaks as it does (`sd_notify(3)`).
//!
//! Whoever the manager has started speaks to it: the guardian, or a host without one. So `NotifyAccess=main` will do, and what a
//! plugin could break out into has nothing to say to the manager.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use soloist_core::service::{ServiceState, Told};

/// Where the manager listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// Within how many microseconds the manager wants to hear of the process.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// Of which process it wants to hear.
const WATCHED_VARIABLE: &str = "WATCHDOG_PID";

/// The manager, and what it was told.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    told: Told,
}

/// Whether a service manager wants to hear how this process is, or how its guardian is.
pub(crate) fn is_managed() -> bool {
    env::var_os(SOCKET_VARIABLE).is_some_and(|socket| !socket.is_empty())
}

/// Within which time the manager wants to hear of the process that it has started: this one, or its guardian, which is the
/// process `parent`. None if it does not care.
pub(crate) fn watchdog(parent: Option<i32>) -> Option<Duration> {
    let watched = env::var(WATCHED_VARIABLE).ok();
    let watched = watched.map(|pid| pid.parse().unwrap_or_default());
    let mine = i64::from(process::id());
    if watched.is_some_and(|pid: i64| pid != mine && parent.map(i64::from) != Some(pid)) {
        return None;
    }
    let micros = env::var(WATCHDOG_VARIABLE).ok()?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|it| !it.is_zero())
}

impl Manager {
    /// The manager of this process. None if there is none, or if it cannot be reached, which is an error.
    pub(crate) fn of_this_process() -> io::Result<Option<Self>> {
        let Some(name) = env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let socket = UnixDatagram::unbound()?;
        // Nobody here may wait for it: not whoever gives tasks back.
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address(&name)?)?;
        let told = Told::default();
        Ok(Some(Self { socket, told }))
    }

    /// Tells what has changed. False if the manager does not read at the moment: then it has to be told again.
    pub(crate) fn tell(&mut self, now: &ServiceState) -> bool {
        for message in self.told.missing(now) {
            match self.socket.send(message.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Whoever is gone needs not be told.
                Ok(_) | Err(_) => {}
            }
        }
        self.told.take_in(now.clone());
        true
    }
}

/// A path, or a name of the abstract namespace, which begins with `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}
