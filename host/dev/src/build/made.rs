//! The file that a compiler makes in the folder of a project.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;

/// What is made.
const PLUGIN: &str = "plugin.wasm";

/// While it is being made: nobody finds half of it, and what was made before stays where this fails.
const DRAFT: &str = ".plugin.wasm.new";

/// Has `compile` make a file of the name that it is given in the folder, and puts it in the place of the plugin.
pub(super) fn replace(
    folder: &Path,
    compile: impl FnOnce(&Path, &str) -> Result<(), BuildError>,
) -> Result<PathBuf, BuildError> {
    // The compiler runs in there.
    let folder =
        fs::canonicalize(folder).map_err(|error| BuildError::Folder(folder.to_owned(), error))?;
    let (draft, plugin) = (folder.join(DRAFT), folder.join(PLUGIN));
    let made = compile(&folder, DRAFT).and_then(|()| {
        fs::rename(&draft, &plugin).map_err(|error| BuildError::Write(plugin.clone(), error))
    });
    if made.is_err() {
        // There may be none.
        let _ = fs::remove_file(&draft);
    }
    made.map(|()| plugin)
}
