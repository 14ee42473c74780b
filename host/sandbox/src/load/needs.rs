//! How many instances, memories and tables a component makes, counted before it is compiled.
//!
//! A component says all that it instantiates, so the number is known from its text; a component that is instantiated
//! twice counts twice, and so can say a large number in few bytes. Compiling such a one would take as long as running it:
//! the compiler writes out all instances of a component, one by one.

use serde::{Deserialize, Serialize};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, ElementItems, Encoding, Instance, Parser, Payload,
};

use crate::engine::MAX_HELD_BYTES;
use crate::load::bounds::{Excess, MAX_PARTS, Refused};
use soloist_core::limits::{Limit, LimitReached, Limits};

/// How much of components may be written out, in bytes, with every instance of one anew; modules do not count.
const MAX_WRITTEN_OUT: u64 = 16 << 20;

/// How many instances of components there may be that others can call: each may hold a stack while it waits.
pub const MAX_LIFTING: u64 = 100;

/// What an instance takes of the host's memory at the most, in bytes: as such, and for each thing that its module has.
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

/// What one instantiation makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Needs {
    pub(crate) instances: u64,
    pub(crate) memories: u64,
    pub(crate) tables: u64,
    /// Instances of components that others can call: each may hold a stack while it waits.
    pub(crate) lifting: u64,
    /// Instances of components, this one among them.
    components: u64,
    /// What is written out of them, in bytes.
    bytes: u64,
    /// What the instances take of the host's memory, in bytes.
    held: u64,
}

impl Needs {
    const COMPONENT: Self = Self {
        instances: 0,
        memories: 0,
        tables: 0,
        lifting: 0,
        components: 1,
        bytes: 0,
        held: 0,
    };
    const MODULE: Self = Self {
        instances: 1,
        memories: 0,
        tables: 0,
        lifting: 0,
        components: 0,
        bytes: 0,
        held: held::INSTANCE,
    };

    /// Counts what a component makes.
    ///
    /// # Errors
    /// It is malformed, or the compiler would have to write out too much; or it cannot be counted, because something is
    /// instantiated that is imported, or taken out of an instance.
    pub(crate) fn of(component: &[u8]) -> Result<Self, Refused> {
        let mut levels: Vec<Level> = Vec::new();
        let mut whole = Self::default();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version {
                    encoding: Encoding::Component,
                    ..
                } => {
                    levels.push(Level::Component(Inside {
                        made: Self::COMPONENT,
                        ..Inside::default()
                    }));
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

    /// Says whether so much may be made.
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

    /// Adds what one instance of another makes, if that is known.
    fn add(&mut self, other: Option<&Option<Self>>) -> Result<(), Excess> {
        let Some(Some(other)) = other else {
            return Err(Excess::Uncounted);
        };
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.lifting = self.lifting.saturating_add(other.lifting);
        self.components = self.components.saturating_add(other.components);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.held = self.held.saturating_add(other.held);
        Ok(())
    }
}

/// What is being read: components and modules stand in one another.
enum Level {
    Component(Inside),
    Module(Needs),
}

impl Level {
    fn needs(self) -> Needs {
        match self {
            Self::Component(inside) => inside.made,
            Self::Module(needs) => needs,
        }
    }
}

/// The part of a component that has been read.
#[derive(Default)]
struct Inside {
    /// What each of its modules, by index, needs when it is instantiated, if that is known.
    modules: Vec<Option<Needs>>,
    /// The same of its components.
    components: Vec<Option<Needs>>,
    /// What it instantiates itself.
    made: Needs,
    /// Whether others can call it.
    lifts: bool,
}

fn look(payload: Payload<'_>, levels: &mut [Level]) -> Result<(), Refused> {
    let Some((last, outer)) = levels.split_last_mut() else {
        return Ok(());
    };
    match last {
        Level::Module(needs) => needs.look(&payload),
        Level::Component(inside) => inside.look(payload, outer),
    }
}

impl Inside {
    fn look(&mut self, payload: Payload<'_>, outer: &[Level]) -> Result<(), Refused> {
        if !matches!(
            payload,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
        ) {
            let bytes = payload.as_section().map_or(0, |(_, range)| range.len());
            self.made.bytes = self.made.bytes.saturating_add(bytes as u64);
        }
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.made.add(self.modules.get(module_index as usize))?;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance?
                    {
                        self.made
                            .add(self.components.get(component_index as usize))?;
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                self.made.held = self
                    .made
                    .held
                    .saturating_add(u64::from(functions.count()) * held::CANONICAL);
                for function in functions {
                    if matches!(function?, CanonicalFunction::Lift { .. }) && !self.lifts {
                        self.lifts = true;
                        self.made.lifting = self.made.lifting.saturating_add(1);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(&alias?, outer);
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.modules.push(None),
                        ComponentTypeRef::Component(_) => self.components.push(None),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                // What is exported has an index of its own from there on.
                for export in exports {
                    let export = export?;
                    let index = export.index as usize;
                    match export.kind {
                        ComponentExternalKind::Module => {
                            self.modules
                                .push(self.modules.get(index).copied().flatten());
                        }
                        ComponentExternalKind::Component => {
                            self.components
                                .push(self.components.get(index).copied().flatten());
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>, outer: &[Level]) {
        match alias {
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            } => {
                self.modules.push(None);
            }
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Component,
                ..
            } => {
                self.components.push(None);
            }
            ComponentAlias::Outer { kind, count, index } => {
                let from = match count.checked_sub(1) {
                    None => Some(&*self),
                    Some(above) => {
                        outer
                            .iter()
                            .rev()
                            .nth(above as usize)
                            .and_then(|level| match level {
                                Level::Component(inside) => Some(inside),
                                Level::Module(_) => None,
                            })
                    }
                };
                let index = *index as usize;
                match kind {
                    ComponentOuterAliasKind::CoreModule => {
                        let needs = from.and_then(|from| from.modules.get(index)).copied();
                        self.modules.push(needs.flatten());
                    }
                    ComponentOuterAliasKind::Component => {
                        let needs = from.and_then(|from| from.components.get(index)).copied();
                        self.components.push(needs.flatten());
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Needs, Refused> {
        Needs::of(&wat::parse_str(text).unwrap())
    }

    /// A component in which each level makes `instances` twice, so many levels deep.
    fn doubled(innermost: &str, levels: usize) -> String {
        (1..=levels).fold(format!("(component $c0 {innermost})"), |text, level| {
            let inner = level - 1;
            format!(
                "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
            )
        })
    }

    #[test]
    fn every_instance_of_a_component_is_counted_however_deep_it_is() {
        let text = "(component
            (core module $m (memory 1) (memory 1) (table 1 funcref))
            (core instance (instantiate $m))
            (component $inner
                (alias outer 1 $m (core module $again))
                (core instance (instantiate $again))
                (core instance (instantiate $again)))
            (instance (instantiate $inner))
            (instance (instantiate $inner)))";
        let needs = of(text).unwrap();
        assert_eq!(
            (
                needs.instances,
                needs.memories,
                needs.tables,
                needs.components
            ),
            (5, 10, 5, 3)
        );
    }

    #[test]
    fn a_small_text_can_say_a_large_number() {
        for innermost in ["(core module $m) (core instance (instantiate $m))", ""] {
            assert!(of(&doubled(innermost, 8)).unwrap().components == 511);
            let refused = of(&doubled(innermost, 64));
            assert!(
                matches!(
                    refused,
                    Err(Refused::Excess(Excess::TooMany { max: MAX_PARTS, .. }))
                ),
                "{refused:?}"
            );
        }
        let exports: Vec<_> = (0..20_000)
            .map(|number| format!("(export \"e{number}\" (core module $m))"))
            .collect();
        let exports = exports.concat();
        let refused = of(&doubled(&format!("(core module $m) {exports}"), 7));
        assert!(
            matches!(
                refused,
                Err(Refused::Excess(Excess::TooMany {
                    max: MAX_WRITTEN_OUT,
                    ..
                }))
            ),
            "{refused:?}"
        );
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        // Each level instantiates twice what it is given, which is a level of the same kind.
        let level = |level: usize| {
            let inner = level - 1;
            format!(
                "(component $c{level} (instance (instantiate $twice (with \"x\" (component $c{inner})))))"
            )
        };
        let levels: Vec<_> = (1..=64).map(level).collect();
        let given = format!(
            "(component
                (component $c0 (core module $m) (core instance (instantiate $m)))
                (component $twice
                    (import \"x\" (component $x))
                    (instance (instantiate $x))
                    (instance (instantiate $x)))
                {}
                (instance (instantiate $c64)))",
            levels.concat()
        );
        let taken = "(component
            (component $made (core module $m) (export \"m\" (core module $m)))
            (instance $i (instantiate $made))
            (core instance (instantiate (module $i \"m\"))))";
        for text in [&*given, taken] {
            let refused = of(text);
            assert!(
                matches!(refused, Err(Refused::Excess(Excess::Uncounted))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn what_is_within_the_limits_is_let_through() {
        let needs = Needs {
            instances: 2,
            memories: 1,
            ..Needs::default()
        };
        let limits = Limits {
            instances: 2,
            memories: 1,
            tables: 0,
            ..Limits::default()
        };
        assert_eq!(needs.check(&limits), Ok(()));
        let limits = Limits {
            memories: 0,
            ..limits
        };
        assert_eq!(needs.check(&limits), Err(limits.reached(Limit::Memories)));
    }
}
