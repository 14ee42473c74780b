//! The tables of REFERENCE.md that are an interface say what there is, no less and no more.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use soloist_config::LimitSettings;
use soloist_core::cause::Cause;
use soloist_core::events::Event;
use soloist_core::limits::{Limit, LimitReached};
use soloist_core::term::Demotion;
use soloist_tests::readme::{self, Schema};
use soloist_tests::{build, host};

#[test]
fn every_event_is_in_the_readme() -> Result<()> {
    let (there, told): (BTreeSet<_>, _) = (
        Event::ALL.iter().map(|event| event.name()).collect(),
        Schema::get()?.events(),
    );
    ensure!(
        there == told,
        "there are {there:?}, and REFERENCE.md has {told:?}"
    );
    Ok(())
}

#[test]
fn every_reason_of_a_demotion_is_in_the_readme() -> Result<()> {
    let text = readme::text()?;
    let sentence = text
        .split("\n\n")
        .find(|paragraph| paragraph.starts_with("`reason` is "))
        .unwrap_or_default();
    let told = readme::names(sentence.split('.').next().unwrap_or_default()).split_off(1);
    let there: Vec<_> = Demotion::ALL.iter().map(|reason| reason.name()).collect();
    ensure!(
        told == there,
        "there are {there:?}, and REFERENCE.md has {told:?}"
    );
    Ok(())
}

#[test]
fn every_limit_is_in_the_readme() -> Result<()> {
    let rows = readme::table("key")?;
    let told: BTreeSet<_> = rows.iter().flat_map(|row| readme::names(&row[0])).collect();
    let there: BTreeSet<_> = LimitSettings::KEYS.iter().copied().collect();
    ensure!(
        there == told,
        "there are {there:?}, and REFERENCE.md has {told:?}"
    );
    Ok(())
}

/// Whether a term can end with it. Whoever adds one has to say so here, and below.
fn is_reported(cause: &Cause) -> bool {
    match cause {
        // The term has ended: there is nothing to report.
        Cause::LeaseLost(_) => false,
        Cause::Limit(reached) => match reached.limit {
            // A plugin that has more of them is not loaded.
            Limit::Instances | Limit::Memories | Limit::Tables => false,
            Limit::Memory
            | Limit::TableElements
            | Limit::Stack
            | Limit::CallBytes
            | Limit::Resources
            | Limit::StartTimeout => true,
        },
        Cause::Returned(_)
        | Cause::Panicked(_)
        | Cause::Aborted { .. }
        | Cause::Exited(_)
        | Cause::Trapped(_)
        | Cause::Host(_)
        | Cause::HostPanicked => true,
    }
}

#[test]
fn every_cause_of_a_failure_is_in_the_readme() -> Result<()> {
    let limit = |limit| Cause::Limit(LimitReached { limit, allowed: 1 });
    let causes = [
        limit(Limit::Memory),
        limit(Limit::TableElements),
        limit(Limit::Stack),
        limit(Limit::CallBytes),
        limit(Limit::Resources),
        limit(Limit::StartTimeout),
        Cause::Returned(String::new()),
        Cause::Panicked(String::new()),
        Cause::Aborted {
            stderr: String::new(),
        },
        Cause::Exited(None),
        Cause::Trapped(String::new()),
        Cause::Host(String::new()),
        Cause::HostPanicked,
    ];
    ensure!(causes.iter().all(is_reported));
    let there: BTreeSet<_> = causes.iter().map(Cause::name).collect();
    let text = readme::text()?;
    let others = text
        .split("The other causes are ")
        .nth(1)
        .and_then(|rest| rest.split("fault.").next());
    let rows = readme::table("key")?;
    let mut told: BTreeSet<_> = rows.iter().flat_map(|row| readme::names(&row[2])).collect();
    told.extend(readme::names(others.unwrap_or_default()));
    ensure!(
        there == told,
        "there are {there:?}, and REFERENCE.md has {told:?}"
    );
    Ok(())
}

/// The help, which every command shows, has the same codes as REFERENCE.md.
#[test]
fn every_exit_code_of_the_help_is_in_the_readme() -> Result<()> {
    let rows = readme::table("exit code")?;
    let told: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    for command in [&["--help"][..], &["run", "--help"], &["status", "--help"]] {
        let mut soloist = std::process::Command::new(&build::artifacts()?.soloist);
        host::clear_settings(&mut soloist);
        let help = String::from_utf8(soloist.args(command).output()?.stdout)?;
        let codes = help
            .lines()
            .skip_while(|line| *line != "Exit codes:")
            .skip(1);
        let codes: Vec<_> = codes
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        ensure!(
            codes == told,
            "{command:?} has {codes:?}, and REFERENCE.md has {told:?}"
        );
    }
    Ok(())
}
