//! The file that a compiler makes in the folder of a project.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use soloist_core::digest::Digest;

use super::BuildError;

/// What is made.
const PLUGIN: &str = "plugin.wasm";

/// While it is being made: nobody finds half of it, and what was made before stays where this fails.
const DRAFT: &str = ".plugin.wasm.new";

/// Says of what it was made: two digests, of all that it is made of and of itself.
const RECORD: &str = ".plugin.wasm.made";

/// Has `compile` make a file of the name that it is given in the folder, and puts it in the place of the plugin. Where the
/// plugin that is there was made of the same, as far as `made_of` knows, it stays, and `tell` is told.
pub(super) fn replace(
    folder: &Path,
    made_of: impl FnOnce(&Path) -> Option<Digest>,
    tell: &mut dyn FnMut(&str),
    compile: impl FnOnce(&Path, &str) -> Result<(), BuildError>,
) -> Result<PathBuf, BuildError> {
    // The compiler runs in there.
    let folder =
        fs::canonicalize(folder).map_err(|error| BuildError::Folder(folder.to_owned(), error))?;
    let (draft, plugin) = (folder.join(DRAFT), folder.join(PLUGIN));
    let record = folder.join(RECORD);
    // Before it is made: a change meanwhile is one for the next time.
    let made_of = made_of(&folder);
    let recorded = |made_of| Some(format!("{made_of} {}\n", content(&plugin)?));
    if let Some(made_of) = made_of
        && let Ok(text) = fs::read_to_string(&record)
        && recorded(made_of) == Some(text)
    {
        tell("nothing has changed: plugin.wasm stays as it is");
        return Ok(plugin);
    }
    let made = compile(&folder, DRAFT).and_then(|()| {
        fs::rename(&draft, &plugin).map_err(|error| BuildError::Write(plugin.clone(), error))
    });
    if made.is_err() {
        // There may be none.
        let _ = fs::remove_file(&draft);
    } else if let Some(text) = made_of.and_then(recorded) {
        // Without it, the plugin is made again the next time.
        let _ = fs::write(&record, text);
    }
    made.map(|()| plugin)
}

fn content(file: &Path) -> Option<Digest> {
    Digest::of_all(File::open(file).ok()?).ok()
}
