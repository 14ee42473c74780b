//! The two functions that make a component a plugin, in the shapes that they may have.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Accessor, Component, ComponentExportIndex, Instance, TypedFunc};
use wasmtime::{Engine, Store};

use crate::imports::bindings::{Demotion, Term};
use crate::load::PluginProblem;
use soloist_core::term;

const ON_ELECTED: &str = "on-elected";
const ON_DEMOTED: &str = "on-demoted";

/// How much of a wrong signature is shown.
const MAX_SIGNATURE_BYTES: usize = 500;

/// What an export takes, and with it what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// As in the world `plugin`.
    Contract,
    /// The term's number; returns nothing. A bare module's way.
    Number,
    /// The term's number and token; returns nothing. A bare module's way, for `on-elected` alone.
    NumberAndToken,
    /// Nothing; returns nothing. A bare module's way.
    Nothing,
}

/// Where a component has its two functions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exports {
    on_elected: (ComponentExportIndex, Shape),
    on_demoted: (ComponentExportIndex, Shape),
}

impl Exports {
    pub(crate) fn find(engine: &Engine, component: &Component) -> Result<Self, PluginProblem> {
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
        Ok(Self {
            on_elected: find(
                ON_ELECTED,
                "async func(term: term) -> result<_, string>",
                elected_shape,
            )?,
            on_demoted: find(ON_DEMOTED, "async func(reason: demotion)", demoted_shape)?,
        })
    }

    pub(crate) fn bind<T: Send + 'static>(
        &self,
        store: &mut Store<T>,
        instance: Instance,
    ) -> wasmtime::Result<(OnElected, OnDemoted)> {
        let (index, shape) = &self.on_elected;
        let on_elected = match shape {
            Shape::Contract => OnElected::Contract(instance.get_typed_func(&mut *store, index)?),
            Shape::Number => OnElected::Number(instance.get_typed_func(&mut *store, index)?),
            Shape::NumberAndToken => {
                OnElected::NumberAndToken(instance.get_typed_func(&mut *store, index)?)
            }
            Shape::Nothing => OnElected::Nothing(instance.get_typed_func(&mut *store, index)?),
        };
        let (index, shape) = &self.on_demoted;
        let on_demoted = match shape {
            Shape::Contract => OnDemoted::Contract(instance.get_typed_func(&mut *store, index)?),
            // Only `on-elected` may take both.
            Shape::Number | Shape::NumberAndToken => {
                OnDemoted::Number(instance.get_typed_func(&mut *store, index)?)
            }
            Shape::Nothing => OnDemoted::Nothing(instance.get_typed_func(&mut *store, index)?),
        };
        Ok((on_elected, on_demoted))
    }
}

/// The plugin's `on_elected`.
pub(crate) enum OnElected {
    Contract(TypedFunc<(Term,), (Result<(), String>,)>),
    Number(TypedFunc<(u64,), ()>),
    NumberAndToken(TypedFunc<(u64, u64), ()>),
    Nothing(TypedFunc<(), ()>),
}

impl OnElected {
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        accessor: &Accessor<T>,
        term: &term::Term,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::Contract(function) => {
                Ok(function.call_concurrent(accessor, (term.into(),)).await?.0)
            }
            Self::Number(function) => function
                .call_concurrent(accessor, (term.number,))
                .await
                .map(Ok),
            Self::NumberAndToken(function) => function
                .call_concurrent(accessor, (term.number, term.fencing_token.0))
                .await
                .map(Ok),
            Self::Nothing(function) => function.call_concurrent(accessor, ()).await.map(Ok),
        }
    }
}

/// The plugin's `on_demoted`.
pub(crate) enum OnDemoted {
    Contract(TypedFunc<(Demotion,), ()>),
    Number(TypedFunc<(u64,), ()>),
    Nothing(TypedFunc<(), ()>),
}

impl OnDemoted {
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        accessor: &Accessor<T>,
        term: &term::Term,
        reason: term::Demotion,
    ) -> wasmtime::Result<()> {
        match self {
            Self::Contract(function) => function.call_concurrent(accessor, (reason.into(),)).await,
            Self::Number(function) => function.call_concurrent(accessor, (term.number,)).await,
            Self::Nothing(function) => function.call_concurrent(accessor, ()).await,
        }
    }
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
    if matches!(&*bare, [Type::U64, Type::U64])
        && function.results().len() == 0
        && function.async_()
    {
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
        _ if !function.async_() => None,
        ([parameter], results) if contract_parameter(parameter) && contract_results(results) => {
            Some(Shape::Contract)
        }
        ([Type::U64], []) => Some(Shape::Number),
        ([], []) => Some(Shape::Nothing),
        _ => None,
    }
}

fn signature(function: &ComponentFunc) -> String {
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
