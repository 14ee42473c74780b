//! `soloist logs`: the latest lines about a task, from whichever host leads it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_admin::client::{Asked as Wanted, Client, ClientError};
use soloist_config::TaskName;
use soloist_coordination::observer::{Asked, Observer, TaskStatus};
use soloist_coordination::watches::WatchSet;
use soloist_core::secret::Secret;
use soloist_core::status::HostStatus;
use soloist_core::text::printable;
use soloist_runtime::signals::{self, Hangup};
use tokio::time::sleep;

use super::Failure;
use super::operator::{Operator, OperatorOptions, block_on, host_id, task_name};
use super::output::{print, print_error};

mod line;

/// How often a host is asked for more.
const MORE: Duration = Duration::from_millis(500);
/// The pause after a host or the ensemble could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// Show the latest lines about a task, from whichever host leads it
///
/// Each host that listens (`soloist run --listen`) keeps up to 256 KiB of lines about each task. Its record in ZooKeeper says where it
/// answers. With -f, lines are shown as they come, and after a failover those of the next leader, from the beginning of its term.
///
/// A host that wants a token gets the one of --token-file. Over http everybody on the way can read it, and whoever may write the
/// records of hosts has it sent to himself: see SECURITY.md.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Go on showing lines as they come, until SIGINT or SIGTERM
    #[arg(short, long)]
    follow: bool,

    /// Lines from this time on: RFC 3339, or a duration before now, like 10m [default: all that are kept]
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,

    /// The latest lines, so many at most [default: all that are kept]
    #[arg(long, value_name = "NUMBER")]
    tail: Option<usize>,

    /// The host to ask, whether it leads or not [default: the leader]
    #[arg(long, value_name = "ID", value_parser = host_id)]
    host: Option<String>,

    /// Print the lines as the host wrote them, one object of JSON each
    #[arg(long)]
    json: bool,

    /// A file that holds the token of the host's listen_token_file [default: no token]
    #[arg(long, value_name = "FILE", env = "SOLOIST_LISTEN_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// Certificates of those who vouch for hosts that answer over https, in PEM [default: whom this machine trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    #[command(flatten)]
    options: OperatorOptions,
}

/// Reads when the lines begin.
fn since(text: &str) -> Result<String, String> {
    if humantime::parse_rfc3339_weak(text).is_ok() {
        return Ok(text.replace(' ', "T"));
    }
    let before = humantime::parse_duration(text)
        .map_err(|_| "write a time like 2026-01-01T00:00:00Z, or a duration like 10m".to_owned())?;
    let at = SystemTime::now().checked_sub(before);
    let at = at
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .max(SystemTime::UNIX_EPOCH);
    Ok(humantime::format_rfc3339_millis(at).to_string())
}

/// Whom lines are asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    host: String,
    /// The fencing token of the term, if it leads.
    token: Option<u64>,
    /// Since when it leads, by its own clock.
    since: Option<String>,
    /// Where it answers.
    url: Option<String>,
}

/// What is shown of which lines.
struct Show<'a> {
    task: &'a str,
    client: Client,
    has_token: bool,
    json: bool,
}

impl Logs {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            follow,
            since,
            tail,
            host,
            json,
            token_file,
            ca,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let client = client(token_file.as_ref(), ca.as_ref()).map_err(Failure::Invalid)?;
        let show = Show {
            task: &task,
            client,
            has_token: token_file.is_some(),
            json,
        };
        let wanted = Wanted {
            after: None,
            since,
            tail,
        };
        if !follow {
            let source = operator.ask(async |observer| {
                let status = observer.status(Asked::One(&task)).await?;
                Ok(source(&status.tasks, &status.hosts, host.as_deref()))
            });
            return block_on(async {
                let source = source.await?;
                let source = source.ok_or_else(|| nobody(&task, host.as_deref()))?;
                show.once(&source, &wanted).await.map(drop)
            });
        }
        let (stop, _) = signals::listen(Hangup::End)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        block_on(async {
            tokio::select! {
                followed = show.follow(&operator, host.as_deref(), wanted) => followed,
                () = stop.requested() => Ok(()),
            }
        })
    }
}

/// What asks hosts, with what they want to see.
fn client(token: Option<&PathBuf>, ca: Option<&PathBuf>) -> anyhow::Result<Client> {
    let token = token.map(|path| {
        let read = Secret::read(path);
        read.with_context(|| format!("--token-file: cannot read {}", path.display()))
    });
    Ok(Client::new(token.transpose()?, ca.map(PathBuf::as_path))?)
}

/// The leader of the task, or the host that was named. None if there is none.
fn source(tasks: &[TaskStatus], hosts: &[HostStatus], named: Option<&str>) -> Option<Source> {
    let leader = tasks.first().and_then(|task| task.leader.as_ref());
    // A foreign program keeps no lines.
    let leader = leader.filter(|leader| leader.term.is_some());
    let leader = leader.filter(|leader| named.is_none_or(|named| named == leader.host));
    let url = |host: &str| {
        let host = hosts.iter().find(|it| it.host == host);
        host.and_then(|it| it.listen.clone())
    };
    match (leader, named) {
        (Some(leader), _) => Some(Source {
            url: url(&leader.host),
            host: leader.host.clone(),
            token: Some(leader.fencing_token),
            since: Some(leader.since.clone()),
        }),
        (None, Some(named)) if hosts.iter().any(|it| it.host == named) => Some(Source {
            url: url(named),
            host: named.to_owned(),
            token: None,
            since: None,
        }),
        (None, _) => None,
    }
}

fn nobody(task: &str, named: Option<&str>) -> Failure {
    Failure::RunTime(match named {
        Some(named) => anyhow!("no host {named} runs: `soloist status` lists those that do"),
        None => anyhow!(
            "nobody leads task {task}: name a host with --host to have what it keeps, or wait for a leader with -f"
        ),
    })
}

impl Show<'_> {
    /// Shows what a host has; gives the place after the last line, if anybody reads.
    async fn once(
        &self,
        source: &Source,
        wanted: &Wanted,
    ) -> Result<Option<Option<String>>, Failure> {
        let url = source.url.as_deref().ok_or_else(|| silent(source))?;
        let told = self.client.lines(url, self.task, wanted).await;
        let told = told.map_err(|error| self.refused(source, url, &error))?;
        if told.missed > 0 && wanted.after.is_some() {
            print_error(&format!(
                "{} lines of {} are missing: it keeps no more of them",
                told.missed, source.host
            ));
        }
        let mut text = String::new();
        for line in &told.lines {
            text.push_str(&line::shown(line, self.json));
            text.push('\n');
        }
        if !text.is_empty() && !print(&text)? {
            return Ok(None);
        }
        Ok(Some(told.next))
    }

    /// Shows lines as they come, from one leader after the other.
    async fn follow(
        &self,
        operator: &Operator,
        named: Option<&str>,
        first: Wanted,
    ) -> Result<(), Failure> {
        let mut observer = operator.connect().await?;
        let mut wanted = first;
        let mut last: Option<Source> = None;
        let mut told: Option<String> = None;
        loop {
            let (changes, now) = match self.look(&observer, named).await {
                Ok(seen) => seen,
                Err(_) if observer.is_lost() => {
                    observer = operator.connect().await?;
                    continue;
                }
                Err(error) if error.may_pass() => {
                    sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(now) = now else {
                if last.is_none() && told.is_none() {
                    let error = "nobody leads the task: waiting for a leader".to_owned();
                    print_error(told.insert(error));
                }
                if let Some(last) = &last {
                    // What it says of the end of its term; it may be gone.
                    if let Ok(Some(next)) = self.once(last, &wanted).await {
                        wanted = after(next, wanted);
                    }
                }
                tokio::select! {
                    () = changes.fired() => {}
                    () = sleep(RETRY) => {}
                }
                continue;
            };
            if let Some(before) = &last
                && (&before.host, before.token) != (&now.host, now.token)
            {
                let _ = self.once(before, &wanted).await;
                if before.host != now.host {
                    print_error(&format!("{} leads now", printable(&now.host)));
                    wanted = Wanted {
                        since: now.since.clone(),
                        ..Wanted::default()
                    };
                }
            }
            let is_first = last.is_none();
            last = Some(now.clone());
            let mut changes = std::pin::pin!(changes.fired());
            loop {
                match self.once(&now, &wanted).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(next)) => {
                        told = None;
                        wanted = after(next, wanted);
                    }
                    Err(failure) if is_first && wanted.after.is_none() => {
                        return Err(failure);
                    }
                    Err(failure) => {
                        let error = failure.to_string();
                        if told.as_ref() != Some(&error) {
                            print_error(told.insert(error));
                        }
                        tokio::select! {
                            () = &mut changes => break,
                            () = sleep(RETRY) => break,
                        }
                    }
                }
                tokio::select! {
                    () = &mut changes => break,
                    () = sleep(MORE) => {}
                }
            }
        }
    }

    async fn look(
        &self,
        observer: &Observer,
        named: Option<&str>,
    ) -> Result<(WatchSet, Option<Source>), soloist_coordination::observer::ObserverError> {
        let asked = Asked::One(self.task);
        let changes = observer.watch(asked).await?.set;
        let status = observer.status(asked).await?;
        Ok((changes, source(&status.tasks, &status.hosts, named)))
    }

    fn refused(&self, source: &Source, url: &str, error: &ClientError) -> Failure {
        let hint = match (error, self.has_token) {
            (ClientError::Unauthorized, false) => {
                ": name the file of its listen_token_file with --token-file"
            }
            (ClientError::Unauthorized, true) => ", and not the one of --token-file",
            (ClientError::Connect(_), _) if is_loopback(url) => {
                ": that address is for its own machine alone, so run this command there, or have the host listen at another one"
            }
            (ClientError::NoLines, _) => {
                ": it has said nothing about it, or is of an earlier release"
            }
            _ => "",
        };
        let (host, url) = (printable(&source.host), printable(url));
        Failure::RunTime(anyhow!("host {host} at {url}: {error}{hint}"))
    }
}

/// What is wanted after what was told.
fn after(next: Option<String>, before: Wanted) -> Wanted {
    match next {
        Some(next) => Wanted {
            after: Some(next),
            ..Wanted::default()
        },
        None => before,
    }
}

fn silent(source: &Source) -> Failure {
    Failure::RunTime(anyhow!(
        "host {} answers nowhere: start it with --listen, or read its lines where its stdout goes",
        printable(&source.host)
    ))
}

fn is_loopback(url: &str) -> bool {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let address: Option<std::net::SocketAddr> = address.parse().ok();
    address.is_some_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_at_a_time_or_so_long_ago() {
        assert_eq!(
            since("2026-01-01T00:00:00Z").as_deref(),
            Ok("2026-01-01T00:00:00Z")
        );
        let ago = humantime::parse_rfc3339(&since("10m").unwrap()).unwrap();
        let ago = SystemTime::now().duration_since(ago).unwrap();
        assert!(ago >= Duration::from_secs(599) && ago < Duration::from_secs(700));
        assert!(since("yesterday").is_err() && since("10").is_err());
        assert_eq!(since("9000y").as_deref(), Ok("1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn a_loopback_address_is_known() {
        assert!(is_loopback("http://127.0.0.1:9464") && is_loopback("https://[::1]:1"));
        assert!(!is_loopback("http://10.0.0.1:9464") && !is_loopback("http://a:1"));
    }
}
