//! Which name was meant, where one is not known.

/// Names above so many bytes are not compared: nobody means a name by a text, and comparing takes time by the product of the lengths.
const NAME_BYTES_MAX: usize = 128;

/// The one of `names` that is most like `name`, if any has two thirds of its letters in common with it.
pub fn closest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = |name: &str| name.replace('_', "-").to_lowercase();
    let written = plain(name);
    let short = names.into_iter().filter(|it| it.len() <= NAME_BYTES_MAX);
    short
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
    fn a_slip_finds_what_was_meant_and_another_word_finds_nothing() {
        let keys = ["servers", "session_timeout", "tick_time", "root", "auth"];
        for (typed, meant) in [
            ("server", "servers"),
            ("sesion_timeout", "session_timeout"),
            ("session-timeout", "session_timeout"),
            ("sessionTimeout", "session_timeout"),
            ("TICK_TIME", "tick_time"),
            ("aut", "auth"),
        ] {
            assert_eq!(closest(typed, keys), Some(meant), "{typed}");
        }
        assert_eq!(changes("plugn", "plugin"), 1);
        assert_eq!(changes("kitten", "sitting"), 3);
        assert_eq!(changes("", "abc"), 3);
        for typed in ["", "plugin", "x", &"servers".repeat(100)] {
            assert_eq!(closest(typed, keys), None, "{typed}");
        }
    }
}
