//! Packages of types that need each other in a circle. No tool writes that, and wit-parser follows it without end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::iter::successors;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentTypeId};
use wasmparser::types::Types;
use wasmparser::{BinaryReader, Parser, Payload, Validator, WasmFeatures};

/// Whether the component types that a module brings along have such a circle. Those that are broken have none.
pub(crate) fn is_in(module: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    let mut sections = payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) if section.name().starts_with("component-type") => {
            Some(section.data())
        }
        _ => None,
    });
    sections.any(|data| {
        let Some(component) = component(data) else {
            return false;
        };
        let types = validator().validate_all(component).ok();
        types.is_some_and(|types| Packages::of(&types).need_each_other())
            || is_decoded_in(component)
    })
}

/// Whether wit-parser itself, once it has read the types, sees such a circle: it follows one when it merges what it has read.
fn is_decoded_in(component: &[u8]) -> bool {
    let Ok(decoded) = wit_parser::decoding::decode(component) else {
        return false;
    };
    let resolve = decoded.resolve();
    let mut needing: HashSet<_> = resolve.packages.iter().map(|(id, _)| id).collect();
    loop {
        let before = needing.clone();
        needing.retain(|id| {
            resolve
                .package_direct_deps(*id)
                .any(|it| before.contains(&it))
        });
        if needing.len() == before.len() {
            return !needing.is_empty();
        }
    }
}

/// As wit-parser does it.
fn validator() -> Validator {
    Validator::new_with_features(WasmFeatures::all())
}

/// The component in a section: all of it, or, as it was once written, what follows an encoding and a name.
fn component(data: &[u8]) -> Option<&[u8]> {
    let mut reader = BinaryReader::new(data, 0);
    if reader.read_u8().ok()? != 3 {
        return Some(data);
    }
    reader.read_u8().ok()?;
    reader.read_string().ok()?;
    data.get(reader.original_position()..)
}

/// A package: its name and its version.
type Package<'a> = (&'a str, Option<&'a str>);

/// Packages with those that each of them takes types from.
#[derive(Default)]
struct Packages<'a>(BTreeMap<Package<'a>, BTreeSet<Package<'a>>>);

impl<'a> Packages<'a> {
    fn of(types: &'a Types) -> Self {
        // Every type that an interface gives away, what it is made of, and the package that the interface is in.
        let mut given = Vec::new();
        let top = (0..types.as_ref().component_type_count())
            .map(|index| types.component_any_type_at(index));
        let mut components: Vec<_> = top.filter_map(component_type).collect();
        let mut seen = HashSet::new();
        while let Some(id) = components.pop() {
            if !seen.insert(id) {
                continue;
            }
            for (name, item) in types[id].imports.iter().chain(&types[id].exports) {
                match item.ty {
                    ComponentEntityType::Component(inner) => components.push(inner),
                    ComponentEntityType::Type { referenced, .. } => {
                        components.extend(component_type(referenced));
                    }
                    ComponentEntityType::Instance(instance) => {
                        let Some(package) = package(name) else {
                            continue;
                        };
                        given.extend(types[instance].exports.values().filter_map(|item| {
                            match item.ty {
                                ComponentEntityType::Type {
                                    referenced,
                                    created,
                                } => Some((package, referenced, created)),
                                _ => None,
                            }
                        }));
                    }
                    _ => {}
                }
            }
        }
        let owners: HashMap<_, _> = given
            .iter()
            .map(|(package, _, created)| (*created, *package))
            .collect();
        let mut packages = Self::default();
        for (package, referenced, _) in given {
            let mut names = successors(Some(referenced), |name| types.peel_alias(*name));
            if let Some(owner) = names
                .find_map(|name| owners.get(&name))
                .filter(|owner| **owner != package)
            {
                packages.0.entry(package).or_default().insert(*owner);
            }
        }
        packages
    }

    /// Takes those away that need no other, until there are none of them: whoever is left needs himself.
    fn need_each_other(mut self) -> bool {
        loop {
            let before = self.0.len();
            let needing: BTreeSet<_> = self.0.keys().copied().collect();
            self.0
                .retain(|_, needed| needed.iter().any(|name| needing.contains(name)));
            if self.0.len() == before {
                return before > 0;
            }
        }
    }
}

fn component_type(id: ComponentAnyTypeId) -> Option<ComponentTypeId> {
    match id {
        ComponentAnyTypeId::Component(id) => Some(id),
        _ => None,
    }
}

/// The package of an interface: `wasi:clocks` and `0.3.0` of `wasi:clocks/types@0.3.0`.
fn package(interface: &str) -> Option<Package<'_>> {
    let (package, name) = interface.split_once('/')?;
    Some((package, name.split_once('@').map(|(_, version)| version)))
}

#[cfg(test)]
mod tests {
    use wit_component::{StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    use super::*;
    use crate::{PluginProblem, component};

    const WORLD: &str = r"
        package soloist:tried;
        world plugin {
            import one:one/first;
            import two:two/second;
            import six:six/third;
            export on-elected: async func();
            export on-demoted: async func();
        }
        package one:one { interface first { record it { value: u32 } } }
        package two:two { interface second { use one:one/first.{it}; } }
        package six:six { interface third { use two:two/second.{it}; } }";

    fn module() -> Vec<u8> {
        let text = r#"(module (func (export "on-elected")) (func (export "on-demoted")))"#;
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("world.wit", WORLD).unwrap();
        let world = resolve.select_world(&[package], Some("plugin")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    #[test]
    fn packages_that_need_each_other_are_refused_and_others_are_not() {
        let mut module = module();
        assert!(!is_in(&module));
        assert!(component(module.clone()).is_ok());
        // From here on `one` needs `two`, which needs `one`.
        for at in 0..module.len() - 7 {
            if &module[at..at + 7] == b"six:six" {
                module[at..at + 7].copy_from_slice(b"one:one");
            }
        }
        assert!(is_in(&module));
        let refused = component(module);
        assert!(
            matches!(refused, Err(PluginProblem::Encode(_))),
            "{refused:?}"
        );
    }
}
