//! Modules that are made piece by piece.

use wasm_encoder::{
    CodeSection, DataSection, ElementSection, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, InstructionSink, MemorySection, MemoryType, Module, TableSection, TypeSection,
    ValType,
};

/// A bare module, to which more is added: its first two functions are exported and do nothing.
pub(crate) struct Bare {
    pub(crate) types: TypeSection,
    pub(crate) functions: FunctionSection,
    pub(crate) tables: TableSection,
    pub(crate) memories: MemorySection,
    pub(crate) globals: GlobalSection,
    pub(crate) exports: ExportSection,
    pub(crate) elements: ElementSection,
    pub(crate) code: CodeSection,
    pub(crate) data: DataSection,
}

impl Bare {
    pub(crate) fn new() -> Self {
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
        bare.exports
            .export("on_elected", ExportKind::Func, 0)
            .export("on_demoted", ExportKind::Func, 1);
        bare.with(&function(0, |_| ())).with(&function(0, |_| ()))
    }

    /// Adds a function without parameters and results.
    pub(crate) fn with(mut self, function: &Function) -> Self {
        self.functions.function(0);
        self.code.function(function);
        self
    }

    pub(crate) fn memory(mut self, pages: u64) -> Self {
        let (minimum, maximum) = (pages, None);
        self.memories.memory(MemoryType {
            minimum,
            maximum,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        self
    }

    pub(crate) fn finish(&self) -> Module {
        let mut module = Module::new();
        module
            .section(&self.types)
            .section(&self.functions)
            .section(&self.tables)
            .section(&self.memories);
        module
            .section(&self.globals)
            .section(&self.exports)
            .section(&self.elements)
            .section(&self.code);
        module.section(&self.data);
        module
    }
}

/// A function with some locals of type i32.
pub(crate) fn function(locals: u32, body: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new([(locals, ValType::I32)]);
    let mut code = function.instructions();
    body(&mut code);
    code.end();
    function
}

/// A number as binary WebAssembly has it.
pub(crate) fn leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}
