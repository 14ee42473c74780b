//! Makes a component of whatever a toolchain gives: from here on there is one path.

use std::collections::BTreeSet;

use anyhow::{anyhow, ensure};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW1,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as PREVIEW1_ADAPTER,
};
use wasm_encoder::reencode::{Reencode, utils};
use wasmparser::types::EntityType;
use wasmparser::{KnownCustom, Parser, Payload, ValType, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::bounded::shortened;
use crate::contract::{self, EXIT_INTERFACES, EXIT_WITH_CODE, plain};
use crate::engine::features::FEATURES;
use crate::load::apart::caught;
use crate::load::bounds::Refused;
use crate::load::circle;
use crate::load::problem::{PluginProblem, Told};

/// How a bare module ends itself: the adapter would pass on only whether it did well, so it is led past that.
const EXIT: &str = "proc_exit";

/// The interface that it is led to.
const EXIT_INTERFACE: &str = "package wasi:cli@0.2.12 {
    interface exit {
        exit: func(status: result);
        exit-with-code: func(status-code: u8);
    }
}";

/// What a bare module calls the two functions, what a component does, and what they may take.
const EXPORTS: [(&str, &str, Shapes); 2] = [
    (
        "on_elected",
        "on-elected",
        Shapes {
            parameters: &["", "number: u64", "number: u64, token: u64"],
            expected: "(func), (func (param i64)) or (func (param i64 i64))",
        },
    ),
    (
        "on_demoted",
        "on-demoted",
        Shapes {
            parameters: &["", "number: u64"],
            expected: "(func) or (func (param i64))",
        },
    ),
];

/// What a function of a bare module may take: as many numbers as there are texts before it, in WIT.
#[derive(Clone, Copy)]
struct Shapes {
    parameters: &'static [&'static str],
    expected: &'static str,
}

/// Makes a component of a module with component metadata, or of a bare module.
pub(crate) fn component(binary: &[u8]) -> Result<Vec<u8>, PluginProblem> {
    let module = Module::read(binary)?;
    if module.has_metadata {
        return encode(binary, module.imports_preview1());
    }
    let world = module.world()?;
    let mut renamed = wasm_encoder::Module::new();
    Rename
        .parse_core_module(&mut renamed, Parser::new(0), binary)
        .map_err(|error| failed(&error.into()))?;
    let mut renamed = renamed.finish();
    embed(&mut renamed, &world, module.uses_contract()).map_err(|error| failed(&error))?;
    encode(&renamed, module.imports_preview1())
}

fn failed(error: &anyhow::Error) -> PluginProblem {
    PluginProblem::Encode(Told::of(error.as_ref()))
}

fn encode(module: &[u8], imports_preview1: bool) -> Result<Vec<u8>, PluginProblem> {
    let encode = || {
        ensure!(
            !circle::is_in(module),
            "the packages of its component types need each other in a circle"
        );
        let mut encoder = ComponentEncoder::default().module(module)?;
        if imports_preview1 {
            encoder = encoder.adapter(PREVIEW1, PREVIEW1_ADAPTER)?;
        }
        encoder.encode()
    };
    // The encoder takes it for granted that a tool has written the types, and panics over some that none would write.
    let encoded = caught(encode)
        .unwrap_or_else(|panic| Err(anyhow!("its component types make no sense: {panic}")));
    encoded.map_err(|error| failed(&error))
}

fn embed(module: &mut Vec<u8>, world: &str, uses_contract: bool) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    if uses_contract {
        contract::push_packages(&mut resolve)?;
    }
    let package = resolve.push_str("bare.wit", world)?;
    let world = resolve.select_world(&[package], None)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
}

/// What has to be known of a core module.
struct Module {
    has_metadata: bool,
    imports: Vec<(String, String)>,
    exports: Vec<(String, EntityType)>,
    types: wasmparser::types::Types,
}

impl Module {
    fn read(binary: &[u8]) -> Result<Self, PluginProblem> {
        let types = Validator::new_with_features(FEATURES)
            .validate_all(binary)
            .map_err(Refused::from)?;
        let mut has_metadata = false;
        for payload in Parser::new(0).parse_all(binary) {
            if let Payload::CustomSection(section) = payload.map_err(Refused::from)? {
                has_metadata |= matches!(section.as_known(), KnownCustom::ComponentName(_))
                    || section.name().starts_with("component-type");
            }
        }
        let view = types.as_ref();
        let imports = view
            .core_imports()
            .into_iter()
            .flatten()
            .map(|(module, name, _)| (module.into(), name.into()));
        let exports = view
            .core_exports()
            .into_iter()
            .flatten()
            .map(|(name, ty)| (name.into(), ty));
        let (imports, exports) = (imports.collect(), exports.collect());
        Ok(Self {
            has_metadata,
            imports,
            exports,
            types,
        })
    }

    fn imports_preview1(&self) -> bool {
        self.imports.iter().any(|(module, _)| module == PREVIEW1)
    }

    /// Whether it imports anything of the contract, by plain names.
    fn uses_contract(&self) -> bool {
        self.imports
            .iter()
            .any(|(module, _)| module == plain::MODULE)
    }

    /// The world of a bare module, by its imports and exports.
    fn world(&self) -> Result<String, PluginProblem> {
        let unknown = self
            .imports
            .iter()
            .find(|(module, name)| module != PREVIEW1 && plain::find(module, name).is_none());
        if let Some((module, name)) = unknown {
            return Err(PluginProblem::UnknownImport {
                import: shortened(&format_args!("{module}.{name}")),
            });
        }
        if self.exports.iter().any(|(name, _)| name == "_start") {
            return Err(PluginProblem::Program);
        }
        let mut world = String::from("package soloist:bare;\n");
        let exits = self.imports.iter().any(|(_, name)| name == EXIT);
        if exits {
            world.push_str(EXIT_INTERFACE);
        }
        world.push_str("\nworld plugin {\n");
        if exits {
            world.extend(["import ", EXIT_INTERFACES[0], ";\n"]);
        }
        let interfaces: BTreeSet<_> = self
            .imports
            .iter()
            .filter_map(|(module, name)| plain::find(module, name))
            .map(|(interface, _)| interface)
            .collect();
        for interface in interfaces {
            world.extend(["import ", interface, ";\n"]);
        }
        for (bare, export, shapes) in EXPORTS {
            let found = self.exports.iter().find(|(name, _)| name == bare);
            let (_, ty) = found.ok_or(PluginProblem::MissingExport {
                export: bare.into(),
            })?;
            let parameters = self.parameters(bare, shapes, ty)?;
            world.extend(["export ", export, ": async func(", parameters, ");\n"]);
        }
        world.push('}');
        Ok(world)
    }

    /// What the exported function takes, in WIT.
    fn parameters(
        &self,
        export: &'static str,
        shapes: Shapes,
        ty: &EntityType,
    ) -> Result<&'static str, PluginProblem> {
        let found = match ty {
            EntityType::Func(id) => {
                let function = self.types[*id].unwrap_func();
                let numbers = function.params().iter().all(|param| *param == ValType::I64);
                match shapes.parameters.get(function.params().len()) {
                    Some(parameters) if numbers && function.results().is_empty() => {
                        return Ok(parameters);
                    }
                    _ => shortened(function),
                }
            }
            EntityType::Memory(_) => "a memory".into(),
            EntityType::Table(_) => "a table".into(),
            EntityType::Global(_) => "a global".into(),
            _ => "something that is no function".into(),
        };
        Err(PluginProblem::WrongExport {
            export: export.into(),
            expected: shapes.expected.into(),
            found,
        })
    }
}

/// Gives functions the names that they have in a component: the two exports, the contract's imports, and the import by which
/// it ends itself.
struct Rename;

impl Reencode for Rename {
    type Error = std::convert::Infallible;

    fn parse_imports(
        &mut self,
        section: &mut wasm_encoder::ImportSection,
        mut imports: wasmparser::Imports<'_>,
    ) -> Result<(), wasm_encoder::reencode::Error<Self::Error>> {
        if let wasmparser::Imports::Single(_, import) = &mut imports {
            if (import.module, import.name) == (PREVIEW1, EXIT) {
                (import.module, import.name) = (EXIT_INTERFACES[0], EXIT_WITH_CODE);
            } else if let Some(named) = plain::find(import.module, import.name) {
                (import.module, import.name) = named;
            }
        }
        utils::parse_imports(self, section, imports)
    }

    fn parse_export(
        &mut self,
        exports: &mut wasm_encoder::ExportSection,
        mut export: wasmparser::Export<'_>,
    ) -> Result<(), wasm_encoder::reencode::Error<Self::Error>> {
        if let Some((_, name, _)) = EXPORTS.iter().find(|(bare, ..)| *bare == export.name) {
            export.name = name;
        }
        utils::parse_export(self, exports, export)
    }
}
