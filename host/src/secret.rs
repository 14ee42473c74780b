//! Text that must not be seen, and the means to keep it out of what others wrote.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// A line of a secret of several lines is looked for by itself only if it has so many bytes: shorter ones, like the end of
/// a bracket, are in everything.
const LINE_BYTES_MIN: usize = 8;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: not for a message, a log or a node.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Takes secrets out of text that whoever knows them has written.
///
/// It sees a secret as it is, not one that is encoded, spelt or cut in two: it is there for what is said by mistake.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first: one secret may begin another.
    hidden: Vec<String>,
}

impl Redactor {
    /// A redactor for these secrets. What has several lines is hidden line by line too, since that is how logs show it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut hidden = Vec::new();
        for secret in secrets {
            let text = secret.expose();
            let lines = text.lines().filter(|line| line.len() >= LINE_BYTES_MIN && *line != text);
            hidden.extend(lines.chain([text]).filter(|text| !text.is_empty()).map(str::to_owned));
        }
        hidden.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        hidden.dedup();
        Self { hidden }
    }

    /// The text without the secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for hidden in &self.hidden {
            if text.contains(hidden) {
                text = Cow::Owned(text.replace(hidden, HIDDEN));
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let redactor = redactor(&["hunter2", "hunter2-long", ""]);
        assert_eq!(redactor.redact("hunter2 and xhunter2-longx"), "*** and x***x");
        assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed("nothing here")));
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_in_each_of_them() {
        let redactor = redactor(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\n}\n"]);
        assert_eq!(redactor.redact("a MIIEvQIBADANBg b }"), "a *** b }");
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let secret = Secret::new("hunter2".into());
        let redactor = Redactor::new([&secret]);
        assert!(!format!("{secret:?} {redactor:?}").contains("hunter2"));
    }
}
