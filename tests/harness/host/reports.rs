//! What a host writes, as it is read.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::clock;
use crate::history::{Event, History, Record, What};
use crate::reference::Schema;

pub(super) fn read_events(
    stdout: impl Read,
    history: &History,
    host: &str,
    pid: u32,
    clocked: bool,
    schema: Option<&Schema>,
) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        let received = SystemTime::now();
        let (at, what) = match Event::parse(&line) {
            Ok((at, event)) => {
                let at = if clocked {
                    clock::set_right(at, received)
                } else {
                    at
                };
                match schema.map_or(Ok(()), |schema| schema.check(&event.line)) {
                    Ok(()) => (at, What::Event(event)),
                    Err(error) => (
                        at,
                        What::Unreadable(format!("not as REFERENCE.md says, {error:#}: {line}")),
                    ),
                }
            }
            Err(_) => (received, What::Unreadable(line)),
        };
        history.add(Record {
            at,
            received,
            host: host.to_owned(),
            pid,
            what,
        });
    }
}

pub(super) fn read_text(stderr: impl Read, text: &Mutex<String>) {
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { return };
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}
