//! What a file may ask of the compiler.
//!
//! A compilation cannot be stopped, and what it takes can grow with the square of what it is given: so everything is
//! looked at once, in time and memory proportional to the file, before anything is made of it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind,
    FuncValidator, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, Parser,
    Payload, TableInit, TypeSectionReader, ValidPayload, Validator, ValidatorResources,
};

use soloist_core::limits::Limits;

use crate::engine::features::FEATURES;

/// How many functions a plugin may have, in all its modules.
pub const MAX_FUNCTIONS: u64 = 100_000;

/// How many types a plugin may have, and how many parameters, results and fields in them, in all its modules.
pub const MAX_TYPES: u64 = 1_000_000;

/// How many imports and exports a plugin's modules may have.
pub const MAX_NAMES: u64 = 1_000_000;

/// How many globals a plugin's modules may have. The compiler counts those that one function uses in 16 bits.
pub const MAX_GLOBALS: u64 = 50_000;

/// How many segments of data and elements a plugin's modules may have.
pub const MAX_SEGMENTS: u64 = 200_000;

/// How many items a plugin's element segments may have: each can become code, in a single function of its module.
pub const MAX_ELEMENTS: u64 = 200_000;

/// How many operators a plugin's constant expressions may have: each can become code as well.
pub const MAX_CONSTANTS: u64 = 200_000;

/// How many elements a plugin's tables may have at first: no limit lets it have more, and the compiler writes out the tables of
/// all its modules.
pub const MAX_TABLE_ELEMENTS: u64 = Limits::TABLE_ELEMENTS_MAX;

/// How large the names may be, in bytes, that a plugin's modules have for what is in them.
pub const MAX_NAME_BYTES: u64 = 32 << 20;

/// How large a plugin's components may be, in bytes, without their modules: a type takes up to a hundred times as much
/// once it is read.
pub const MAX_COMPONENT_BYTES: u64 = 4 << 20;

/// How many modules and components there may be in one another.
pub const MAX_NESTING: u64 = 16;

/// How many modules and components there may be altogether.
pub const MAX_PARTS: u64 = 1000;

/// How many values a function may carry over its branches and calls: for each of them, what lies on the operand stack
/// then, and for each branch the locals too. A compiler that follows values over branches works on so many.
pub const MAX_FLOW: u64 = 4_000_000;

/// A file asks more of the compiler than it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Excess {
    /// There is too much of something.
    #[error("it has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: Cow<'static, str>,
        /// How much there may be.
        max: u64,
    },
    /// What its instances make cannot be known before it runs.
    #[error(
        "it instantiates a module or a component that it imports, or takes out of an instance: instantiate what the file \
         itself contains"
    )]
    Uncounted,
    /// A single function would take too much memory to compile.
    #[error(
        "its function {function} is too complex: with all its locals it carries more than {MAX_FLOW} values over its \
         branches and calls"
    )]
    TooComplex {
        /// The function's index in its module.
        function: u32,
    },
}

/// Why a file is not given to the compiler.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Malformed(#[from] BinaryReaderError),
    #[error(transparent)]
    Excess(#[from] Excess),
}

/// Validates a module or a component as a whole, within the bounds.
pub(crate) fn check(binary: &[u8]) -> Result<(), Refused> {
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = FuncValidatorAllocations::default();
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        counts.add(&payload)?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut function = function.into_validator(allocations);
            check_function(&mut function, &body)?;
            allocations = function.into_allocations();
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    functions: u64,
    types: u64,
    names: u64,
    globals: u64,
    segments: u64,
    elements: u64,
    constants: u64,
    table_elements: u64,
    component_bytes: u64,
    name_bytes: u64,
    nesting: u64,
    parts: u64,
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), Refused> {
        match payload {
            Payload::Version { .. } => {
                raise(
                    &mut self.nesting,
                    1,
                    "modules and components in one another",
                    MAX_NESTING,
                )?;
                raise(&mut self.parts, 1, "modules and components", MAX_PARTS)?;
            }
            Payload::End(_) => self.nesting = self.nesting.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => {
                raise(
                    &mut self.functions,
                    u64::from(*count),
                    "functions",
                    MAX_FUNCTIONS,
                )?;
            }
            Payload::TypeSection(groups) => self.types(groups)?,
            Payload::ImportSection(imports) => self.names(imports.count())?,
            Payload::ExportSection(exports) => self.names(exports.count())?,
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    let table = table?;
                    let initial = table.ty.initial;
                    raise(
                        &mut self.table_elements,
                        initial,
                        "elements of tables at first",
                        MAX_TABLE_ELEMENTS,
                    )?;
                    if let TableInit::Expr(expression) = &table.init {
                        self.constants(expression)?;
                    }
                }
            }
            Payload::GlobalSection(globals) => {
                raise(
                    &mut self.globals,
                    u64::from(globals.count()),
                    "globals",
                    MAX_GLOBALS,
                )?;
                for global in globals.clone() {
                    self.constants(&global?.init_expr)?;
                }
            }
            Payload::ElementSection(segments) => {
                self.segments(segments.count())?;
                for segment in segments.clone() {
                    let segment = segment?;
                    if let ElementKind::Active { offset_expr, .. } = &segment.kind {
                        self.constants(offset_expr)?;
                    }
                    self.elements(&segment.items)?;
                }
            }
            Payload::DataSection(segments) => {
                self.segments(segments.count())?;
                for segment in segments.clone() {
                    if let DataKind::Active { offset_expr, .. } = &segment?.kind {
                        self.constants(offset_expr)?;
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == "name" => {
                let bytes = section.data().len() as u64;
                raise(
                    &mut self.name_bytes,
                    bytes,
                    "bytes of names",
                    MAX_NAME_BYTES,
                )?;
            }
            // The encoder makes a component of it.
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                self.component(section.data().len())?;
            }
            Payload::ComponentTypeSection(_)
            | Payload::CoreTypeSection(_)
            | Payload::InstanceSection(_)
            | Payload::ComponentInstanceSection(_)
            | Payload::ComponentAliasSection(_)
            | Payload::ComponentCanonicalSection(_)
            | Payload::ComponentStartSection { .. }
            | Payload::ComponentImportSection(_)
            | Payload::ComponentExportSection(_) => {
                self.component(payload.as_section().map_or(0, |(_, range)| range.len()))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn types(&mut self, groups: &TypeSectionReader<'_>) -> Result<(), Refused> {
        for group in groups.clone() {
            for ty in group?.types() {
                let parts = match &ty.composite_type.inner {
                    CompositeInnerType::Func(ty) => ty.params().len() + ty.results().len(),
                    CompositeInnerType::Struct(ty) => ty.fields.len(),
                    CompositeInnerType::Array(_) | CompositeInnerType::Cont(_) => 1,
                };
                raise(
                    &mut self.types,
                    1 + parts as u64,
                    "types, parameters, results and fields",
                    MAX_TYPES,
                )?;
            }
        }
        Ok(())
    }

    fn names(&mut self, count: u32) -> Result<(), Excess> {
        raise(
            &mut self.names,
            count.into(),
            "imports and exports of modules",
            MAX_NAMES,
        )
    }

    fn segments(&mut self, count: u32) -> Result<(), Excess> {
        raise(
            &mut self.segments,
            count.into(),
            "segments of data and elements",
            MAX_SEGMENTS,
        )
    }

    fn component(&mut self, bytes: usize) -> Result<(), Excess> {
        raise(
            &mut self.component_bytes,
            bytes as u64,
            "bytes of components without their modules",
            MAX_COMPONENT_BYTES,
        )
    }

    fn elements(&mut self, items: &ElementItems<'_>) -> Result<(), Refused> {
        let count = match items {
            ElementItems::Functions(functions) => functions.count(),
            ElementItems::Expressions(_, expressions) => expressions.count(),
        };
        raise(
            &mut self.elements,
            count.into(),
            "items of element segments",
            MAX_ELEMENTS,
        )?;
        if let ElementItems::Expressions(_, expressions) = items {
            for expression in expressions.clone() {
                self.constants(&expression?)?;
            }
        }
        Ok(())
    }

    fn constants(&mut self, expression: &ConstExpr<'_>) -> Result<(), Refused> {
        for operator in expression.get_operators_reader() {
            if !matches!(operator?, Operator::End) {
                raise(
                    &mut self.constants,
                    1,
                    "operators of constant expressions",
                    MAX_CONSTANTS,
                )?;
            }
        }
        Ok(())
    }
}

fn raise(count: &mut u64, by: u64, what: &'static str, max: u64) -> Result<(), Excess> {
    *count = count.saturating_add(by);
    if *count > max {
        Err(Excess::TooMany {
            what: what.into(),
            max,
        })
    } else {
        Ok(())
    }
}

fn check_function(
    function: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<(), Refused> {
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader)?;
    let locals = u64::from(function.len_locals());
    let mut operators = OperatorsReader::new(reader);
    let mut flow = 0_u64;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        let stack = u64::from(function.operand_stack_height());
        flow = flow.saturating_add(match &operator {
            Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Return => stack,
            Operator::BrTable { targets } => locals + stack * (u64::from(targets.len()) + 1),
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::TryTable { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. } => locals + stack,
            _ => 0,
        });
        function.op(offset, &operator)?;
        if flow > MAX_FLOW {
            return Err(Excess::TooComplex {
                function: function.index(),
            }
            .into());
        }
    }
    Ok(operators.finish()?)
}
