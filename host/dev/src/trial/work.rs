//! Which of all that the plugin does is its work at the slots of its schedules.
//!
//! A slot's *window* is one run's work at it: from its claim to the next call of `next` after its completion, or the end of
//! the term. What the plugin does within the windows of a schedule and nowhere else belongs to its slots; whatever happens
//! beside them as well may be another task of the plugin, and is not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use soloist_core::clock::Moment;

use super::recorder::{Act, Made, SlotId, What};

/// One run's work at a slot: positions among the acts, the end not included.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) slot: SlotId,
    pub(super) from: usize,
    pub(super) completed: Option<usize>,
    to: usize,
}

impl Window {
    pub(super) fn has(&self, position: usize) -> bool {
        (self.from..self.to).contains(&position)
    }
}

/// The acts of a life, and the windows in it.
pub(super) struct Work<'a> {
    pub(super) acts: &'a [Act],
    pub(super) windows: Vec<Window>,
    /// Where the failover struck.
    pub(super) struck: Option<usize>,
}

impl<'a> Work<'a> {
    pub(super) fn of(acts: &'a [Act]) -> Self {
        let mut windows: Vec<Window> = Vec::new();
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        let mut struck = None;
        for (position, act) in acts.iter().enumerate() {
            match &act.what {
                What::Claimed(slot) => {
                    if let Some(before) = open.insert(&slot.schedule, windows.len()) {
                        windows[before].to = position;
                    }
                    windows.push(Window {
                        slot: slot.clone(),
                        from: position,
                        completed: None,
                        to: acts.len(),
                    });
                }
                What::Completed(slot) => {
                    if let Some(window) = open.get(&*slot.schedule) {
                        windows[*window].completed = Some(position);
                    }
                }
                What::Asked(schedule) => {
                    let is_over = |window: &mut usize| windows[*window].completed.is_some();
                    if open.get_mut(&**schedule).is_some_and(is_over)
                        && let Some(window) = open.remove(&**schedule)
                    {
                        windows[window].to = position;
                    }
                }
                What::TermEnded => {
                    for window in std::mem::take(&mut open).into_values() {
                        windows[window].to = position;
                    }
                }
                What::Struck => struck = Some(position),
                What::TermBegan | What::Wrote(_) | What::Sent(_) => {}
            }
        }
        Self {
            acts,
            windows,
            struck,
        }
    }

    /// What the plugin does within the windows of a schedule, and nowhere else.
    pub(super) fn own<T: Ord>(
        &self,
        schedule: &str,
        of: impl Fn(&What) -> Option<T>,
    ) -> BTreeSet<T> {
        let (mut within, mut beside) = (BTreeSet::new(), BTreeSet::new());
        for (position, act) in self.acts.iter().enumerate() {
            let Some(kind) = of(&act.what) else { continue };
            let is_in = |window: &Window| window.slot.schedule == schedule && window.has(position);
            if self.windows.iter().any(is_in) {
                within.insert(kind);
            } else {
                beside.insert(kind);
            }
        }
        within.retain(|kind| !beside.contains(kind));
        within
    }

    pub(super) fn windows_of<'b>(&'b self, slot: &'b SlotId) -> impl Iterator<Item = &'b Window> {
        self.windows.iter().filter(move |it| it.slot == *slot)
    }

    /// The requests in the windows of a slot.
    pub(super) fn sent_for<'b>(&'b self, slot: &'b SlotId) -> impl Iterator<Item = &'b Made> {
        let positions = self
            .windows_of(slot)
            .flat_map(|window| window.from..window.to);
        positions.filter_map(|position| match &self.acts[position].what {
            What::Sent(made) => Some(made),
            _ => None,
        })
    }

    /// Where a slot has been completed.
    pub(super) fn completed(&self, slot: &SlotId) -> Option<usize> {
        self.windows_of(slot).find_map(|window| window.completed)
    }

    /// From the first claim of a slot to the first one of the next slot, or the end: what makes up for a slot is there too.
    pub(super) fn span(&self, slot: &SlotId) -> &'a [Act] {
        let from = self.windows_of(slot).map(|window| window.from).min();
        let from = from.unwrap_or(self.acts.len());
        let is_next = |window: &&Window| {
            window.from > from && window.slot.schedule == slot.schedule && window.slot != *slot
        };
        let next = self.windows.iter().find(is_next).map(|window| window.from);
        &self.acts[from..next.unwrap_or(self.acts.len())]
    }

    /// Whether a later run than the one that was struck has asked for another slot when this one was completed: it is through
    /// with this one.
    pub(super) fn has_gone_on(&self, slot: &SlotId) -> bool {
        let (Some(struck), Some(completed)) = (self.struck, self.completed(slot)) else {
            return false;
        };
        let later = self.acts.iter().skip(struck.max(completed));
        let mut later =
            later.skip_while(|act| completed < struck && !matches!(act.what, What::TermBegan));
        later.any(|act| matches!(&act.what, What::Asked(schedule) if *schedule == slot.schedule))
    }

    /// The fingerprint of what a key holds when a slot is over.
    pub(super) fn value_after(&self, slot: &SlotId, key: &str) -> Option<u64> {
        let mut written = self
            .span(slot)
            .iter()
            .rev()
            .filter_map(|act| match &act.what {
                What::Wrote(written) if written.key == key => Some(written.value),
                _ => None,
            });
        written.next().flatten()
    }

    /// How long the longest term was that began after the failover.
    pub(super) fn longest_term(&self) -> Duration {
        let Some(struck) = self.struck else {
            return Duration::ZERO;
        };
        let (mut began, mut longest) = (None::<Moment>, Duration::ZERO);
        for act in &self.acts[struck..] {
            match (&act.what, began) {
                (What::TermBegan, _) => began = Some(act.moment),
                (What::TermEnded, Some(from)) => {
                    longest = longest.max(act.moment.saturating_since(from));
                }
                _ => {}
            }
        }
        longest
    }
}
