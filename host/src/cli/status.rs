//! `soloist status`: who leads, and who stands by.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::ArgMatches;
use soloist_coordination::observer::{
    Asked, DrainState, DrainedHost, Observer, ObserverError, Status as Seen, TaskHost, TaskStatus,
    Watched,
};
use soloist_core::pattern::NamePattern;
use soloist_core::placement::Label;
use soloist_core::records::Readiness;
use soloist_core::status::HostStatus;
use soloist_runtime::signals::{self, Hangup};

use super::Failure;
use super::operator::{Operator, OperatorOptions, block_on, task_pattern};
use super::output::{
    NOTHING, ago, digest_short, print, print_error, print_json, shown, table, time_between,
};

mod screen;

use screen::Screen;

/// How often tasks are looked at that are more than one session can watch, and what is not watched.
const UNWATCHED: Duration = Duration::from_secs(10);
/// The pause before a connection that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Say who leads, how it fares, and who stands by, as ZooKeeper knows it
///
/// That nobody leads a task is no failure: a script can look at `.tasks[0].leader` of the JSON.
///
/// HEALTH is healthy; failing, if the plugin has failed and has not run for `healthy_after` since; failed, if it rests after it
/// has failed for good; vacant, if nobody leads; or foreign. RESTARTS counts the failures in the present term, or else in the
/// latest one, that the plugin was run again after. The last failure may be of an earlier term.
///
/// With --json, one object on one line:
///
///   {"tasks": [{"task": NAME, "state": STATE, "health": HEALTH, "restarts": NUMBER,
///               "last_failure": {"at": TIME, "host": ID, "term": NUMBER, "fencing_token": NUMBER, "cause": CAUSE,
///                                "detail": TEXT},
///               "failure": {"terms": NUMBER, "term": NUMBER, "fencing_token": NUMBER, "host": ID, "at": TIME,
///                           "cause": CAUSE, "detail": TEXT, "restarts": NUMBER, "retry_at": TIME,
///                           "retried": {"zxid": NUMBER, "by": TEXT, "at": TIME, "reason": TEXT}},
///               "leader": {"host": ID, "term": NUMBER, "fencing_token": NUMBER, "since": TIME, "generation": NUMBER,
///                          "digest": DIGITS},
///               "standbys": [ID, ...],
///               "hosts": [{"host": ID, "generation": NUMBER, "sha256": DIGITS, "digest": DIGITS, "state": READY,
///                          "reason": TEXT}, ...]}, ...],
///    "hosts": [{"host": ID, "pid": NUMBER, "version": VERSION, "started": TIME, "leads": NUMBER,
///                "max_active": NUMBER, "labels": [LABEL, ...], "listen": URL}, ...],
///    "drained": [{"host": ID, "state": STATE, "keep": BOOLEAN, "by": TEXT, "at": TIME, "reason": TEXT}, ...]}
///
/// STATE is led, vacant, or failed: then the plugin has failed for good in the latest "terms" terms in a row. "failure"
/// says how it did in the last of them and when a host tries it again, if that is known and still to come; it is null
/// otherwise. "retried" is there once `soloist retry` was ordered. Both are left as soon as a later term runs healthy. Failed or not, "leader" is null while nobody leads.
/// "standbys" are in the order in which they will lead. A program that knows nothing of Soloist, where a task has a
/// `path`, leads with a "term" of null, and "host" is what it wrote into the master node. A TIME is RFC 3339 in UTC.
///
/// The "hosts" of a task say what each has of it: the "generation" of a deployed task, which is the wanted one or else the
/// current one, with the "sha256" of its manifest and how far the host is with it, READY being preparing, ready or unready;
/// else the "digest" of the plugin.
///
/// "leads" is how many tasks a host leads. Without TASK it is counted from the leaders of all tasks. With TASK it is what the host
/// wrote some seconds ago, or null if it wrote nothing. "max_active" is how many it may lead, or null. "listen" is where it
/// answers over HTTP, or null.
///
/// "drained" has the hosts that `soloist drain` was ordered for. Their STATE is absent while the host does not run, ordered
/// until it has heard of that, draining, or empty: then it leads nothing and stands for nothing. "keep" is true if it keeps
/// what it leads. "by", "at" and "reason" are null if they cannot be read, and "reason" if none was given.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Status {
    /// The tasks: names, or names with one * in them, like 'report-*'; all of them if left out
    #[arg(value_name = "TASK", value_parser = task_pattern)]
    tasks: Vec<NamePattern>,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,

    /// Show every change until SIGINT or SIGTERM: in place on a terminal, else one print after the other
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Status {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            tasks,
            json,
            watch,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let asked = if tasks.is_empty() {
            Asked::All
        } else {
            Asked::These(&tasks)
        };
        if !watch {
            let seen = block_on(operator.ask(async |observer| observer.status(asked).await))?;
            return if json {
                print_json(&seen)
            } else {
                print(&text(&seen, !tasks.is_empty()))
            }
            .map(drop);
        }
        let (stop, _) = signals::listen(Hangup::End)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        let mut shown = Shown {
            json,
            named: !tasks.is_empty(),
            screen: Screen::of_stdout().filter(|_| !json),
        };
        block_on(async {
            tokio::select! {
                watched = follow(&operator, asked, &mut shown) => watched,
                () = stop.requested() => Ok(()),
            }
        })
    }
}

/// How what is seen is shown.
struct Shown {
    json: bool,
    /// Whether somebody has asked for these very tasks.
    named: bool,
    screen: Option<Screen>,
}

impl Shown {
    /// Shows it; says whether anybody sees it.
    fn show(&mut self, seen: &Seen) -> Result<bool, Failure> {
        if self.json {
            return print_json(seen);
        }
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let text = text(seen, self.named);
        match &mut self.screen {
            Some(screen) => screen.draw(&format!("{time}\n\n{text}")),
            None => print(&format!("-- {time}\n{text}\n")),
        }
    }

    /// Waits until what was shown is to be drawn again although nothing has changed, as ages have.
    async fn redraw(&self) {
        match &self.screen {
            Some(_) => tokio::time::sleep(screen::REDRAW).await,
            None => std::future::pending().await,
        }
    }
}

/// Shows what is seen, again and again, for as long as somebody looks.
async fn follow(operator: &Operator, asked: Asked<'_>, shown: &mut Shown) -> Result<(), Failure> {
    let mut observer = operator.connect().await?;
    let mut last = None;
    let mut told = false;
    loop {
        match look(&observer, asked).await {
            Ok((changes, seen)) => {
                if changes.leaves_out > 0 && !std::mem::replace(&mut told, true) {
                    print_error(&format!(
                        "{} tasks are more than one session can watch: looking again every {UNWATCHED:?}, and whenever a host \
                         comes or goes; name a task to hear of it at once",
                        changes.leaves_out
                    ));
                }
                if last.as_ref() != Some(&seen) {
                    if !shown.show(&seen)? {
                        return Ok(());
                    }
                    last = Some(seen);
                }
                let overlooks = changes.leaves_out > 0 || changes.overlooks_restarts;
                let again = last.as_ref().filter(|seen| overlooks || is_deployed(seen));
                let (again, mut fired) = (again.is_some(), std::pin::pin!(changes.set.fired()));
                let mut again_at = std::pin::pin!(tokio::time::sleep(UNWATCHED));
                loop {
                    tokio::select! {
                        () = &mut fired => break,
                        () = &mut again_at, if again => break,
                        () = due(last.as_ref()) => break,
                        () = shown.redraw() => {}
                    }
                    if let Some(seen) = &last
                        && !shown.show(seen)?
                    {
                        return Ok(());
                    }
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

/// Whether any of the tasks was deployed: no watch tells how far hosts are with a generation.
fn is_deployed(seen: &Seen) -> bool {
    let mut hosts = seen.tasks.iter().flat_map(|task| &task.hosts);
    hosts.any(|host| host.generation.is_some())
}

/// Waits until a time has passed at which a task is to be tried again, or counts as healthy: no node changes then.
async fn due(seen: Option<&Seen>) {
    let now = SystemTime::now();
    let times = seen
        .into_iter()
        .flat_map(|seen| &seen.tasks)
        .flat_map(|it| {
            let retry_at = it.failure.as_ref().and_then(|it| it.retry_after(now));
            let healthy_at = it.healthy_at.filter(|at| *at > now);
            retry_at.into_iter().chain(healthy_at)
        });
    match times.min() {
        Some(at) => tokio::time::sleep(at.duration_since(now).unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}

async fn look(observer: &Observer, asked: Asked<'_>) -> Result<(Watched, Seen), ObserverError> {
    let changes = observer.watch(asked).await?;
    Ok((changes, observer.status(asked).await?))
}

const TASK_HEADINGS: [&str; 10] = [
    "TASK",
    "LEADER",
    "TERM",
    "TOKEN",
    "SINCE",
    "FOR",
    "HEALTH",
    "RESTARTS",
    "LAST FAILURE",
    "STANDBYS, IN ORDER",
];

const HOST_HEADINGS: [&str; 6] = ["HOST", "PID", "VERSION", "STARTED", "LEADS", "LABELS"];

/// `named`: somebody has asked for these very tasks, and wants to know what each host has of them.
fn text(seen: &Seen, named: bool) -> String {
    let tasks: Vec<_> = seen.tasks.iter().map(task_row).collect();
    let mut tables = vec![table(TASK_HEADINGS, &tasks)];
    let failures: Vec<_> = seen.tasks.iter().filter_map(failure_row).collect();
    if !failures.is_empty() {
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
        tables.push(table(headings, &failures));
    }
    let shown = seen.tasks.iter().filter(|task| named || is_mixed(task));
    let versions: Vec<_> = shown.flat_map(version_rows).collect();
    if !versions.is_empty() {
        let headings = ["TASK", "HOST", "GENERATION", "DIGEST", "STATE", "WHY NOT"];
        tables.push(table(headings, &versions));
    }
    let hosts: Vec<_> = seen.hosts.iter().map(host_row).collect();
    tables.push(table(HOST_HEADINGS, &hosts));
    let drained: Vec<_> = seen.drained.iter().map(drained_row).collect();
    if !drained.is_empty() {
        let headings = ["DRAINED", "STATE", "BY", "SINCE", "REASON"];
        tables.push(table(headings, &drained));
    }
    tables.join("\n")
}

/// Whether not all hosts have the same of a task, or one is not ready for it.
fn is_mixed(task: &TaskStatus) -> bool {
    let same = |pair: &[TaskHost]| {
        (pair[0].generation, pair[0].digest) == (pair[1].generation, pair[1].digest)
    };
    let ready = |host: &TaskHost| {
        host.generation.is_none() || host.readiness.as_ref().is_some_and(Readiness::is_ready)
    };
    !task.hosts.windows(2).all(same) || !task.hosts.iter().all(ready)
}

fn version_rows(task: &TaskStatus) -> impl Iterator<Item = [String; 6]> {
    task.hosts.iter().map(|host| {
        let number = host.generation.map(|number| number.to_string());
        let digest = host.sha256.or(host.digest).map(digest_short);
        let (state, reason) = match &host.readiness {
            None => (NOTHING, NOTHING),
            Some(Readiness::Preparing) => ("preparing", NOTHING),
            Some(Readiness::Ready) => ("ready", NOTHING),
            Some(Readiness::Unready { reason }) => ("unready", &**reason),
        };
        [
            task.task.clone(),
            host.host.clone(),
            number.unwrap_or_else(|| NOTHING.to_owned()),
            digest.unwrap_or_else(|| NOTHING.to_owned()),
            state.to_owned(),
            reason.to_owned(),
        ]
    })
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
        (None, true) if failure.is_retried() => "now".to_owned(),
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

fn task_row(status: &TaskStatus) -> [String; 10] {
    let nothing = || NOTHING.to_owned();
    let standbys = if status.standbys.is_empty() {
        nothing()
    } else {
        status.standbys.join(", ")
    };
    let [leader, term, token, since, lasts] = match &status.leader {
        None => std::array::from_fn(|_| nothing()),
        Some(leader) => [
            leader.host.clone(),
            leader
                .term
                .map_or_else(|| "foreign".to_owned(), |term| term.to_string()),
            leader.fencing_token.to_string(),
            leader.since.clone(),
            shown(time_between(&leader.since, None)),
        ],
    };
    let failed = status.last_failure.as_ref();
    [
        status.task.clone(),
        leader,
        term,
        token,
        since,
        lasts,
        status.health.name().to_owned(),
        status
            .restarts
            .map_or_else(nothing, |count| count.to_string()),
        failed.map_or_else(nothing, |it| format!("{}, {}", ago(&it.at), it.cause)),
        standbys,
    ]
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{HOST_HEADINGS, TASK_HEADINGS};

    /// The words of a line of a table.
    fn cells(line: &str) -> Vec<&str> {
        let cells = line.split("  ").map(str::trim);
        cells.filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn the_tables_of_the_documents_have_these_headings() {
        for document in ["README.md", "GUIDE.md"] {
            let path = format!("{}/../{document}", env!("CARGO_MANIFEST_DIR"));
            let text = fs::read_to_string(path).unwrap();
            let (_, printed) = text.split_once("\n$ soloist status").unwrap();
            let mut lines = printed.lines().skip(1);
            assert_eq!(cells(lines.next().unwrap()), TASK_HEADINGS, "{document}");
            let hosts = lines.find(|line| line.starts_with("HOST")).unwrap();
            assert_eq!(cells(hosts), HOST_HEADINGS, "{document}");
        }
    }
}
