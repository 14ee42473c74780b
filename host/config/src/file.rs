//! A document that configures something: how it is read, and where in it something stands.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;

use crate::json;
use crate::problem::{ConfigError, PROBLEMS_MAX, Place, with_similar};
use crate::tree::{last_key, take_out};
use crate::written::{Source, Written};

/// The largest document that is read.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As TOML.
    Toml,
    /// As JSON, with the same keys and values.
    Json,
}

impl Format {
    /// The format that the name of a file says: `None` if it is not the name of a configuration.
    ///
    /// # Errors
    /// [`ConfigError::UnknownFormat`], if it is the name of one in another format: no plugin is called so.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>, ConfigError> {
        match path.extension().and_then(OsStr::to_str) {
            Some("toml") => Ok(Some(Self::Toml)),
            Some("json") => Ok(Some(Self::Json)),
            Some("yaml" | "yml" | "json5" | "jsonc" | "conf" | "cfg" | "ini") => {
                Err(ConfigError::UnknownFormat {
                    path: path.to_owned(),
                })
            }
            _ => Ok(None),
        }
    }
}

/// The text without the byte order mark that some editors begin a file with. The reader of TOML passes over it by itself.
fn without_mark(format: Format, text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(unmarked) if format == Format::Json => unmarked.to_owned(),
        _ => text,
    }
}

/// A text that configures something.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    is_file: bool,
    format: Format,
    text: String,
}

impl Document {
    /// Takes what is not in a file, like the data of a node. Problems are said to be at this path, and relative paths in the
    /// document are relative to nothing.
    ///
    /// # Errors
    /// [`ConfigError::TooLarge`] above 1 MiB, or [`ConfigError::NotText`].
    pub fn new(path: PathBuf, format: Format, data: Vec<u8>) -> Result<Self, ConfigError> {
        if data.len() > BYTES_MAX {
            return Err(ConfigError::TooLarge {
                path,
                max_bytes: BYTES_MAX as u64,
            });
        }
        match String::from_utf8(data).map(|text| without_mark(format, text)) {
            Ok(text) => Ok(Self {
                path,
                is_file: false,
                format,
                text,
            }),
            Err(error) => Err(ConfigError::NotText {
                path,
                source: error.utf8_error(),
            }),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], if it is no file, cannot be read, has more than 1 MiB or is not text.
    pub fn open(path: &Path, format: Format) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        // Opening a pipe would wait for its other end, and a device may have none.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(ConfigError::NotAFile {
                path: path.to_owned(),
            });
        }
        let mut data = Vec::new();
        File::open(path)
            .map_err(unreadable)?
            .take(BYTES_MAX as u64 + 1)
            .read_to_end(&mut data)
            .map_err(unreadable)?;
        let document = Self::new(path.to_owned(), format, data)?;
        Ok(Self {
            is_file: true,
            ..document
        })
    }

    #[cfg(test)]
    pub(crate) fn of_file(path: &str, format: Format, text: &str) -> Self {
        Self {
            path: path.into(),
            is_file: true,
            format,
            text: text.to_owned(),
        }
    }

    /// The path of the file, or what stands for one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What relative paths in the document are relative to.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.path.parent().filter(|_| self.is_file)
    }

    /// Reads what the document says. `root` is the key of the table that it holds, or nothing if it is a host's.
    ///
    /// # Errors
    /// The first place at which the document is not TOML or JSON; or all at which it has an unknown key or a value of another type.
    pub fn parse<T: DeserializeOwned>(&self, root: &str) -> Result<T, ConfigError> {
        let place = |span: &Range<usize>, key: Option<String>| {
            let parts = [Some(root.to_owned()).filter(|root| !root.is_empty()), key];
            let key: Vec<_> = parts.into_iter().flatten().collect();
            self.place(span, Some(key.join(".")).filter(|key| !key.is_empty()))
        };
        let syntax = |span, key, message| ConfigError::Syntax {
            place: place(&span, key),
            message,
        };
        let table = match self.format {
            Format::Toml => DeTable::parse(&self.text).map_err(|error| {
                let span = error.span().unwrap_or_default();
                let key = self.key_at(span.start);
                syntax(span, key, with_similar(error.message()))
            })?,
            Format::Json => json::table(&self.text)
                .map_err(|error| syntax(error.span, error.key, error.message))?,
        };
        Self::read_from(table).map_err(|mistakes| {
            let told = mistakes
                .into_iter()
                .map(|(span, message)| (place(&span, self.key_at(span.start)), message));
            ConfigError::of_shapes(told.collect())
        })
    }

    /// Reads a value of a table. What is wrong with the shape of it, serde tells one mistake at a time: so each is taken out, and the
    /// rest is read again.
    fn read_from<T: DeserializeOwned>(
        mut table: Spanned<DeTable<'_>>,
    ) -> Result<T, Vec<(Range<usize>, String)>> {
        let mut mistakes = Vec::new();
        loop {
            let read = T::deserialize(toml::Deserializer::from(table.clone()));
            let error = match read {
                Ok(value) if mistakes.is_empty() => return Ok(value),
                Ok(_) => break,
                Err(error) => error,
            };
            let span = error.span().unwrap_or_default();
            // What has been taken out may be missing now.
            let is_consequence = error.message().starts_with("missing ");
            if mistakes.is_empty() || !is_consequence {
                // The message alone: the error as a whole quotes the line, and that may hold a secret.
                mistakes.push((span.clone(), with_similar(error.message())));
            }
            let may_be_more = !is_consequence && mistakes.len() < PROBLEMS_MAX;
            if !may_be_more || !take_out(table.get_mut(), &span) {
                break;
            }
        }
        mistakes.sort_by_key(|(span, _)| span.start);
        Err(mistakes)
    }

    /// Where in the document a value that was read from it stands. `key` is what to call it.
    ///
    /// A value that comes from elsewhere is told to be where that is.
    pub fn place_of<T>(&self, written: &Written<T>, key: &str) -> Place {
        match written.source() {
            Source::Flag(name) => Place::Flag(name.clone()),
            Source::Variable(name) => Place::Variable(name.clone()),
            Source::Document(span) => self.place(span, Some(key.to_owned())),
        }
    }

    /// Where in the document some of its bytes are.
    pub(crate) fn place(&self, span: &Range<usize>, key: Option<String>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key,
        }
    }

    /// The key that is written at this byte, or whose value is.
    fn key_at(&self, byte: usize) -> Option<String> {
        match self.format {
            Format::Toml => self.key_in_toml(self.end_of_header(byte)),
            Format::Json => last_key(json::table(&self.text).ok()?.get_ref(), &(0..=byte)),
        }
    }

    /// What is wrong with a whole table is found where its header begins, but its keys stand within the brackets: up to
    /// their end then, else the byte itself.
    fn end_of_header(&self, byte: usize) -> usize {
        let Some((before, after)) = self.text.split_at_checked(byte) else {
            return byte;
        };
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let is_header = after.starts_with('[') && before[line_start..].trim().is_empty();
        after
            .find(']')
            .filter(|_| is_header)
            .map_or(byte, |end| byte + end)
    }

    fn key_in_toml(&self, byte: usize) -> Option<String> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return last_key(table.get_ref(), &(0..=byte));
        }
        // What is broken may hide keys, or show those of other lines: look at this line alone, in its table.
        let (before, after) = self.text.split_at_checked(byte)?;
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let header = before[..line_start]
            .lines()
            .rfind(|line| line.trim_start().starts_with('['))
            .unwrap_or_default();
        let line = format!(
            "{header}\n{}{}",
            &before[line_start..],
            after.lines().next().unwrap_or_default()
        );
        let line_range = header.len() + 1..=header.len() + 1 + (byte - line_start);
        let key = last_key(DeTable::parse_recoverable(&line).0.get_ref(), &line_range);
        // Where a quote or a comma is missing a value can look like a key, and that may be a secret.
        key.filter(|key| {
            key.chars()
                .all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{load_json, refused};

    #[test]
    fn every_mistake_of_shape_is_told_at_once_and_nothing_that_follows_from_one() {
        let text = "host_idd = \"a\"\nlisten = 9464\n\n[zookeeper]\nsession_timeout = 10\nauth = [\"hunter2\"]\n\n\
                    [[task]]\nname = 5\nplugin = \"a.wasm\"\nlimits = { memory = true, cpuu = \"hunter2\" }\n\n\
                    [[task]]\nname = \"b\"\nplugin = \"b.wasm\"\nallow.http = [\"https://a.example\", 7]\n";
        let told = refused(text);
        let places: Vec<_> = told
            .lines()
            .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            places,
            [
                "etc/soloist.toml:1:1 host_idd",
                "etc/soloist.toml:2:10 listen",
                "etc/soloist.toml:5:19 zookeeper.session_timeout",
                "etc/soloist.toml:6:8 zookeeper.auth",
                "etc/soloist.toml:9:8 task.name",
                "etc/soloist.toml:11:21 task.limits.memory",
                "etc/soloist.toml:11:27 task.limits.cpuu",
                "etc/soloist.toml:16:36 task.allow.http",
            ],
            "{told}"
        );
        assert!(!told.contains("hunter2") && told.contains("(did you mean `host_id`?)"));
    }

    #[test]
    fn mistakes_of_shape_in_json_are_told_at_once_as_well() {
        let text = "{ \"host_idd\": \"a\",\n\"listen\": 1,\n\"task\": [{ \"name\": 5 }] }";
        let told = load_json(text).unwrap_err().to_string();
        let lines: Vec<_> = told.lines().collect();
        assert!(
            lines.len() == 3
                && lines[0].starts_with("etc/soloist.json:1:3: host_idd: ")
                && lines[1].starts_with("etc/soloist.json:2:11: listen: ")
                && lines[2].starts_with("etc/soloist.json:3:20: task.name: "),
            "{told}"
        );
    }

    #[test]
    fn no_more_mistakes_are_told_than_somebody_reads() {
        let text: String = (0..500)
            .map(|number| format!("key{number} = 1\n"))
            .collect::<Vec<_>>()
            .concat();
        let told = refused(&text);
        assert_eq!(told.lines().count(), 51, "{told}");
    }
}
