//! Orders from stdin: keys of a terminal, or a word a line.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::thread;

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use soloist_dev::playground::{Order, UnknownOrder};
use soloist_runtime::shutdown::Shutdown;
use tokio::sync::mpsc;

use crate::cli::Failure;

/// How long a line may be, in bytes. No word is that long.
const LINE_BYTES_MAX: u64 = 1024;

type Ordered = Result<Order, UnknownOrder>;

/// Whether somebody sits there, at the keys.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Reads orders on a thread of its own, within a runtime. A terminal gives each key at once, and is as it was before as soon
/// as a shutdown is asked for, or the runtime ends.
pub(super) fn orders(shutdown: &Shutdown) -> Result<mpsc::UnboundedReceiver<Ordered>, Failure> {
    let (sender, orders) = mpsc::unbounded_channel();
    let read: fn(&mpsc::UnboundedSender<Ordered>) = if is_terminal() {
        let keys = Keys::begin()
            .context("cannot read single keys of this terminal")
            .map_err(Failure::RunTime)?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            shutdown.requested().await;
            drop(keys);
        });
        read_keys
    } else {
        read_lines
    };
    thread::Builder::new()
        .name("orders".into())
        .spawn(move || read(&sender))
        .context("cannot start the thread that reads orders")
        .map_err(Failure::RunTime)?;
    Ok(orders)
}

/// Reads until nobody listens, or there is no more to read.
fn read_keys(orders: &mpsc::UnboundedSender<Ordered>) {
    for key in io::stdin()
        .lock()
        .bytes()
        .map_while(Result::ok)
        .map(char::from)
    {
        let is_order = !key.is_ascii_whitespace();
        if is_order && orders.send(Order::of_key(key)).is_err() {
            return;
        }
    }
}

fn read_lines(orders: &mpsc::UnboundedSender<Ordered>) {
    let mut input = BufReader::new(io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        match input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let is_order = !line.trim().is_empty();
        if is_order && orders.send(Order::of_word(&line)).is_err() {
            return;
        }
    }
}

/// A terminal that gives each key at once and shows none. As it was before when this is dropped.
struct Keys(Termios);

impl Keys {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        // Signals stay: Ctrl-C stops it all.
        now.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
