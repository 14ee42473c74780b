//! A plugin that is not there yet, because nobody has built its project.

use std::path::Path;

use soloist_core::text::printable_path;
use soloist_dev::build::is_project;

/// What to type, if there is no such file, and it lies in a project or its configuration does.
fn advice(plugin: &Path, configuration: Option<&Path>) -> Option<String> {
    if !matches!(plugin.try_exists(), Ok(false)) {
        return None;
    }
    let folders = configuration.and_then(Path::parent).into_iter();
    let folder = folders
        .chain(plugin.ancestors().skip(1))
        .map(|folder| {
            if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            }
        })
        .find(|folder| is_project(folder))?;
    let folder = printable_path(folder);
    Some(format!(
        "{folder} is a project: `soloist build {folder}` makes its plugin"
    ))
}

/// The error, and below it what to type, if there is anything.
pub(super) fn advised(
    error: anyhow::Error,
    plugin: &Path,
    configuration: Option<&Path>,
) -> anyhow::Error {
    match advice(plugin, configuration) {
        Some(advice) => anyhow::anyhow!("{error:#}\n{advice}"),
        None => error,
    }
}
