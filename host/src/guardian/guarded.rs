//! The end of the guarded process: what it tells, and how it hears that the guardian has gone.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketType, recv, recvmsg,
    send, sockopt,
};
use soloist_core::event::{About, Event};
use soloist_core::guardian::{Listener, Message, Past, Subject, Teller};
use soloist_runtime::shutdown::Shutdown;

use super::GUARDED_WORD;

/// The first message of the guardian is no longer.
const LEGACY_MAX_BYTES: usize = 1024;

/// The line to the guardian, before anybody listens or speaks.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
    /// What the guardian has seen before.
    past: Past,
    /// The socket at which the host is to answer, if the guardian has one.
    listener: Option<OwnedFd>,
}

/// This process was told that it has a guardian, and has none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`soloist {GUARDED_WORD}` is not for people: use `soloist run`, which has a guardian by itself"
)]
pub(crate) struct NotGuarded;

/// The line to the guardian, if this process has one. No other process inherits it, and standard input is empty from here on.
///
/// # Errors
/// [`NotGuarded`].
pub(crate) fn line() -> Result<Option<Line>, NotGuarded> {
    if env::args_os()
        .nth(1)
        .is_none_or(|word| word != GUARDED_WORD)
    {
        return Ok(None);
    }
    let taken = || {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        if sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(Errno::INVAL.into());
        }
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let (past, listener) = legacy(&socket)?;
        io::Result::Ok(Line {
            socket,
            past,
            listener,
        })
    };
    taken().map(Some).map_err(|_| NotGuarded)
}

/// What the guardian has sent before it has started this process.
fn legacy(socket: &OwnedFd) -> io::Result<(Past, Option<OwnedFd>)> {
    let mut bytes = [0; LEGACY_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = retry_on_intr(|| {
        let mut read = [IoSliceMut::new(&mut bytes)];
        recvmsg(socket, &mut read, &mut control, flags)
    })?;
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let past = bytes.get(..received.bytes).and_then(Past::decode);
    Ok((past.ok_or(Errno::INVAL)?, listener))
}

impl Line {
    /// What the guardian has seen before.
    pub(crate) fn past(&self) -> Past {
        self.past
    }

    /// The socket at which the host is to answer, once.
    pub(crate) fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// Begins to listen, and makes what speaks. When the guardian has gone, `shutdown` is triggered.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(self, shutdown: Shutdown) -> io::Result<Teller> {
        let end = Arc::new(End {
            socket: self.socket,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            waiting: Mutex::default(),
        });
        thread::Builder::new().name("guardian".into()).spawn({
            let end = Arc::clone(&end);
            move || {
                if let Err(error) = end.serve() {
                    tracing::debug!("the line to the guardian: {error}");
                }
                About::Session.report(&Event::GuardianLost);
                shutdown.trigger();
            }
        })?;
        Ok(Teller::new(end))
    }
}

/// The end of the line.
#[derive(Debug)]
struct End {
    socket: OwnedFd,
    /// Wakes the thread that sends what waits.
    wake: OwnedFd,
    /// What could not be sent at once, the last of each subject: no more than the process has.
    waiting: Mutex<BTreeMap<Subject, Vec<u8>>>,
}

impl Listener for End {
    /// What the socket takes at once outlives this process, whenever it dies.
    fn tell(&self, message: Message) {
        let bytes = match message.encode() {
            Ok(bytes) => bytes,
            Err(error) => return tracing::warn!("{error}: it goes with its session"),
        };
        let mut waiting = self.waiting();
        if waiting.is_empty() && self.send(&bytes) != Err(Errno::AGAIN) {
            return;
        }
        waiting.insert(message.subject(), bytes);
        drop(waiting);
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl End {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Subject, Vec<u8>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &[u8]) -> Result<(), Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        retry_on_intr(|| send(&self.socket, message, flags)).map(drop)
    }

    /// Sends what waits, until the guardian has gone.
    fn serve(&self) -> Result<(), Errno> {
        loop {
            let mut wanted = PollFlags::IN;
            if !self.waiting().is_empty() {
                wanted |= PollFlags::OUT;
            }
            let mut ready = [
                PollFd::new(&self.socket, wanted),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            retry_on_intr(|| poll(&mut ready, None))?;
            let [socket, wake] = ready.map(|it| it.revents());
            if wake.contains(PollFlags::IN) {
                let _ = read(&self.wake, &mut [0; 8]);
            }
            if socket.contains(PollFlags::OUT) {
                self.send_waiting()?;
            }
            if socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                // The guardian says nothing more.
                let (_, length) =
                    retry_on_intr(|| recv(&self.socket, &mut [0_u8; 8][..], RecvFlags::DONTWAIT))?;
                if length == 0 {
                    return Ok(());
                }
            }
        }
    }

    fn send_waiting(&self) -> Result<(), Errno> {
        let mut waiting = self.waiting();
        while let Some(first) = waiting.first_entry() {
            match self.send(first.get()) {
                Ok(()) => drop(first.remove()),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::net::{AddressFamily, SocketFlags, socketpair};
    use soloist_core::guardian::{Ledger, Place};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn line(socket: OwnedFd) -> Line {
        Line {
            socket,
            past: Past::default(),
            listener: None,
        }
    }

    #[test]
    fn what_the_guardian_sends_first_arrives_with_its_socket_or_without() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut past = Past::default();
        past.died(soloist_core::guardian::Death::Killed(9), 7, true);
        for given in [Some(&listener), None] {
            let (mine, theirs) = pair();
            let given = given.map(|listener| listener.as_fd());
            crate::guardian::process::bequeath(&mine, &past, given).unwrap();
            let (told, received) = legacy(&theirs).unwrap();
            assert_eq!((told, received.is_some()), (past, given.is_some()));
            if let Some(received) = received {
                let received = std::net::TcpListener::from(received);
                let address = listener.local_addr().unwrap();
                assert_eq!(received.local_addr().unwrap(), address);
            }
        }
        let (mine, theirs) = pair();
        send(&mine, b"x", SendFlags::empty()).unwrap();
        assert!(legacy(&theirs).is_err(), "it is no guardian");
    }

    /// More than the socket takes while nobody reads.
    const TASKS: usize = 5_000;

    /// Each of them is told several times over.
    #[test]
    fn a_guardian_that_does_not_read_holds_nothing_up_and_hears_all_in_the_end() {
        let (mine, theirs) = pair();
        let teller = line(theirs).begin(Shutdown::new()).unwrap();
        let place = |task: usize, leads| Place {
            session: 1,
            task: task.to_string(),
            master: None,
            candidates: vec!["c-0000000000000001-a-0000000001".into()],
            leads,
        };
        for round in 0..3 {
            for task in 0..TASKS {
                teller.tell(Message::Stands(place(task, Some(round))));
            }
        }
        let mut ledger = Ledger::default();
        let (mut bytes, mut heard, mut last) = ([0; 4096], 0, 0);
        while last < TASKS {
            let (_, length) = recv(&mine, &mut bytes[..], RecvFlags::empty()).unwrap();
            let message = Message::decode(&bytes[..length]).unwrap();
            last +=
                usize::from(matches!(&message, Message::Stands(place) if place.leads == Some(2)));
            heard += 1;
            ledger.take_in(message);
        }
        let places = ledger.estate().unwrap().places;
        assert_eq!(places.len(), TASKS);
        assert!(places.iter().all(|place| place.leads == Some(2)));
        // What was overtaken while it waited was never sent.
        assert!(heard < 3 * TASKS, "{heard}");
    }

    #[tokio::test]
    async fn a_process_stops_when_its_guardian_has_gone() {
        let (mine, theirs) = pair();
        let shutdown = Shutdown::new();
        let teller = line(theirs).begin(shutdown.clone()).unwrap();
        drop(mine);
        tokio::time::timeout(Duration::from_secs(60), shutdown.requested())
            .await
            .unwrap();
        // Nobody hears it, and nobody minds.
        teller.holds(1, "/a");
    }
}
