//! `soloist inspect`: what a plugin is, what it needs, and what a new version needs more.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use serde::Serialize;
use soloist_config::TaskName;
use soloist_core::digest::Digest;
use soloist_core::grants::Grant;
use soloist_core::text;
use soloist_sandbox::{Compiler, Import, Inspection, PluginEngine, PluginKind, inspect};

use super::Failure;
use super::fetch;
use super::output::{print, print_json, tell_on_stderr};
use super::unbuilt::advised;

/// What a plugin gets from its task if it can open files.
const DIRS: &str = "dirs = [{ host = \"/DIRECTORY\", guest = \"/data\" }]";

/// Say what a plugin is and what it needs, and what to write into the configuration for it
///
/// The plugin is compiled as a host would, within the same bounds, and nothing of it is run. With two plugins: what the
/// second one needs that the first does not. The exit code is 1 then if that is anything to grant, and 0 if every task
/// that grants what the first one needs can run the second.
///
/// With --json, one object on one line:
///
///   {"file": PATH, "kind": KIND, "bytes": NUMBER, "sha256": DIGITS, "contract": VERSION, "sdk": VERSION,
///    "grants": [GRANT, ...], "opens_files": BOOLEAN,
///    "exports": [{"name": NAME, "signature": TEXT}, ...], "omitted_exports": NUMBER,
///    "imports": [{"name": NAME, "functions": [NAME, ...], "grant": GRANT}, ...],
///    "producers": [{"field": NAME, "name": NAME, "version": VERSION}, ...]}
///
/// KIND is component, module-with-metadata, bare-module or text. A GRANT is state, http or tcp, or null where none is
/// needed. "contract" and "sdk" are null if the plugin does not tell. The "signature" of what is no function is null.
/// With two plugins:
///
///   {"old": {...}, "new": {...}, "more": {"grants": [GRANT, ...], "opens_files": BOOLEAN, "imports": [NAME, ...]}}
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Inspect {
    /// A component, a core module, or the text form of either: a file, or an artefact to fetch
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,

    /// A newer version of it, to be compared with
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,

    /// SHA-256 that the plugin must have; needed if it is fetched by https:// or from file:// [default: any]
    #[arg(long, value_name = "DIGITS")]
    sha256: Option<String>,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// A plugin's file and what was found in it.
#[derive(Serialize)]
pub(super) struct Plugin<'a> {
    file: &'a Path,
    #[serde(flatten)]
    pub(super) inspection: Inspection,
}

#[derive(Serialize)]
struct Pair<'a> {
    old: Plugin<'a>,
    new: Plugin<'a>,
    more: More,
}

/// What a new version needs that the old one does not.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct More {
    grants: Vec<Grant>,
    opens_files: bool,
    imports: Vec<String>,
}

impl Inspect {
    pub(super) fn execute(self, _: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("inspect").map_err(Failure::RunTime)?;
        let engine = engine()?;
        let sha256 = self.sha256.as_deref().map(|text| {
            Digest::parse(text)
                .ok_or_else(|| Failure::Invalid(anyhow!("--sha256: write 64 hexadecimal digits")))
        });
        let old = Plugin::inspect(&engine, &self.plugin, sha256.transpose()?)?;
        let Some(new) = &self.new else {
            return if self.json {
                print_json(&old).map(drop)
            } else {
                print(&old.text()).map(drop)
            };
        };
        let new = Plugin::inspect(&engine, new, None)?;
        let more = More::of(&old.inspection, &new.inspection);
        let (verdict, text) = (more.verdict(), more.text(&old, &new));
        if self.json {
            print_json(&Pair { old, new, more })?;
        } else {
            print(&text)?;
        }
        verdict
    }
}

/// Refuses a folder where a file is asked for, and says which files a project has.
pub(super) fn refuse_folder(path: &Path) -> Result<(), Failure> {
    if !path.is_dir() {
        return Ok(());
    }
    let path = path.display().to_string();
    let path = text::printable(&path);
    Err(Failure::Invalid(anyhow!(
        "{path} is a folder: name a file in it; of a project, the plugin that `soloist build {path}` makes, or its soloist.toml \
         for `run` and `check`"
    )))
}

/// What compiles plugins, and keeps them for the host that will run them.
pub(super) fn engine() -> Result<Arc<PluginEngine>, Failure> {
    PluginEngine::new(Compiler::this_program())
        .context("cannot run WebAssembly here")
        .map(Arc::new)
        .map_err(Failure::RunTime)
}

impl<'a> Plugin<'a> {
    /// `sha256` is what the file must have, which only says something of one that is fetched.
    pub(super) fn inspect(
        engine: &Arc<PluginEngine>,
        file: &'a Path,
        sha256: Option<Digest>,
    ) -> Result<Self, Failure> {
        refuse_folder(file)?;
        let fetched = fetch::named(file, sha256)?;
        let inspection = inspect(engine, &fetched.path)
            .map_err(|error| Failure::Invalid(advised(error.into(), file, None)))?;
        if let Some(wanted) = fetched.sha256.filter(|wanted| *wanted != inspection.sha256) {
            let (file, found) = (file.display(), inspection.sha256);
            return Err(Failure::Invalid(anyhow!(
                "{file}: its SHA-256 is {found}, and not {wanted}"
            )));
        }
        Ok(Self { file, inspection })
    }

    fn text(&self) -> String {
        let found = &self.inspection;
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", self.file.display());
        line(&mut text, "kind", kind(found.kind));
        line(&mut text, "size", &format!("{} bytes", found.bytes));
        line(&mut text, "contract", &contract(found));
        line(
            &mut text,
            "SDK",
            found.sdk.as_deref().unwrap_or("does not tell"),
        );
        let made_by = found.producers.iter().map(|producer| {
            [&*producer.field, &producer.name, &producer.version]
                .join(" ")
                .trim_end()
                .to_owned()
        });
        lines(&mut text, "made by", made_by);
        let more = match found.omitted_exports {
            0 => None,
            omitted => Some(format!("and {omitted} more")),
        };
        let exports = found.exports.iter().map(|export| match &export.signature {
            Some(signature) => format!("{}: {signature}", export.name),
            None => export.name.clone(),
        });
        lines(&mut text, "exports", exports.chain(more));
        lines(&mut text, "imports", found.imports.iter().map(import));
        let _ = write!(
            text,
            "\n# For soloist.toml. Replace what is in capitals.\n{}",
            self.task()
        );
        text
    }

    /// What its author wants to see of it when it is built.
    pub(super) fn brief(&self) -> String {
        let found = &self.inspection;
        let mut text = format!("{}\n", self.file.display());
        line(&mut text, "size", &format!("{} bytes", found.bytes));
        line(&mut text, "sha256", &found.sha256.to_string());
        line(&mut text, "contract", &contract(found));
        lines(&mut text, "imports", found.imports.iter().map(import));
        text
    }

    /// The task that the plugin could be, in TOML.
    fn task(&self) -> String {
        let found = &self.inspection;
        let name = self.file.file_stem().unwrap_or_default().to_string_lossy();
        let name = TaskName::new(&name).map_or_else(|_| "NAME".to_owned(), |name| name.to_string());
        let mut toml = format!(
            "[[task]]\nname = {}\nplugin = {}\nsha256 = \"{}\"\n",
            quoted(&name),
            quoted(&self.file.to_string_lossy()),
            found.sha256
        );
        let granted = allow(&found.grants, found.opens_files);
        if !granted.is_empty() {
            toml.push('\n');
            toml.push_str(&granted);
        }
        toml
    }

    fn line(&self) -> String {
        let found = &self.inspection;
        format!(
            "{}: {}, {} bytes, contract {}, sha256 {}",
            self.file.display(),
            kind(found.kind),
            found.bytes,
            contract(found),
            found.sha256
        )
    }
}

impl More {
    fn of(old: &Inspection, new: &Inspection) -> Self {
        let has = |import: &&Import| old.imports.iter().any(|it| it.name == import.name);
        let grants = new.grants.iter().copied();
        Self {
            grants: grants.filter(|grant| !old.grants.contains(grant)).collect(),
            opens_files: new.opens_files && !old.opens_files,
            imports: new
                .imports
                .iter()
                .filter(|import| !has(import))
                .map(|import| import.name.clone())
                .collect(),
        }
    }

    fn text(&self, old: &Plugin<'_>, new: &Plugin<'_>) -> String {
        let mut text = String::new();
        line(&mut text, "old", &old.line());
        line(&mut text, "new", &new.line());
        lines(&mut text, "imports more", self.imports.iter().cloned());
        let granted = allow(&self.grants, self.opens_files);
        if granted.is_empty() {
            line(&mut text, "to be granted", "nothing more");
        } else {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n# To be granted besides. Replace what is in capitals.\n{granted}"
            );
        }
        text
    }

    /// Whether whoever runs the old version can run the new one.
    fn verdict(&self) -> Result<(), Failure> {
        let mut keys: Vec<_> = self.grants.iter().map(|grant| grant.key()).collect();
        if self.opens_files {
            keys.push("dirs");
        }
        if keys.is_empty() {
            return Ok(());
        }
        Err(Failure::RunTime(anyhow!(
            "the new version needs more than the old one: {}",
            keys.join(", ")
        )))
    }
}

fn kind(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Component => "component",
        PluginKind::ModuleWithMetadata => "core module with the types of a component",
        PluginKind::BareModule => "bare core module",
        PluginKind::Text => "WebAssembly text",
    }
}

fn contract(found: &Inspection) -> String {
    match &found.contract {
        Some(version) => format!("soloist:plugin@{version}"),
        None => "none of its own: it imports nothing of soloist:plugin".to_owned(),
    }
}

fn import(import: &Import) -> String {
    match import.grant {
        Some(grant) => format!("{} (to be granted: {})", import.name, grant.key()),
        None => import.name.clone(),
    }
}

/// The `[task.allow]` with these grants, or nothing.
fn allow(grants: &[Grant], opens_files: bool) -> String {
    if grants.is_empty() && !opens_files {
        return String::new();
    }
    let mut toml = String::from("[task.allow]\n");
    // Writing to a String cannot fail.
    for grant in grants {
        let _ = writeln!(toml, "{}{}", grant.line(), comment(grant.note()));
    }
    if opens_files {
        let _ = writeln!(
            toml,
            "# It can open files, if it is granted a directory:\n# {DIRS}"
        );
    }
    toml
}

/// A note in parentheses as a comment.
fn comment(note: &str) -> String {
    match note.trim().trim_start_matches('(').trim_end_matches(')') {
        "" => String::new(),
        note => format!(" # {note}"),
    }
}

/// A text of TOML. What JSON quotes, TOML reads.
fn quoted(text: &str) -> String {
    text::json(text).unwrap_or_default()
}

fn line(text: &mut String, name: &str, value: &str) {
    lines(text, name, [value.to_owned()]);
}

/// One line for each value, of which the first has the name.
fn lines(text: &mut String, name: &str, values: impl IntoIterator<Item = String>) {
    for (number, value) in values.into_iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<14}{}", text::printable(&value));
    }
}
