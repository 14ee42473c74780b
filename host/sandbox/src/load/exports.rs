//! Finds the two functions that make a component a plugin, in one of the shapes that they may have.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use crate::bounded::shortened;
use crate::contract::exports::{Exports, Shape};
use crate::contract::version;
use crate::load::problem::PluginProblem;
use soloist_core::term;

const ON_ELECTED: &str = "on-elected";
const ON_DEMOTED: &str = "on-demoted";

/// How much of a wrong signature is shown.
const MAX_SIGNATURE_BYTES: usize = 500;

/// The functions by which a plugin hears that demotion has begun, and their interfaces in any version.
const HEARING: [(&str, &str); 2] = [
    ("soloist:plugin/leadership@", "should-stop"),
    ("soloist:plugin/blocking-clock@", "sleep"),
];

/// Finds the two functions in a component. `lifts_async` says whether any function of it is lifted as `async`.
///
/// # Errors
/// One is not there, or has a type that no plugin's has; or the component is made for a contract that this host does not
/// speak.
pub(super) fn find(
    engine: &Engine,
    component: &Component,
    lifts_async: bool,
) -> Result<Exports, PluginProblem> {
    let ty = component.component_type();
    if let Some(import) = version::unknown(ty.imports(engine).map(|(name, _)| name)) {
        return Err(PluginProblem::Contract {
            import: shortened(&import),
        });
    }
    let find = |export: &'static str,
                expected: &'static str,
                shape: fn(&ComponentFunc) -> Option<Shape>| {
        let missing = || PluginProblem::MissingExport {
            export: export.into(),
        };
        let index = component
            .get_export_index(None, export)
            .ok_or_else(missing)?;
        let found = component
            .component_type()
            .get_export(engine, export)
            .ok_or_else(missing)?
            .ty;
        let wrong = |found: String| PluginProblem::WrongExport {
            export: export.into(),
            expected: Cow::from(expected),
            found,
        };
        match found {
            ComponentItem::ComponentFunc(function) => {
                let shape = shape(&function).ok_or_else(|| wrong(signature(&function)))?;
                Ok((index, shape))
            }
            _ => Err(wrong("something that is no function".into())),
        }
    };
    Ok(Exports {
        on_elected: find(
            ON_ELECTED,
            "func(term: term) -> result<_, string>, async or not",
            elected_shape,
        )?,
        on_demoted: find(
            ON_DEMOTED,
            "func(reason: demotion), async or not",
            demoted_shape,
        )?,
        hear_of_demotion: lifts_async || asks(engine, component),
    })
}

/// Whether a component imports a function that tells it of demotion.
fn asks(engine: &Engine, component: &Component) -> bool {
    component
        .component_type()
        .imports(engine)
        .any(|(name, item)| match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                HEARING.iter().any(|(interface, function)| {
                    name.starts_with(interface) && instance.get_export(engine, function).is_some()
                })
            }
            _ => false,
        })
}

fn elected_shape(function: &ComponentFunc) -> Option<Shape> {
    let is_term = |ty: &Type| match ty {
        Type::Record(record) => {
            let expected = [
                ("number", Type::U64),
                ("fencing-token", Type::U64),
                ("task", Type::String),
                ("host", Type::String),
            ];
            record
                .fields()
                .map(|field| (field.name, field.ty))
                .eq(expected)
        }
        _ => false,
    };
    let is_outcome = |ty: &Type| matches!(ty, Type::Result(result) if result.ok().is_none() && result.err() == Some(Type::String));
    let bare: Vec<_> = function.params().map(|(_, ty)| ty).collect();
    if matches!(&*bare, [Type::U64, Type::U64]) && function.results().len() == 0 {
        return Some(Shape::NumberAndToken);
    }
    shape(
        function,
        is_term,
        |results| matches!(results, [outcome] if is_outcome(outcome)),
    )
}

fn demoted_shape(function: &ComponentFunc) -> Option<Shape> {
    let is_demotion = |ty: &Type| match ty {
        Type::Enum(cases) => cases
            .names()
            .eq(term::Demotion::ALL.iter().map(|reason| reason.name())),
        _ => false,
    };
    shape(function, is_demotion, <[Type]>::is_empty)
}

fn shape(
    function: &ComponentFunc,
    contract_parameter: impl Fn(&Type) -> bool,
    contract_results: impl Fn(&[Type]) -> bool,
) -> Option<Shape> {
    let parameters: Vec<_> = function.params().map(|(_, ty)| ty).collect();
    let results: Vec<_> = function.results().collect();
    match (&*parameters, &*results) {
        ([parameter], results) if contract_parameter(parameter) && contract_results(results) => {
            Some(Shape::Contract)
        }
        ([Type::U64], []) => Some(Shape::Number),
        ([], []) => Some(Shape::Nothing),
        _ => None,
    }
}

/// A function's type as WIT would have it, as far as it is of a reasonable length.
pub(super) fn signature(function: &ComponentFunc) -> String {
    let mut text = Signature(
        if function.async_() {
            "async func"
        } else {
            "func"
        }
        .to_owned(),
    );
    // What does not fit is cut.
    let _ = write!(text, "(").and_then(|()| {
        text.list(function.params(), |text, (name, ty)| {
            write!(text, "{name}: ")?;
            text.ty(&ty)
        })?;
        write!(text, ")")?;
        function.results().try_for_each(|ty| {
            write!(text, " -> ")?;
            text.ty(&ty)
        })
    });
    text.0
}

/// A signature as WIT would have it; a type that has no name is shown by what it is made of. A stranger's types can be of
/// any size, so it ends somewhere.
struct Signature(String);

impl fmt::Write for Signature {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_SIGNATURE_BYTES.saturating_sub(self.0.len());
        if text.len() > room {
            self.0.push_str(&text[..text.floor_char_boundary(room)]);
            self.0.push('…');
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl Signature {
    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut item: impl FnMut(&mut Self, T) -> fmt::Result,
    ) -> fmt::Result {
        for (number, each) in items.enumerate() {
            if number > 0 {
                write!(self, ", ")?;
            }
            item(self, each)?;
        }
        Ok(())
    }

    fn of(&mut self, name: &str, inner: &Type) -> fmt::Result {
        write!(self, "{name}<")?;
        self.ty(inner)?;
        write!(self, ">")
    }

    fn ty(&mut self, ty: &Type) -> fmt::Result {
        let name = match ty {
            Type::Bool => "bool",
            Type::S8 => "s8",
            Type::U8 => "u8",
            Type::S16 => "s16",
            Type::U16 => "u16",
            Type::S32 => "s32",
            Type::U32 => "u32",
            Type::S64 => "s64",
            Type::U64 => "u64",
            Type::Float32 => "f32",
            Type::Float64 => "f64",
            Type::Char => "char",
            Type::String => "string",
            Type::List(inner) => return self.of("list", &inner.ty()),
            Type::Option(inner) => return self.of("option", &inner.ty()),
            Type::Tuple(tuple) => {
                write!(self, "tuple<")?;
                self.list(tuple.types(), |text, ty| text.ty(&ty))?;
                ">"
            }
            Type::Record(record) => {
                write!(self, "record {{ ")?;
                self.list(record.fields(), |text, field| {
                    write!(text, "{}: ", field.name)?;
                    text.ty(&field.ty)
                })?;
                " }"
            }
            Type::Enum(cases) => {
                write!(self, "enum {{ ")?;
                self.list(cases.names(), |text, name| write!(text, "{name}"))?;
                " }"
            }
            Type::Result(result) => {
                write!(self, "result<")?;
                self.list(
                    [result.ok(), result.err()].into_iter(),
                    |text, ty| match ty {
                        Some(ty) => text.ty(&ty),
                        None => write!(text, "_"),
                    },
                )?;
                ">"
            }
            Type::Variant(_) => "variant",
            Type::Flags(_) => "flags",
            Type::Map(_) => "map",
            Type::Own(_) => "resource",
            Type::Borrow(_) => "borrowed resource",
            Type::Future(_) => "future",
            Type::Stream(_) => "stream",
            Type::ErrorContext => "error-context",
            Type::FixedLengthList(_) => "list of fixed length",
        };
        write!(self, "{name}")
    }
}
