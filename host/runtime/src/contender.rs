//! One task's contender: the only loop around [`election`](soloist_core::election).
//!
//! It turns what happens into inputs, and the actions that follow into requests to the ensemble and into the start and
//! stop of the plugin. At most one request is under way, at most one set of watches, at most one activation lives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::OptionFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::activation::{ActivationSettings, Demotions, Notice};
use crate::rollout::{Heard, Rollout};
use crate::shutdown::Shutdown;
use soloist_coordination::fence::Fence;
use soloist_coordination::session::{Session, View};
use soloist_coordination::task::{Generation, TaskNodes};
use soloist_core::clock::{self, Moment};
use soloist_core::election::{Election, Input, Now, Settings, Stage};
use soloist_core::guardian::{Place, Told};
use soloist_core::placement::TaskPlacement;
use soloist_core::records::{CandidateRecord, TaskPaths};
use soloist_core::restart::{PluginFailed, Runs};
use soloist_core::rollout::Purpose;
use soloist_core::roster::{Enlisted, RolloutSight, roster};
use soloist_core::term::{FencingToken, Term};
use soloist_sandbox::Plugin;

mod actions;
mod drain;
mod leading;
mod marking;
mod once;
mod placing;
mod request;
mod resting;
mod rollout;
mod standing;
mod status;
mod tenure;
mod watched;

pub use once::Once;
pub use status::{ContenderHandle, Status};

use drain::Drained;
use placing::Placing;
use request::Won;
use standing::{Happened, Standing};
use tenure::{Stirred, Tenure};

/// What a contender stands for.
#[derive(Debug)]
pub struct Task {
    /// The task's name.
    pub name: Arc<str>,
    /// Where its nodes are.
    pub paths: Arc<TaskPaths>,
    /// Whether to stand only until the plugin has completed once, or failed for good on this host.
    pub once: Option<Once>,
}

/// What a host does while it leads a task, and how. Each term has one from its election on.
#[derive(Debug)]
pub struct Work {
    /// What runs while this host leads. None if its terms run nothing, because the host stands only to move a rollout on.
    pub plugin: Option<Arc<Plugin>>,
    /// How it runs.
    pub activation: ActivationSettings,
    /// How the election goes.
    pub election: Settings,
    /// Where the task is led best.
    pub placement: TaskPlacement,
    /// Which generation of the task that is, if it was deployed.
    pub generation: Option<Generation>,
    /// The part in the rollout of the task, if it was deployed.
    pub rollout: Option<Rollout>,
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

/// The number of the generation that a work is, and what the host stands for.
type WorkKey = (Option<u64>, Option<Purpose>);

/// Stands for one task until shutdown, or until it is asked to withdraw.
pub struct Contender {
    task: Task,
    /// What the next term does.
    works: watch::Receiver<Arc<Work>>,
    /// What the work was that the election was told of last.
    known: WorkKey,
    /// What tells whoever watches how far the rollout is.
    rollout_sight: RolloutSight,
    /// What the term does for which an election is under way.
    electing: Option<Won>,
    plugins: Handle,
    withdrawal: oneshot::Receiver<String>,
    status: watch::Sender<Status>,
    election: Election,
    /// What it has in the present session, if there is one.
    standing: Option<Standing>,
    /// What it has in the term that it was elected for last, until that is given back.
    tenure: Option<Tenure>,
    /// What was in the queue when it was last read and is no candidate.
    strangers: Vec<String>,
    /// The terms that the plugin gave up: a host alone must not be elected in a circle by one that does so at once.
    given_up: Runs,
    /// The token of the term in which the plugin has completed what is to be done once, until that is written down.
    done: Option<FencingToken>,
    outcome: Option<Outcome>,
    stuck: bool,
    /// What the activation says, from when it starts until its term is given back. Such a channel takes as much memory as all
    /// else that a standby has.
    notices: Option<(
        mpsc::UnboundedSender<Notice>,
        mpsc::UnboundedReceiver<Notice>,
    )>,
    inputs: VecDeque<Input>,
    drained: Drained,
    /// What the guardian was told last.
    told: Told,
    /// What the host tells whoever watches it.
    enlisted: Option<Enlisted>,
    /// How the term ended that is before the one for which an election is under way.
    after: &'static str,
    placing: Placing,
    demotions: Demotions,
    /// The token of the term in which the plugin has failed for good on this host, until it stands again.
    rests_since: Option<FencingToken>,
}

impl Contender {
    /// A contender for `task` that does `work`, on `plugins`. It may be told of other work.
    pub fn new(task: Task, work: Arc<Work>, plugins: Handle) -> (Self, ContenderHandle) {
        let (withdraw, withdrawal) = oneshot::channel();
        let (sender, status) = watch::channel(Status::default());
        let election = Election::new(work.election);
        let given_up = Runs::new(work.activation.restart);
        let known = work.key();
        let rollout_sight = watched::rollout_sight(&work);
        let (renew, works) = watch::channel(work);
        let enlisted = roster().map(|roster| roster.enlist(&task.name, &task.paths));
        let (orders, placing) = Placing::new();
        let contender = Self {
            task,
            works,
            known,
            rollout_sight,
            electing: None,
            plugins,
            withdrawal,
            status: sender,
            election,
            standing: None,
            tenure: None,
            strangers: Vec::new(),
            given_up,
            done: None,
            outcome: None,
            stuck: false,
            notices: None,
            inputs: VecDeque::new(),
            drained: Drained::default(),
            told: Told::default(),
            enlisted,
            after: "none",
            placing,
            demotions: Demotions::default(),
            rests_since: None,
        };
        let handle = ContenderHandle {
            status,
            renew,
            withdraw,
            orders,
        };
        (contender, handle)
    }

    /// Has its demotions begin in turn with those of the other contenders of its host.
    #[must_use]
    pub fn in_turn(mut self, demotions: Demotions) -> Self {
        self.demotions = demotions;
        self
    }

    /// Stands, leads and stands again, until shutdown or withdrawal is asked for and the plugin has stopped. Says what came
    /// of a task that was to be run once; when something has, it asks for the shutdown itself.
    ///
    /// # Errors
    /// [`Stuck`], at any time.
    pub fn run(
        self,
        view: watch::Receiver<View>,
        shutdown: Shutdown,
    ) -> impl Future<Output = Result<Option<Outcome>, Stuck>> + Send {
        // A future holds what it is made of, and what becomes of that. There may be ten thousand of them.
        Box::new(self).contend(view, shutdown)
    }

    async fn contend(
        mut self: Box<Self>,
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
            let is_marking = |standing: &Standing| standing.marking.is_some();
            if self.outcome.is_some() && !self.standing.as_ref().is_some_and(is_marking) {
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
                    self.explain(why);
                    self.inputs.push_back(Input::Withdraw);
                }
                // The handle may have gone away, as for one that withdraws.
                Ok(()) = self.works.changed() => self.renewed(),
                // One end of this channel is our own, so it never ends.
                Some(Some(notice)) = OptionFuture::from(self.notices.as_mut().map(|it| it.1.recv())) => {
                    self.notified(notice);
                }
                Some(happened) = OptionFuture::from(self.standing.as_mut().map(Standing::next)) => {
                    self.happened(happened);
                }
                Some(stirred) = OptionFuture::from(self.tenure.as_mut().map(|it| it.stirred(deadline))) => match stirred {
                    Stirred::News => self.lead(),
                    Stirred::Turn(turn) => self.begin_demotion(turn),
                },
                placed = self.placing.next() => self.placed(placed),
                Some(()) = timer => self.inputs.push_back(Input::Timer),
            }
        }
    }

    fn deadline(&self) -> Moment {
        self.standing
            .as_ref()
            .map(Standing::deadline)
            .unwrap_or_default()
    }

    /// States coalesce: what is seen may be the end of one session and the start of another.
    fn session_seen(
        &mut self,
        View {
            session,
            reconnects,
            drain,
            presence,
            ..
        }: View,
    ) {
        // Before a session begins: a drained host does not stand in it.
        self.drain_seen(drain.as_deref(), presence);
        match (&mut self.standing, session) {
            (Some(standing), Some(session)) if standing.session.id() == session.id() => {
                if std::mem::replace(&mut standing.reconnects, reconnects) != reconnects {
                    self.inputs.push_back(Input::Reconnected);
                }
            }
            (standing, session) => {
                if standing.is_some() {
                    self.inputs.push_back(Input::SessionEnded);
                }
                if session.is_some() {
                    self.inputs.push_back(Input::SessionStarted);
                }
                *standing = session.map(|session| Standing::new(session, reconnects));
            }
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Answered(answer) => self.answered(*answer),
            Happened::Changed => self.inputs.push_back(Input::Changed),
            Happened::Ordered(order) => self.ordered(order),
            Happened::Led(answer) => self.led(*answer),
            Happened::Counted => self.tell_restarts(),
            Happened::Retried(order) => self.retried(order),
            Happened::Marked(stay_out) => {
                if stay_out.is_some() {
                    self.rests_after_term();
                }
                self.inputs
                    .extend(stay_out.map(|stay_out| Input::Resign { stay_out }));
            }
        }
    }

    fn notified(&mut self, notice: Notice) {
        // What the plugin of a deployed task says is judged by the rules of its rollout.
        let leads = self.leads(&notice);
        match notice {
            Notice::Running { .. } => {}
            Notice::Restarting {
                failures,
                cause,
                pause,
            } => self.count_restart(failures, &cause, pause),
            Notice::Completed | Notice::Healthy => {
                if notice == Notice::Completed {
                    self.completed();
                }
                if let Some(tenure) = &mut self.tenure
                    && !std::mem::replace(&mut tenure.healthy, true)
                {
                    self.unmark();
                }
            }
            Notice::Failed(failed) => {
                if self.task.once.is_some() {
                    self.outcome
                        .get_or_insert_with(|| Outcome::Failed(failed.clone()));
                }
                if let Some(tenure) = &mut self.tenure {
                    tenure.failed = Some(failed.clone());
                }
                if !leads {
                    self.mark(failed);
                }
            }
            Notice::ResignRequested { reason } => {
                self.explain(reason);
                if !leads {
                    self.give_up();
                }
            }
            Notice::Stuck => self.stuck = true,
            Notice::Stopped { .. } => {
                if let Some(tenure) = &mut self.tenure {
                    tenure.activation = None;
                    tenure.turn = None;
                }
                self.inputs.push_back(Input::Stopped);
            }
        }
        if leads {
            self.lead();
        }
        self.publish(clock::now());
    }

    /// Gives the term back because the plugin, or this host, has no use for it. The host stays out for a while if that comes too
    /// often.
    fn give_up(&mut self) {
        if let Some(tenure) = &mut self.tenure
            && tenure.reason.is_none()
        {
            let led = clock::now().saturating_since(tenure.since);
            tenure.stay_out = self.given_up.completed(led);
            let stay_out = tenure.stay_out;
            self.resign(stay_out);
        }
    }

    fn resign(&mut self, stay_out: Duration) {
        self.inputs.push_back(Input::Resign { stay_out });
    }

    /// There is other work.
    fn renewed(&mut self) {
        let work = Arc::clone(&self.works.borrow_and_update());
        // The manifest changes more often than the generation: neither a term nor a rest ends by that.
        self.rollout_sight = watched::rollout_sight(&work);
        let before = std::mem::replace(&mut self.known, work.key());
        match work.key() {
            key if key == before => return,
            (Some(number), _) if Some(number) != before.0 => {
                self.explain(format!("generation {number} takes over"));
            }
            _ => self.explain("this host has another part in the rollout"),
        }
        // What the plugin before has given up is no fault of this one.
        self.given_up = Runs::new(work.activation.restart);
        self.inputs.push_back(Input::Renewed(work.election));
    }

    /// Whether the work of the present term is no longer to be done, or is not what the term's record says: an election whose
    /// answer was lost may have been for other work.
    fn is_outdated(&self) -> bool {
        let next = self.works.borrow().key();
        let record = self.standing.as_ref().and_then(|it| it.record.as_ref());
        let recorded = record.map_or(next.0, |record| record.term.generation);
        self.tenure
            .as_ref()
            .is_some_and(|tenure| tenure.work.key() != next || recorded != next.0)
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
        self.listen_while_resting();
        self.publish(now.time);
        self.show(now.time);
        self.count();
        self.tell();
        finished
    }

    /// Tells the guardian what this contender has in the ensemble, or is about to have.
    fn tell(&mut self) {
        let paths = &self.task.paths;
        let is_away = matches!(
            self.election.stage(),
            Stage::Away | Stage::Full | Stage::Finished
        );
        let standing = self.standing.as_ref().filter(|_| !is_away);
        let place = standing.map(|standing| {
            let term = self.election.active_term();
            let place = Place {
                session: standing.session.id(),
                task: self.task.name.to_string(),
                master: paths.elsewhere.then(|| paths.master.clone()),
                candidates: standing.own(),
                leads: term.map(|term| term.fencing_token.0),
            };
            (standing.session.guardian(), place)
        });
        self.told.now(place);
    }

    /// Says where this contender is, if that has changed.
    fn publish(&self, now: Moment) {
        let (stage, term) = (self.election.stage(), self.election.active_term());
        let steady = self.is_steady();
        self.status.send_if_modified(|status| {
            let moved = (status.stage, status.term.as_ref()) != (stage, term);
            let changed = moved || status.steady != steady;
            if changed {
                *status = Status {
                    stage,
                    term: term.cloned(),
                    since: if moved { now } else { status.since },
                    steady,
                };
            }
            changed
        });
        self.make_room(stage);
    }
}

impl Work {
    /// The number of its generation.
    fn number(&self) -> Option<u64> {
        self.generation.map(|generation| generation.number)
    }

    /// What a candidate says of it. Hosts say elsewhere which generation of a deployed task they can run, since that changes while
    /// a candidate stands.
    fn candidate(&self) -> CandidateRecord {
        let plugin = self.plugin.as_ref().filter(|_| self.generation.is_none());
        CandidateRecord {
            priority: self.placement.priority,
            digest: plugin.map(|plugin| plugin.digest()),
        }
    }

    /// Whether the host has heard of another manifest than the one that this work is for, and is about to be given other work.
    fn is_overtaken(&self) -> bool {
        let (Some(generation), Some(rollout)) = (&self.generation, &self.rollout) else {
            return false;
        };
        let known = rollout.known.borrow();
        matches!(known.record, Heard::Record(_, version) if version > generation.manifest_version)
    }

    /// What makes it other work: a host that rests, and is to move the rollout on, has to stand at once.
    fn key(&self) -> WorkKey {
        (self.number(), self.rollout.as_ref().map(|it| it.purpose))
    }
}

impl Task {
    /// The task's nodes, seen by this session.
    fn nodes(&self, session: Arc<Session>) -> TaskNodes {
        TaskNodes::new(session, self.paths.clone(), self.name.clone())
    }

    /// What ties the writes of a term to it.
    fn fence(&self, standing: &Standing, term: &Term) -> Fence {
        let candidate = standing.candidate().unwrap_or_default();
        Fence::new(&self.paths, term, &candidate)
    }
}
