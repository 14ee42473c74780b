//! What a plugin's file is and what it needs, as data: for those who decide whether to run it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use wasmparser::{Parser, Payload, ProducersSectionReader};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;

use crate::bounded::shortened;
use crate::load::exports::signature;
use crate::load::plugin_engine::{PluginEngine, PluginFile};
use crate::load::problem::PluginProblem;
use crate::load::{opens_files, read};
use crate::run::program::Program;
use soloist_core::digest::Digest;
use soloist_core::grants::Grant;
use soloist_core::limits::Limits;

/// How many exports, and how many producers, are listed.
const MAX_LISTED: usize = 100;

/// The custom section in which the SDK leaves its version, on a line.
const SDK_SECTION: &str = "soloist-sdk";

/// A longer section of that name is not the SDK's.
const MAX_SDK_BYTES: usize = 256;

/// The contract's imports begin with this.
const CONTRACT: &str = "soloist:plugin/";

/// What a plugin's file is and what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What form it has.
    pub kind: PluginKind,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The digest of the file.
    #[serde(serialize_with = "digits")]
    pub sha256: Digest,
    /// The version of the contract that it imports. A bare module imports none.
    pub contract: Option<String>,
    /// The version of the SDK that it was built with, if it tells.
    pub sdk: Option<String>,
    /// The grants without which it is not loaded.
    pub grants: Vec<Grant>,
    /// Whether it can open files, if its task grants it a directory.
    pub opens_files: bool,
    /// What it exports, as far as listed.
    pub exports: Vec<Export>,
    /// How many exports more it has.
    pub omitted_exports: usize,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What has made it, by its own account.
    pub producers: Vec<Producer>,
}

/// What form a plugin's file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// A component.
    Component,
    /// A core module with the types of its component in a custom section.
    ModuleWithMetadata,
    /// A core module that exports the two functions, and has no types but those of WebAssembly.
    BareModule,
    /// WebAssembly text, of any of these.
    Text,
}

/// Something that a plugin exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Export {
    /// Its name in the component.
    pub name: String,
    /// Its type as WIT would have it; `None` for what is no function.
    pub signature: Option<String>,
}

/// Something that a plugin imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// The interface, with its version.
    pub name: String,
    /// The functions that it takes from there.
    pub functions: Vec<String>,
    /// The grant that it needs; `None` for what every plugin has.
    pub grant: Option<Grant>,
}

/// Something that had a part in making a plugin: an entry of a `producers` section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// What it is.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
}

fn digits<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl PluginKind {
    /// What a file's content is. Whether it is sound is for others to say.
    fn of(file: &[u8]) -> Self {
        if Parser::is_component(file) {
            return Self::Component;
        }
        if !Parser::is_core_wasm(file) {
            return Self::Text;
        }
        let mut payloads = Parser::new(0).parse_all(file).map_while(Result::ok);
        let has_types = payloads.any(|payload| {
            matches!(payload, Payload::CustomSection(section) if section.name().starts_with("component-type"))
        });
        if has_types {
            Self::ModuleWithMetadata
        } else {
            Self::BareModule
        }
    }
}

/// A plugin that is compiled and linked, and what was noted of its file.
pub(crate) struct Inspected {
    program: Arc<Program>,
    kind: PluginKind,
    bytes: u64,
    digest: Digest,
    made: Made,
}

impl Inspected {
    /// Reads, compiles and links a plugin, which passes all that keeps a hostile file from harm.
    pub(crate) fn from_file(
        engines: &PluginEngine,
        path: &Path,
        limits: &Limits,
    ) -> Result<Self, PluginProblem> {
        let file = read(path)?;
        let (kind, bytes, digest) = (PluginKind::of(&file), file.len() as u64, Digest::of(&file));
        // Of the file: what is made a component here has us among its producers.
        let made = Made::of(&file);
        let file = PluginFile {
            path,
            content: file,
            digest,
        };
        Ok(Self {
            program: engines.program(file, limits, false)?.program,
            kind,
            bytes,
            digest,
            made,
        })
    }

    /// What there is to say of it. It is linked by now: so its imports are those of this host, and no more than these.
    pub(crate) fn inspection(self) -> Inspection {
        let engine = &self.program.engine;
        let ty = self.program.pre.component().component_type();
        let imports: Vec<_> = ty
            .imports(engine)
            .map(|(name, item)| Import {
                name: name.to_owned(),
                functions: functions(engine, &item.ty),
                grant: Grant::for_import(name),
            })
            .collect();
        let grants: BTreeSet<_> = imports.iter().filter_map(|import| import.grant).collect();
        let versions = imports
            .iter()
            .filter(|import| import.name.starts_with(CONTRACT));
        let contract = versions
            .filter_map(|import| import.name.split_once('@'))
            .map(|(_, version)| version.to_owned())
            .max();
        let exports = ty.exports(engine).map(|(name, item)| Export {
            name: shortened(&name),
            signature: match &item.ty {
                ComponentItem::ComponentFunc(function) => Some(signature(function)),
                _ => None,
            },
        });
        Inspection {
            kind: self.kind,
            bytes: self.bytes,
            sha256: self.digest,
            contract,
            sdk: self.made.sdk,
            grants: grants.into_iter().collect(),
            opens_files: opens_files(engine, &ty).is_some(),
            exports: exports.take(MAX_LISTED).collect(),
            omitted_exports: ty.exports(engine).count().saturating_sub(MAX_LISTED),
            imports,
            producers: self.made.producers.into_iter().collect(),
        }
    }
}

/// The functions of an instance.
fn functions(engine: &Engine, item: &ComponentItem) -> Vec<String> {
    let ComponentItem::ComponentInstance(instance) = item else {
        return Vec::new();
    };
    let exports = instance.exports(engine);
    exports
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// What the custom sections of a file, a component or a module, say of how it was made. Text has none.
#[derive(Default)]
struct Made {
    sdk: Option<String>,
    producers: BTreeSet<Producer>,
}

impl Made {
    /// What does not make sense is passed over: nothing depends on it.
    fn of(file: &[u8]) -> Self {
        let mut made = Self::default();
        for payload in Parser::new(0).parse_all(file).map_while(Result::ok) {
            let Payload::CustomSection(section) = payload else {
                continue;
            };
            match section.name() {
                SDK_SECTION => made.sdk = made.sdk.or_else(|| sdk_version(section.data())),
                "producers" => made.add(section.data(), section.data_offset()),
                _ => {}
            }
        }
        made
    }

    fn add(&mut self, data: &[u8], offset: usize) {
        let reader = wasmparser::BinaryReader::new(data, offset);
        let Ok(fields) = ProducersSectionReader::new(reader) else {
            return;
        };
        for field in fields.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                if self.producers.len() >= MAX_LISTED {
                    return;
                }
                self.producers.insert(Producer {
                    field: shortened(&field.name),
                    name: shortened(&value.name),
                    version: shortened(&value.version),
                });
            }
        }
    }
}

/// The first line of the section of the SDK.
fn sdk_version(section: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(section)
        .ok()
        .filter(|text| text.len() <= MAX_SDK_BYTES)?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_sections(sections: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module {sections}))")).unwrap()
    }

    #[test]
    fn the_sdk_tells_its_version_on_a_line() {
        let of = |content: &str| {
            let section = format!("(@custom \"soloist-sdk\" \"{content}\")");
            Made::of(&with_sections(&section)).sdk
        };
        assert_eq!(of("0.1.0\\n").as_deref(), Some("0.1.0"));
        assert_eq!(of("0.1.0\\n0.2.0\\n").as_deref(), Some("0.1.0"));
        assert_eq!(of(""), None);
        assert_eq!(of("\\ff\\ff"), None);
        assert_eq!(of(&"x".repeat(MAX_SDK_BYTES + 1)), None);
        assert_eq!(Made::of(&with_sections("")).sdk, None);
    }

    #[test]
    fn producers_are_listed_once_each_and_no_more_than_there_is_room_for() {
        let twice = "(@producers (language \"Rust\" \"\") (processed-by \"rustc\" \"1.95\"))";
        let text = format!("(component (core module {twice}) (core module {twice}))");
        let listed: Vec<_> = Made::of(&wat::parse_str(text).unwrap())
            .producers
            .into_iter()
            .map(|it| [it.field, it.name, it.version].join(" "))
            .collect();
        assert_eq!(listed, ["language Rust ", "processed-by rustc 1.95"]);
        let many: Vec<_> = (0..2 * MAX_LISTED)
            .map(|number| format!("(processed-by \"tool {number}\" \"1\")"))
            .collect();
        let made = Made::of(&with_sections(&format!("(@producers {})", many.concat())));
        assert_eq!(made.producers.len(), MAX_LISTED);
    }

    #[test]
    fn a_broken_producers_section_is_passed_over() {
        let broken = with_sections("(@custom \"producers\" \"\\ff\\ff\\ff\\ff\\ff\\ff\")");
        assert!(Made::of(&broken).producers.is_empty());
    }
}
