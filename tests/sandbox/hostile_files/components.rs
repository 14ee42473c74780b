//! Components: their types, their instances, and what they are nested in.

use soloist_sandbox::{
    MAX_COMPONENT_BYTES, MAX_GLOBALS, MAX_HELD_BYTES, MAX_NESTING, MAX_PARTS, PluginProblem,
};
use wasm_encoder::{
    Component, ComponentTypeSection, ConstExpr, Elements, GlobalType, InstanceSection, Module,
    ModuleArg, ModuleSection, NestedComponentSection, PrimitiveValType, ValType,
};

use super::bare::{Bare, function, leb};
use super::{bounded, refused, too_many};

/// A type takes up to a hundred times as much once it is read, and is read before it can be found to be too large.
#[test]
fn types_of_components() {
    bounded(|| {
        let tuples = |count: usize| {
            let mut component = Component::new();
            for _ in 0..count {
                let mut types = ComponentTypeSection::new();
                types.defined_type().tuple([PrimitiveValType::U8; 10_000]);
                component.section(&types);
            }
            component.finish()
        };
        too_many(&tuples(23_900), MAX_COMPONENT_BYTES);
        let most = usize::try_from(MAX_COMPONENT_BYTES).unwrap() / 10_100;
        let problem = refused("wasm", &tuples(most));
        assert!(
            matches!(problem, PluginProblem::MissingExport { .. }),
            "{problem:?}"
        );

        // A single one, of a hundred million declarations.
        let mut declarations = vec![0x42];
        leb(&mut declarations, 1_000_000);
        declarations.extend([0x01, 0x7d].repeat(1_000_000));
        let mut types = vec![0x42];
        leb(&mut types, 100);
        for _ in 0..100 {
            types.push(0x01);
            types.extend(&declarations);
        }
        let mut section = vec![1];
        section.extend(types);
        let mut file = b"\0asm\x0d\0\x01\0\x07".to_vec();
        leb(&mut file, section.len());
        file.extend(section);
        too_many(&file, MAX_COMPONENT_BYTES);
    });
}

/// What every instance has anew, besides memories and tables.
#[test]
fn what_instances_multiply() {
    bounded(|| {
        let instances = |module: &Module, count: u32| {
            let mut component = Component::new();
            component.section(&ModuleSection(module));
            let mut section = InstanceSection::new();
            for _ in 0..count {
                section.instantiate(0, Vec::<(&str, ModuleArg)>::new());
            }
            component.section(&section);
            component.finish()
        };
        let mut elements = Bare::new();
        elements
            .elements
            .passive(Elements::Functions(vec![0; 150_000].into()));
        let mut globals = Bare::new();
        for _ in 0..MAX_GLOBALS {
            let ty = GlobalType {
                val_type: ValType::I32,
                mutable: true,
                shared: false,
            };
            globals.globals.global(ty, &ConstExpr::i32_const(0));
        }
        let functions = (0..50_000).fold(Bare::new(), |bare, _| bare.with(&function(0, |_| ())));
        for bare in [elements, globals, functions] {
            too_many(&instances(&bare.finish(), 127), MAX_HELD_BYTES);
            let problem = refused("wasm", &instances(&bare.finish(), 4));
            assert!(
                matches!(problem, PluginProblem::MissingExport { .. }),
                "{problem:?}"
            );
        }
    });
}

#[test]
fn components_in_components_and_many_of_them() {
    bounded(|| {
        let nested = |depth: u64| {
            let mut component = Component::new();
            for _ in 1..depth {
                let mut outer = Component::new();
                outer.section(&NestedComponentSection(&component));
                component = outer;
            }
            component.finish()
        };
        too_many(&nested(MAX_NESTING + 1), MAX_NESTING);
        too_many(&nested(10_000), MAX_NESTING);
        let problem = refused("wasm", &nested(MAX_NESTING));
        assert!(
            matches!(problem, PluginProblem::MissingExport { .. }),
            "{problem:?}"
        );

        let mut many = Component::new();
        for _ in 0..MAX_PARTS {
            many.section(&ModuleSection(&Module::new()));
        }
        too_many(&many.finish(), MAX_PARTS);
    });
}
