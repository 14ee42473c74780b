//! `soloist status`: who leads, and who stands by.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::{
    DrainState, DrainedHost, HostStatus, Observer, ObserverError, Status as Seen, TaskStatus,
    Watched,
};
use soloist_core::placement::Label;
use soloist_runtime::signals::{self, Hangup};

use super::Failure;
use super::operator::{Operator, OperatorOptions, block_on, task_name};
use super::output::{NOTHING, print, print_error, print_json, shown, table, time_between};

/// How often tasks are looked at that are more than one session can watch.
const UNWATCHED: Duration = Duration::from_secs(10);
/// The pause before a connection that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Say who leads, since when, and who stands by, as ZooKeeper knows it: from any machine
///
/// That nobody leads a task is no failure: a script can look at `.tasks[0].leader` of the JSON.
///
/// With --json, one object on one line:
///
///   {"tasks": [{"task": NAME, "state": STATE,
///               "failure": {"terms": NUMBER, "term": NUMBER, "fencing_token": NUMBER, "host": ID, "at": TIME,
///                           "cause": CAUSE, "detail": TEXT, "retry_at": TIME},
///               "leader": {"host": ID, "term": NUMBER, "fencing_token": NUMBER, "since": TIME},
///               "standbys": [ID, ...]}, ...],
///    "hosts": [{"host": ID, "pid": NUMBER, "version": VERSION, "started": TIME, "leads": NUMBER,
///                "max_active": NUMBER, "labels": [LABEL, ...]}, ...],
///    "drained": [{"host": ID, "state": STATE, "keep": BOOLEAN, "by": TEXT, "at": TIME, "reason": TEXT}, ...]}
///
/// STATE is led, vacant, or failed: then the plugin has failed for good in the latest "terms" terms in a row. "failure"
/// says how it did in the last of them and when a host tries it again, if that is known and still to come; it is null
/// otherwise. Both are left as soon as a later term runs healthy. Failed or not, "leader" is null while nobody leads.
/// "standbys" are in the order in which they will lead. A program that knows nothing of Soloist, where a task has a
/// `path`, leads with a "term" of null, and "host" is what it wrote into the master node. A TIME is RFC 3339 in UTC.
///
/// "leads" is how many tasks a host says it leads, "max_active" how many it may lead, or null.
///
/// "drained" has the hosts that `soloist drain` was ordered for. Their STATE is absent while the host does not run, ordered
/// until it has heard of that, draining, or empty: then it leads nothing and stands for nothing. "keep" is true if it keeps
/// what it leads. "by", "at" and "reason" are null if they cannot be read, and "reason" if none was given.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Status {
    /// The task; all of them if left out
    #[arg(value_parser = task_name)]
    task: Option<TaskName>,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,

    /// Print again whenever something has changed, until SIGINT or SIGTERM
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Status {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            json,
            watch,
            options,
        } = self;
        let (operator, task) = (options.operator(matches)?, task.as_deref());
        if !watch {
            let seen = block_on(operator.ask(async |observer| observer.status(task).await))?;
            return if json {
                print_json(&seen)
            } else {
                print(&text(&seen))
            }
            .map(drop);
        }
        let (stop, _) = signals::listen(Hangup::End)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        block_on(async {
            tokio::select! {
                watched = follow(&operator, task, json) => watched,
                () = stop.requested() => Ok(()),
            }
        })
    }
}

/// Prints what is seen, again and again, for as long as somebody reads it.
async fn follow(operator: &Operator, task: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut observer = operator.connect().await?;
    let mut printed = None;
    let mut told = false;
    loop {
        match look(&observer, task).await {
            Ok((changes, seen)) => {
                if changes.leaves_out > 0 && !std::mem::replace(&mut told, true) {
                    print_error(&format!(
                        "{} tasks are more than one session can watch: looking again every {UNWATCHED:?}, and whenever a host \
                         comes or goes; name a task to hear of it at once",
                        changes.leaves_out
                    ));
                }
                let leaves_out = changes.leaves_out > 0;
                if printed.as_ref() != Some(&seen) {
                    let time = humantime::format_rfc3339_seconds(SystemTime::now());
                    let printed_to_somebody = if json {
                        print_json(&seen)
                    } else {
                        print(&format!("-- {time}\n{}\n", text(&seen)))
                    };
                    if !printed_to_somebody? {
                        return Ok(());
                    }
                    printed = Some(seen);
                }
                tokio::select! {
                    () = changes.set.fired() => {}
                    () = tokio::time::sleep(UNWATCHED), if leaves_out => {}
                    () = retried(printed.as_ref()) => {}
                }
            }
            Err(_) if observer.is_lost() => {
                print_error("the session with the ensemble has ended: connecting again");
                observer = operator.connect().await?;
            }
            Err(error) if error.may_pass() => {
                print_error(&format!("{:#}: trying again", anyhow::Error::new(error)));
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until a time has passed at which a task is to be tried again: it is shown no more then, though no node changes.
async fn retried(seen: Option<&Seen>) {
    let now = SystemTime::now();
    let failures = seen
        .into_iter()
        .flat_map(|seen| &seen.tasks)
        .filter_map(|task| task.failure.as_ref());
    match failures
        .filter_map(|failure| failure.retry_after(now))
        .min()
    {
        Some(at) => tokio::time::sleep(at.duration_since(now).unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}

async fn look(observer: &Observer, task: Option<&str>) -> Result<(Watched, Seen), ObserverError> {
    let changes = observer.watch(task).await?;
    Ok((changes, observer.status(task).await?))
}

fn text(seen: &Seen) -> String {
    let tasks: Vec<_> = seen.tasks.iter().map(task_row).collect();
    let hosts: Vec<_> = seen.hosts.iter().map(host_row).collect();
    let headings = [
        "TASK",
        "LEADER",
        "TERM",
        "TOKEN",
        "SINCE",
        "FOR",
        "STANDBYS, IN ORDER",
    ];
    let (tasks, hosts) = (
        table(headings, &tasks),
        table(
            ["HOST", "PID", "VERSION", "STARTED", "LEADS", "LABELS"],
            &hosts,
        ),
    );
    let drained: Vec<_> = seen.drained.iter().map(drained_row).collect();
    let hosts = if drained.is_empty() {
        hosts
    } else {
        let headings = ["DRAINED", "STATE", "BY", "SINCE", "REASON"];
        format!("{hosts}\n{}", table(headings, &drained))
    };
    let failures: Vec<_> = seen.tasks.iter().filter_map(failure_row).collect();
    if failures.is_empty() {
        return format!("{tasks}\n{hosts}");
    }
    let headings = [
        "TASK",
        "STATE",
        "CAUSE",
        "HOST",
        "TERM",
        "IN A ROW",
        "FAILED",
        "TRIED AGAIN",
        "DETAIL",
    ];
    format!("{tasks}\n{}\n{hosts}", table(headings, &failures))
}

fn drained_row(drained: &DrainedHost) -> [String; 5] {
    let state = match (drained.state, drained.keep) {
        (DrainState::Absent, _) => "absent",
        (DrainState::Ordered, false) => "ordered",
        (DrainState::Ordered, true) => "ordered, keeps what it leads",
        (DrainState::Draining, false) => "draining",
        (DrainState::Draining, true) => "keeps what it leads",
        (DrainState::Empty, _) => "empty",
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    [
        drained.host.clone(),
        state.to_owned(),
        text(&drained.by),
        text(&drained.at),
        text(&drained.reason),
    ]
}

fn failure_row(status: &TaskStatus) -> Option<[String; 9]> {
    let failure = status.failure.clone()?;
    let retry = match (&status.leader, status.standbys.is_empty()) {
        (Some(_), _) | (None, false) => "now".to_owned(),
        (None, true) => failure.retry_at.unwrap_or_else(|| NOTHING.to_owned()),
    };
    Some([
        status.task.clone(),
        "failed".to_owned(),
        failure.cause,
        failure.host,
        failure.term.to_string(),
        failure.terms.to_string(),
        failure.at,
        retry,
        failure.detail,
    ])
}

fn task_row(status: &TaskStatus) -> [String; 7] {
    let nothing = || NOTHING.to_owned();
    let standbys = if status.standbys.is_empty() {
        nothing()
    } else {
        status.standbys.join(", ")
    };
    let task = status.task.clone();
    match &status.leader {
        None => [
            task,
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            standbys,
        ],
        Some(leader) => [
            task,
            leader.host.clone(),
            leader
                .term
                .map_or_else(|| "foreign".to_owned(), |term| term.to_string()),
            leader.fencing_token.to_string(),
            leader.since.clone(),
            shown(time_between(&leader.since, None)),
            standbys,
        ],
    }
}

fn host_row(status: &HostStatus) -> [String; 6] {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    let pid = status.pid.map(|pid| pid.to_string());
    let leads = status.leads.map(|leads| match status.max_active {
        Some(max) => format!("{leads} of {max}"),
        None => leads.to_string(),
    });
    let labels = (!status.labels.is_empty()).then(|| {
        let labels: Vec<_> = status.labels.iter().map(Label::as_str).collect();
        labels.join(", ")
    });
    [
        status.host.clone(),
        text(&pid),
        text(&status.version),
        text(&status.started),
        text(&leads),
        text(&labels),
    ]
}
