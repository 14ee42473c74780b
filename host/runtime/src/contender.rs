//! One task's contender: the only loop around [`election`](soloist_core::election).
//!
//! It turns what happens into inputs, and the actions that follow into requests to the ensemble and into the start and
//! stop of the plugin. At most one request is under way, at most one set of watches, at most one activation lives.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::OptionFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::activation::{Demotions, Notice};
use crate::shutdown::Shutdown;
use soloist_coordination::session::View;
use soloist_core::clock::{self, Moment};
use soloist_core::election::{Election, Input, Now};
use soloist_core::guardian::Told;
use soloist_core::restart::Runs;
use soloist_core::roster::{Enlisted, RolloutSight, roster};
use soloist_core::term::FencingToken;

mod actions;
mod drain;
mod guarded;
mod leading;
mod marking;
mod notices;
mod once;
mod placing;
mod request;
mod resting;
mod rollout;
mod standing;
mod status;
mod task;
mod tenure;
mod watched;
mod work;

pub use once::{Once, Outcome};
pub use status::{ContenderHandle, Status};
pub use task::Task;
pub use work::Work;

use drain::Drained;
use placing::Placing;
use request::Won;
use standing::{Happened, Standing};
use tenure::{Stirred, Tenure};
use work::WorkKey;

/// A plugin that cannot be stopped: see [`Notice::Stuck`]. What this host holds in its task must not be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The task.
    pub task: Arc<str>,
}

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
}
