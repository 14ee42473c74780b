//! "Did you mean": the name that somebody may have meant who wrote one that there is not.

use soloist_core::similar::closest;

/// What serde says of a name that it does not know, with the most similar of the names that it expects. Any other message stays
/// as it is.
///
/// serde writes "unknown field `a`, expected one of `b`, `c`", and has no other form of it for whoever shows the error.
pub(crate) fn with_similar(message: &str) -> String {
    let told = message.strip_prefix("unknown ").and_then(|rest| {
        let (written, expected) = rest.split_once("`, expected ")?;
        let (kind, written) = written.split_once(" `")?;
        let similar = closest(written, expected.split('`').skip(1).step_by(2))?;
        Some(format!(
            "unknown {kind} `{written}` (did you mean `{similar}`?), expected {expected}"
        ))
    });
    told.unwrap_or_else(|| message.to_owned())
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
