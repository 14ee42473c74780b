//! Whether what was expected is so, and what is there instead.

use soloist_core::event::Event;

use super::recorder::Entries;
use super::script::{Expectation, Standing};
use super::shown::shown;

/// How many lines are shown of what there is instead.
const SHOWN: usize = 5;

/// What there is at the moment of an expectation.
pub(super) struct Found<'a> {
    /// What was told in the term.
    pub(super) told: &'a [Event],
    /// Whether that is all of it.
    pub(super) is_whole: bool,
    pub(super) state: &'a Entries,
    pub(super) requests: usize,
    pub(super) standing: Option<Standing>,
}

/// Everything that is not as expected, a sentence each.
pub(super) fn unmet(expected: &Expectation, found: &Found<'_>) -> Vec<String> {
    let mut unmet = unmet_state(expected, found.state);
    if expected.times.is_some() && !found.is_whole {
        let what = "cannot be counted: this term has more events than are kept, so count in an earlier step";
        unmet.push(what.to_owned());
    }
    if let Some(text) = &expected.log {
        let lines: Vec<_> = lines(found.told).collect();
        let count = lines
            .iter()
            .filter(|(level, line)| {
                line.contains(text.as_str()) && expected.level.is_none_or(|wanted| wanted == *level)
            })
            .count();
        let what = match expected.level {
            Some(level) => format!(
                "a line of level {} with {text:?}",
                level.as_str().to_lowercase()
            ),
            None => format!("a line with {text:?}"),
        };
        let last = lines.len().saturating_sub(SHOWN);
        let last: Vec<_> = lines[last..]
            .iter()
            .map(|(level, line)| format!("{}: {line}", level.as_str().to_lowercase()))
            .collect();
        let seen = if last.is_empty() {
            "it wrote no line in this term".to_owned()
        } else {
            format!("the last lines of this term:\n  {}", last.join("\n  "))
        };
        unmet.extend(miscounted(&what, expected.times, count, &seen));
    }
    if let Some(name) = &expected.event {
        let names: Vec<_> = found.told.iter().map(Event::name).collect();
        let count = names.iter().filter(|found| **found == name).count();
        let mut others: Vec<_> = names
            .into_iter()
            .filter(|name| *name != "plugin-log")
            .collect();
        others.dedup();
        let seen = format!("the events of this term: {}", others.join(", "));
        unmet.extend(miscounted(
            &format!("the event {name}"),
            expected.times,
            count,
            &seen,
        ));
    }
    if let Some(requests) = expected.requests
        && usize::try_from(requests).ok() != Some(found.requests)
    {
        let made = found.requests;
        unmet.push(format!(
            "expected {requests} requests so far, and it made {made}"
        ));
    }
    if let Some(standing) = expected.ended
        && found.standing != Some(standing)
    {
        let is = found.standing.map_or("not begun", Standing::name);
        unmet.push(format!(
            "expected the term to be {}, and it is {is}",
            standing.name()
        ));
    }
    unmet
}

/// What of the state is not as expected.
pub(super) fn unmet_state(expected: &Expectation, state: &Entries) -> Vec<String> {
    let mut unmet = Vec::new();
    for (key, value) in &expected.state {
        let is = match state.get(key) {
            Some(is) if is == value.as_bytes() => continue,
            Some(is) => shown(is),
            None => "not there".to_owned(),
        };
        unmet.push(format!(
            "expected state {key:?} to be {value:?}, and it is {is}"
        ));
    }
    for key in &expected.absent {
        if let Some(value) = state.get(key) {
            let is = shown(value);
            unmet.push(format!("expected no state {key:?}, and it is {is}"));
        }
    }
    unmet
}

fn lines(told: &[Event]) -> impl Iterator<Item = (tracing::Level, &str)> {
    told.iter().filter_map(|event| match event {
        Event::PluginLog(line) => Some((line.level, &*line.text)),
        _ => None,
    })
}

fn miscounted(what: &str, times: Option<u32>, count: usize, seen: &str) -> Option<String> {
    match times {
        None if count > 0 => None,
        None => Some(format!("expected {what}; {seen}")),
        Some(times) if usize::try_from(times).ok() == Some(count) => None,
        Some(times) => Some(format!(
            "expected {what} {times} times, and there are {count}; {seen}"
        )),
    }
}
