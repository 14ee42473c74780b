use super::*;

/// A leader `a`, and what it sees.
struct Scene {
    leader: Leader,
    record: RolloutRecord,
    hosts: Vec<Participant>,
    prepared: Prepared,
}

impl Scene {
    /// The leader of a term that runs the current generation.
    fn new(record: RolloutRecord) -> Self {
        let current = record.current.unwrap();
        Self {
            leader: Leader::new("a", current, Purpose::Run, SETTINGS),
            record,
            hosts: Vec::new(),
            prepared: ready(),
        }
    }

    fn with(record: RolloutRecord, hosts: &[(&str, Readiness)]) -> Self {
        let number = record.wanted.or(record.current).unwrap().number;
        let hosts = hosts.iter();
        let hosts = hosts.map(|(host, readiness)| participant(host, number, readiness.clone()));
        Self {
            hosts: hosts.collect(),
            ..Self::new(record)
        }
    }

    fn purpose(mut self, purpose: Purpose) -> Self {
        let current = self.record.current.unwrap();
        self.leader = Leader::new("a", current, purpose, SETTINGS);
        self
    }

    fn next(&mut self, seconds: u64, plugin: Plugin<'_>) -> Next {
        let view = View {
            record: Seen::Record(&self.record),
            hosts: &self.hosts,
            prepared: &self.prepared,
            plugin,
            ready_timeout: Duration::from_secs(30),
            at: "later",
        };
        self.leader.next(at(seconds), &view)
    }

    fn unseen(&mut self, record: Seen<'_>, plugin: Plugin<'_>) -> Next {
        let view = View {
            record,
            hosts: &self.hosts,
            prepared: &self.prepared,
            plugin,
            ready_timeout: Duration::from_secs(30),
            at: "later",
        };
        self.leader.next(at(0), &view)
    }
}

fn written(next: Next) -> RolloutRecord {
    match next {
        Next::Write(record) => record,
        other => panic!("{other:?}"),
    }
}

/// It waits most of the time, as plugins do.
const RUNNING: Plugin<'static> = Plugin::Running {
    since: Moment::from_nanos(0),
    alive: Moment::from_nanos(u64::MAX),
};

#[test]
fn the_new_generation_takes_over_once_all_that_stand_are_ready() {
    let mut scene = Scene::with(
        wanted(),
        &[("a", Readiness::Ready), ("b", Readiness::Preparing)],
    );
    // One that is ready and does not stand does not count among those that do.
    scene.hosts.push(Participant {
        stands: false,
        ..participant("c", 2, Readiness::Ready)
    });
    let progress = Progress {
        ready: 1,
        standing: 2,
        obstacle: None,
    };
    let waits = Next::Wait {
        until: Some(at(35)),
        progress: Some(progress),
    };
    assert_eq!(scene.next(5, RUNNING), waits);
    scene.hosts[1] = participant("b", 2, Readiness::Ready);
    let record = written(scene.next(6, RUNNING));
    assert_eq!(record.current, Some(generation(2)));
    assert_eq!(record.back, Some(generation(1)));
    assert_eq!(record.stage, Stage::Probation { inconclusive: 0 });
    scene.record = record;
    assert_eq!(scene.next(6, RUNNING), Next::GiveBack(GiveBack::Moved));
}

#[test]
fn the_wait_for_hosts_is_of_this_term_and_ends_only_if_somebody_is_ready() {
    let full = Readiness::unready("the disk is full");
    let mut scene = Scene::with(wanted(), &[("a", full.clone()), ("b", full)]);
    for seconds in [1_000, 1_030, 9_000] {
        let Next::Wait { until, progress } = scene.next(seconds, RUNNING) else {
            panic!("nobody is ready")
        };
        assert_eq!(until, Some(at(1_030)).filter(|_| seconds == 1_000));
        let obstacle = progress.unwrap().obstacle;
        assert_eq!(obstacle, Some(("a".into(), "the disk is full".into())));
    }
    scene.hosts[1] = participant("b", 2, Readiness::Ready);
    assert!(matches!(scene.next(9_000, RUNNING), Next::Write(_)));
    // What is said of another generation counts for nothing.
    scene.hosts[1] = participant("b", 1, Readiness::Ready);
    assert!(matches!(scene.next(9_001, RUNNING), Next::Wait { .. }));
    // Another wanted generation has its own time.
    scene.record = deploy(
        Some(&scene.record),
        generation(3),
        Some(generation(1)),
        by("ann"),
    )
    .unwrap();
    scene.hosts[1] = participant("b", 3, Readiness::Ready);
    let Next::Wait { until, .. } = scene.next(9_002, RUNNING) else {
        panic!("it has just been wanted")
    };
    assert_eq!(until, Some(at(9_032)));
}

#[test]
fn the_state_is_copied_before_a_generation_on_probation_runs_and_restored_before_the_old_one_does()
{
    let mut scene = Scene::new(change::promote(&wanted(), by("a")));
    let Next::Copy(copied) = scene.next(0, Plugin::Idle) else {
        panic!("the state is copied")
    };
    scene.record = copied;
    assert_eq!(scene.record.copy, Some(StateCopy::Kept));
    assert_eq!(scene.next(0, Plugin::Idle), Next::Activate);
    scene.record = written(scene.next(1, Plugin::Failed(&trap())));
    assert_eq!(
        scene.record,
        RolloutRecord {
            changed: scene.record.changed.clone(),
            ..rolled_back()
        }
    );
    assert_eq!(
        scene.next(1, Plugin::Failed(&trap())),
        Next::GiveBack(GiveBack::Moved)
    );
    let mut scene = Scene::new(scene.record);
    let Next::Restore(restored) = scene.next(2, Plugin::Idle) else {
        panic!("the state is restored")
    };
    scene.record = restored;
    assert_eq!(scene.next(2, Plugin::Idle), Next::Activate);
    let Next::Drop(dropped) = scene.next(3, RUNNING) else {
        panic!("the copy is deleted")
    };
    assert_eq!((scene.record.restore, dropped.copy), (false, None));
}

#[test]
fn nothing_is_copied_for_a_generation_that_does_not_migrate_or_has_none_before_it() {
    let first = deploy(None, generation(1), None, by("ann")).unwrap();
    assert_eq!(Scene::new(first).next(0, Plugin::Idle), Next::Activate);
    let mut scene = Scene::new(change::promote(&wanted(), by("a")));
    let settings = Settings {
        migrates: false,
        ..SETTINGS
    };
    scene.leader = Leader::new("a", generation(2), Purpose::Run, settings);
    assert_eq!(scene.next(0, Plugin::Idle), Next::Activate);
    let back = written(scene.next(1, Plugin::Failed(&trap())));
    assert!(!back.restore, "there is nothing to restore");
}

#[test]
fn a_run_of_its_time_or_one_that_completes_is_healthy_and_a_restart_begins_anew() {
    let mut scene = Scene::new(probation());
    let until = Some(at(60));
    let waits = Next::Wait {
        until,
        progress: None,
    };
    assert_eq!(scene.next(59, RUNNING), waits);
    let record = written(scene.next(60, RUNNING));
    assert_eq!(
        (record.stage, record.copy),
        (Stage::Healthy, Some(StateCopy::Stale))
    );
    let cause = Cause::Trapped("unreachable".into());
    let restarting = |failures| Plugin::Restarting {
        failures,
        cause: &cause,
    };
    assert!(matches!(scene.next(70, restarting(2)), Next::Wait { .. }));
    let (since, alive) = (at(71), at(72));
    assert!(matches!(
        scene.next(72, Plugin::Running { since, alive }),
        Next::Wait { .. }
    ));
    let record = written(scene.next(1, Plugin::Completed));
    assert_eq!(record.stage, Stage::Healthy);
    // However long it ran in between, so many failures are too many.
    let record = written(scene.next(1_000, restarting(3)));
    assert!(matches!(record.stage, Stage::RolledBack(_)));
}

/// It said that it begins, and has computed ever since: nobody can tell whether it will ever do more.
#[test]
fn a_run_that_only_computes_is_healthy_once_it_gives_a_sign_of_life() {
    let mut scene = Scene::new(probation());
    let computes_since = |seconds| Plugin::Running {
        since: at(0),
        alive: at(seconds),
    };
    for now in [60, 61, 3_600] {
        let next = scene.next(now, computes_since(29));
        let wakes = matches!(next, Next::Wait { until: Some(until), .. } if until > at(now));
        assert!(wakes, "{now}: {next:?}");
    }
    // A call within the second half is enough, however long it computes after that; so is a later one.
    for (now, last) in [(60, 30), (90, 31), (3_600, 3_600)] {
        let record = written(scene.next(now, computes_since(last)));
        assert_eq!(record.stage, Stage::Healthy, "{now}");
    }
}

#[test]
fn what_has_been_gone_back_to_fails_as_any_other_task() {
    let mut scene = Scene::new(rolled_back());
    assert_eq!(scene.next(1, Plugin::Failed(&trap())), Next::Fail);
    // With another one wanted, its failure only hastens the change.
    scene.record = deploy(
        Some(&scene.record),
        generation(3),
        Some(generation(1)),
        by("ann"),
    )
    .unwrap();
    assert_eq!(scene.next(1, Plugin::Failed(&trap())), Next::Fail);
    scene.hosts = vec![
        participant("a", 3, Readiness::Preparing),
        participant("b", 3, Readiness::Ready),
    ];
    let record = written(scene.next(1, Plugin::Failed(&trap())));
    assert_eq!(
        (record.current, record.back),
        (Some(generation(3)), Some(generation(1)))
    );
    assert!(record.restore, "the state was not restored yet");
}

#[test]
fn the_first_generation_that_fails_is_frozen_until_another_one_is_ready() {
    let first = deploy(None, generation(1), None, by("ann")).unwrap();
    let mut scene = Scene::new(first);
    scene.record = written(scene.next(1, Plugin::Failed(&trap())));
    assert!(matches!(scene.record.stage, Stage::Failed(_)));
    let frozen = Next::GiveBack(GiveBack::Frozen);
    assert_eq!(scene.next(1, Plugin::Failed(&trap())), frozen);
    let alone = Some(Duration::ZERO);
    let stands = |record: &RolloutRecord| stand(record, &ready(), false, alone, Duration::ZERO);
    assert_eq!(stands(&scene.record), Err(Idle::Frozen));
    scene.record = deploy(Some(&scene.record), generation(2), None, by("ann")).unwrap();
    assert_eq!(stands(&scene.record), Ok(Purpose::Promote));
    let mut scene = Scene::new(scene.record).purpose(Purpose::Promote);
    let record = written(scene.next(2, Plugin::Idle));
    assert_eq!((record.current, record.back), (Some(generation(2)), None));
}

#[test]
fn a_lost_lease_is_no_failure_and_what_shows_nothing_is_counted_once_a_term() {
    let mut scene = Scene::new(probation());
    let lost = failed(Cause::LeaseLost(LeaseLost));
    let lost = scene.next(1, Plugin::Failed(&lost));
    assert_eq!(lost, Next::GiveBack(GiveBack::LeaseLost));
    let host = failed(Cause::Host("no memory".into()));
    for (plugin, then) in [
        (Plugin::Resigning, Next::GiveBack(GiveBack::Resigned)),
        (Plugin::Failed(&host), Next::Fail),
    ] {
        let mut record = probation();
        for terms in 1..INCONCLUSIVE_MAX {
            let mut scene = Scene::new(record);
            scene.record = written(scene.next(1, plugin));
            assert_eq!(
                scene.record.stage,
                Stage::Probation {
                    inconclusive: terms
                }
            );
            assert_eq!(scene.next(1, plugin), then);
            record = scene.record;
        }
        let full = written(Scene::new(record).next(1, plugin));
        assert_eq!(full.current, Some(generation(1)), "{full:?}");
    }
}

#[test]
fn whoever_stood_to_take_a_generation_back_does_so_only_if_nobody_can_run_it() {
    let unready = Prepared {
        current: Readiness::unready("it is nowhere to be had"),
        ..ready()
    };
    let alone = |seconds| Some(Duration::from_secs(seconds));
    let patience = Duration::from_secs(30);
    let stands = |alone_for| stand(&probation(), &unready, false, alone_for, patience);
    assert_eq!(stands(alone(30)), Ok(Purpose::TakeBack));
    for alone_for in [None, alone(29)] {
        let why = Idle::Unready("it is nowhere to be had".into());
        assert_eq!(stands(alone_for), Err(why));
    }
    let scene = |purpose| {
        let mut scene = Scene::new(probation()).purpose(purpose);
        scene.prepared = unready.clone();
        scene
    };
    let record = written(scene(Purpose::TakeBack).next(0, Plugin::Idle));
    let Stage::RolledBack(failure) = &record.stage else {
        panic!("{record:?}")
    };
    let said = (failure.cause.as_str(), failure.detail.as_str());
    assert_eq!(said, ("unready", "it is nowhere to be had"));
    // One that stood to run it, and cannot any more, only makes way.
    let unable = Next::GiveBack(GiveBack::Unable);
    assert_eq!(scene(Purpose::Run).next(0, Plugin::Idle), unable);
    let mut late = scene(Purpose::TakeBack);
    late.hosts = vec![participant("b", 2, Readiness::Ready)];
    assert_eq!(late.next(0, Plugin::Idle), unable);
    late.prepared = ready();
    assert_eq!(late.next(0, Plugin::Idle), Next::Activate);
}

#[test]
fn a_host_stands_in_for_a_task_that_nobody_runs_and_marks_of_an_old_generation_hold_nobody_back() {
    let patience = Duration::from_secs(30);
    let alone = Some(Duration::ZERO);
    let unready = Prepared {
        current: Readiness::Preparing,
        ..ready()
    };
    let stands = |prepared: &Prepared, rests, alone_for| {
        stand(&wanted(), prepared, rests, alone_for, patience)
    };
    assert_eq!(stands(&ready(), false, None), Ok(Purpose::Run));
    assert_eq!(stands(&ready(), true, alone), Ok(Purpose::Promote));
    assert_eq!(stands(&ready(), true, None), Err(Idle::Resting));
    assert_eq!(stands(&unready, false, alone), Ok(Purpose::Promote));
    assert_eq!(stands(&unready, false, None), Err(Idle::Preparing));
    let mut scene = Scene::new(wanted()).purpose(Purpose::Promote);
    let record = written(scene.next(0, Plugin::Idle));
    assert_eq!(record.current, Some(generation(2)));
}

#[test]
fn a_leader_gives_way_to_operators_and_to_hosts_that_can_read_more() {
    let paused = pause(Some(&wanted()), "why", by("ann")).unwrap();
    let mut scene = Scene::new(paused.clone());
    assert_eq!(scene.next(1, RUNNING), Next::GiveBack(GiveBack::Paused));
    let stands = stand(&paused, &ready(), false, None, Duration::ZERO);
    assert_eq!(stands, Err(Idle::Paused));
    scene.record = undeploy(Some(&paused), by("ann")).unwrap();
    let undeployed = Next::GiveBack(GiveBack::Undeployed);
    assert_eq!(scene.next(1, RUNNING), undeployed);
    assert_eq!(scene.unseen(Seen::Nothing, RUNNING), undeployed);
    scene.hosts = vec![participant("a", 1, Readiness::Ready)];
    assert!(matches!(
        scene.unseen(Seen::Unreadable, RUNNING),
        Next::Wait { .. }
    ));
    assert_eq!(
        scene.unseen(Seen::Unreadable, Plugin::Failed(&trap())),
        Next::Fail
    );
    let unreadable = Next::GiveBack(GiveBack::Unreadable);
    assert_eq!(scene.unseen(Seen::Unreadable, Plugin::Idle), unreadable);
    scene.hosts.push(participant("b", 1, Readiness::Ready));
    assert_eq!(scene.unseen(Seen::Unreadable, RUNNING), unreadable);
}
