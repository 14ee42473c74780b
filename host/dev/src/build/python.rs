//! A project in Python: componentize-py makes one file of the interpreter, `app.py` and what that imports.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::made::replace;
use super::tool::Tool;

const TOOL: &str = "componentize-py";

const REMEDY: &str = "in the folder of the project, run `python3 -m venv venv && venv/bin/pip install \
                      componentize-py==0.25.1`, or put it on the PATH";

pub(super) fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    replace(folder, |folder, draft| {
        let args = [
            "-d",
            "wit",
            "-w",
            "plugin",
            "componentize",
            "app",
            "-o",
            draft,
        ];
        Tool::at(&program(folder), TOOL, REMEDY).run(&args, folder)
    })
}

/// The tool of the project, or else the one on the PATH.
fn program(folder: &Path) -> OsString {
    let own = ["venv", ".venv"].map(|venv| folder.join(venv).join("bin").join(TOOL));
    let own = own.into_iter().find(|path| path.is_file());
    own.map_or_else(|| TOOL.into(), PathBuf::into_os_string)
}
