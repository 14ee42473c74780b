//! The tasks that a host leads, or is about to: as many as it may, and none beside one that it avoids, if that can be helped.

use std::collections::BTreeMap;
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

/// The roster of a host, for all its contenders.
#[derive(Clone, Debug)]
pub struct Roster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    placement: HostPlacement,
    taken: Mutex<BTreeMap<Arc<str>, TaskPlacement>>,
    load: watch::Sender<Option<HostLoad>>,
    /// Changes whenever a task goes off.
    freed: watch::Sender<()>,
}

impl Roster {
    /// The roster of a host that leads nothing. It says what it leads to `load`.
    pub fn new(placement: HostPlacement, load: watch::Sender<Option<HostLoad>>) -> Self {
        let roster = Self(Arc::new(Shared {
            placement,
            taken: Mutex::default(),
            load,
            freed: watch::Sender::new(()),
        }));
        roster.say(&BTreeMap::new());
        roster
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
        if taken.contains_key(task) {
            return Ok(());
        }
        if let Some(max) = self.0.placement.max_active
            && taken.len() >= max as usize
        {
            return Err(NotAdmitted::Full(max));
        }
        if !insists && let Some(other) = avoided(&taken, task, placement) {
            return Err(NotAdmitted::Avoids(other));
        }
        taken.insert(Arc::clone(task), placement.clone());
        self.say(&taken);
        Ok(())
    }

    /// Takes a task off the roster, if it is there.
    pub fn dismiss(&self, task: &str) {
        let mut taken = self.taken();
        if taken.remove(task).is_some() {
            self.say(&taken);
            self.0.freed.send_replace(());
        }
    }

    /// Hears of each task that goes off the roster from now on.
    pub fn freed(&self) -> watch::Receiver<()> {
        self.0.freed.subscribe()
    }

    /// Whether the host leads a task that this one avoids. Of two that avoid each other it is the later one by name that is in
    /// the wrong place.
    pub fn is_crowded(&self, task: &str, placement: &TaskPlacement) -> bool {
        let taken = self.taken();
        placement.avoid.iter().any(|other| {
            let leads = taken.get(&**other);
            leads.is_some_and(|it| !it.avoid.iter().any(|it| it == task) || **other < *task)
        })
    }

    /// What is locked stays true if somebody panics meanwhile.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, TaskPlacement>> {
        let taken = self.0.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, taken: &BTreeMap<Arc<str>, TaskPlacement>) {
        let HostPlacement {
            labels,
            weight,
            max_active,
            spread,
            ..
        } = &self.0.placement;
        let weights = taken.values().map(|task| task.weight);
        self.0.load.send_replace(Some(HostLoad {
            labels: labels.clone(),
            weight: *weight,
            max_active: *max_active,
            active: u32::try_from(taken.len()).unwrap_or(u32::MAX),
            load: weights.fold(0, u32::saturating_add),
            up: 0,
            spread: *spread,
        }));
    }
}

/// A task that is led here and should not be led beside this one.
fn avoided(
    taken: &BTreeMap<Arc<str>, TaskPlacement>,
    task: &str,
    placement: &TaskPlacement,
) -> Option<Arc<str>> {
    let own = placement
        .avoid
        .iter()
        .find_map(|it| taken.get_key_value(&**it));
    let theirs = || {
        let avoids = |it: &TaskPlacement| it.avoid.iter().any(|it| it == task);
        taken.iter().find(|(_, it)| avoids(it))
    };
    own.or_else(theirs).map(|(other, _)| Arc::clone(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(max_active: Option<u32>) -> (Roster, watch::Receiver<Option<HostLoad>>) {
        let (load, said) = watch::channel(None);
        let placement = HostPlacement {
            max_active,
            ..HostPlacement::default()
        };
        (Roster::new(placement, load), said)
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
        let (roster, said) = of(Some(2));
        let names = ["a", "b", "c"].map(Arc::<str>::from);
        let usual = TaskPlacement::default();
        for name in &names[..2] {
            assert_eq!(roster.admit(name, &usual, false), Ok(()));
            assert_eq!(roster.admit(name, &usual, false), Ok(()), "it is there");
        }
        let said = || said.borrow().clone().unwrap();
        assert_eq!(
            (said().active, said().load, said().max_active),
            (2, 2, Some(2))
        );
        assert_eq!(
            roster.admit(&names[2], &usual, true),
            Err(NotAdmitted::Full(2))
        );
        let freed = roster.freed();
        roster.dismiss("c");
        assert!(!freed.has_changed().unwrap());
        roster.dismiss("a");
        assert!(freed.has_changed().unwrap());
        assert_eq!(roster.admit(&names[2], &avoiding("x"), false), Ok(()));
        assert_eq!((said().active, said().load), (2, 4));
    }

    #[test]
    fn what_avoids_each_other_is_led_together_only_if_it_has_to_be() {
        let (roster, _said) = of(None);
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let usual = TaskPlacement::default();
        roster.admit(&a, &avoiding("b"), false).unwrap();
        assert_eq!(
            roster.admit(&b, &usual, false),
            Err(NotAdmitted::Avoids(Arc::clone(&a)))
        );
        assert_eq!(
            roster.admit(&c, &avoiding("a"), false),
            Err(NotAdmitted::Avoids(a))
        );
        assert_eq!(roster.admit(&b, &avoiding("a"), true), Ok(()));
        // Both should be alone; one of them goes.
        assert!(!roster.is_crowded("a", &avoiding("b")));
        assert!(roster.is_crowded("b", &avoiding("a")));
        assert!(roster.is_crowded("c", &avoiding("a")));
        assert!(!roster.is_crowded("c", &usual));
    }
}
