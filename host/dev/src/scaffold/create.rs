//! Writes a project: all of it, or nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use super::Project;
use super::files::{NoTemplate, files};

/// A project was not created. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is no such combination.
    #[error(transparent)]
    NoTemplate(#[from] NoTemplate),
    /// Something is there already.
    #[error("{} is there already, and is not an empty folder: take another name, or remove it", .0.display())]
    Occupied(PathBuf),
    /// The folder that it is to lie in cannot be looked at.
    #[error("there is no folder {} for it to lie in: make that first", .0.display())]
    NoParent(PathBuf, #[source] io::Error),
    /// Something cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl CreateError {
    /// Whether another request would have done better, rather than another disk.
    pub fn is_of_request(&self) -> bool {
        !matches!(self, Self::Write(..))
    }
}

impl Project {
    /// Writes the project into a folder, which is not there yet or is empty.
    ///
    /// # Errors
    /// [`CreateError`] says why not. Then there is nothing of it, and the folder is as it was.
    pub fn create(&self, folder: &Path) -> Result<(), CreateError> {
        let files = files(self)?;
        let parent = match folder.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let is_folder = |metadata: fs::Metadata| {
            if metadata.is_dir() {
                Ok(())
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        };
        fs::metadata(parent)
            .and_then(is_folder)
            .map_err(|error| CreateError::NoParent(parent.to_owned(), error))?;
        if is_occupied(folder) {
            return Err(CreateError::Occupied(folder.to_owned()));
        }
        let path = parent.join(format!(".{}.new-{}", self.name, process::id()));
        let write = |path: &Path, error| CreateError::Write(path.to_owned(), error);
        fs::create_dir(&path).map_err(|error| write(&path, error))?;
        // From here on it is ours to remove.
        let draft = Draft(path);
        for (path, text) in files {
            let file = draft.0.join(path);
            let below = file.parent().unwrap_or(&draft.0);
            fs::create_dir_all(below)
                .and_then(|()| fs::write(&file, text))
                .map_err(|error| write(&folder.join(path), error))?;
        }
        // An empty folder is replaced; one that is not empty any more is left, and so is a file.
        fs::rename(&draft.0, folder).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => CreateError::Occupied(folder.to_owned()),
            _ => write(folder, error),
        })
    }
}

/// Whether something is there that is no empty folder. A link is something, wherever it leads.
fn is_occupied(folder: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(folder) else {
        return false;
    };
    !metadata.is_dir() || fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_some())
}

/// A folder that goes again, unless it was moved to where it belongs.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It has been moved, or there is nobody to tell that it cannot be removed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, ProjectName, Sdk, Template};
    use super::*;

    fn project() -> Project {
        Project {
            name: ProjectName::new("task").unwrap(),
            language: Language::Rust,
            template: Template::Hello,
            sdk: Some(Sdk::Folder("/sdk".into())),
        }
    }

    fn entries(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_empty_folder_becomes_the_project() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("task");
        fs::create_dir(&folder).unwrap();
        project().create(&folder).unwrap();
        assert!(folder.join("src/lib.rs").is_file());
        assert_eq!(entries(place.path()), ["task"]);
    }

    #[test]
    fn what_is_there_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("full/src")).unwrap();
        fs::write(path("file"), "mine").unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        for name in ["full", "file", "link"] {
            let error = project().create(&path(name)).unwrap_err();
            assert!(matches!(error, CreateError::Occupied(_)), "{error}");
        }
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "mine");
        assert_eq!(entries(&path("full")), ["src"]);
        assert_eq!(entries(place.path()).len(), 3);
        let error = project().create(&path("no/task")).unwrap_err();
        assert!(matches!(error, CreateError::NoParent(..)), "{error}");
        let error = project().create(&path("file/task")).unwrap_err();
        assert!(matches!(error, CreateError::NoParent(..)), "{error}");
    }
}
