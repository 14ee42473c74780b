//! The tasks that a host leads, or is about to: as many as it may, and none beside one that it avoids, if that can be helped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soloist_config::HostPlacement;
use soloist_core::placement::{HostLoad, TaskPlacement, Why};
use soloist_core::term::FencingToken;
use tokio::sync::watch;

/// Why a host does not take a task now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It leads as many as it may.
    #[error("this host leads {0} tasks, and may lead no more (`max_active`)")]
    Full(u32),
    /// One of the two avoids the other.
    #[error("this host leads {0}, which this task should not be led beside (`avoid`)")]
    Avoids(Arc<str>),
}

/// A term that is to be handed over, as its contender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The term.
    pub token: FencingToken,
    /// Who is to lead next.
    pub to: String,
    /// Why.
    pub why: Why,
}

/// What a host leads, or is about to, for all its contenders.
#[derive(Clone, Debug)]
pub struct Duties(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    placement: HostPlacement,
    taken: Mutex<Taken>,
    load: watch::Sender<Option<HostLoad>>,
    /// Changes whenever a task goes off.
    freed: watch::Sender<()>,
}

/// The tasks themselves. There may be ten thousand, and each that comes or goes is looked up, not looked for.
#[derive(Debug, Default)]
struct Taken {
    tasks: BTreeMap<Arc<str>, TaskPlacement>,
    /// The sum of their weights.
    weight: u64,
    /// Which of them avoid the task of that name.
    avoided_by: BTreeMap<String, BTreeSet<Arc<str>>>,
}

impl Taken {
    fn take(&mut self, task: &Arc<str>, placement: &TaskPlacement) {
        self.weight += u64::from(placement.weight);
        for other in &placement.avoid {
            let by = self.avoided_by.entry(other.clone()).or_default();
            by.insert(Arc::clone(task));
        }
        self.tasks.insert(Arc::clone(task), placement.clone());
    }

    /// Whether it was there.
    fn give_up(&mut self, task: &str) -> bool {
        let Some(placement) = self.tasks.remove(task) else {
            return false;
        };
        self.weight -= u64::from(placement.weight);
        for other in &placement.avoid {
            if let Some(by) = self.avoided_by.get_mut(other) {
                by.remove(task);
                if by.is_empty() {
                    self.avoided_by.remove(other);
                }
            }
        }
        true
    }

    /// A task that is led here and should not be led beside this one.
    fn avoided(&self, task: &str, placement: &TaskPlacement) -> Option<Arc<str>> {
        let mut avoided = placement.avoid.iter();
        let own = avoided.find_map(|it| self.tasks.get_key_value(&**it));
        let own = own.map(|(other, _)| other);
        let theirs = || self.avoided_by.get(task)?.first();
        own.or_else(theirs).cloned()
    }
}

impl Duties {
    /// Those of a host that leads nothing. It says what it leads to `load`.
    pub fn new(placement: HostPlacement, load: watch::Sender<Option<HostLoad>>) -> Self {
        let duties = Self(Arc::new(Shared {
            placement,
            taken: Mutex::default(),
            load,
            freed: watch::Sender::new(()),
        }));
        duties.say(&Taken::default());
        duties
    }

    /// What the host says of itself.
    pub fn placement(&self) -> &HostPlacement {
        &self.0.placement
    }

    /// Admits a task, before its election is asked for. One that `insists` is led beside a task that it should not be led
    /// beside.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admit(
        &self,
        task: &Arc<str>,
        placement: &TaskPlacement,
        insists: bool,
    ) -> Result<(), NotAdmitted> {
        let mut taken = self.taken();
        if taken.tasks.contains_key(task) {
            return Ok(());
        }
        if let Some(max) = self.0.placement.max_active
            && taken.tasks.len() >= max as usize
        {
            return Err(NotAdmitted::Full(max));
        }
        if !insists && let Some(other) = taken.avoided(task, placement) {
            return Err(NotAdmitted::Avoids(other));
        }
        taken.take(task, placement);
        self.say(&taken);
        Ok(())
    }

    /// Takes a task off the duties, if it is there.
    pub fn dismiss(&self, task: &str) {
        let mut taken = self.taken();
        if taken.give_up(task) {
            self.say(&taken);
            self.0.freed.send_replace(());
        }
    }

    /// Hears of each task that goes off the duties from now on.
    pub fn freed(&self) -> watch::Receiver<()> {
        self.0.freed.subscribe()
    }

    /// Whether the host leads a task that this one avoids. Of two that avoid each other it is the later one by name that is in
    /// the wrong place.
    pub fn is_crowded(&self, task: &str, placement: &TaskPlacement) -> bool {
        let taken = self.taken();
        placement.avoid.iter().any(|other| {
            let leads = taken.tasks.get(&**other);
            leads.is_some_and(|it| !it.avoid.iter().any(|it| it == task) || **other < *task)
        })
    }

    /// What is locked stays true if somebody panics meanwhile.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        let taken = self.0.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, taken: &Taken) {
        let HostPlacement {
            labels,
            weight,
            max_active,
            spread,
            ..
        } = &self.0.placement;
        self.0.load.send_replace(Some(HostLoad {
            labels: labels.clone(),
            weight: *weight,
            max_active: *max_active,
            active: u32::try_from(taken.tasks.len()).unwrap_or(u32::MAX),
            load: u32::try_from(taken.weight).unwrap_or(u32::MAX),
            up: 0,
            spread: *spread,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(max_active: Option<u32>) -> (Duties, watch::Receiver<Option<HostLoad>>) {
        let (load, said) = watch::channel(None);
        let placement = HostPlacement {
            max_active,
            ..HostPlacement::default()
        };
        (Duties::new(placement, load), said)
    }

    fn avoiding(other: &str) -> TaskPlacement {
        TaskPlacement {
            avoid: vec![other.to_owned()],
            weight: 3,
            ..TaskPlacement::default()
        }
    }

    #[test]
    fn a_host_leads_no_more_than_it_may_and_says_what_it_leads() {
        let (duties, said) = of(Some(2));
        let names = ["a", "b", "c"].map(Arc::<str>::from);
        let usual = TaskPlacement::default();
        for name in &names[..2] {
            assert_eq!(duties.admit(name, &usual, false), Ok(()));
            assert_eq!(duties.admit(name, &usual, false), Ok(()), "it is there");
        }
        let said = || said.borrow().clone().unwrap();
        assert_eq!(
            (said().active, said().load, said().max_active),
            (2, 2, Some(2))
        );
        assert_eq!(
            duties.admit(&names[2], &usual, true),
            Err(NotAdmitted::Full(2))
        );
        let freed = duties.freed();
        duties.dismiss("c");
        assert!(!freed.has_changed().unwrap());
        duties.dismiss("a");
        assert!(freed.has_changed().unwrap());
        assert_eq!(duties.admit(&names[2], &avoiding("x"), false), Ok(()));
        assert_eq!((said().active, said().load), (2, 4));
    }

    #[test]
    fn what_avoids_each_other_is_led_together_only_if_it_has_to_be() {
        let (duties, _said) = of(None);
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let usual = TaskPlacement::default();
        duties.admit(&a, &avoiding("b"), false).unwrap();
        assert_eq!(
            duties.admit(&b, &usual, false),
            Err(NotAdmitted::Avoids(Arc::clone(&a)))
        );
        assert_eq!(
            duties.admit(&c, &avoiding("a"), false),
            Err(NotAdmitted::Avoids(a))
        );
        assert_eq!(duties.admit(&b, &avoiding("a"), true), Ok(()));
        // Both should be alone; one of them goes.
        assert!(!duties.is_crowded("a", &avoiding("b")));
        assert!(duties.is_crowded("b", &avoiding("a")));
        assert!(duties.is_crowded("c", &avoiding("a")));
        assert!(!duties.is_crowded("c", &usual));
        for gone in ["a", "b"] {
            duties.dismiss(gone);
        }
        assert_eq!(duties.admit(&c, &avoiding("a"), false), Ok(()));
    }
}
