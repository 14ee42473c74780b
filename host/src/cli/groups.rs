//! The commands in the help: together with those that somebody uses for the same.

use std::fmt::Write as _;

use clap::builder::StyledStr;

/// What somebody wants to do, and the commands for it.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Write a plugin",
        &["new", "build", "dev", "test", "inspect"],
    ),
    ("Run a host", &["run", "check", "ensemble"]),
    (
        "Deploy tasks, from any machine",
        &[
            "push", "deploy", "tasks", "diff", "rollback", "pause", "resume", "undeploy", "forget",
        ],
    ),
    (
        "See and steer, from any machine",
        &[
            "status", "describe", "logs", "history", "state", "resign", "retry", "drain", "undrain",
        ],
    ),
    ("Set up a shell", &["completions", "manual", "help"]),
];

/// The help of the program with its commands in groups.
pub(super) fn template(command: &clap::Command) -> StyledStr {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    let mut groups = String::new();
    for (what, names) in GROUPS {
        let _ = writeln!(groups, "{header}{what}:{header:#}");
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(found) => found.get_about().map(ToString::to_string),
                // It has none until the command is built.
                None => Some("Print this message or the help of a command".to_owned()),
            };
            let about = about.unwrap_or_default();
            let _ = writeln!(groups, "  {literal}{name:<width$}{literal:#}  {about}");
        }
        groups.push('\n');
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}\n\nOptions of a command: soloist COMMAND --help{{after-help}}"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut named: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).collect();
        named.sort();
        let mut command = command();
        command.build();
        let mut there: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        there.sort_unstable();
        assert_eq!(named.into_iter().copied().collect::<Vec<_>>(), there);
    }

    #[test]
    fn the_help_says_what_every_command_does() {
        let help = command().render_help().to_string();
        for subcommand in command().get_subcommands() {
            let about = subcommand.get_about().unwrap().to_string();
            assert!(
                help.contains(&about) && !about.is_empty(),
                "{about}: {help}"
            );
        }
        assert!(help.contains("\n  dev          Try a plugin") && help.contains("--version"));
    }
}
