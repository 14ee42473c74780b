//! A project in JavaScript: componentize-qjs makes one file of QuickJS, `plugin.js` and what that imports.

use std::io;
use std::path::{Path, PathBuf};

use soloist_core::digest::Digest;

use super::BuildError;
use super::ingredients::Ingredients;
use super::made::replace;
use super::tool::Tool;

const TOOL: &str = "componentize-qjs";

/// Where npm installs it.
const MODULES: &str = "node_modules";

const REMEDY: &str = "in the folder of the project, run `npm install`; for that, install Node.js (on Debian, `apt-get install \
                      nodejs npm`)";

/// What it is run with, but for the name of the file that it makes. Without anything `async`, which is what its world has.
const ARGS: [&str; 8] = [
    "--wit",
    "wit",
    "--world",
    "minimal",
    "--js",
    "plugin.js",
    "--sync",
    "--output",
];

pub(super) fn build(folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
    let made_of = |folder: &Path| made_of(folder).ok();
    replace(folder, made_of, tell, |folder, draft| {
        let program = folder.join(MODULES).join(".bin").join(TOOL);
        let args = [&ARGS[..], &[draft]].concat();
        Tool::at(program.as_os_str(), TOOL, REMEDY).run(&args, folder)
    })
}

/// All that decides what is made: the sources, and what npm has installed.
fn made_of(folder: &Path) -> io::Result<Digest> {
    let mut ingredients = Ingredients::of(&[&[TOOL], &ARGS[..]].concat());
    ingredients.add_sources(folder)?;
    ingredients.add_packages(&folder.join(MODULES))?;
    Ok(ingredients.digest())
}
