//! What is told to somebody who has typed what no command takes.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use soloist_core::text::printable;

/// What stands in an example for what is missing.
const EXAMPLES: [(&str, &str); 11] = [
    ("<TASK>", "report"),
    ("<TASK|TASK.toml|TASK.json>", "report.toml"),
    ("<HOST>", "a"),
    ("<KEY>", "cursor"),
    ("<COMMAND>", "list"),
    ("<PLUGIN|CONFIG.toml|CONFIG.json>", "soloist.toml"),
    ("<PLUGIN>", "report.wasm"),
    (
        "<oci://REGISTRY/REPOSITORY:TAG>",
        "oci://registry.example/team/report:1.0",
    ),
    ("<NAME>", "report"),
    ("<SHELL>", "bash"),
    ("<DIRECTORY>", "manual"),
];

/// The error with an example of what is missing, without tips that mislead, and with all of what was typed in it printable.
pub(super) fn shown(mut error: clap::Error) -> clap::Error {
    // All possible values stand above it.
    error.remove(ContextKind::SuggestedValue);
    let context: Vec<_> = error
        .context()
        .map(|(kind, value)| (kind, value.clone()))
        .collect();
    for (kind, value) in context {
        let shown = match value {
            ContextValue::String(text) => ContextValue::String(printable(&text).into_owned()),
            ContextValue::Strings(texts) => ContextValue::Strings(
                texts
                    .iter()
                    .map(|text| printable(text).into_owned())
                    .collect(),
            ),
            // Tips, which quote what was typed. The usage quotes nothing, and has lines of its own.
            ContextValue::StyledStrs(tips) => ContextValue::StyledStrs(
                tips.iter()
                    .map(ToString::to_string)
                    // Who types an option that there is not means no value.
                    .filter(|tip| !tip.starts_with("to pass '--"))
                    .map(|tip| StyledStr::from(printable(&tip).into_owned()))
                    .collect(),
            ),
            _ => continue,
        };
        error.insert(kind, shown);
    }
    let tips = error.get(ContextKind::Suggested);
    if matches!(tips, Some(ContextValue::StyledStrs(tips)) if tips.is_empty()) {
        error.remove(ContextKind::Suggested);
    }
    if let Some(example) = example(&error) {
        let tip = StyledStr::from(format!("for example, {example}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// A command like the one that was typed, with all that is missing.
fn example(error: &clap::Error) -> Option<String> {
    let (ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand) = error.kind() else {
        return None;
    };
    let ContextValue::StyledStr(usage) = error.get(ContextKind::Usage)? else {
        return None;
    };
    let usage = usage.to_string();
    let words = usage.strip_prefix("Usage: ")?.split_whitespace();
    let needed = words.filter(|word| !word.starts_with('['));
    let words: Option<Vec<_>> = needed
        .map(|word| match word.strip_prefix('<') {
            None => Some(word),
            Some(_) => EXAMPLES
                .iter()
                .find(|(missing, _)| *missing == word)
                .map(|(_, example)| *example),
        })
        .collect();
    Some(words?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::shown;

    fn told(words: &[&str]) -> String {
        let error = command().try_get_matches_from(words).unwrap_err();
        shown(error).render().to_string()
    }

    #[test]
    fn every_command_that_misses_something_shows_a_whole_one() {
        for subcommand in command().get_subcommands() {
            let needs = subcommand.get_positionals().any(clap::Arg::is_required_set);
            // That one shows all of its help.
            if !needs || subcommand.get_name() == "state" {
                continue;
            }
            let told = told(&["soloist", subcommand.get_name()]);
            let (_, example) = told.split_once("tip: for example, ").expect(&told);
            let words = example.lines().next().unwrap().split(' ');
            command().try_get_matches_from(words).expect(&told);
        }
    }

    #[test]
    fn a_task_whose_command_is_missing_has_an_example_too() {
        let told = told(&["soloist", "state", "heartbeat"]);
        assert!(
            told.contains("tip: for example, soloist state report list"),
            "{told}"
        );
    }

    #[test]
    fn tips_do_not_mislead() {
        for words in [
            &["soloist", "completions", "tcsh"][..],
            &["soloist", "resume", "x", "--no-wait"],
        ] {
            let told = told(words);
            assert!(
                !told.contains("tip: ") && !told.contains("\n\n\n"),
                "{told}"
            );
        }
        assert!(told(&["soloist", "statsu"]).contains("tip: "));
    }
}
