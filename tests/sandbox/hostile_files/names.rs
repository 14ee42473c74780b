//! Names: many of them, long ones, and what is spelled out of them.

use soloist_sandbox::{MAX_NAME_BYTES, MAX_NAMES, PluginProblem};
use wasm_encoder::{
    Component, ExportKind, ExportSection, MemorySection, MemoryType, Module, ModuleSection,
};

use super::bare::{Bare, leb};
use super::{bounded, load, refused, too_many};

#[test]
fn names_that_are_longer_than_the_rest() {
    bounded(|| {
        let with = |count: usize| {
            let mut names = b"\x04name\x02".to_vec();
            let mut locals = Vec::new();
            leb(&mut locals, count);
            locals.extend(vec![0; 2 * count]);
            leb(&mut names, locals.len());
            names.extend(locals);
            let mut file = Bare::new().finish().finish();
            file.push(0);
            leb(&mut file, names.len());
            file.extend(names);
            file
        };
        let most = usize::try_from(MAX_NAME_BYTES).unwrap() / 2;
        load("wasm", &with(most - 100)).unwrap();
        too_many(&with(most), MAX_NAME_BYTES);
        too_many(&with(100_000_000), MAX_NAME_BYTES);
    });
}

#[test]
fn many_exports_and_imports() {
    bounded(|| {
        let mut bare = Bare::new();
        for number in 0..100_000 {
            bare.exports
                .export(&format!("e{number}"), ExportKind::Func, 0);
        }
        load("wasm", &bare.finish().finish()).unwrap();

        let mut many = Component::new();
        for _ in 0..4 {
            let mut exports = ExportSection::new();
            let mut memories = MemorySection::new();
            let (minimum, maximum) = (0, None);
            memories.memory(MemoryType {
                minimum,
                maximum,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
            for number in 0..300_000 {
                exports.export(&format!("{number:x}"), ExportKind::Memory, 0);
            }
            many.section(&ModuleSection(
                Module::new().section(&memories).section(&exports),
            ));
        }
        too_many(&many.finish(), MAX_NAMES);

        let imports: Vec<_> = (0..20_000)
            .map(|number| format!(r#"(import "a{number}" (func))"#))
            .collect();
        let imports = imports.concat();
        let problem = refused("wat", format!("(component {imports})").as_bytes());
        assert!(
            matches!(problem, PluginProblem::MissingExport { .. }),
            "{problem:?}"
        );
    });
}

/// Each type is made of the one before, many times: small in the file, large for whoever spells it out.
#[test]
fn a_signature_of_endless_length_is_cut() {
    bounded(|| {
        let name = "n".repeat(10_000);
        let fields = format!("(field \"{name}\" u8)");
        let mut types = format!("(type $t0 (record {fields})) (export $e0 \"t0\" (type $t0))");
        types.extend(["(type $t1 (tuple ", &"$e0 ".repeat(100), "))"]);
        types.extend(["(type $t2 (tuple ", &"$t1 ".repeat(100), "))"]);
        let text = format!(
            r#"(component
            (core module $m (memory (export "memory") 1)
                (func (export "f") (param i32))
                (func (export "r") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            {types}
            (func $f async (param "x" $t2)
                (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "r"))))
            (export "on-elected" (func $f))
            (export "on-demoted" (func $f)))"#
        );
        match refused("wat", text.as_bytes()) {
            PluginProblem::WrongExport { found, .. } => {
                assert!(found.len() < 1000 && found.ends_with('…'), "{found}");
            }
            problem => panic!("{problem:?}"),
        }
    });
}
