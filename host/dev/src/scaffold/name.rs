//! The name of a project.

use std::fmt;

/// A longer name is none for a package.
const MAX_BYTES: usize = 64;

/// What Cargo refuses, what Rust cannot name, and what the crate would be mistaken for.
const TAKEN: [&str; 56] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "soloist-sdk",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "use",
    "while",
];

/// The name of a project: that of its folder, its package, its plugin and its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectName(String);

/// A text cannot be the name of a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name {text:?} {rule}: write small letters of ASCII, digits, hyphens and underscores, a letter first, like nightly-report"
)]
pub struct NameError {
    text: String,
    rule: &'static str,
}

impl ProjectName {
    /// Validates a name: it has to be one for Cargo, for a Rust crate and for a task.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let rule = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_BYTES {
            "is too long"
        } else if !text.bytes().all(is_plain) {
            "has other characters than a package of Rust may have"
        } else if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
            "does not begin with a letter"
        } else if TAKEN.contains(&&*text.replace('_', "-")) {
            "means something else to Rust or Cargo"
        } else {
            return Ok(Self(text.to_owned()));
        };
        let mut text = text.to_owned();
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        Err(NameError { text, rule })
    }

    /// The name as a crate has it, and the file that Cargo makes.
    pub(super) fn of_crate(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ProjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_and_a_task_can_be_called_is_a_name() {
        for good in ["hello", "a", "nightly-report", "v2_x"] {
            assert_eq!(ProjectName::new(good).unwrap().as_ref(), good);
        }
        assert_eq!(ProjectName::new("a-b").unwrap().of_crate(), "a_b");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (bad, rule) in [
            ("", "is empty"),
            (&*long, "is too long"),
            ("Hello", "other characters"),
            ("héllo", "other characters"),
            ("a b", "other characters"),
            ("a.b", "other characters"),
            ("1st", "begin with a letter"),
            ("-x", "begin with a letter"),
            ("_", "begin with a letter"),
            ("fn", "something else"),
            ("test", "something else"),
            ("soloist_sdk", "something else"),
        ] {
            let told = ProjectName::new(bad).unwrap_err().to_string();
            assert!(told.contains(rule), "{bad:?}: {told}");
        }
    }
}
