//! The two functions that make a component a plugin, and how they are called.

use wasmtime::Store;
use wasmtime::component::{Accessor, ComponentExportIndex, Instance, TypedFunc};

use crate::contract::bindings::{Demotion, Term};
use soloist_core::term;

/// What an export takes, and with it what it returns. It may be `async` or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As in the worlds `plugin` and `minimal`.
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
    pub(crate) on_elected: (ComponentExportIndex, Shape),
    pub(crate) on_demoted: (ComponentExportIndex, Shape),
    /// Whether the plugin can hear of a demotion while `on_elected` runs: it asks, or `on_demoted` can be called meanwhile.
    pub(crate) hear_of_demotion: bool,
}

impl Exports {
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
