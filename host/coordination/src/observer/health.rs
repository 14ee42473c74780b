//! How the plugin of a task fares, by what its leaders have written of it. Pure: the time is a parameter.

use std::time::SystemTime;

use super::{TaskHealth, TaskHost, TaskStatus};
use soloist_core::records::{Candidate, CandidateRecord, FailedRecord, RestartsRecord};
use soloist_core::status::{Health, LastFailure, Leader};

/// What leaders have written of a task's plugin.
#[derive(Debug, Default)]
pub(super) struct Plugin {
    pub(super) failed: Option<FailedRecord>,
    pub(super) restarts: Option<RestartsRecord>,
}

/// A host that stands, and what its candidate says.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) candidate: Candidate,
    pub(super) told: CandidateRecord,
}

/// Who leads a task, by which session, and the number of the latest term, whoever leads.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) leader: Option<(Leader, i64)>,
    pub(super) latest: u64,
}

impl Plugin {
    /// How the task stands at `now`.
    pub(super) fn status(
        self,
        task: &str,
        Led { leader, latest }: Led,
        queue: &[Standing],
        now: SystemTime,
    ) -> TaskStatus {
        let (leader, session) = leader.unzip();
        let of_leader = |it: &&RestartsRecord| match &leader {
            Some(leader) => it.fencing_token == leader.fencing_token,
            None => it.term == latest,
        };
        let counted = self.restarts.as_ref().filter(of_leader);
        let marked = self.failed.as_ref().filter(|it| match &leader {
            Some(leader) => it.fencing_token == Some(leader.fencing_token),
            None => it.term == latest,
        });
        let is_foreign = leader.as_ref().is_some_and(|leader| leader.term.is_none());
        let restarts = counted.map_or(0, |it| it.restarts);
        let restarts = restarts.max(marked.and_then(|it| it.restarts).unwrap_or(0));
        let healthy_at = counted.and_then(|it| it.healthy_after(now));
        let health = match &leader {
            None if self.failed.is_some() => Health::Failed,
            None => Health::Vacant,
            Some(_) if is_foreign => Health::Foreign,
            Some(_) if self.failed.is_some() || healthy_at.is_some() => Health::Failing,
            Some(_) => Health::Healthy,
        };
        let state = match (&self.failed, &leader) {
            (Some(_), _) => TaskHealth::Failed,
            (None, Some(_)) => TaskHealth::Led,
            (None, None) => TaskHealth::Vacant,
        };
        let standbys = queue
            .iter()
            .filter(|it| Some(it.candidate.session) != session);
        TaskStatus {
            task: task.to_owned(),
            state,
            health,
            restarts: (!is_foreign).then_some(restarts),
            last_failure: self.last_failure(),
            healthy_at: healthy_at.filter(|_| leader.is_some()),
            standbys: standbys.map(|it| it.candidate.host.clone()).collect(),
            hosts: queue.iter().map(Standing::host).collect(),
            failure: self.failed.map(|failure| failure.at(now)),
            leader,
        }
    }

    /// The later of the two failures that are known.
    fn last_failure(&self) -> Option<LastFailure> {
        let marked = self.failed.as_ref().map(|it| LastFailure {
            at: it.at.clone(),
            host: it.host.clone(),
            term: it.term,
            fencing_token: it.fencing_token,
            cause: it.cause.clone(),
            detail: it.detail.clone(),
        });
        let counted = self.restarts.as_ref().map(|it| LastFailure {
            at: it.at.clone(),
            host: it.host.clone(),
            term: it.term,
            fencing_token: Some(it.fencing_token),
            cause: it.cause.clone(),
            detail: it.detail.clone(),
        });
        let time = |failure: &LastFailure| humantime::parse_rfc3339(&failure.at).ok();
        counted.into_iter().chain(marked).max_by_key(time)
    }
}

impl Standing {
    fn host(&self) -> TaskHost {
        TaskHost {
            host: self.candidate.host.clone(),
            generation: None,
            sha256: None,
            digest: self.told.digest,
            readiness: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soloist_core::cause::Cause;
    use soloist_core::restart::PluginFailed;
    use soloist_core::term::{FencingToken, Term};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn term(number: u64) -> Term {
        Term {
            number,
            fencing_token: FencingToken(number * 10),
            task: "report".into(),
            host: format!("host-{number}").into(),
            record_version: 1,
        }
    }

    fn restarts(number: u64, restarts: u32, now: SystemTime) -> RestartsRecord {
        let cause = Cause::Returned("why".into());
        RestartsRecord::new(&term(number), (restarts, &cause), now, MINUTE, MINUTE)
    }

    fn failed(number: u64, now: SystemTime) -> FailedRecord {
        let failed = PluginFailed {
            cause: Cause::Exited(Some(7)),
            restarts: 5,
        };
        FailedRecord::after(None, &term(number), &failed, now, |_| Some(now + MINUTE))
    }

    fn led(number: u64) -> Led {
        let leader = Leader {
            host: format!("host-{number}"),
            term: Some(number),
            fencing_token: number * 10,
            since: String::new(),
            generation: None,
            digest: None,
        };
        Led {
            leader: Some((leader, 1)),
            latest: number,
        }
    }

    fn vacant(latest: u64) -> Led {
        Led {
            leader: None,
            latest,
        }
    }

    /// The health, the restarts, and of what the plugin failed last.
    fn told(plugin: Plugin, led: Led, now: SystemTime) -> (Health, Option<u32>, Option<String>) {
        let status = plugin.status("report", led, &[], now);
        let cause = status.last_failure.map(|failure| failure.cause);
        (status.health, status.restarts, cause)
    }

    #[test]
    fn a_plugin_that_is_restarted_again_and_again_is_not_healthy() {
        let plugin = |number, count| Plugin {
            failed: None,
            restarts: Some(restarts(number, count, at(100))),
        };
        let error = Some("error".to_owned());
        let failing = told(plugin(3, 4), led(3), at(110));
        assert_eq!(failing, (Health::Failing, Some(4), error.clone()));
        let recovered = told(plugin(3, 4), led(3), at(220));
        assert_eq!(recovered, (Health::Healthy, Some(4), error.clone()));
        // In the term after it, it has not failed yet.
        let next = told(plugin(3, 4), led(4), at(110));
        assert_eq!(next, (Health::Healthy, Some(0), error.clone()));
        let over = told(plugin(3, 4), vacant(3), at(110));
        assert_eq!(over, (Health::Vacant, Some(4), error));
        let never = told(Plugin::default(), led(1), at(0));
        assert_eq!(never, (Health::Healthy, Some(0), None));
    }

    #[test]
    fn a_task_that_has_failed_for_good_is_failed_until_somebody_leads_and_failing_until_it_runs_well()
     {
        let plugin = || Plugin {
            failed: Some(failed(3, at(130))),
            restarts: Some(restarts(3, 4, at(100))),
        };
        let exit = Some("exit".to_owned());
        let rests = told(plugin(), vacant(3), at(140));
        assert_eq!(rests, (Health::Failed, Some(5), exit.clone()));
        let tries = told(plugin(), led(4), at(240));
        assert_eq!(tries, (Health::Failing, Some(0), exit));
        let again = Plugin {
            restarts: Some(restarts(4, 1, at(250))),
            ..plugin()
        };
        let again = told(again, led(4), at(251));
        assert_eq!(again, (Health::Failing, Some(1), Some("error".to_owned())));
    }

    #[test]
    fn of_a_foreign_leader_nothing_is_known() {
        let mut foreign = led(3);
        if let Some((leader, _)) = &mut foreign.leader {
            leader.term = None;
        }
        let told = told(Plugin::default(), foreign, at(0));
        assert_eq!(told, (Health::Foreign, None, None));
    }
}
