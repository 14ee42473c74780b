//! What a failover does to the slot that the plugin works at: it is lost, done twice, or never completed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::point::Point;
use super::recorder::{Made, SlotId, What};
use super::shown;
use super::work::{Window, Work};

/// How much longer than without the failover a plugin may take for a slot, beside twice that time.
const SLACK: Duration = Duration::from_secs(60);

/// Something that a failover does to a slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotFault {
    pub(super) what: String,
    /// The requests that it is about.
    pub(super) request: Option<Target>,
}

/// A method and the URL up to its query: what tells one kind of request from another.
pub(super) type Target = (String, String);

pub(super) fn target(made: &Made) -> Target {
    let url = made.url.to_string();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    (made.method.to_string(), url.to_owned())
}

/// A method and the host: a URL may be another one in each attempt.
fn server(made: &Made) -> Target {
    let authority = made.url.authority();
    let authority = authority.map_or_else(String::new, ToString::to_string);
    (made.method.to_string(), authority)
}

/// What is wrong without any failover: a slot that every run begins anew.
pub(super) fn judge_calm(base: &Work<'_>) -> Vec<String> {
    let mut claims: BTreeMap<&SlotId, usize> = BTreeMap::new();
    for window in &base.windows {
        *claims.entry(&window.slot).or_default() += 1;
    }
    let never = claims
        .into_iter()
        .filter(|(slot, claims)| *claims > 1 && base.completed(slot).is_none());
    let told = never.map(|(slot, claims)| {
        format!(
            "slot never completed: a slot of the schedule {} is claimed in {claims} runs, and completed in none: each does it \
             anew, and no later slot is run",
            slot.schedule
        )
    });
    told.collect()
}

/// What a failover does to the slots that were worked at when it struck. `is_state_there` says whether the script lets the
/// state answer all the time.
pub(super) fn judge(base: &Work<'_>, lived: &Work<'_>, is_state_there: bool) -> Vec<SlotFault> {
    let mut found = BTreeSet::new();
    for window in struck(lived) {
        let slot = &window.slot;
        if base.windows_of(slot).next().is_none() {
            continue;
        }
        if lived.completed(slot).is_none() {
            if is_state_there {
                found.extend(never_completed(base, lived, window));
            }
            continue;
        }
        if lived.has_gone_on(slot) {
            found.extend(lost(base, lived, slot));
        }
        found.extend(twice(base, lived, slot));
    }
    found.into_iter().collect()
}

/// The windows in which the failover struck.
fn struck<'a>(lived: &'a Work<'_>) -> impl Iterator<Item = &'a Window> {
    let struck = lived.struck;
    let windows = lived.windows.iter();
    windows.filter(move |window| struck.is_some_and(|position| window.has(position)))
}

fn never_completed(base: &Work<'_>, lived: &Work<'_>, window: &Window) -> Option<SlotFault> {
    let slot = &window.slot;
    let calm = base
        .windows_of(slot)
        .find_map(|window| Some((window.from, window.completed?)));
    let (from, completed) = calm?;
    let took = base.acts[completed]
        .moment
        .saturating_since(base.acts[from].moment);
    (lived.longest_term() >= took * 2 + SLACK).then(|| SlotFault {
        what: format!(
            "slot never completed: a slot of the schedule {} is claimed, and never completed after the takeover: no later slot \
             is run",
            slot.schedule
        ),
        request: None,
    })
}

/// Requests that were never sent though the slot is completed.
fn lost(base: &Work<'_>, lived: &Work<'_>, slot: &SlotId) -> Vec<SlotFault> {
    let own = base.own(&slot.schedule, |what| match what {
        What::Sent(made) if made.has_effect() => Some(server(made)),
        _ => None,
    });
    let mut lost = Vec::new();
    for wanted in own {
        let is_it = |made: &&Made| server(made) == wanted;
        let due: Vec<_> = base
            .sent_for(slot)
            .filter(is_it)
            .filter(|made| made.is_done)
            .collect();
        let made = lived.span(slot).iter().filter_map(|act| match &act.what {
            What::Sent(made) => Some(made),
            _ => None,
        });
        let made = made.filter(is_it).count();
        if let Some(first) = due.first()
            && made < due.len()
        {
            let (method, url) = target(first);
            let request = shown::request(&method, &url);
            lost.push(SlotFault {
                what: format!(
                    "slot lost: a slot of the schedule {} is completed, and {request} is sent {made} times for it instead \
                     of {}: complete a slot when its effects are done",
                    slot.schedule,
                    due.len()
                ),
                request: None,
            });
        }
    }
    lost
}

/// Requests that were sent again for a slot, and by which the server cannot know that.
fn twice(base: &Work<'_>, lived: &Work<'_>, slot: &SlotId) -> Vec<SlotFault> {
    let own = base.own(&slot.schedule, |what| match what {
        What::Sent(made) if made.adds_up() => Some(target(made)),
        _ => None,
    });
    let again = own.into_iter().filter(|wanted| {
        let count = |work: &Work<'_>| {
            let sent = work.sent_for(slot).filter(|made| target(made) == *wanted);
            effects(sent.filter(|made| made.is_done), &slot.schedule)
        };
        let calm = count(base);
        calm > 0 && count(lived) > calm
    });
    again
        .map(|(method, url)| SlotFault {
            what: format!(
                "slot done twice: {} is sent again when a slot of the schedule {} is claimed again, with neither the slot's \
                 key nor the Idempotency-Key of before: the server cannot know it again",
                shown::request(&method, &url),
                slot.schedule
            ),
            request: Some((method, url)),
        })
        .collect()
}

/// How many effects requests have at a server that knows them by the slot, or by their `Idempotency-Key`.
fn effects<'a>(sent: impl Iterator<Item = &'a Made>, schedule: &str) -> usize {
    let (mut known, mut unknown) = (BTreeSet::new(), 0);
    for made in sent {
        if made.names.iter().any(|name| name == schedule) {
            known.insert(None);
        } else if let Some(key) = &made.idempotency_key {
            known.insert(Some(key));
        } else {
            unknown += 1;
        }
    }
    known.len() + unknown
}

/// A slot whose writes are to be compared with those of a life in which the failover came before any of them.
pub(super) struct Doubt {
    slot: SlotId,
    keys: BTreeSet<String>,
    /// Where the failover of that other life strikes.
    pub(super) control: Point,
}

/// The slots that were worked at when a failover struck, whose state is written beside `complete` as well. A failover that came
/// at a later moment than the first of the writes is not compared: what depends on the time would differ too.
pub(super) fn doubts(base: &Work<'_>, lived: &Work<'_>, point: Point) -> Vec<Doubt> {
    let Some(position) = lived.struck else {
        return Vec::new();
    };
    let doubt = |window: &Window| {
        let slot = &window.slot;
        let keys = base.own(&slot.schedule, |what| match what {
            What::Wrote(written) if !written.with_slot => Some(written.key.clone()),
            _ => None,
        });
        let is_trace = |what: &What| match what {
            What::Wrote(written) => keys.contains(&written.key),
            What::Completed(completed) => completed == slot,
            _ => false,
        };
        let first = &lived.acts[window.from..position];
        let first = first.iter().find(|act| is_trace(&act.what))?;
        if keys.is_empty() || first.moment != lived.acts[position].moment {
            return None;
        }
        let control = Point {
            call: first.call,
            is_after: false,
            ..point
        };
        Some(Doubt {
            slot: slot.clone(),
            keys,
            control,
        })
    };
    struck(lived).filter_map(doubt).collect()
}

/// Compares the writes of a slot with those of the other life.
pub(super) fn compare(doubt: &Doubt, lived: &Work<'_>, control: &Work<'_>) -> Vec<SlotFault> {
    let Doubt { slot, keys, .. } = doubt;
    let is_before = |position: usize| control.struck.is_some_and(|struck| position < struck);
    let leaves_nothing = struck(control).any(|window| window.slot == *slot)
        && !control.acts.iter().enumerate().any(|(position, act)| {
            let is_of_slot = control.windows_of(slot).any(|window| window.has(position));
            is_before(position)
                && is_of_slot
                && match &act.what {
                    What::Wrote(written) => keys.contains(&written.key),
                    What::Completed(_) => true,
                    _ => false,
                }
        });
    if !leaves_nothing || !lived.has_gone_on(slot) || !control.has_gone_on(slot) {
        return Vec::new();
    }
    let was_completed = lived.completed(slot) < lived.struck;
    let differs = |key: &&String| lived.value_after(slot, key) != control.value_after(slot, key);
    let faults = keys.iter().filter(differs).map(|key| {
        let what = if was_completed {
            format!(
                "slot lost: a slot of the schedule {} is completed, and what it writes to state {key:?} is not there: write it \
                 in `complete`",
                slot.schedule
            )
        } else {
            format!(
                "slot done twice: what a slot of the schedule {} writes to state {key:?} counts again when the slot is claimed \
                 again: write it in `complete`",
                slot.schedule
            )
        };
        SlotFault {
            what,
            request: None,
        }
    });
    faults.collect()
}
