//! Why a component cannot be linked, if the host can tell.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wit_parser::{Function, Resolve};

use crate::bounded::shortened;
use crate::contract::push_packages;
use crate::load::exports::signature;
use crate::load::problem::PluginProblem;

/// What is wrong with a component that wasmtime does not link, for the reason `error`.
pub(crate) fn problem(
    engine: &Engine,
    component: &Component,
    error: wasmtime::Error,
) -> PluginProblem {
    match draft(engine, component) {
        Ok(Some(draft)) => draft,
        Ok(None) => PluginProblem::Link(error),
        Err(mistake) => PluginProblem::Imports(wasmtime::Error::from_anyhow(mistake)),
    }
}

/// The first function of the contract that the component imports in another form than it has.
fn draft(engine: &Engine, component: &Component) -> anyhow::Result<Option<PluginProblem>> {
    let mut contract = Resolve::default();
    push_packages(&mut contract)?;
    let ty = component.component_type();
    for (import, item) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = &item.ty else {
            continue;
        };
        for (name, item) in instance.exports(engine) {
            if let ComponentItem::ComponentFunc(found) = &item.ty
                && let Some(expected) = function(&contract, import, name)
                && !is_like(found, expected)
            {
                return Ok(Some(PluginProblem::Draft {
                    import: shortened(&import),
                    function: shortened(&name),
                    found: signature(found),
                }));
            }
        }
    }
    Ok(None)
}

/// The function as the contract has it, in whatever version of 0.1 the component imports it.
fn function<'a>(contract: &'a Resolve, import: &str, name: &str) -> Option<&'a Function> {
    let (interface, _version) = import.strip_prefix("soloist:plugin/")?.split_once('@')?;
    let (_, package) = contract
        .packages
        .iter()
        .find(|(_, package)| package.name.namespace == "soloist")?;
    let interface = *package.interfaces.get(interface)?;
    contract.interfaces[interface].functions.get(name)
}

/// Whether the parameters have the same names, and both functions are `async` or neither is.
fn is_like(found: &ComponentFunc, expected: &Function) -> bool {
    let names = expected.params.iter().map(|parameter| &*parameter.name);
    found.async_() == expected.kind.is_async() && found.params().map(|(name, _)| name).eq(names)
}
