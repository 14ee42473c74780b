use super::*;
use crate::records::NUMBER_MAX;

#[test]
fn the_first_generation_is_current_at_once_and_a_later_one_is_wanted() {
    let first = deploy(None, generation(1), None, by("ann")).unwrap();
    assert_eq!((first.current, first.wanted), (Some(generation(1)), None));
    assert_eq!(first.stage, Stage::Probation { inconclusive: 0 });
    let second = wanted();
    let named = (second.current, second.wanted, second.newest);
    assert_eq!(named, (Some(generation(1)), Some(generation(2)), 2));
    assert_eq!(prepares(&second), [generation(1), generation(2)]);
    assert_eq!(prepares(&probation()), [generation(2), generation(1)]);
    let says = says(&second, &ready()).unwrap();
    assert_eq!((says.generation, says.readiness), (2, Readiness::Ready));
}

#[test]
fn a_generation_deployed_during_probation_goes_back_to_the_last_healthy_one() {
    let on_probation = probation();
    let next = draft(Some(&on_probation));
    assert_eq!((next.number, next.replaces), (3, Some(generation(1))));
    let refused = deploy(
        Some(&on_probation),
        generation(3),
        Some(generation(2)),
        by("ann"),
    );
    assert!(
        matches!(refused, Err(Refused::Replaces { .. })),
        "{refused:?}"
    );
    let third = deploy(Some(&on_probation), generation(3), next.replaces, by("ann")).unwrap();
    assert_eq!(third.stage, on_probation.stage, "the second one goes on");
    // The one that was wanted before is not run any more, and its number does not come again.
    let fourth = deploy(Some(&third), generation(4), next.replaces, by("bob")).unwrap();
    assert_eq!(fourth.wanted, Some(generation(4)));
    let promoted = change::promote(&fourth, by("a"));
    let named = (promoted.current, promoted.back, promoted.copy);
    assert_eq!(
        named,
        (
            Some(generation(4)),
            Some(generation(1)),
            Some(StateCopy::Kept)
        )
    );
}

#[test]
fn a_rollback_takes_the_newest_back_and_there_is_no_rollback_of_a_rollback() {
    let undo =
        |record: &RolloutRecord| rollback(Some(record), OnRollback::Restore, "odd", by("ann"));
    let (record, undone) = undo(&wanted()).unwrap();
    assert_eq!(undone, Undone::Wanted(generation(2)));
    assert_eq!(
        (record.current, record.wanted, record.newest),
        (Some(generation(1)), None, 2)
    );
    let (record, undone) = undo(&probation()).unwrap();
    let restore = true;
    let (from, to) = (generation(2), generation(1));
    assert_eq!(undone, Undone::Current { from, to, restore });
    let refused = undo(&record).unwrap_err().to_string();
    assert_eq!(
        refused,
        "generation 2 has been taken back already, and 1 runs, with no other to go back to: to run an older one, make a new \
         generation of it with `rollback --to`"
    );
    // A healthy one can be taken back as well, but its copy of the state is no more.
    let healthy_again = change::healthy(&probation(), by("a"));
    let (record, undone) = undo(&healthy_again).unwrap();
    let restore = false;
    assert_eq!(undone, Undone::Current { from, to, restore });
    assert!(!record.restore && record.copy == Some(StateCopy::Stale));
    let first = undo(&healthy()).unwrap_err();
    assert_eq!(first, Refused::First { current: 1 });
    // After it, another one is deployed, which replaces the one that runs.
    let next = draft(Some(&record));
    assert_eq!((next.number, next.replaces), (3, Some(generation(1))));
    assert!(deploy(Some(&record), generation(3), next.replaces, by("ann")).is_ok());
}

#[test]
fn numbers_are_never_used_again() {
    let record = wanted();
    let old = deploy(Some(&record), generation(2), Some(generation(1)), by("ann"));
    assert_eq!(
        old.unwrap_err().to_string(),
        "generation 2 is no newer than 2: deploy the next number, 3"
    );
    let high = deploy(
        Some(&record),
        generation(NUMBER_MAX + 1),
        Some(generation(1)),
        by("ann"),
    );
    assert!(matches!(high, Err(Refused::High { next: 3, .. })));
    let gone = undeploy(Some(&record), by("ann")).unwrap();
    assert_eq!(
        (gone.current, gone.newest, draft(Some(&gone)).number),
        (None, 2, 3)
    );
    let again = deploy(Some(&gone), generation(3), None, by("ann")).unwrap();
    assert_eq!((again.current, again.back), (Some(generation(3)), None));
}

#[test]
fn a_state_that_is_half_restored_is_restored_whatever_comes_between() {
    let gone = undeploy(Some(&rolled_back()), by("ann")).unwrap();
    assert!(RolloutRecord::decode(&gone.encode().unwrap()).is_ok());
    let again = deploy(Some(&gone), generation(3), None, by("ann")).unwrap();
    assert!(again.restore && again.copy == Some(StateCopy::Kept));
}

#[test]
fn a_state_that_is_purged_is_not_restored_any_more() {
    let deployed = purge(Some(&rolled_back()), by("ann"));
    assert_eq!(deployed, Err(Refused::Deployed { current: 1 }));
    assert_eq!(purge(None, by("ann")), Err(Refused::NotDeployed));
    let gone = undeploy(Some(&rolled_back()), by("ann")).unwrap();
    let purging = purge(Some(&gone), by("ann")).unwrap();
    assert_eq!(
        (purging.copy, purging.restore),
        (Some(StateCopy::Stale), false)
    );
    let purged = purged(Some(&purging), by("ann")).unwrap();
    assert_eq!((purged.copy, purged.newest), (None, 2));
    assert!(RolloutRecord::decode(&purged.encode().unwrap()).is_ok());
}

#[test]
fn orders_that_make_no_sense_are_refused_and_say_why() {
    let record = wanted();
    let paused = pause(Some(&record), "a look\n", by("ann")).unwrap();
    let refused = pause(Some(&paused), "", by("bob")).unwrap_err();
    assert_eq!(refused.to_string(), "the task is paused already: a look\\n");
    assert_eq!(
        resume(Some(&paused), by("ann")).unwrap(),
        RolloutRecord {
            changed: by("ann"),
            ..record.clone()
        }
    );
    assert_eq!(resume(Some(&record), by("ann")), Err(Refused::NotPaused));
    let gone = undeploy(Some(&record), by("ann")).unwrap();
    for record in [None, Some(&gone)] {
        assert_eq!(pause(record, "", by("ann")), Err(Refused::NotDeployed));
        assert_eq!(resume(record, by("ann")), Err(Refused::NotDeployed));
        assert_eq!(undeploy(record, by("ann")), Err(Refused::NotDeployed));
        let undone = rollback(record, OnRollback::Keep, "", by("ann"));
        assert_eq!(undone, Err(Refused::NotDeployed));
    }
    let changed = Refused::changed(&record).to_string();
    assert!(
        changed.starts_with("ann has changed the rollout meanwhile"),
        "{changed}"
    );
}

#[test]
fn old_generations_go_but_none_that_the_record_names() {
    let record = RolloutRecord {
        newest: 30,
        ..wanted()
    };
    let unneeded = expendable(&record, 1..=30);
    assert_eq!(unneeded, (3..=20).rev().collect::<Vec<_>>());
    assert_eq!(expendable(&record, [7, 9, 8]), Vec::<u64>::new());
}
