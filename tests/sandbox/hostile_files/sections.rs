//! Sections of a module that are large, or that mean much.

use soloist_sandbox::{
    Excess, MAX_CONSTANTS, MAX_ELEMENTS, MAX_GLOBALS, MAX_PARTS, MAX_SEGMENTS, MAX_TABLE_ELEMENTS,
    MAX_TEXT_BYTES, MAX_TYPES, PluginProblem,
};
use wasm_encoder::{
    CodeSection, Component, ConstExpr, CustomSection, DataSection, ElementSection, Elements,
    FunctionSection, GlobalType, MemorySection, MemoryType, Module, ModuleSection, RefType,
    TableSection, TableType, TypeSection, ValType,
};

use super::bare::{Bare, function};
use super::{bounded, load, refused, too_many};

#[test]
fn a_million_types() {
    bounded(|| {
        let with = |count: u64, parameters: usize| {
            let mut bare = Bare::new();
            for _ in 0..count {
                bare.types.ty().function(vec![ValType::I32; parameters], []);
            }
            bare.finish().finish()
        };
        too_many(&with(MAX_TYPES / 1000, 1000), MAX_TYPES);
        load("wasm", &with(MAX_TYPES / 20, 18)).unwrap();
    });
}

#[test]
fn large_sections() {
    bounded(|| {
        let mut bare = Bare::new().memory(4000);
        bare.data
            .active(0, &ConstExpr::i32_const(0), vec![1; 200 << 20]);
        load("wasm", &bare.finish().finish()).unwrap();

        let mut bare = Bare::new().memory(1);
        for _ in 0..100_000 {
            bare.data.active(0, &ConstExpr::i32_const(0), [1]);
        }
        load("wasm", &bare.finish().finish()).unwrap();

        let mut bare = Bare::new();
        let element_type = RefType::FUNCREF;
        bare.tables.table(TableType {
            element_type,
            table64: false,
            minimum: 200_000,
            maximum: None,
            shared: false,
        });
        for _ in 0..MAX_ELEMENTS / 100_000 {
            bare.elements.active(
                None,
                &ConstExpr::i32_const(0),
                Elements::Functions(vec![0; 100_000].into()),
            );
        }
        load("wasm", &bare.finish().finish()).unwrap();
        bare.elements.active(
            None,
            &ConstExpr::i32_const(0),
            Elements::Functions(vec![0; 1].into()),
        );
        too_many(&bare.finish().finish(), MAX_ELEMENTS);

        let mut module = Bare::new().finish();
        module.section(&CustomSection {
            name: "x".into(),
            data: vec![0; 200 << 20].into(),
        });
        load("wasm", &module.finish()).unwrap();
    });
}

/// Each of these becomes an instruction of the function that begins an instance, or several.
#[test]
fn items_of_passive_segments() {
    bounded(|| {
        let with = |count: u64| {
            let mut bare = Bare::new();
            bare.elements.passive(Elements::Functions(
                vec![0; usize::try_from(count).unwrap()].into(),
            ));
            bare.finish().finish()
        };
        load("wasm", &with(MAX_ELEMENTS)).unwrap();
        for count in [MAX_ELEMENTS + 1, 950_000, 3_800_000] {
            too_many(&with(count), MAX_ELEMENTS);
        }
        let expressions = |count: u64| {
            let mut bare = Bare::new();
            for _ in 0..=count / 1_000_000 {
                let nulls = vec![
                    ConstExpr::ref_null(wasm_encoder::HeapType::FUNC);
                    1_000_000.min(usize::try_from(count).unwrap())
                ];
                bare.elements
                    .passive(Elements::Expressions(RefType::FUNCREF, nulls.into()));
            }
            bare.finish().finish()
        };
        load("wasm", &expressions(MAX_ELEMENTS)).unwrap();
        too_many(&expressions(19_000_000), MAX_ELEMENTS);

        let items = (MAX_TEXT_BYTES - 200) / 2;
        let text = format!(
            r#"(module (func (export "on_elected")) (func (export "on_demoted")) (elem func {}))"#,
            "0 ".repeat(items)
        );
        let problem = refused("wat", text.as_bytes());
        assert!(
            matches!(
                problem,
                PluginProblem::Excess(Excess::TooMany {
                    max: MAX_ELEMENTS,
                    ..
                })
            ),
            "{problem:?}"
        );
    });
}

#[test]
fn segments_without_anything_in_them() {
    bounded(|| {
        let with = |count: u64| {
            let mut component = Component::new();
            for _ in 0..count / 100_000 {
                let mut data = DataSection::new();
                for _ in 0..100_000 {
                    data.passive([]);
                }
                component.section(&ModuleSection(Module::new().section(&data)));
            }
            component.finish()
        };
        too_many(&with(MAX_SEGMENTS + 100_000), MAX_SEGMENTS);
        too_many(&with(100 * 100_000), MAX_SEGMENTS);
        let problem = refused("wasm", &with(MAX_SEGMENTS));
        assert!(
            matches!(problem, PluginProblem::MissingExport { .. }),
            "{problem:?}"
        );
    });
}

#[test]
fn globals_and_what_they_begin_with() {
    bounded(|| {
        let ty = GlobalType {
            val_type: ValType::I32,
            mutable: false,
            shared: false,
        };
        let with = |count: u64, each: u64| {
            let mut bare = Bare::new();
            for _ in 0..count {
                let mut code = Vec::new();
                for _ in 0..each {
                    // i32.const 0, i32.add
                    code.extend([0x41, 0, 0x6a]);
                }
                // i32.const 0 comes first.
                code.splice(0..0, [0x41, 0]);
                bare.globals.global(ty, &ConstExpr::raw(code));
            }
            bare.finish().finish()
        };
        load("wasm", &with(1, MAX_CONSTANTS / 2 - 1)).unwrap();
        load("wasm", &with(MAX_GLOBALS, 1)).unwrap();
        too_many(&with(1, 3_000_000), MAX_CONSTANTS);
        too_many(&with(MAX_GLOBALS, 2), MAX_CONSTANTS);
        too_many(&with(200_000, 1), MAX_GLOBALS);

        let uses_all = function(0, |code| {
            for global in 0..u32::try_from(MAX_GLOBALS).unwrap() {
                code.global_get(global).drop();
            }
        });
        let mut bare = Bare::new().with(&uses_all);
        for _ in 0..MAX_GLOBALS {
            bare.globals.global(
                GlobalType {
                    mutable: true,
                    ..ty
                },
                &ConstExpr::i32_const(0),
            );
        }
        load("wasm", &bare.finish().finish()).unwrap();
    });
}

/// A table or a memory is written out with what it has at first, for each module, whether or not anybody makes an instance.
#[test]
fn tables_and_memories_that_are_written_out() {
    bounded(|| {
        let mut many = Component::new();
        for _ in 0..MAX_PARTS - 1 {
            let mut module = Module::new();
            let (mut tables, mut elements) = (TableSection::new(), ElementSection::new());
            for table in 0..100 {
                let element_type = RefType::FUNCREF;
                tables.table(TableType {
                    element_type,
                    table64: false,
                    minimum: 1 << 20,
                    maximum: None,
                    shared: false,
                });
                let last = ConstExpr::i32_const((1 << 20) - 1);
                elements.active(Some(table), &last, Elements::Functions(vec![0].into()));
            }
            let mut types = TypeSection::new();
            types.ty().function([], []);
            let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
            functions.function(0);
            code.function(&function(0, |_| ()));
            module
                .section(&types)
                .section(&functions)
                .section(&tables)
                .section(&elements)
                .section(&code);
            many.section(&ModuleSection(&module));
        }
        too_many(&many.finish(), MAX_TABLE_ELEMENTS);

        let mut many = Component::new();
        for _ in 0..MAX_PARTS - 1 {
            let mut module = Module::new();
            let (mut memories, mut data) = (MemorySection::new(), DataSection::new());
            let (minimum, maximum) = (256, None);
            memories.memory(MemoryType {
                minimum,
                maximum,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
            data.active(0, &ConstExpr::i32_const(0), [1]).active(
                0,
                &ConstExpr::i32_const(15 << 20),
                [1],
            );
            module.section(&memories).section(&data);
            many.section(&ModuleSection(&module));
        }
        let problem = refused("wasm", &many.finish());
        assert!(
            matches!(problem, PluginProblem::MissingExport { .. }),
            "{problem:?}"
        );
    });
}
