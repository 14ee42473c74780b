//! Modules of a crate under `host/` do not import each other in a circle.
//!
//! Read from the paths in the source that begin with `crate::`, `self::` or `super::`. The modules at the top of a crate, its
//! rooms, have no circle at all, and import nothing from the crate's own file, which only re-exports. Below, among the
//! children of one module, two may import each other: they are halves of one noun. What only tests import does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A module's path: none for the crate's own file, then `a`, and `a::b` below it.
type Module = Vec<String>;

/// A module, and the modules that it imports, each with a place where it does.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// A crate's source files, by their paths below its `src`.
type Sources = BTreeMap<String, String>;

#[test]
fn no_two_rooms_of_a_crate_import_each_other() -> Result<()> {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host");
    let mut crates = vec![(String::from("host"), host.clone())];
    for entry in fs::read_dir(&host)? {
        let entry = entry?;
        let name = entry.file_name().display().to_string();
        if entry.path().join("Cargo.toml").is_file() {
            crates.push((format!("host/{name}"), entry.path()));
        }
    }
    ensure!(crates.len() > 5, "where are the crates? Found {crates:?}");
    let mut circles = Vec::new();
    for (name, path) in crates {
        let mut sources = Sources::new();
        read_sources(&path.join("src"), "", &mut sources)?;
        let complaints = complaints(&sources);
        circles.extend(complaints.iter().map(|it| format!("in {name}/src, {it}")));
    }
    ensure!(circles.is_empty(), "\n{}", circles.join("\n"));
    Ok(())
}

fn read_sources(directory: &Path, below: &str, sources: &mut Sources) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().display().to_string();
        if path.is_dir() {
            read_sources(&path, &format!("{below}{name}/"), sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(format!("{below}{name}"), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// What is wrong with a crate's imports, with the places to look at.
fn complaints(sources: &Sources) -> Vec<String> {
    let modules: BTreeSet<Module> = sources.keys().map(|file| module_of(file)).collect();
    let for_tests: BTreeSet<Module> = sources
        .iter()
        .flat_map(|(file, text)| for_tests(text, &module_of(file)))
        .collect();
    let mut complaints = Vec::new();
    // The children of each module, and what they import of each other.
    let mut families: BTreeMap<Module, Imports> = BTreeMap::new();
    for (file, text) in sources {
        let module = module_of(file);
        if for_tests.iter().any(|tests| module.starts_with(tests)) {
            continue;
        }
        for Import { line, path } in imports(text, &module) {
            let place = format!("{file}:{line}: {}", path.join("::"));
            let target = (0..=path.len())
                .rev()
                .map(|length| path[..length].to_vec())
                .find(|path| modules.contains(path))
                .unwrap_or_default();
            if target.is_empty() {
                if !module.is_empty() {
                    complaints.push(format!(
                        "a room imports from the crate's own file:\n  {place}"
                    ));
                }
                continue;
            }
            let common = module
                .iter()
                .zip(&target)
                .take_while(|(a, b)| a == b)
                .count();
            if let (Some(from), Some(to)) = (module.get(common), target.get(common)) {
                let family = families.entry(module[..common].to_vec()).or_default();
                let imports = family.entry(from.clone()).or_default();
                imports.entry(to.clone()).or_insert(place);
            }
        }
    }
    for (parent, imports) in &families {
        let allowed = if parent.is_empty() { 1 } else { 2 };
        for circle in circles(imports) {
            if circle.len() > allowed {
                complaints.push(describe(parent, &circle, imports));
            }
        }
    }
    complaints
}

fn describe(parent: &Module, circle: &BTreeSet<String>, imports: &Imports) -> String {
    let name = |module: &str| [parent, &[module.to_owned()][..]].concat().join("::");
    let mut lines = vec![String::from("modules import each other in a circle:")];
    for (from, targets) in imports.iter().filter(|(from, _)| circle.contains(*from)) {
        for (to, place) in targets.iter().filter(|(to, _)| circle.contains(*to)) {
            lines.push(format!("  {} imports {}: {place}", name(from), name(to)));
        }
    }
    lines.join("\n")
}

/// The groups of modules of which each imports every other one, directly or by others.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &String| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            let targets = imports.get(module).into_iter().flat_map(BTreeMap::keys);
            next.extend(targets.filter(|target| reached.insert((*target).clone())));
        }
        reached
    };
    let all: BTreeMap<_, _> = imports.keys().map(|from| (from, reached(from))).collect();
    let circle = |(from, reached): (&&String, &BTreeSet<String>)| {
        let back = |to: &&String| all.get(to).is_some_and(|reached| reached.contains(*from));
        reached.iter().filter(back).cloned().collect()
    };
    all.iter()
        .map(circle)
        .filter(|circle: &BTreeSet<_>| !circle.is_empty())
        .collect()
}

/// The modules with files of their own that are for tests, of those that a module declares.
fn for_tests(text: &str, module: &Module) -> Vec<Module> {
    let lines: Vec<_> = text.lines().collect();
    let names = lines.windows(2).filter_map(|lines| {
        let declared = lines[1].strip_prefix("mod ")?.strip_suffix(';')?;
        (lines[0] == "#[cfg(test)]").then_some(declared)
    });
    names
        .map(|name| [&module[..], &[name.to_owned()]].concat())
        .collect()
}

/// The module that a file is, by its path below `src`.
fn module_of(file: &str) -> Module {
    let stem = file.trim_end_matches(".rs");
    let names = stem.split('/').map(str::to_owned);
    match stem {
        "lib" | "main" => Module::new(),
        _ => names.collect(),
    }
}

/// A path to something in the same crate.
struct Import {
    line: usize,
    path: Vec<String>,
}

/// What a file imports, without what its tests do.
fn imports(text: &str, module: &Module) -> Vec<Import> {
    let mut found = Vec::new();
    let mut rest = code(text);
    let (mut line, mut before) = (1, ' ');
    while let Some(at) = rest.find(|character: char| character.is_alphabetic() || character == '_')
    {
        line += rest[..at].matches('\n').count();
        before = rest[..at].chars().next_back().unwrap_or(before);
        rest = rest.split_off(at);
        let begins = ["crate::", "self::", "super::"]
            .iter()
            .any(|start| rest.starts_with(start));
        let end = rest
            .find(|character: char| !is_of_word(character))
            .unwrap_or(rest.len());
        if begins && before != ':' {
            for path in paths(&mut rest.as_str()) {
                found.push(Import {
                    line,
                    path: resolve(&path, module),
                });
            }
        }
        before = 'a';
        rest = rest.split_off(end);
    }
    found
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text without comments and without the modules that are for tests, its lines where they were.
fn code(text: &str) -> String {
    let mut for_tests = false;
    let mut code = String::new();
    for line in text.lines() {
        for_tests |= line.starts_with("mod tests {");
        if !for_tests {
            code += line.split("//").next().unwrap_or_default();
        }
        for_tests &= line != "}";
        code.push('\n');
    }
    code
}

/// All paths of a `use` tree, or the one path that it is.
fn paths(text: &mut &str) -> Vec<Vec<String>> {
    let end = text
        .find(|character: char| !is_of_word(character))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    *text = rest;
    let mut below = Vec::new();
    if let Some(rest) = text.strip_prefix("::{") {
        *text = rest.trim_start();
        while !text.is_empty() && !text.starts_with('}') {
            below.extend(paths(text));
            // To the next of the list: an `as`, a comma, a star.
            *text = text.trim_start_matches(|character| !matches!(character, ',' | '}'));
            *text = text.trim_start_matches([',', ' ', '\n']);
        }
        *text = text.strip_prefix('}').unwrap_or(text);
    } else if let Some(rest) = text.strip_prefix("::") {
        *text = rest;
        below = paths(text);
    }
    if below.is_empty() {
        below.push(Vec::new());
    }
    for path in &mut below {
        path.insert(0, name.to_owned());
    }
    below
}

/// A path from the crate's own file on.
fn resolve(path: &[String], module: &Module) -> Vec<String> {
    let mut resolved = module.clone();
    for name in path {
        match &**name {
            "crate" => resolved.clear(),
            "super" => drop(resolved.pop()),
            "self" | "" => {}
            name => resolved.push(name.to_owned()),
        }
    }
    resolved
}

#[test]
fn a_circle_is_found_with_its_places() {
    let complaints_of = |files: &[(&str, &str)]| {
        let files = files
            .iter()
            .map(|(file, text)| ((*file).into(), (*text).into()));
        complaints(&files.collect())
    };
    let engine = (
        "engine.rs",
        "use std::io;\nuse crate::{\n    run::{store::Store, Run as R},\n};\n",
    );
    let store = (
        "run/store.rs",
        "//! crate::load\nfn tick() {\n    super::super::engine::tick();\n}\n",
    );
    let found = complaints_of(&[engine, store, ("run.rs", "use self::store::Store;")]);
    let expected = "modules import each other in a circle:\n  engine imports run: engine.rs:2: run::store::Store\n  \
                    run imports engine: run/store.rs:3: engine::tick";
    assert_eq!(found, [expected]);
    let facade = ("run.rs", "use crate::Plugin;");
    assert_eq!(
        complaints_of(&[("lib.rs", "mod run;"), facade]),
        ["a room imports from the crate's own file:\n  run.rs:1: Plugin"]
    );
    let tests = (
        "engine.rs",
        "#[cfg(test)]\nmod tests {\n    use crate::run::Run;\n}\n",
    );
    assert!(complaints_of(&[tests, ("run.rs", "use crate::engine;")]).is_empty());
    let library = ("lib.rs", "mod run;\n#[cfg(test)]\nmod shared;\n");
    let shared = ("shared.rs", "use crate::Plugin;");
    assert!(complaints_of(&[library, shared, ("run.rs", "")]).is_empty());
    // Two halves of one noun, and one more.
    let gate = ("network/gate.rs", "use super::connection::Connection;");
    let connection = (
        "network/connection.rs",
        "use super::gate::Gate;\nuse super::http::Http;",
    );
    let mut files = vec![gate, connection, ("network/http.rs", "")];
    assert!(complaints_of(&files).is_empty());
    files[2] = ("network/http.rs", "use super::gate::Gate;");
    assert_eq!(complaints_of(&files).len(), 1);
}
