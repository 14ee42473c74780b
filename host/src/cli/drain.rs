//! `soloist drain`: have a host stand for nothing while it runs on.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_coordination::observer::{DrainState, Drainage, Observer, ObserverError, Seen};
use soloist_core::records::DrainOrder;
use soloist_core::text::printable;
use soloist_runtime::signals::{self, Hangup};

use super::Failure;
use super::operator::{OperatorOptions, block_on, host_id};
use super::output::{print, print_error};
use super::rollout::who;

/// Have a host hand all its tasks over gracefully and stand for nothing, from any machine; wait until it is empty
///
/// The host runs on. Each plugin is told and stops first, as when its leader is asked to resign; then the next in the queue
/// leads. A task that nobody else stands for is led by nobody: the command names it.
///
/// The order stands until `soloist undrain`, also when the host is restarted, if it has the same id then. It stands as well if
/// the command is interrupted, or gives up with code 4.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// The id of the host
    #[arg(value_parser = host_id)]
    host: String,

    /// Let the host keep the tasks that it leads: it only stands for nothing more. A later drain without --keep has it hand
    /// them over
    #[arg(long)]
    keep: bool,

    /// Give the order for a host that does not run: it stands for nothing when it comes
    #[arg(long)]
    absent: bool,

    /// Why, for the history, the status and the host's log: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// How long to wait until the host is empty; the order stands longer
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

/// How the wait for a host ended.
enum Waited {
    Done,
    TimedOut,
    Interrupted,
}

impl Drain {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let operator = self.options.clone().operator(matches)?;
        let (stop, _) = signals::listen(Hangup::Stop)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        let work = async |observer: &mut Observer| self.drain(observer, stop.requested()).await;
        block_on(operator.work(work))
    }

    async fn drain(
        &self,
        observer: &Observer,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let order = DrainOrder::now(self.keep, &who(), self.reason.as_deref());
        let mut drainage = observer.drain(&self.host, order, self.absent).await?;
        print(&begun(&drainage))?;
        if drainage.state == DrainState::Absent {
            print_error(&format!(
                "warning: no host {0} runs: the order stands for when it comes, until `soloist undrain {0}`",
                self.host
            ));
            return Ok(());
        }
        let mut vacant = Vec::new();
        let waited = {
            let tell = |seen| tell(seen, &mut vacant);
            tokio::select! {
                followed = observer.follow_drain(&mut drainage, tell) => followed.map(|()| Waited::Done),
                () = tokio::time::sleep(self.timeout) => Ok::<_, ObserverError>(Waited::TimedOut),
                () = stop => Ok(Waited::Interrupted),
            }?
        };
        self.ended(&waited, &drainage, &vacant)
    }

    /// Says what has come of the order.
    fn ended(
        &self,
        waited: &Waited,
        drainage: &Drainage,
        vacant: &[String],
    ) -> Result<(), Failure> {
        let host = &self.host;
        let stands = format!("the order stands, until `soloist undrain {host}`");
        match waited {
            // It may be that nobody leads yet for whom it has made way.
            Waited::TimedOut if drainage.is_empty() && !drainage.led.is_empty() => {
                let led = printable(&drainage.led.join(", ")).into_owned();
                print_error(&format!("warning: nobody leads yet: {led}"));
            }
            Waited::Done | Waited::TimedOut if drainage.is_empty() => {}
            Waited::Done => {
                let text = format!(
                    "host {host} stands by for nothing, and keeps what it leads; {stands}\n"
                );
                return print(&text).map(drop);
            }
            Waited::TimedOut => {
                return Err(Failure::Unfinished(anyhow!(
                    "{} within {:?}; {stands}",
                    lacking(drainage),
                    self.timeout
                )));
            }
            Waited::Interrupted => {
                return Err(Failure::RunTime(anyhow!(
                    "stopped before host {host} was empty; {stands}"
                )));
            }
        }
        let vacant = match vacant {
            [] => String::new(),
            vacant => format!(
                "led by nobody, since nobody else stands: {}\n",
                printable(&vacant.join(", "))
            ),
        };
        let state = match drainage.state {
            DrainState::Absent => "has ended",
            _ => "is empty",
        };
        print(&format!("{vacant}host {host} {state}; {stands}\n")).map(drop)
    }
}

/// What is said first.
fn begun(drainage: &Drainage) -> String {
    let Drainage {
        host,
        order,
        was_there,
        led,
        stood_by,
        ..
    } = drainage;
    let before = if *was_there {
        format!(
            "{} has drained host {host} already, at {}{}\n",
            printable(&order.by),
            printable(&order.at),
            order
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(": {}", printable(reason)))
        )
    } else {
        String::new()
    };
    format!(
        "{before}host {host} leads {} and stands by for {}\n",
        tasks(led.len()),
        tasks(stood_by.len())
    )
}

fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

/// Says what has become of a task that the host led.
fn tell(seen: Seen, vacant: &mut Vec<String>) {
    let text = match seen {
        Seen::Vacant(task) => return vacant.push(task),
        Seen::Led(status) => status.leader.map_or_else(String::new, |leader| {
            let term = leader.term.map(|term| format!(" in term {term}"));
            let host = printable(&leader.host);
            format!(
                "{host} leads {} now{}\n",
                status.task,
                term.unwrap_or_default()
            )
        }),
    };
    // Whoever does not read it goes without.
    let _ = print(&text);
}

/// What the order lacks of being carried out.
fn lacking(drainage: &Drainage) -> String {
    let Drainage {
        host,
        state,
        led,
        order,
        ..
    } = drainage;
    if *state == DrainState::Ordered {
        return format!(
            "host {host} has not said that it has heard the order (it hangs, or its version knows none)"
        );
    }
    if order.keep || led.is_empty() {
        return format!("host {host} still stands for tasks");
    }
    format!("host {host} still leads {}", printable(&led.join(", ")))
}
