//! The same life again and again, with a failover at each call of the plugin.

use std::collections::BTreeMap;

use super::answers::Made;
use super::calls::{Entries, Point};
use super::expect::{shown, unmet_state};
use super::life::live_with;
use super::lived::{Lived, Subject, Traces};
use super::script::{Act, Expectation, Script};

/// What a failover at one point would do that it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where; None if it is so in every life.
    pub point: Option<Point>,
    /// The group of imports that the call there belongs to.
    pub import: &'static str,
    /// What it would do.
    pub what: String,
}

/// What was explored.
#[derive(Debug)]
pub struct Explored {
    /// How many calls the plugin makes in this life.
    pub calls: usize,
    /// How many failovers were tried.
    pub tried: usize,
    /// How many there are beside those.
    pub left: usize,
    /// What they would do that they should not.
    pub findings: Vec<Finding>,
}

/// Goes through a script with a failover before and after each of the plugin's calls, at most so many times, or at one point
/// alone. `base` is the life without one.
///
/// Where there are more points than may be tried, those that are tried are spread over the whole life.
pub fn explore(
    subject: &Subject,
    script: &Script,
    base: &Lived,
    max: usize,
    only: Option<Point>,
) -> Explored {
    let calls = base.traces.imports.len();
    let all = calls * Point::at(1).count();
    let mut explored = Explored {
        calls,
        tried: 0,
        left: 0,
        findings: Vec::new(),
    };
    let tokenless = base
        .traces
        .made
        .iter()
        .find(|made| made.has_effect() && !made.has_token);
    if let Some(Made { method, url, .. }) = tokenless {
        explored.findings.push(Finding {
            point: None,
            import: "http",
            what: format!(
                "{method} {url} carries no fencing token: a server cannot refuse it from an old leader (`identify`)"
            ),
        });
    }
    let points = match only {
        Some(point) => vec![point],
        None => spread(calls, max),
    };
    let at_end = at_end(script);
    for point in points {
        let lived = live_with(subject, script, Some(point));
        explored.tried += 1;
        let call = usize::try_from(point.call - 1).unwrap_or(usize::MAX);
        let import = base.traces.imports.get(call).copied().unwrap_or_default();
        let found = judge(&base.traces, &lived.traces, &at_end);
        explored
            .findings
            .extend(found.into_iter().map(|what| Finding {
                point: Some(point),
                import,
                what,
            }));
    }
    if only.is_none() {
        explored.left = all.saturating_sub(explored.tried);
    }
    explored
}

/// At most `max` failovers that are spread over the life, and over all that can happen at a call.
fn spread(calls: usize, max: usize) -> Vec<Point> {
    let kinds = Point::at(1).count();
    let least = (calls * kinds).div_ceil(max.max(1)).max(1);
    // A step with a factor in common would leave out the same kinds at every call.
    let mut steps = (least..).filter(|step| (1..kinds).all(|times| times * step % kinds != 0));
    let step = steps.next().unwrap_or(least);
    let points = (1..).take(calls).flat_map(Point::at);
    points.step_by(step).collect()
}

/// What the script expects of the state when all time has passed.
fn at_end(script: &Script) -> Vec<Expectation> {
    let lasts = |act: &Act| matches!(act, Act::Advance(_) | Act::Elect(_) | Act::Set(_));
    let last = script.steps.iter().rposition(|step| lasts(&step.act));
    let after = &script.steps[last.map_or(0, |last| last + 1)..];
    let expected = after.iter().filter_map(|step| match &step.act {
        Act::Expect(expected) => Some(expected.clone()),
        _ => None,
    });
    expected.collect()
}

/// What is wrong with a life after a failover, beside the same life without.
fn judge(base: &Traces, lived: &Traces, at_end: &[Expectation]) -> Vec<String> {
    let mut found = Vec::new();
    if !lived.has_struck {
        return vec![
            "the plugin did not get to this call: it does not go the same way each time".to_owned(),
        ];
    }
    if let Some(state) = &lived.taken_over
        && !base.states.contains(state)
    {
        found.push(format!(
            "state torn: the next host finds {}, in which the plugin never rests without a failover: write what belongs \
             together in one transaction",
            listed(state)
        ));
    }
    for expected in at_end {
        let unmet = unmet_state(expected, &lived.end);
        found.extend(unmet.into_iter().map(|what| format!("at the end, {what}")));
    }
    found.extend(repeated(&base.made, &lived.made));
    if lived.was_forced && !base.was_forced {
        found.push(
            "the plugin did not stop within `demote_timeout` of its demotion: it was stopped by force".to_owned(),
        );
    }
    let before = &base.failures;
    let failures = lived
        .failures
        .iter()
        .filter(|failure| !before.contains(failure));
    found
        .extend(failures.map(|failure| format!("the plugin failed after the takeover: {failure}")));
    if lived.stalled {
        found.push("the plugin computes without end after the takeover".to_owned());
    }
    found
}

/// Requests that are sent more often than without the failover, and that a server cannot know again.
fn repeated(base: &[Made], lived: &[Made]) -> Vec<String> {
    let count = |made: &[Made]| {
        let mut counts: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for made in made
            .iter()
            .filter(|made| made.has_effect() && made.idempotency_key.is_none())
        {
            let name = format!("{} {}", made.method, made.url);
            let key = format!("{name} {:?}", made.body);
            counts.entry(key).or_insert((0, name)).0 += 1;
        }
        counts
    };
    let (base, lived) = (count(base), count(lived));
    lived
        .into_iter()
        .filter_map(|(key, (times, name))| {
            let before = base.get(&key).map_or(0, |(times, _)| *times);
            (before > 0 && times > before).then(|| {
                format!(
                    "{name} is sent {times} times instead of {before}, without an Idempotency-Key: the server cannot know \
                     it again"
                )
            })
        })
        .collect()
}

fn listed(state: &Entries) -> String {
    const SHOWN: usize = 4;
    let entries = state.iter().take(SHOWN);
    let mut entries: Vec<_> = entries
        .map(|(key, value)| {
            let value = shown(&value[..value.len().min(40)]);
            format!("{key} = {value}")
        })
        .collect();
    if state.len() > SHOWN {
        entries.push(format!("and {} more", state.len() - SHOWN));
    }
    if entries.is_empty() {
        return "nothing".to_owned();
    }
    entries.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failovers_of_every_kind_are_tried_however_long_the_life_is() {
        for (calls, max) in [
            (1, 2000),
            (333, 2000),
            (400, 2000),
            (2000, 2000),
            (5000, 100),
        ] {
            let points = spread(calls, max);
            assert!(points.len() <= max, "{calls}: {}", points.len());
            let kinds = points.iter().map(|point| {
                let text = point.to_string();
                text.split_once(':').map(|(_, kind)| kind.to_owned())
            });
            let kinds: std::collections::BTreeSet<_> = kinds.collect();
            assert_eq!(kinds.len(), Point::at(1).count(), "{calls}: {kinds:?}");
        }
    }
}
