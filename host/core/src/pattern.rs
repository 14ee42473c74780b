//! Which names are meant: one, or all that begin and end alike.

use std::fmt;

/// A name, or a name with one `*` that stands for any number of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    start: String,
    /// What follows the `*`, if there is one.
    end: Option<String>,
}

impl NamePattern {
    /// Reads `report`, `report-*`, `*-report` or `*`. Nothing if there is more than one `*`.
    pub fn new(text: &str) -> Option<Self> {
        let (start, end) = match text.split_once('*') {
            Some((_, end)) if end.contains('*') => return None,
            Some((start, end)) => (start, Some(end.to_owned())),
            None => (text, None),
        };
        Some(Self {
            start: start.to_owned(),
            end,
        })
    }

    /// The pattern of this name alone, whatever characters it has.
    pub fn exactly(name: &str) -> Self {
        Self {
            start: name.to_owned(),
            end: None,
        }
    }

    /// The only name that is meant, if it is one.
    pub fn name(&self) -> Option<&str> {
        self.end.is_none().then_some(&*self.start)
    }

    /// Whether this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match &self.end {
            Some(end) => name
                .strip_prefix(&self.start)
                .is_some_and(|rest| rest.ends_with(end.as_str())),
            None => name == self.start,
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start)?;
        match &self.end {
            Some(end) => write!(f, "*{end}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_number_of_characters_between_what_is_written() {
        for (pattern, matched, other) in [
            ("report", &["report"][..], &["report-1", "repor", ""][..]),
            (
                "report-*",
                &["report-", "report-1"],
                &["report", "xreport-1"],
            ),
            (
                "*-report",
                &["-report", "a-report"],
                &["report", "a-reports"],
            ),
            ("a*a", &["aa", "aba"], &["a", "ab", "ba"]),
            ("*", &["", "a"], &[]),
        ] {
            let pattern = NamePattern::new(pattern).unwrap();
            assert!(
                matched.iter().all(|name| pattern.matches(name)),
                "{pattern}"
            );
            assert!(!other.iter().any(|name| pattern.matches(name)), "{pattern}");
            assert_eq!(NamePattern::new(&pattern.to_string()), Some(pattern));
        }
        assert_eq!(NamePattern::new("a*b*"), None);
        assert!(!NamePattern::exactly("*").matches("a"));
    }
}
