//! What the ensemble has.

use std::collections::BTreeMap;

use soloist_core::records::{Generation, ReadyRecord, RolloutRecord};

/// The state of the plugin: the generation that wrote it last, and how often it was written. None for one that is half written.
pub(crate) type State = Option<(u64, u64)>;

/// The term of the present leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Master {
    pub(crate) term: u64,
    pub(crate) host: usize,
    pub(crate) generation: Generation,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) version: u64,
    pub(crate) record: Option<RolloutRecord>,
}

#[derive(Debug)]
pub(crate) struct Ensemble {
    version: u64,
    record: Option<Vec<u8>>,
    pub(crate) terms: u64,
    pub(crate) master: Option<Master>,
    /// The last term was never given back.
    pub(crate) lost: bool,
    pub(crate) queue: Vec<usize>,
    pub(crate) ready: BTreeMap<usize, ReadyRecord>,
    pub(crate) state: State,
    /// The copy, if there is one: it may be half a copy.
    pub(crate) copy: Option<State>,
}

impl Ensemble {
    pub(crate) fn new() -> Self {
        Self {
            version: 0,
            record: None,
            terms: 0,
            master: None,
            lost: false,
            queue: Vec::new(),
            ready: BTreeMap::new(),
            state: Some((0, 0)),
            copy: None,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn read(&self) -> Read {
        let decode =
            |data: &Vec<u8>| RolloutRecord::decode(data).expect("only hosts have written it");
        Read {
            version: self.version,
            record: self.record.as_ref().map(decode),
        }
    }

    pub(crate) fn put(&mut self, record: &RolloutRecord) {
        self.version += 1;
        self.record = Some(record.encode().expect("it is short"));
    }

    /// Whether that term goes on.
    pub(crate) fn is_term(&self, term: u64) -> bool {
        self.master.is_some_and(|master| master.term == term)
    }

    /// The number of the last term, if that was given back.
    pub(crate) fn given_back(&self) -> Option<u64> {
        (self.master.is_none() && !self.lost).then_some(self.terms)
    }

    /// All that a session held goes with it.
    pub(crate) fn expire(&mut self, host: usize) {
        if self.master.is_some_and(|master| master.host == host) {
            self.master = None;
            self.lost = true;
        }
        self.queue.retain(|it| *it != host);
        self.ready.remove(&host);
    }

    /// A leader gives its term back.
    pub(crate) fn release(&mut self, host: usize) {
        self.expire(host);
        self.lost = false;
    }
}
