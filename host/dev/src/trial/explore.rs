//! The same life again and again, with a failover at each call of the plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::expect::unmet_state;
use super::life::live_with;
use super::lived::{Early, Lived, Subject, Traces};
use super::point::{Point, Strike};
use super::recorder::{Act as Did, Kept};
use super::script::{Act, Expectation, Script};
use super::shown::{self, listed};
use super::slots::{self, Target, target};
use super::work::Work;

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
/// alone. `base` is the life without one. `tell` hears after each one how many of how many have been tried, from several threads.
///
/// Where there are more points than may be tried, those that are tried are spread over the whole life.
pub fn explore(
    subject: &Subject,
    script: &Script,
    base: &Lived,
    max: usize,
    only: Option<Point>,
    tell: &(dyn Fn(usize, usize) + Sync),
) -> Explored {
    let calls = base.calls();
    let points = match only {
        Some(point) => vec![point],
        None => spread(calls, max),
    };
    let tried = AtomicUsize::new(0);
    let count = || tell(tried.fetch_add(1, Ordering::Relaxed) + 1, points.len());
    let explorer = || Explorer {
        subject,
        script,
        base: &base.traces,
        work: Work::of(&base.traces.kept.acts),
        at_end: at_end(script),
        controls: BTreeMap::new(),
    };
    let mut findings = explorer().calm();
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    // Neighbours are tried at the same time, as later points take longer.
    let mut found: Vec<(Point, Vec<String>)> = thread::scope(|scope| {
        let explore = |first: usize| {
            let mut explorer = explorer();
            let points = points.iter().skip(first).step_by(workers);
            points
                .map(|point| {
                    let found = explorer.at(*point);
                    count();
                    (*point, found)
                })
                .collect()
        };
        let workers: Vec<_> = (0..workers.min(points.len()))
            .map(|first| scope.spawn(move || explore(first)))
            .collect();
        let found = workers.into_iter().map(thread::ScopedJoinHandle::join);
        found
            .flat_map(|found: thread::Result<Vec<_>>| {
                found.unwrap_or_else(|panic| resume_unwind(panic))
            })
            .collect()
    });
    found.sort_by_key(|(point, _)| *point);
    for (point, found) in found {
        let call = usize::try_from(point.call() - 1).unwrap_or(usize::MAX);
        let import = base.traces.kept.imports.get(call);
        let import = import.copied().unwrap_or_default();
        findings.extend(found.into_iter().map(|what| Finding {
            point: Some(point),
            import,
            what,
        }));
    }
    let all = calls * Point::at(1).count();
    Explored {
        calls,
        tried: points.len(),
        left: if only.is_none() {
            all.saturating_sub(points.len())
        } else {
            0
        },
        findings,
    }
}

/// What the lives with a failover are compared with.
struct Explorer<'a> {
    subject: &'a Subject,
    script: &'a Script,
    base: &'a Traces,
    work: Work<'a>,
    at_end: Vec<Expectation>,
    /// What the plugin did in lives whose failover came before a slot had left a trace.
    controls: BTreeMap<Point, Vec<Did>>,
}

impl Explorer<'_> {
    /// What is wrong in every life.
    fn calm(&self) -> Vec<Finding> {
        let mut found = slots::judge_calm(&self.work);
        let mut made = self.base.kept.made();
        if let Some(made) = made.find(|made| made.has_effect() && !made.has_token) {
            let request = shown::request(made.method.as_str(), &made.url.to_string());
            found.push(format!(
                "{request} carries no fencing token: a server cannot refuse it from an old leader (`identify`)"
            ));
        }
        let found = found.into_iter().map(|what| Finding {
            point: None,
            import: "",
            what,
        });
        found.collect()
    }

    /// What is wrong with the life in which that failover strikes.
    fn at(&mut self, point: Point) -> Vec<String> {
        let lived = live_with(self.subject, self.script, Some(point)).traces;
        if !lived.has_struck {
            return vec![
                "the plugin did not get to this call: it does not go the same way each time"
                    .to_owned(),
            ];
        }
        let mut found = judge(self.base, &lived, &self.at_end);
        let work = Work::of(&lived.kept.acts);
        let mut faults = slots::judge(&self.work, &work, !self.script.stops_state());
        if point.strike != Strike::Demote {
            for doubt in slots::doubts(&self.work, &work, point) {
                faults.extend(slots::compare(&doubt, &work, &self.control(doubt.control)));
            }
        }
        let told: Vec<_> = faults
            .iter()
            .filter_map(|fault| fault.request.clone())
            .collect();
        found.extend(faults.into_iter().map(|fault| fault.what));
        found.extend(repeated(&self.base.kept, &lived.kept, &told));
        // A plugin that fails fails again each time that its host restarts it.
        let mut seen = BTreeSet::new();
        found.retain(|what| seen.insert(what.clone()));
        found
    }

    fn control(&mut self, point: Point) -> Work<'_> {
        let (subject, script) = (self.subject, self.script);
        let acts = self.controls.entry(point).or_insert_with(|| {
            let lived = live_with(subject, script, Some(point));
            lived.traces.kept.acts
        });
        Work::of(acts)
    }
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

/// What is wrong with a life after a failover, beside the same life without, apart from its slots and its requests.
fn judge(base: &Traces, lived: &Traces, at_end: &[Expectation]) -> Vec<String> {
    let mut found = Vec::new();
    let mut states = base.kept.states.iter();
    if let Some(taken) = &lived.taken_over
        && !states.any(|state| state.fingerprint == taken.fingerprint)
    {
        found.push(format!(
            "state torn: the next host finds {}, in which the plugin never rests without a failover: write what belongs \
             together in one transaction",
            listed(&taken.entries)
        ));
    }
    for expected in at_end {
        let unmet = unmet_state(expected, &lived.end);
        found.extend(unmet.into_iter().map(|what| format!("at the end, {what}")));
    }
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
    found.extend(failures.map(|failure| format!("after the takeover, {failure}")));
    if base.end_early.is_none() {
        found.extend(lived.end_early.map(|early| {
            let does = match early {
                Early::Stalled => "computes without end",
                Early::Full => "does more than is kept",
            };
            format!("the plugin {does} after the takeover")
        }));
    }
    found
}

/// Requests that are sent more often than without the failover, and that a server cannot know again. Those that are `told`
/// already are left out.
fn repeated(base: &Kept, lived: &Kept, told: &[Target]) -> Vec<String> {
    let count = |kept: &Kept| {
        let mut counts: BTreeMap<(String, String, u64), usize> = BTreeMap::new();
        for made in kept
            .made()
            .filter(|made| made.adds_up() && made.idempotency_key.is_none())
            .filter(|made| !told.contains(&target(made)))
        {
            let (method, url) = (made.method.to_string(), made.url.to_string());
            *counts.entry((method, url, made.body)).or_default() += 1;
        }
        counts
    };
    let (base, lived) = (count(base), count(lived));
    lived
        .into_iter()
        .filter_map(|(key, times)| {
            let before = base.get(&key).copied().unwrap_or_default();
            let (method, url, _) = key;
            let request = shown::request(&method, &url);
            (before > 0 && times > before).then(|| {
                format!(
                    "{request} is sent {times} times instead of {before}, without an Idempotency-Key: the server cannot know \
                     it again"
                )
            })
        })
        .collect()
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
