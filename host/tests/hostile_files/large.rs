//! Files that are large, or small ones that mean something large.

use std::time::Duration;

use soloist::activation::ActivationSettings;
use soloist::plugin::{
    Excess, Limits, MAX_COMPONENT_BYTES, MAX_CONSTANTS, MAX_ELEMENTS, MAX_FILE_BYTES, MAX_FLOW, MAX_FUNCTIONS,
    MAX_GLOBALS, MAX_HELD_BYTES, MAX_NAME_BYTES, MAX_NAMES, MAX_NESTING, MAX_PARTS, MAX_SEGMENTS, MAX_TABLE_ELEMENTS,
    MAX_TEXT_BYTES, MAX_TYPES, Plugin, PluginSettings, Problem,
};
use soloist::term::Demotion;
use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentTypeSection, ConstExpr, CustomSection, DataSection, ElementSection,
    Elements, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, InstanceSection,
    InstructionSink, MemorySection, MemoryType, Module, ModuleArg, ModuleSection, NestedComponentSection,
    PrimitiveValType, RefType, TableSection, TableType, TypeSection, ValType,
};

use crate::load;
use crate::support::{File, Tested, engine, guest, text};

fn refused(extension: &str, content: &[u8]) -> Problem {
    load(extension, content).map(drop).expect_err("it is refused")
}

/// It is refused for having more than `max` of something.
#[track_caller]
fn too_many(content: &[u8], max: u64) {
    let problem = refused("wasm", content);
    assert!(matches!(problem, Problem::Excess(Excess::TooMany { max: found, .. }) if found == max), "{problem:?}");
}

/// A bare module, to which more is added: its first two functions are exported and do nothing.
struct Bare {
    types: TypeSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
}

impl Bare {
    fn new() -> Self {
        let mut bare = Self {
            types: TypeSection::new(),
            functions: FunctionSection::new(),
            tables: TableSection::new(),
            memories: MemorySection::new(),
            globals: GlobalSection::new(),
            exports: ExportSection::new(),
            elements: ElementSection::new(),
            code: CodeSection::new(),
            data: DataSection::new(),
        };
        bare.types.ty().function([], []);
        bare.exports.export("on_elected", ExportKind::Func, 0).export("on_demoted", ExportKind::Func, 1);
        bare.with(&function(0, |_| ())).with(&function(0, |_| ()))
    }

    /// Adds a function without parameters and results.
    fn with(mut self, function: &Function) -> Self {
        self.functions.function(0);
        self.code.function(function);
        self
    }

    fn memory(mut self, pages: u64) -> Self {
        let (minimum, maximum) = (pages, None);
        self.memories.memory(MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None });
        self
    }

    fn finish(&self) -> Module {
        let mut module = Module::new();
        module.section(&self.types).section(&self.functions).section(&self.tables).section(&self.memories);
        module.section(&self.globals).section(&self.exports).section(&self.elements).section(&self.code);
        module.section(&self.data);
        module
    }
}

/// A function with some locals of type i32.
fn function(locals: u32, body: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new([(locals, ValType::I32)]);
    let mut code = function.instructions();
    body(&mut code);
    code.end();
    function
}

/// A function with so many loops, and locals that change in all of them.
fn loops(locals: u32, loops: u32) -> Function {
    function(locals, |code| {
        for number in 0..loops {
            let local = number % locals;
            code.loop_(BlockType::Empty).local_get(local).i32_const(1).i32_add().local_set((local + 1) % locals);
            code.local_get(local).br_if(0).end();
        }
    })
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_hundred_thousand_functions() {
    let with = |count| (0..count).fold(Bare::new(), |bare, _| bare.with(&function(0, |_| ()))).finish().finish();
    too_many(&with(MAX_FUNCTIONS - 1), MAX_FUNCTIONS);
    load("wasm", &with(MAX_FUNCTIONS - 2)).unwrap();
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_function_that_carries_many_values_over_many_branches() {
    let with = |function| Bare::new().with(&function).finish().finish();
    // Twice the locals for each loop: at its head and at its branch.
    let most = u32::try_from(MAX_FLOW.isqrt() / 2).unwrap();
    load("wasm", &with(loops(most, most))).unwrap();
    for (locals, count) in [(50_000, 1_000), (1_000, 50_000), (50_000, 100_000)] {
        let problem = refused("wasm", &with(loops(locals, count)));
        assert!(matches!(problem, Problem::Excess(Excess::TooComplex { function: 2 })), "{problem:?}");
    }
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_function_that_passes_many_values_to_many_calls_or_targets() {
    let mut bare = Bare::new();
    bare.types.ty().function([ValType::I32; 1000], [ValType::I32; 1000]);
    bare.functions.function(1);
    bare.code.function(&function(0, |code| {
        for parameter in 0..1000 {
            code.local_get(parameter);
        }
        for _ in 0..100_000 {
            code.call(2);
        }
    }));
    let problem = refused("wasm", &bare.finish().finish());
    assert!(matches!(problem, Problem::Excess(Excess::TooComplex { function: 2 })), "{problem:?}");

    let table = function(1, |code| {
        let targets = vec![0; 100_000];
        for _ in 0..10 {
            code.block(BlockType::Empty);
            for _ in 0..100 {
                code.i32_const(0);
            }
            code.local_get(0).br_table(targets.iter().copied(), 0).end();
        }
    });
    let problem = refused("wasm", &Bare::new().with(&table).finish().finish());
    assert!(matches!(problem, Problem::Excess(Excess::TooComplex { function: 2 })), "{problem:?}");
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn blocks_in_blocks_and_long_code() {
    let blocks = |depth| {
        function(1, |code| {
            for _ in 0..depth {
                code.block(BlockType::Empty);
            }
            code.local_get(0).br_if(0);
            for _ in 0..depth {
                code.end();
            }
        })
    };
    load("wasm", &Bare::new().with(&blocks(1_000_000)).finish().finish()).unwrap();
    let long = function(2, |code| {
        for _ in 0..1_000_000 {
            code.local_get(0).local_get(1).i32_add().local_set(0);
        }
    });
    load("wasm", &Bare::new().with(&long).finish().finish()).unwrap();
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_million_types() {
    let with = |count: u64, parameters: usize| {
        let mut bare = Bare::new();
        for _ in 0..count {
            bare.types.ty().function(vec![ValType::I32; parameters], []);
        }
        bare.finish().finish()
    };
    too_many(&with(MAX_TYPES / 1000, 1000), MAX_TYPES);
    load("wasm", &with(MAX_TYPES / 20, 18)).unwrap();
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn large_sections() {
    let mut bare = Bare::new().memory(4000);
    bare.data.active(0, &ConstExpr::i32_const(0), vec![1; 200 << 20]);
    load("wasm", &bare.finish().finish()).unwrap();

    let mut bare = Bare::new().memory(1);
    for _ in 0..100_000 {
        bare.data.active(0, &ConstExpr::i32_const(0), [1]);
    }
    load("wasm", &bare.finish().finish()).unwrap();

    let mut bare = Bare::new();
    let element_type = RefType::FUNCREF;
    bare.tables.table(TableType { element_type, table64: false, minimum: 200_000, maximum: None, shared: false });
    for _ in 0..MAX_ELEMENTS / 100_000 {
        bare.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![0; 100_000].into()));
    }
    load("wasm", &bare.finish().finish()).unwrap();
    bare.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![0; 1].into()));
    too_many(&bare.finish().finish(), MAX_ELEMENTS);

    let mut module = Bare::new().finish();
    module.section(&CustomSection { name: "x".into(), data: vec![0; 200 << 20].into() });
    load("wasm", &module.finish()).unwrap();
}

/// Each of these becomes an instruction of the function that begins an instance, or several.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn items_of_passive_segments() {
    let with = |count: u64| {
        let mut bare = Bare::new();
        bare.elements.passive(Elements::Functions(vec![0; usize::try_from(count).unwrap()].into()));
        bare.finish().finish()
    };
    load("wasm", &with(MAX_ELEMENTS)).unwrap();
    for count in [MAX_ELEMENTS + 1, 950_000, 3_800_000] {
        too_many(&with(count), MAX_ELEMENTS);
    }
    let expressions = |count: u64| {
        let mut bare = Bare::new();
        for _ in 0..=count / 1_000_000 {
            let nulls =
                vec![ConstExpr::ref_null(wasm_encoder::HeapType::FUNC); 1_000_000.min(usize::try_from(count).unwrap())];
            bare.elements.passive(Elements::Expressions(RefType::FUNCREF, nulls.into()));
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
    assert!(matches!(problem, Problem::Excess(Excess::TooMany { max: MAX_ELEMENTS, .. })), "{problem:?}");
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn segments_without_anything_in_them() {
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
    assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn globals_and_what_they_begin_with() {
    let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
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
        bare.globals.global(GlobalType { mutable: true, ..ty }, &ConstExpr::i32_const(0));
    }
    load("wasm", &bare.finish().finish()).unwrap();
}

/// A table or a memory is written out with what it has at first, for each module, whether or not anybody makes an instance.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn tables_and_memories_that_are_written_out() {
    let mut many = Component::new();
    for _ in 0..MAX_PARTS - 1 {
        let mut module = Module::new();
        let (mut tables, mut elements) = (TableSection::new(), ElementSection::new());
        for table in 0..100 {
            let element_type = RefType::FUNCREF;
            tables.table(TableType { element_type, table64: false, minimum: 1 << 20, maximum: None, shared: false });
            let last = ConstExpr::i32_const((1 << 20) - 1);
            elements.active(Some(table), &last, Elements::Functions(vec![0].into()));
        }
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        functions.function(0);
        code.function(&function(0, |_| ()));
        module.section(&types).section(&functions).section(&tables).section(&elements).section(&code);
        many.section(&ModuleSection(&module));
    }
    too_many(&many.finish(), MAX_TABLE_ELEMENTS);

    let mut many = Component::new();
    for _ in 0..MAX_PARTS - 1 {
        let mut module = Module::new();
        let (mut memories, mut data) = (MemorySection::new(), DataSection::new());
        let (minimum, maximum) = (256, None);
        memories.memory(MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None });
        data.active(0, &ConstExpr::i32_const(0), [1]).active(0, &ConstExpr::i32_const(15 << 20), [1]);
        module.section(&memories).section(&data);
        many.section(&ModuleSection(&module));
    }
    let problem = refused("wasm", &many.finish());
    assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");
}

/// A type takes up to a hundred times as much once it is read, and is read before it can be found to be too large.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn types_of_components() {
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
    assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");

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
}

/// A number as binary WebAssembly has it.
fn leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}

/// What every instance has anew, besides memories and tables.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn what_instances_multiply() {
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
    elements.elements.passive(Elements::Functions(vec![0; 150_000].into()));
    let mut globals = Bare::new();
    for _ in 0..MAX_GLOBALS {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.globals.global(ty, &ConstExpr::i32_const(0));
    }
    let functions = (0..50_000).fold(Bare::new(), |bare, _| bare.with(&function(0, |_| ())));
    for bare in [elements, globals, functions] {
        too_many(&instances(&bare.finish(), 127), MAX_HELD_BYTES);
        let problem = refused("wasm", &instances(&bare.finish(), 4));
        assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");
    }
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn names_that_are_longer_than_the_rest() {
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
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn many_exports_and_imports() {
    let mut bare = Bare::new();
    for number in 0..100_000 {
        bare.exports.export(&format!("e{number}"), ExportKind::Func, 0);
    }
    load("wasm", &bare.finish().finish()).unwrap();

    let mut many = Component::new();
    for _ in 0..4 {
        let mut exports = ExportSection::new();
        let mut memories = MemorySection::new();
        let (minimum, maximum) = (0, None);
        memories.memory(MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None });
        for number in 0..300_000 {
            exports.export(&format!("{number:x}"), ExportKind::Memory, 0);
        }
        many.section(&ModuleSection(Module::new().section(&memories).section(&exports)));
    }
    too_many(&many.finish(), MAX_NAMES);

    let imports: Vec<_> = (0..20_000).map(|number| format!(r#"(import "a{number}" (func))"#)).collect();
    let imports = imports.concat();
    let problem = refused("wat", format!("(component {imports})").as_bytes());
    assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn components_in_components_and_many_of_them() {
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
    assert!(matches!(problem, Problem::MissingExport { .. }), "{problem:?}");

    let mut many = Component::new();
    for _ in 0..MAX_PARTS {
        many.section(&ModuleSection(&Module::new()));
    }
    too_many(&many.finish(), MAX_PARTS);
}

/// The file has no content on the disk, so it costs nothing to make.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_file_larger_than_any_plugin() {
    let file = File::new("wasm", b"\0asm\x01\0\0\0");
    std::fs::OpenOptions::new().write(true).open(&file.0).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let problem = Plugin::load(&engine(), &file.0, PluginSettings::default()).unwrap_err().problem;
    assert!(matches!(problem, Problem::TooLarge), "{problem:?}");
    std::fs::OpenOptions::new().write(true).open(&file.0).unwrap().set_len(MAX_FILE_BYTES).unwrap();
    let problem = Plugin::load(&engine(), &file.0, PluginSettings::default()).unwrap_err().problem;
    assert!(matches!(problem, Problem::Malformed(_)), "{problem:?}");
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn text_that_nests_deep_or_is_long() {
    let nest = |before: &str, open: &str, inner: &str, after: &str| {
        let depth = 100_000;
        format!("{before}{}{inner}{}{after}", open.repeat(depth), ")".repeat(depth))
    };
    for text in [
        nest("(component (type ", "(list ", "u8", "))"),
        nest(r#"(component (import "a" (func (param "a" "#, "(tuple ", "u8", "))))"),
        nest("(component (type ", "(component (type ", "(component)", "))"),
        nest("", "(component ", "", ""),
        nest("(module (func ", "(what ", "", "))"),
        "(".repeat(3_000_000),
    ] {
        let problem = refused("wat", text.as_bytes());
        assert!(matches!(problem, Problem::Text(_)), "{problem:?}");
    }
    // What is read without recursion may nest as it likes.
    let demoted = r#") (func (export "on_demoted")))"#;
    load("wat", nest(r#"(module (func (export "on_elected")"#, "(block ", "", demoted).as_bytes()).unwrap();
    let inner = "(i32.const 1)";
    load(
        "wat",
        nest(r#"(module (func (export "on_elected") (drop "#, "(i32.eqz ", inner, &format!("){demoted}")).as_bytes(),
    )
    .unwrap();
    let annotation = nest("(module (@a ", "(", "", "))");
    assert!(matches!(refused("wat", annotation.as_bytes()), Problem::MissingExport { .. }));
    let comments = format!("(module {}{})", "(; ".repeat(100_000), " ;)".repeat(100_000));
    assert!(matches!(refused("wat", comments.as_bytes()), Problem::MissingExport { .. }));

    let many = |bytes: usize| format!("(module {})", "(func)".repeat(bytes / 6));
    let problem = refused("wat", many(MAX_TEXT_BYTES - 20).as_bytes());
    assert!(matches!(problem, Problem::Excess(Excess::TooMany { max: MAX_FUNCTIONS, .. })), "{problem:?}");
    assert!(matches!(refused("wat", many(MAX_TEXT_BYTES + 10).as_bytes()), Problem::TextTooLarge));
}

/// Each type is made of the one before, many times: small in the file, large for whoever spells it out.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_signature_of_endless_length_is_cut() {
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
        Problem::WrongExport { found, .. } => assert!(found.len() < 1000 && found.ends_with('…'), "{found}"),
        problem => panic!("{problem:?}"),
    }
}

#[test]
#[ignore = "run by another test, in bounded memory"]
fn what_takes_too_long_is_given_up() {
    let limits = Limits { compile_timeout: Duration::from_millis(1), ..Limits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let error = Plugin::load(&engine(), &guest("heartbeat"), settings).unwrap_err();
    assert!(matches!(error.problem, Problem::TooSlow { .. }), "{error:?}");
    assert!(error.problem.to_string().contains("`limits.compile_timeout`"), "{error:?}");
}

/// An instance that never comes to be is stopped like any other plugin that does not listen.
#[test]
#[ignore = "run by another test, in bounded memory"]
fn a_start_function_that_never_ends() {
    let settings = ActivationSettings { demote_timeout: Duration::from_millis(100), ..ActivationSettings::default() };
    let endless =
        r#"(module (func $f (loop (br 0))) (start $f) (func (export "on_elected")) (func (export "on_demoted")))"#;
    let mut tested = Tested::start(text(endless), settings);
    tested.wait_for("activated", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped());
}
