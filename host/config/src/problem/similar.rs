//! "Did you mean": the name that somebody may have meant who wrote one that there is not.

/// How long a name is looked at, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What serde says of a name that it does not know, with the most similar of the names that it expects. Any other message stays
/// as it is.
///
/// serde writes "unknown field `a`, expected one of `b`, `c`", and has no other form of it for whoever shows the error.
pub(crate) fn with_similar(message: &str) -> String {
    let told = message.strip_prefix("unknown ").and_then(|rest| {
        let (written, expected) = rest.split_once("`, expected ")?;
        let (kind, written) = written.split_once(" `")?;
        let similar = similar(written, expected.split('`').skip(1).step_by(2))?;
        Some(format!(
            "unknown {kind} `{written}` (did you mean `{similar}`?), expected {expected}"
        ))
    });
    told.unwrap_or_else(|| message.to_owned())
}

/// The most similar of the names, if any has two thirds of its letters in common with what was written.
fn similar<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means a name by a text, and comparing takes time by the product of the lengths.
    if written.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = |name: &str| name.replace('_', "-").to_lowercase();
    let written = plain(written);
    names
        .map(|name| (changes(&written, &plain(name)), name))
        .filter(|(changes, name)| changes * 3 <= name.len().max(written.len()))
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or exchanged to make one name of the other (Levenshtein).
fn changes(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut above_left = row[0];
        row[0] = number + 1;
        for (place, in_other) in other.chars().enumerate() {
            let exchanged = above_left + usize::from(letter != in_other);
            above_left = row[place + 1];
            row[place + 1] = exchanged.min(above_left + 1).min(row[place] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_most_alike_is_told_and_nothing_if_none_is() {
        for (message, told) in [
            (
                "unknown variant `elct`, expected one of `elect`, `advance`, `expect`",
                "unknown variant `elct` (did you mean `elect`?), expected one of `elect`, `advance`, `expect`",
            ),
            (
                "unknown variant `lose_lease`, expected `kill` or `lose-lease`",
                "unknown variant `lose_lease` (did you mean `lose-lease`?), expected `kill` or `lose-lease`",
            ),
            (
                "unknown field `Plugin`, expected `plugin`",
                "unknown field `Plugin` (did you mean `plugin`?), expected `plugin`",
            ),
        ] {
            assert_eq!(with_similar(message), told);
        }
        assert_eq!(changes("plugn", "plugin"), 1);
        assert_eq!(changes("kitten", "sitting"), 3);
        assert_eq!(changes("", "abc"), 3);
        for message in [
            "unknown variant `xyzzy`, expected one of `elect`, `advance`",
            "unknown field `a`, there are no fields",
            "missing field `name`",
            "unknown ",
            "unknown field `",
            "",
            &format!(
                "unknown field `{}`, expected `plugin`",
                "plugin".repeat(1000)
            ),
        ] {
            assert_eq!(with_similar(message), message);
        }
    }
}
