//! One task's contender: the only loop around [`election`](soloist_core::election).
//!
//! It turns what happens into inputs, and the actions that follow into requests to the ensemble and into the start and
//! stop of the plugin. At most one request is under way, at most one set of watches, at most one activation lives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::activation::{Activation, ActivationSettings, Notice};
use crate::shutdown::Shutdown;
use soloist_coordination::fence::Fence;
use soloist_coordination::session::{Session, View};
use soloist_coordination::state::TaskState;
use soloist_coordination::task::{HistorySnapshot, QueueSnapshot, TaskError};
use soloist_coordination::watches::Watches;
use soloist_core::clock::{self, Moment};
use soloist_core::election::{Action, Election, Input, Now, Settings};
use soloist_core::event::{About, Event};
use soloist_core::permit::Permit;
use soloist_core::records::{ResignOrder, TaskPaths, TermRecord};
use soloist_core::restart::{PluginFailed, Runs};
use soloist_core::term::{FencingToken, Term};
use soloist_sandbox::Plugin;

mod ending;
mod marking;
mod once;
mod request;

pub use once::Once;

use ending::{Ending, report_released};
use request::Answer;

/// What a contender stands for, and with what.
#[derive(Debug)]
pub struct Task {
    /// The task's name.
    pub name: Arc<str>,
    /// Where its nodes are.
    pub paths: Arc<TaskPaths>,
    /// What runs while this host leads.
    pub plugin: Arc<Plugin>,
    /// How it runs.
    pub activation: ActivationSettings,
    /// How the election goes.
    pub election: Settings,
    /// Whether to stand only until the plugin has completed once, or failed for good on this host.
    pub once: Option<Once>,
}

/// What came of a task that is run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `on_elected` has returned without an error.
    Completed,
    /// What was to be done once has been done, in a term of another host or of an earlier run of this one.
    CompletedBefore,
    /// The plugin has failed for good on this host.
    Failed(PluginFailed),
}

/// A plugin that cannot be stopped: see [`Notice::Stuck`]. What this host holds in its task must not be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The task.
    pub task: Arc<str>,
}

/// Asks one contender to withdraw: to give back what it holds and to end, while the session goes on.
#[derive(Debug)]
pub struct Withdrawal(oneshot::Sender<String>);

impl Withdrawal {
    /// Makes the request. `why` goes into the history of the term that ends by it, if one does.
    pub fn request(self, why: impl Into<String>) {
        // A contender that has ended holds nothing.
        let _ = self.0.send(why.into());
    }
}

/// Stands for one task until shutdown, or until it is asked to withdraw.
pub struct Contender {
    task: Task,
    plugins: Handle,
    withdrawal: oneshot::Receiver<String>,
    election: Election,
    session: Option<Arc<Session>>,
    reconnects: u64,
    /// The queue and the term record, as last read in this session.
    seen: Option<QueueSnapshot>,
    /// What was in the queue when it was last read and is no candidate.
    strangers: Vec<String>,
    /// The record of the term in which this host leads.
    record: Option<TermRecord>,
    /// The terms before it, once they are read.
    kept: Option<HistorySnapshot>,
    ending: Ending,
    /// An order to resign, to come while this host leads.
    order: Option<BoxFuture<'static, ResignOrder>>,
    /// The mark on a task that fails is being set or removed; then this host stays out of the queue for so long, if at all.
    marking: Option<BoxFuture<'static, Option<Duration>>>,
    /// Whether the plugin has run well in this term.
    healthy: bool,
    /// Since when this host leads.
    led_since: Moment,
    /// The terms that the plugin gave up: a host alone must not be elected in a circle by one that does so at once.
    given_up: Runs,
    /// How long this host stays out of the queue once the term is given back.
    stay_out: Duration,
    /// The token of the term in which the plugin has completed what is to be done once, until that is written down.
    done: Option<FencingToken>,
    outcome: Option<Outcome>,
    stuck: bool,
    request: Option<BoxFuture<'static, Result<Answer, TaskError>>>,
    watches: Watches,
    activation: Option<Activation>,
    notices: (
        mpsc::UnboundedSender<Notice>,
        mpsc::UnboundedReceiver<Notice>,
    ),
    inputs: VecDeque<Input>,
}

impl Contender {
    /// A contender for `task` whose plugin runs on `plugins`.
    pub fn new(task: Task, plugins: Handle) -> (Self, Withdrawal) {
        let (withdraw, withdrawal) = oneshot::channel();
        let election = Election::new(task.election);
        let given_up = Runs::new(task.activation.restart);
        let contender = Self {
            task,
            plugins,
            withdrawal,
            election,
            session: None,
            reconnects: 0,
            seen: None,
            strangers: Vec::new(),
            record: None,
            kept: None,
            ending: Ending::default(),
            order: None,
            marking: None,
            healthy: false,
            led_since: Moment::default(),
            given_up,
            stay_out: Duration::ZERO,
            done: None,
            outcome: None,
            stuck: false,
            request: None,
            watches: Watches::default(),
            activation: None,
            notices: mpsc::unbounded_channel(),
            inputs: VecDeque::new(),
        };
        (contender, Withdrawal(withdraw))
    }

    /// Stands, leads and stands again, until shutdown or withdrawal is asked for and the plugin has stopped. Says what came
    /// of a task that was to be run once; when something has, it asks for the shutdown itself.
    ///
    /// # Errors
    /// [`Stuck`], at any time.
    pub async fn run(
        mut self,
        mut view: watch::Receiver<View>,
        shutdown: Shutdown,
    ) -> Result<Option<Outcome>, Stuck> {
        let requested = shutdown.requested().fuse();
        tokio::pin!(requested);
        view.mark_changed();
        loop {
            while let Some(input) = self.inputs.pop_front() {
                if self.handle(input) {
                    return Ok(self.outcome);
                }
            }
            if self.stuck {
                return Err(Stuck {
                    task: self.task.name,
                });
            }
            if self.outcome.is_some() && self.marking.is_none() {
                shutdown.trigger();
            }
            let deadline = self.deadline();
            let timer = OptionFuture::from(self.election.wake_at(deadline).map(clock::sleep_until));
            tokio::select! {
                // The sender lives as long as the host.
                Ok(()) = view.changed() => {
                    let seen = view.borrow_and_update().clone();
                    self.session_seen(seen);
                }
                () = &mut requested => self.inputs.push_back(Input::Shutdown),
                // Whoever could ask for it may have gone away.
                Ok(why) = &mut self.withdrawal, if !self.withdrawal.is_terminated() => {
                    self.ending.detail.get_or_insert(why);
                    self.inputs.push_back(Input::Withdraw);
                }
                // One end of this channel is our own, so it never ends.
                Some(notice) = self.notices.1.recv() => self.notified(notice),
                Some(answer) = OptionFuture::from(self.request.as_mut()) => {
                    self.request = None;
                    self.answered(answer);
                }
                () = self.watches.fired() => self.inputs.push_back(Input::Changed),
                Some(order) = OptionFuture::from(self.order.as_mut()) => {
                    self.order = None;
                    self.ordered(order);
                }
                Some(stay_out) = OptionFuture::from(self.marking.as_mut()) => {
                    self.marking = None;
                    self.inputs.extend(stay_out.map(|stay_out| Input::Resign { stay_out }));
                }
                Some(()) = timer => self.inputs.push_back(Input::Timer),
            }
        }
    }

    fn deadline(&self) -> clock::Moment {
        self.session
            .as_ref()
            .map(|session| session.deadline().get())
            .unwrap_or_default()
    }

    /// States coalesce: what is seen may be the end of one session and the start of another.
    fn session_seen(&mut self, seen: View) {
        let id = |session: &Option<Arc<Session>>| session.as_ref().map(|session| session.id());
        if id(&self.session) != id(&seen.session) {
            if self.session.is_some() {
                (self.request, self.order, self.seen, self.marking) = (None, None, None, None);
                self.watches = Watches::default();
                self.inputs.push_back(Input::SessionEnded);
            }
            if seen.session.is_some() {
                self.inputs.push_back(Input::SessionStarted);
            }
            self.session = seen.session;
        } else if seen.reconnects != self.reconnects {
            self.inputs.push_back(Input::Reconnected);
        }
        self.reconnects = seen.reconnects;
    }

    fn notified(&mut self, notice: Notice) {
        match notice {
            Notice::Completed | Notice::Healthy => {
                if notice == Notice::Completed {
                    self.completed();
                }
                if !std::mem::replace(&mut self.healthy, true) {
                    self.unmark();
                }
            }
            Notice::Failed(failed) => {
                if self.task.once.is_some() {
                    self.outcome
                        .get_or_insert_with(|| Outcome::Failed(failed.clone()));
                }
                self.mark(failed);
            }
            Notice::ResignRequested { reason } => {
                self.ending.detail.get_or_insert(reason);
                if self.ending.reason.is_none() {
                    self.stay_out = self
                        .given_up
                        .completed(clock::now().saturating_since(self.led_since));
                    self.inputs.push_back(Input::Resign {
                        stay_out: self.stay_out,
                    });
                }
            }
            Notice::Stuck => self.stuck = true,
            Notice::Stopped { .. } => {
                self.activation = None;
                self.inputs.push_back(Input::Stopped);
            }
        }
    }

    /// Hands an input to the election and does what follows; says whether this was the end.
    fn handle(&mut self, input: Input) -> bool {
        let now = Now {
            time: clock::now(),
            deadline: self.deadline(),
        };
        let mut finished = false;
        for action in self.election.handle(now, input) {
            finished |= self.perform(action);
        }
        finished
    }

    fn perform(&mut self, action: Action) -> bool {
        let about = About::Task(&self.task.name);
        let own =
            |seen: Option<&QueueSnapshot>| seen.map(|seen| seen.own.clone()).unwrap_or_default();
        let candidate = |seen: Option<&QueueSnapshot>| seen.and_then(|seen| seen.candidate.clone());
        match action {
            Action::Look => self.request(|nodes, _| request::look(nodes)),
            Action::Join => self.request(|nodes, _| request::join(nodes)),
            Action::StepBack => self.request(|nodes, seen| request::step_back(nodes, own(seen))),
            Action::AwaitPredecessor(name) => {
                self.request(|nodes, seen| {
                    request::await_predecessor(nodes, name, candidate(seen))
                });
            }
            Action::Elect { over } => {
                self.request(|nodes, seen| request::elect(nodes, seen.cloned(), over));
            }
            Action::ReadMaster => {
                self.request(|nodes, seen| request::read_master(nodes, candidate(seen)));
            }
            Action::Release { term } => {
                let ended = term.map(|term| self.end(term));
                self.request(|nodes, seen| request::release(nodes, ended, own(seen)));
            }
            Action::Activate(term) => self.activate(term),
            Action::Demote(reason) => {
                if let Some(order) = self.order.take() {
                    self.watches.keep(order);
                }
                self.ending.reason = Some(reason);
                if let Some(activation) = &self.activation {
                    activation.demote(reason);
                }
            }
            Action::Revoke => {
                if let Some(activation) = &self.activation {
                    activation.revoke();
                }
            }
            Action::LeaveSession => {
                about.report(&Event::election_error(
                    "the ensemble refuses to take back what this host holds: it lets its session go, and with it all its \
                     terms, so that others can lead",
                ));
                if let Some(session) = &self.session {
                    session.leave();
                }
            }
            Action::AnnounceRest(rest) => {
                let text = format!(
                    "the ensemble refuses what this host asks for: it leaves the queue for {rest:?}, so that others can lead"
                );
                let retry_in = Some(rest);
                about.report(&Event::ElectionError { text, retry_in });
            }
            Action::AnnounceStandby { ahead, leader } => {
                about.report(&Event::Standby { ahead, leader });
            }
            Action::AnnounceElected(term) => {
                // Whether it is ever activated or not, it ends by itself.
                (self.ending, self.kept) = (Ending::default(), None);
                let number = term.number;
                About::Term(&term).report(&Event::Elected { number });
            }
            Action::AnnounceReleased(term) => {
                report_released(&term, std::mem::take(&mut self.stay_out));
            }
            Action::Finish => return true,
        }
        false
    }

    fn activate(&mut self, term: Term) {
        let Some(session) = self.session.clone() else {
            // Whatever was elected has ended with its session.
            self.inputs.push_back(Input::Stopped);
            return;
        };
        if self.only_has_to_be_written() {
            // The end of the term does that.
            self.inputs.extend([
                Input::Resign {
                    stay_out: Duration::ZERO,
                },
                Input::Stopped,
            ]);
            return;
        }
        (self.healthy, self.marking) = (false, None);
        (self.led_since, self.stay_out) = (clock::now(), Duration::ZERO);
        self.order = self
            .nodes()
            .map(|nodes| nodes.resign_order(term.clone()).boxed());
        let permit = Permit::new(session.deadline().clone());
        let keys_max = usize::try_from(self.task.plugin.limits().state_keys).unwrap_or(usize::MAX);
        let state = TaskState::new(session, self.task.paths.clone(), self.fence(&term))
            .with_keys_max(keys_max);
        self.activation = Some(Activation::start(
            &self.plugins,
            self.task.plugin.clone(),
            self.task.activation,
            term,
            permit,
            Arc::new(state),
            self.notices.0.clone(),
        ));
    }

    /// What ties the writes of a term to it.
    fn fence(&self, term: &Term) -> Fence {
        let candidate = self
            .seen
            .as_ref()
            .and_then(|seen| seen.candidate.as_deref());
        Fence::new(&self.task.paths, term, candidate.unwrap_or_default())
    }
}
