//! The guarded process, as its parent has it.

use std::env;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair, sockopt,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use soloist_core::guardian::{Death, Ledger, MESSAGE_MAX_BYTES, Message, Past};
use soloist_core::service::ServiceState;
use tokio::net::UnixStream;

use super::GUARDED_WORD;

/// How many bytes of messages may wait in the socket. The system may allow less.
const WAITING_BYTES: usize = 1 << 20;

/// The guarded process.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    since: Instant,
    socket: UnixStream,
    ledger: Ledger,
    /// How it last said that it is, if that was not handed on yet.
    state: Option<ServiceState>,
    /// The process has closed its end.
    is_silent: bool,
}

impl Process {
    /// Starts this very executable again, with the same arguments and a line to here, even if another file has taken its place.
    ///
    /// It is given that host id, if it would draw one, what was seen before, and the socket at which it is to answer. Must be
    /// called on a runtime.
    pub(super) fn start(
        host_id: Option<&str>,
        past: &Past,
        listener: Option<BorrowedFd<'_>>,
    ) -> io::Result<Self> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        // The flag that it does not block is each end's own: what the process sends asks for it by itself.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (mine, theirs) = socketpair(family, kind, flags, None)?;
        sockopt::set_socket_send_buffer_size(&theirs, WAITING_BYTES)?;
        // It is there when the process looks for it first.
        bequeath(&mine, past, listener)?;
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| "soloist".into());
        // The process that is to become it looks itself up.
        let child = Command::new("/proc/self/exe")
            .arg0(name)
            .arg(GUARDED_WORD)
            .args(arguments)
            .envs(host_id.map(|id| ("SOLOIST_HOST_ID", id)))
            .stdin(Stdio::from(theirs))
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self {
            pid: pid.ok_or(Errno::SRCH)?,
            since: Instant::now(),
            socket: UnixStream::from_std(mine.into())?,
            ledger: Ledger::default(),
            state: None,
            is_silent: false,
        })
    }

    /// Since when it has been there.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Takes in what the process tells, until it says how it is.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn listen(&mut self) -> ServiceState {
        loop {
            if let Some(state) = self.state.take() {
                return state;
            }
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            match self.socket.readable().await {
                Ok(()) => self.hear(),
                Err(_) => self.is_silent = true,
            }
        }
    }

    /// Takes in what waits in the socket. Each read takes one message.
    fn hear(&mut self) {
        let mut bytes = vec![0; MESSAGE_MAX_BYTES];
        loop {
            match self.socket.try_read(&mut bytes) {
                Ok(0) => return self.is_silent = true,
                Ok(length) => match bytes.get(..length).and_then(Message::decode) {
                    Some(Message::Service(state)) => self.state = Some(state),
                    Some(message) => self.ledger.take_in(message),
                    None => {}
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.is_silent = true,
            }
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        // It is not reaped while this value is there, so the number is still its own.
        let _ = kill_process(self.pid, signal);
    }

    /// Reaps all children that have ended: this process, and if the guardian is the first process of a container, those that
    /// others have left. Gives the death of this process: the system tells it once all its threads are gone.
    pub(super) fn reap(&self) -> Option<Death> {
        let mut death = None;
        while let Ok(Some((pid, status))) = retry_on_intr(|| wait(WaitOptions::NOHANG)) {
            if pid == self.pid {
                let signal = status.terminating_signal().map(Death::Killed);
                death = signal.or(status.exit_status().map(Death::Exited));
            }
        }
        death
    }

    /// All that the dead process has told.
    pub(super) fn into_ledger(mut self) -> Ledger {
        self.hear();
        self.ledger
    }
}

/// Tells a process that is about to start what was seen before, and gives it the socket.
pub(super) fn bequeath(
    line: impl AsFd,
    past: &Past,
    listener: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let told = past.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let given = listener.as_slice();
    if !given.is_empty() && !control.push(SendAncillaryMessage::ScmRights(given)) {
        return Err(Errno::NOBUFS.into());
    }
    let told = [IoSlice::new(&told)];
    sendmsg(line, &told, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
