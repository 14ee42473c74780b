//! How many instances, memories and tables a component makes, counted before it is compiled.
//!
//! A component lists all that it instantiates, so the host can count it without running it. A component that is instantiated
//! twice counts twice. So a few bytes can ask for very many instances. The compiler would write all of them out, one by one,
//! and take as long as running them.

use serde::{Deserialize, Serialize};
use wasmparser::{ElementItems, Encoding, Parser, Payload};

use crate::engine::MAX_HELD_BYTES;
use crate::load::bounds::{Excess, MAX_PARTS, Refused};
use soloist_core::limits::{Limit, LimitReached, Limits};

mod inside;

use inside::{Inside, Level, look};

/// How many bytes of components the compiler may have to write out. Each instance of a component counts anew; modules do
/// not count.
const MAX_WRITTEN_OUT: u64 = 16 << 20;

/// How many instances may export functions. Each of them may hold a stack while it waits.
pub const MAX_LIFTING: u64 = 100;

/// The most memory of the host that an instance takes, in bytes: for itself, and for each item of its module.
mod held {
    pub(crate) const INSTANCE: u64 = 1024;
    pub(crate) const IMPORT: u64 = 48;
    pub(crate) const FUNCTION: u64 = 40;
    pub(crate) const GLOBAL: u64 = 16;
    pub(crate) const MEMORY: u64 = 256;
    pub(crate) const TABLE: u64 = 256;
    pub(crate) const SEGMENT: u64 = 64;
    pub(crate) const ELEMENT: u64 = 32;
    pub(crate) const CANONICAL: u64 = 128;
}

/// What one instantiation of a component makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Needs {
    pub(crate) instances: u64,
    pub(crate) memories: u64,
    pub(crate) tables: u64,
    /// How many instances of components export functions.
    pub(crate) lifting: u64,
    /// Whether any of its functions is lifted as `async`: such a function can be called while another one waits.
    pub(crate) lifts_async: bool,
    /// How many instances of components there are, this one included.
    components: u64,
    /// How much the compiler writes out of them, in bytes.
    bytes: u64,
    /// How much memory of the host the instances take, in bytes.
    held: u64,
}

impl Needs {
    const COMPONENT: Self = Self {
        instances: 0,
        memories: 0,
        tables: 0,
        lifting: 0,
        lifts_async: false,
        components: 1,
        bytes: 0,
        held: 0,
    };
    const MODULE: Self = Self {
        instances: 1,
        memories: 0,
        tables: 0,
        lifting: 0,
        lifts_async: false,
        components: 0,
        bytes: 0,
        held: held::INSTANCE,
    };

    /// Counts what a component makes.
    ///
    /// # Errors
    /// The component is malformed, or the compiler would have to write out too much. Or its instances cannot be counted,
    /// because it instantiates something that it imports or takes out of an instance.
    pub(crate) fn of(component: &[u8]) -> Result<Self, Refused> {
        let mut levels: Vec<Level> = Vec::new();
        let mut whole = Self::default();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version {
                    encoding: Encoding::Component,
                    ..
                } => {
                    levels.push(Level::Component(Inside::begin()));
                }
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } => {
                    levels.push(Level::Module(Self::MODULE));
                }
                Payload::End(_) => {
                    let ended = levels.pop();
                    match (ended, levels.last_mut()) {
                        (Some(ended), None) => whole = ended.needs(),
                        (Some(Level::Component(inside)), Some(Level::Component(outside))) => {
                            outside.components.push(Some(inside.made));
                        }
                        (Some(Level::Module(needs)), Some(Level::Component(outside))) => {
                            outside.modules.push(Some(needs));
                        }
                        _ => {}
                    }
                }
                payload => look(payload, &mut levels)?,
            }
        }
        let bounds = [
            (whole.components, "instances of components", MAX_PARTS),
            (
                whole.bytes,
                "bytes of components, counted anew for each instance",
                MAX_WRITTEN_OUT,
            ),
            (
                whole.lifting,
                "instances of components that others can call",
                MAX_LIFTING,
            ),
            (
                whole.held,
                "bytes of instances, besides memories and tables",
                MAX_HELD_BYTES,
            ),
        ];
        match bounds.into_iter().find(|(needed, _, max)| needed > max) {
            Some((_, what, max)) => Err(Excess::TooMany {
                what: what.into(),
                max,
            }
            .into()),
            None => Ok(whole),
        }
    }

    /// Checks that a plugin with these limits may make so much.
    pub(crate) fn check(self, limits: &Limits) -> Result<(), LimitReached> {
        let needs = [
            (Limit::Instances, self.instances, limits.instances),
            (Limit::Memories, self.memories, limits.memories),
            (Limit::Tables, self.tables, limits.tables),
        ];
        let exceeded = needs
            .into_iter()
            .find(|(_, needed, allowed)| *needed > u64::from(*allowed));
        exceeded.map_or(Ok(()), |(limit, ..)| Err(limits.reached(limit)))
    }

    /// Counts what an instance of a module has.
    fn look(&mut self, payload: &Payload<'_>) -> Result<(), Refused> {
        let (count, each) = match payload {
            Payload::ImportSection(imports) => (imports.count(), held::IMPORT),
            Payload::FunctionSection(functions) => (functions.count(), held::FUNCTION),
            Payload::GlobalSection(globals) => (globals.count(), held::GLOBAL),
            Payload::DataSection(segments) => (segments.count(), held::SEGMENT),
            Payload::MemorySection(memories) => {
                self.memories += u64::from(memories.count());
                (memories.count(), held::MEMORY)
            }
            Payload::TableSection(tables) => {
                self.tables += u64::from(tables.count());
                (tables.count(), held::TABLE)
            }
            Payload::ElementSection(segments) => {
                for segment in segments.clone() {
                    let items = match segment?.items {
                        ElementItems::Functions(functions) => functions.count(),
                        ElementItems::Expressions(_, expressions) => expressions.count(),
                    };
                    self.held = self.held.saturating_add(u64::from(items) * held::ELEMENT);
                }
                (segments.count(), held::SEGMENT)
            }
            _ => return Ok(()),
        };
        self.held = self.held.saturating_add(u64::from(count) * each);
        Ok(())
    }

    /// Adds what one instance of a part makes.
    ///
    /// # Errors
    /// [`Excess::Uncounted`] if that is not known.
    fn add(&mut self, other: Option<&Option<Self>>) -> Result<(), Excess> {
        let Some(Some(other)) = other else {
            return Err(Excess::Uncounted);
        };
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.lifting = self.lifting.saturating_add(other.lifting);
        self.lifts_async |= other.lifts_async;
        self.components = self.components.saturating_add(other.components);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.held = self.held.saturating_add(other.held);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
