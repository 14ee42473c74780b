//! A project in JavaScript: componentize-qjs makes one file of QuickJS, `plugin.js` and what that imports.

use std::path::{Path, PathBuf};

use super::BuildError;
use super::made::replace;
use super::tool::Tool;

const TOOL: &str = "componentize-qjs";

const REMEDY: &str = "in the folder of the project, run `npm install`; for that, install Node.js (on Debian, `apt-get install \
                      nodejs npm`)";

pub(super) fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    replace(folder, |folder, draft| {
        let program = folder.join("node_modules/.bin").join(TOOL);
        // Without anything `async`, which is what its world has.
        let args = [
            "--wit",
            "wit",
            "--world",
            "minimal",
            "--js",
            "plugin.js",
            "--output",
            draft,
            "--sync",
        ];
        Tool::at(program.as_os_str(), TOOL, REMEDY).run(&args, folder)
    })
}
