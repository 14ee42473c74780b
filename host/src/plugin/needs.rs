//! How many instances, memories and tables a component makes, counted before it is compiled.
//!
//! A component says all that it instantiates, so the number is known from its text; a component that is instantiated
//! twice counts twice, and so can say a large number in few bytes. Compiling such a one would take as long as running it.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Parser, Payload,
};

use super::limits::{Limit, LimitReached, Limits};

/// What one instantiation makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    instances: u64,
    memories: u64,
    tables: u64,
}

impl Needs {
    /// Counts what a component makes, as far as it says itself what it instantiates: what it is given from outside or
    /// takes out of an instance is not counted.
    pub(super) fn of(component: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut levels: Vec<Level> = Vec::new();
        let mut whole = Self::default();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    levels.push(Level::Component(Inside::default()));
                }
                Payload::Version { encoding: Encoding::Module, .. } => {
                    levels.push(Level::Module(Self { instances: 1, ..Self::default() }));
                }
                Payload::End(_) => {
                    let ended = levels.pop();
                    match (ended, levels.last_mut()) {
                        (Some(ended), None) => whole = ended.needs(),
                        (Some(Level::Component(inside)), Some(Level::Component(outside))) => {
                            outside.components.push(inside.made);
                        }
                        (Some(Level::Module(needs)), Some(Level::Component(outside))) => outside.modules.push(needs),
                        _ => {}
                    }
                }
                payload => look(payload, &mut levels)?,
            }
        }
        Ok(whole)
    }

    /// Says whether so much may be made.
    pub(super) fn check(self, limits: &Limits) -> Result<(), LimitReached> {
        let needs = [
            (Limit::Instances, self.instances, limits.instances),
            (Limit::Memories, self.memories, limits.memories),
            (Limit::Tables, self.tables, limits.tables),
        ];
        let exceeded = needs.into_iter().find(|(_, needed, allowed)| *needed > u64::from(*allowed));
        exceeded.map_or(Ok(()), |(limit, ..)| Err(limits.reached(limit)))
    }

    fn add(&mut self, other: Option<&Self>) {
        let Some(other) = other else { return };
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
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
    /// What each of its modules, by index, needs when it is instantiated.
    modules: Vec<Needs>,
    /// The same of its components.
    components: Vec<Needs>,
    /// What it instantiates itself.
    made: Needs,
}

fn look(payload: Payload<'_>, levels: &mut [Level]) -> Result<(), BinaryReaderError> {
    let Some((last, outer)) = levels.split_last_mut() else { return Ok(()) };
    match (last, payload) {
        (Level::Module(needs), Payload::MemorySection(memories)) => needs.memories += u64::from(memories.count()),
        (Level::Module(needs), Payload::TableSection(tables)) => needs.tables += u64::from(tables.count()),
        (Level::Component(inside), payload) => inside.look(payload, outer)?,
        _ => {}
    }
    Ok(())
}

impl Inside {
    fn look(&mut self, payload: Payload<'_>, outer: &[Level]) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.made.add(self.modules.get(module_index as usize));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.made.add(self.components.get(component_index as usize));
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
                        ComponentTypeRef::Module(_) => self.modules.push(Needs::default()),
                        ComponentTypeRef::Component(_) => self.components.push(Needs::default()),
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
                            self.modules.push(self.modules.get(index).copied().unwrap_or_default());
                        }
                        ComponentExternalKind::Component => {
                            self.components.push(self.components.get(index).copied().unwrap_or_default());
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
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => {
                self.modules.push(Needs::default());
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                self.components.push(Needs::default());
            }
            ComponentAlias::Outer { kind, count, index } => {
                let from = match count.checked_sub(1) {
                    None => Some(&*self),
                    Some(above) => outer.iter().rev().nth(above as usize).and_then(|level| match level {
                        Level::Component(inside) => Some(inside),
                        Level::Module(_) => None,
                    }),
                };
                let index = *index as usize;
                match kind {
                    ComponentOuterAliasKind::CoreModule => {
                        let needs = from.and_then(|from| from.modules.get(index)).copied();
                        self.modules.push(needs.unwrap_or_default());
                    }
                    ComponentOuterAliasKind::Component => {
                        let needs = from.and_then(|from| from.components.get(index)).copied();
                        self.components.push(needs.unwrap_or_default());
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

    fn needs(text: &str) -> Needs {
        Needs::of(&wat::parse_str(text).unwrap()).unwrap()
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
        assert_eq!(needs(text), Needs { instances: 5, memories: 10, tables: 5 });
    }

    #[test]
    fn a_small_text_can_say_a_large_number() {
        let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
        for level in 1..=64 {
            let inner = level - 1;
            text = format!(
                "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
            );
        }
        let needs = needs(&text);
        assert_eq!(needs.instances, u64::MAX, "it is more than can be counted");
        let limits = Limits::default();
        assert_eq!(needs.check(&limits), Err(limits.reached(Limit::Instances)));
    }

    #[test]
    fn what_is_within_the_limits_is_let_through() {
        let needs = Needs { instances: 2, memories: 1, tables: 0 };
        let limits = Limits { instances: 2, memories: 1, tables: 0, ..Limits::default() };
        assert_eq!(needs.check(&limits), Ok(()));
        let limits = Limits { memories: 0, ..limits };
        assert_eq!(needs.check(&limits), Err(limits.reached(Limit::Memories)));
    }
}
