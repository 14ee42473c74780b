//! One task's contender: the only loop around [`election`](crate::election).
//!
//! It turns what happens into inputs, and the actions that follow into requests to the ensemble and into the start and
//! stop of the plugin. At most one request is under way, at most one watch is set, at most one activation lives.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use zookeeper_client::OneshotWatcher;

use crate::activation::{Activation, ActivationSettings, Notice};
use crate::clock;
use crate::coordination::nodes::TaskPaths;
use crate::coordination::session::{Session, View};
use crate::coordination::task::{self, TaskError, TaskNodes};
use crate::election::{Action, Election, Input, Now, Settings};
use crate::events::{About, Event, chain, details};
use crate::permit::Permit;
use crate::plugin::Plugin;
use crate::shutdown::Shutdown;

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
}

/// What a request brings: an input, a watch, and what was learnt of this session's candidate.
struct Answer {
    input: Input,
    watcher: Option<OneshotWatcher>,
    candidate: Option<String>,
}

impl From<Input> for Answer {
    fn from(input: Input) -> Self {
        Self { input, watcher: None, candidate: None }
    }
}

/// Stands for one task until shutdown.
pub struct Contender {
    task: Task,
    plugins: Handle,
    election: Election,
    session: Option<Arc<Session>>,
    reconnects: u64,
    /// The name of this session's candidate, as last seen.
    candidate: Option<String>,
    request: Option<BoxFuture<'static, Result<Answer, TaskError>>>,
    watch: Option<BoxFuture<'static, ()>>,
    activation: Option<Activation>,
    notices: (mpsc::UnboundedSender<Notice>, mpsc::UnboundedReceiver<Notice>),
    inputs: VecDeque<Input>,
}

impl Contender {
    /// A contender for `task` whose plugin runs on `plugins`.
    pub fn new(task: Task, plugins: Handle) -> Self {
        let election = Election::new(task.election);
        Self {
            task,
            plugins,
            election,
            session: None,
            reconnects: 0,
            candidate: None,
            request: None,
            watch: None,
            activation: None,
            notices: mpsc::unbounded_channel(),
            inputs: VecDeque::new(),
        }
    }

    /// Stands, leads and stands again, until shutdown is asked for and the plugin has stopped.
    pub async fn run(mut self, mut view: watch::Receiver<View>, shutdown: Shutdown) {
        let shutdown = shutdown.requested().fuse();
        tokio::pin!(shutdown);
        view.mark_changed();
        loop {
            while let Some(input) = self.inputs.pop_front() {
                if self.handle(input) {
                    return;
                }
            }
            let deadline = self.deadline();
            let timer = OptionFuture::from(self.election.wake_at(deadline).map(clock::sleep_until));
            tokio::select! {
                // The sender lives as long as the host.
                Ok(()) = view.changed() => {
                    let seen = view.borrow_and_update().clone();
                    self.session_seen(seen);
                }
                () = &mut shutdown => self.inputs.push_back(Input::Shutdown),
                // One end of this channel is our own, so it never ends.
                Some(notice) = self.notices.1.recv() => self.notified(notice),
                Some(answer) = OptionFuture::from(self.request.as_mut()) => {
                    self.request = None;
                    self.answered(answer);
                }
                Some(()) = OptionFuture::from(self.watch.as_mut()) => {
                    self.watch = None;
                    self.inputs.push_back(Input::Changed);
                }
                Some(()) = timer => self.inputs.push_back(Input::Timer),
            }
        }
    }

    fn deadline(&self) -> clock::Moment {
        self.session.as_ref().map(|session| session.deadline().get()).unwrap_or_default()
    }

    /// States coalesce: what is seen may be the end of one session and the start of another.
    fn session_seen(&mut self, seen: View) {
        let id = |session: &Option<Arc<Session>>| session.as_ref().map(|session| session.id());
        if id(&self.session) != id(&seen.session) {
            if self.session.is_some() {
                (self.request, self.watch, self.candidate) = (None, None, None);
                self.inputs.push_back(Input::SessionEnded);
            }
            if seen.session.is_some() {
                self.inputs.push_back(Input::SessionStarted);
            }
            self.session = seen.session;
        } else if seen.reconnects != self.reconnects {
            self.inputs.push_back(Input::Changed);
        }
        self.reconnects = seen.reconnects;
    }

    fn notified(&mut self, notice: Notice) {
        match notice {
            Notice::ResignRequested { stay_out, .. } => self.inputs.push_back(Input::Resign { stay_out }),
            Notice::Stopped { .. } => {
                self.activation = None;
                self.inputs.push_back(Input::Stopped);
            }
        }
    }

    fn answered(&mut self, answer: Result<Answer, TaskError>) {
        match answer {
            Ok(Answer { input, watcher, candidate }) => {
                self.watch = watcher.map(|watcher| watcher.changed().map(drop).boxed());
                if candidate.is_some() {
                    self.candidate = candidate;
                }
                self.inputs.push_back(input);
            }
            Err(error) => {
                About::task(&self.task.name).report(Event::ElectionError, chain(&error));
                self.inputs.push_back(Input::Failed);
            }
        }
    }

    /// Hands an input to the election and does what follows; says whether this was the end.
    fn handle(&mut self, input: Input) -> bool {
        let now = Now { time: clock::now(), deadline: self.deadline() };
        let actions = self.election.handle(now, input);
        actions.into_iter().fold(false, |finished, action| self.perform(action) || finished)
    }

    fn perform(&mut self, action: Action) -> bool {
        let about = About::task(&self.task.name);
        match action {
            Action::Look => self.request(|nodes, _| async move {
                let (queue, candidate) = nodes.look().await?;
                Ok(Answer { input: Input::Looked(queue), watcher: None, candidate })
            }),
            Action::Join => self.request(|nodes, _| async move {
                nodes.join().await?;
                Ok(Input::Joined.into())
            }),
            Action::AwaitPredecessor(name) => self.request(|nodes, _| async move {
                let watcher = nodes.watch_candidate(name).await?;
                let input = if watcher.is_some() { Input::Awaiting } else { Input::Gone };
                Ok(Answer { input, watcher, candidate: None })
            }),
            Action::Elect { over } => self.request(|nodes, candidate| async move {
                match nodes.clone().elect(candidate.unwrap_or_default(), over).await? {
                    task::Election::Won(term) => Ok(Input::Elected(term).into()),
                    task::Election::Outdated => Ok(Input::Outdated.into()),
                    task::Election::Held => read_master(nodes).await,
                }
            }),
            Action::ReadMaster => self.request(|nodes, _| read_master(nodes)),
            Action::Release { term } => self.request(|nodes, candidate| async move {
                nodes.release(term, candidate).await?;
                Ok(Input::Released.into())
            }),
            Action::Activate(term) => {
                let deadline = self.session.as_ref().map(|session| session.deadline().clone()).unwrap_or_default();
                self.activation = Some(Activation::start(
                    &self.plugins,
                    self.task.plugin.clone(),
                    self.task.activation.clone(),
                    term,
                    Permit::new(deadline),
                    self.notices.0.clone(),
                ));
            }
            Action::Demote(reason) => {
                if let Some(activation) = &self.activation {
                    activation.demote(reason);
                }
            }
            Action::Revoke => {
                if let Some(activation) = &self.activation {
                    activation.revoke();
                }
            }
            Action::AnnounceStandby { ahead, leader } => {
                let fields = details([("ahead", Value::from(ahead)), ("leader", Value::from(leader.clone()))]);
                let leader = leader.as_deref().unwrap_or("nobody");
                let message = format_args!("standing by behind {ahead}; {leader} leads");
                about.report_with(Event::Standby, Event::Standby.level(), message, fields);
            }
            Action::AnnounceElected(term) => {
                let message = format_args!("elected for term {}", term.number);
                About::term(&term).report(Event::Elected, message);
            }
            Action::AnnounceReleased(term) => {
                About::term(&term).report(Event::Released, format_args!("released term {}", term.number));
            }
            Action::Finish => return true,
        }
        false
    }

    /// Puts a request to the ensemble. Whatever was under way or watched is no longer of interest.
    fn request<F>(&mut self, make: impl FnOnce(TaskNodes, Option<String>) -> F)
    where
        F: Future<Output = Result<Answer, TaskError>> + Send + 'static,
    {
        // The election asks for nothing while there is no session.
        let Some(session) = &self.session else { return };
        let nodes = TaskNodes::new(session.clone(), self.task.paths.clone(), self.task.name.clone());
        self.watch = None;
        self.request = Some(make(nodes, self.candidate.clone()).boxed());
    }
}

async fn read_master(nodes: TaskNodes) -> Result<Answer, TaskError> {
    let (holder, watcher) = nodes.read_master().await?;
    Ok(Answer { input: Input::MasterSeen(holder), watcher, candidate: None })
}
