//! The parts of a component, as they are read one after another.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Instance, Payload,
};

use super::{Needs, held};
use crate::load::bounds::Refused;

/// A component or a module that has begun and not ended. Those that contain it stand below it on a stack.
pub(super) enum Level {
    Component(Inside),
    Module(Needs),
}

impl Level {
    pub(super) fn needs(self) -> Needs {
        match self {
            Self::Component(inside) => inside.made,
            Self::Module(needs) => needs,
        }
    }
}

/// The part of a component that has been read.
#[derive(Default)]
pub(super) struct Inside {
    /// What an instance of each module makes, by the module's index. None if that is not known.
    pub(super) modules: Vec<Option<Needs>>,
    /// What an instance of each component makes, likewise.
    pub(super) components: Vec<Option<Needs>>,
    /// What the component itself has made so far.
    pub(super) made: Needs,
    /// Whether it exports functions.
    lifts: bool,
}

pub(super) fn look(payload: Payload<'_>, levels: &mut [Level]) -> Result<(), Refused> {
    let Some((last, outer)) = levels.split_last_mut() else {
        return Ok(());
    };
    match last {
        Level::Module(needs) => needs.look(&payload),
        Level::Component(inside) => inside.look(payload, outer),
    }
}

impl Inside {
    /// A component of which nothing has been read.
    pub(super) fn begin() -> Self {
        Self {
            made: Needs::COMPONENT,
            ..Self::default()
        }
    }

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
                    let CanonicalFunction::Lift { options, .. } = function? else {
                        continue;
                    };
                    self.made.lifts_async |= options.contains(&CanonicalOption::Async);
                    if !self.lifts {
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
                // An export gives its item a further index.
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
