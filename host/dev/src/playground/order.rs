//! What can be ordered: one key, or the same as a word on a line of its own.

use std::fmt;

/// Something to let happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The leader hands over to the other host.
    Elect,
    /// The leader dies without a word, as of SIGKILL.
    FailOver,
    /// The leader resigns.
    Demote,
    /// The leader is cut off until its session is over.
    Expire,
    /// The leader is cut off for a while.
    Cut,
    /// The plugin is built again and exchanged.
    Reload,
    /// It is an hour later for the plugin.
    Hour,
    /// Who leads, and what is kept.
    Show,
    /// What can be ordered.
    Help,
    /// The end.
    Quit,
}

/// Every order with its key, its word, and what it does.
const ALL: [(Order, char, &str, &str); 10] = [
    (
        Order::Elect,
        'e',
        "elect",
        "the other host leads: a hand-over",
    ),
    (
        Order::FailOver,
        'f',
        "fail over",
        "kill the leader, as SIGKILL does; it comes back as a standby",
    ),
    (Order::Demote, 'd', "demote", "the leader resigns"),
    (
        Order::Expire,
        'x',
        "expire",
        "cut the leader off until its session has expired",
    ),
    (
        Order::Cut,
        'c',
        "cut",
        "cut the leader off for a moment, shorter than its lease",
    ),
    (
        Order::Reload,
        'r',
        "reload",
        "build the plugin again, and exchange it",
    ),
    (
        Order::Hour,
        '+',
        "+",
        "an hour later for the plugin; leases do not notice",
    ),
    (
        Order::Show,
        's',
        "show",
        "who leads and who waits, the terms, the state",
    ),
    (
        Order::Help,
        '?',
        "?",
        "these keys; without a terminal, the same words, a line each",
    ),
    (Order::Quit, 'q', "quit", "the end"),
];

/// It is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no order {0:?}; there are {words}", words = Words)]
pub struct UnknownOrder(String);

/// The words of all orders.
struct Words;

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ALL.map(|(_, key, word, _)| {
            if word.starts_with(key) {
                word.to_owned()
            } else {
                format!("{word} ({key})")
            }
        });
        f.write_str(&words.join(", "))
    }
}

impl Order {
    /// What a key orders.
    ///
    /// # Errors
    /// [`UnknownOrder`].
    pub fn of_key(key: char) -> Result<Self, UnknownOrder> {
        let found = ALL
            .iter()
            .find(|(_, it, _, _)| *it == key.to_ascii_lowercase());
        found
            .map(|(order, ..)| *order)
            .ok_or_else(|| UnknownOrder(key.to_string()))
    }

    /// What a word orders, or the letter that is its key.
    ///
    /// # Errors
    /// [`UnknownOrder`].
    pub fn of_word(text: &str) -> Result<Self, UnknownOrder> {
        let words: Vec<_> = text
            .split(|it: char| it.is_whitespace() || it == '-')
            .filter(|it| !it.is_empty())
            .collect();
        let word = words.join(" ").to_ascii_lowercase();
        let found = ALL
            .iter()
            .find(|(_, key, it, _)| *it == word || key.to_string() == word);
        found
            .map(|(order, ..)| *order)
            .ok_or_else(|| UnknownOrder(text.trim().to_owned()))
    }

    /// Whether it is about one host of two that stand.
    pub(super) fn needs_two(self) -> bool {
        matches!(
            self,
            Self::Elect | Self::FailOver | Self::Demote | Self::Expire | Self::Show
        )
    }

    /// All keys, a line each.
    pub(super) fn help() -> String {
        let lines = ALL.map(|(_, key, word, what)| format!("  {key}  {word:<10} {what}"));
        lines.join("\n")
    }

    /// All keys, in one line.
    pub(super) fn keys() -> String {
        ALL.map(|(_, key, word, _)| {
            if word.len() == 1 {
                word.to_owned()
            } else {
                format!("{key} {word}")
            }
        })
        .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_a_key_of_its_own_and_is_understood_as_key_and_as_word() {
        for (order, key, word, _) in ALL {
            assert_eq!(Order::of_key(key), Ok(order));
            assert_eq!(Order::of_word(word), Ok(order));
            assert_eq!(Order::of_word(&key.to_string()), Ok(order));
            assert!(Order::help().contains(word) && Order::keys().contains(key));
        }
        for same in ["fail-over\n", " Fail  Over ", "f\r\n"] {
            assert_eq!(Order::of_word(same), Ok(Order::FailOver), "{same:?}");
        }
        assert_eq!(Order::of_key('E'), Ok(Order::Elect));
    }

    #[test]
    fn what_is_no_order_is_answered_with_those_there_are() {
        let told = Order::of_word("failover now").unwrap_err().to_string();
        assert!(
            told.starts_with("there is no order \"failover now\"; there are elect, fail over, "),
            "{told}"
        );
        assert!(told.contains("expire (x)"), "{told}");
        assert!(Order::of_key('\u{1b}').is_err() && Order::of_word("").is_err());
    }
}
