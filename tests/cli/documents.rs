//! The documents are short where they have to be, and their links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::reference;

/// The most lines of the README: what a newcomer reads in one go.
const README_LINES_MAX: usize = 150;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every document of the repository, below it.
fn documents() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![repository()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && !["target", "venv"].contains(&&*name) {
                directories.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.split_inclusive('\n').filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect()
}

/// The anchors of a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let titles = headings
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase());
    titles
        .map(|title| {
            let kept = title
                .chars()
                .filter(|character| character.is_alphanumeric() || " -_".contains(*character));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// Where the links of a document lead that stay within the repository.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for document in documents()? {
        let text = fs::read_to_string(&document)?;
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                document.clone()
            } else {
                document
                    .parent()
                    .context("a document lies in a directory")?
                    .join(file)
            };
            let leads = target.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&target)?).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    ensure!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
    Ok(())
}

/// What a document names as a file or a directory of the repository: a path below the document or below the repository.
fn paths(text: &str) -> Vec<String> {
    let prose = prose(text);
    let names = prose.split('`').skip(1).step_by(2);
    let is_path = |name: &&str| {
        let first = name.split('/').next().unwrap_or_default();
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || "./_-".contains(character);
        ["host", "guest-sdk", "plugins", "tests", "src"].contains(&first)
            && name.contains('/')
            && name.chars().all(is_plain)
    };
    names.filter(is_path).map(ToOwned::to_owned).collect()
}

#[test]
fn every_path_that_the_documents_name_is_there() -> Result<()> {
    let mut gone = Vec::new();
    for document in documents()? {
        let beside = document
            .parent()
            .context("a document lies in a directory")?;
        let named = paths(&fs::read_to_string(&document)?);
        let missing = named
            .into_iter()
            .filter(|path| !beside.join(path).exists() && !repository().join(path).exists());
        gone.extend(missing.map(|path| format!("{}: {path}", document.display())));
    }
    ensure!(gone.is_empty(), "paths that are not there: {gone:#?}");
    Ok(())
}

/// What stands before a command that can be typed.
const BEFORE_A_COMMAND: [&str; 6] = ["`", "\n", "$ ", "&& ", "| ", "-- "];

/// The commands of `soloist` that a text tells to type.
fn commands(text: &str) -> BTreeSet<&str> {
    let typed = BEFORE_A_COMMAND.iter().flat_map(|before| {
        let typed = format!("{before}soloist ");
        let ends = text.match_indices(&typed).map(|(at, _)| at + typed.len());
        ends.collect::<Vec<_>>()
    });
    typed
        .map(|at| {
            let rest = &text[at..];
            let end = rest.find(|it: char| !it.is_ascii_lowercase() && it != '-');
            &rest[..end.unwrap_or(rest.len())]
        })
        // An option or a placeholder is none.
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
        .collect()
}

#[test]
fn every_command_that_documents_and_alerts_name_is_one() -> Result<()> {
    let there = reference::commands()?;
    let operation = repository().join("host/operation");
    let alerts = ["alerts.yaml", "alerts.test.yaml"].map(|file| operation.join(file));
    let mut unknown = Vec::new();
    let mut named = BTreeSet::new();
    for document in documents()?.into_iter().chain(alerts) {
        let text = fs::read_to_string(&document)?;
        for command in commands(&text) {
            if !there.contains(command) {
                unknown.push(format!("{}: soloist {command}", document.display()));
            }
            named.insert(command.to_owned());
        }
    }
    ensure!(unknown.is_empty(), "no such commands: {unknown:#?}");
    ensure!(named.len() > 20, "{named:?}");
    Ok(())
}

#[test]
fn a_command_is_found_wherever_it_can_be_typed() {
    let text = "`soloist a` \n$ soloist b-c x && soloist d\nsoloist e\n`soloist --help` soloist f";
    assert_eq!(commands(text), BTreeSet::from(["a", "b-c", "d", "e"]));
}

#[test]
fn a_link_is_found_and_an_anchor_is_made_of_its_heading() {
    let text =
        "# One `two`, three\n[a](b.md#c) [d](https://e)\n```text\n# no\n[f](g)\n```\n## Four\n";
    assert_eq!(links(text), ["b.md#c"]);
    let made = ["four", "one-two-three"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(made));
}

#[test]
fn the_readme_can_be_read_in_one_go() -> Result<()> {
    let lines = fs::read_to_string(repository().join("README.md"))?
        .lines()
        .count();
    ensure!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines: move what is told in length to another document"
    );
    Ok(())
}
