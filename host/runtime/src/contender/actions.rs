//! What the election wants to be done.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;

use super::leading::Leading;
use super::tenure::{Tenure, report_released};
use super::watched::measured;
use super::{Contender, Work, request};
use crate::activation::{Activation, Turn};
use soloist_coordination::rollout::RolloutNodes;
use soloist_coordination::state::TaskState;
use soloist_core::election::{Action, Input};
use soloist_core::event::{About, Event, Seconds};
use soloist_core::permit::Permit;
use soloist_core::term::{Demotion, Term};

impl Contender {
    /// Does what the election wants; says whether this was the end.
    pub(super) fn perform(&mut self, action: Action) -> bool {
        let name = Arc::clone(&self.task.name);
        let about = About::Task(&name);
        match action {
            Action::Look => {
                // Whether what is to be done once was done, the history may tell.
                let is_once = self.task.once.is_some();
                self.request(|nodes, standing| {
                    let with_history = is_once || standing.may_be_next();
                    request::look(nodes, standing.urgency_of_look(), with_history)
                });
            }
            Action::Join => self.request(|nodes, _| request::join(nodes)),
            Action::StepBack => {
                self.request(|nodes, standing| request::step_back(nodes, standing.own()));
            }
            Action::AwaitPredecessor(name) => self.request(|nodes, standing| {
                request::await_predecessor(nodes, name, standing.candidate())
            }),
            Action::AwaitAppointed(name) => self.request(|nodes, standing| {
                request::await_appointed(nodes, name, standing.candidate())
            }),
            Action::Elect { over } if !self.is_admitted(&over) => {}
            Action::Elect { over } => {
                self.over(&over);
                let works = self.works.clone();
                self.electing = Some(Arc::clone(&works.borrow()).into());
                self.request(|nodes, standing| {
                    request::elect(nodes, standing.seen.clone(), over, works)
                });
            }
            Action::ReadMaster => {
                self.request(|nodes, standing| request::read_master(nodes, standing.candidate()));
            }
            // What else it may have in the queue, without knowing, goes with the session.
            Action::Release { term: None }
                if self.election.shuts_down() && !self.election.may_hold_master() =>
            {
                self.request(|nodes, standing| request::leave_queue(nodes, standing.own()));
            }
            Action::Release { term } => {
                let ended = term.map(|term| self.ending(term));
                self.request(|nodes, standing| request::release(nodes, ended, standing.own()));
            }
            Action::Activate(term) => self.activate(term),
            Action::Demote(reason) => self.demote(reason),
            Action::Revoke => {
                if let Some(activation) = self.activation() {
                    activation.revoke();
                }
            }
            Action::LeaveSession => {
                about.report(&Event::election_error(
                    "the ensemble refuses to take back what this host holds: it lets its session go, and with it all its \
                     terms, so that others can lead",
                ));
                if let Some(standing) = &self.standing {
                    standing.session.leave();
                }
            }
            Action::AnnounceRest(rest) => {
                let text = format!(
                    "the ensemble refuses what this host asks for: it leaves the queue for {rest:?}, so that others can lead"
                );
                let retry_in = Some(Seconds(rest));
                about.report(&Event::ElectionError { text, retry_in });
            }
            Action::AnnounceStandby { ahead, leader } => {
                about.report(&Event::Standby { ahead, leader });
            }
            Action::AnnounceElected(term) => {
                // Whether it is ever activated or not, it ends by itself.
                let won = self.electing.take();
                let won = won.unwrap_or_else(|| Arc::clone(&self.works.borrow()).into());
                let number = term.number;
                About::Term(&term).report(&Event::Elected { number });
                self.tenure = Some(Tenure::begin(won.work));
                self.tell_elected();
                self.copied_with(&term, won.copied);
            }
            Action::AnnounceReleased(term) => {
                let tenure = self.tenure.take();
                // The activation has said that it has stopped, which is the last that it says.
                self.notices = None;
                if let Some(standing) = &mut self.standing {
                    standing.rollout = None;
                }
                report_released(
                    &term,
                    tenure.map_or(Duration::ZERO, |tenure| tenure.stay_out),
                );
            }
            Action::Finish => return true,
        }
        false
    }

    fn activation(&self) -> Option<&Activation> {
        self.tenure.as_ref()?.activation.as_ref()
    }

    fn demote(&mut self, reason: Demotion) {
        if let Some(standing) = &mut self.standing
            && let Some(order) = standing.order.take()
        {
            standing.watches.keep(order);
        }
        if let Some(standing) = &mut self.standing {
            standing.rollout = standing.rollout.take().filter(|it| it.is_finished);
        }
        if let Some(tenure) = &mut self.tenure {
            tenure.reason = Some(reason);
            if let Some(leading) = &mut tenure.leading {
                leading.end();
            }
        }
        match self.activation() {
            Some(_) => self.demote_in_turn(reason),
            // There is nothing to be stopped, or nothing any more.
            None => self.inputs.push_back(Input::Stopped),
        }
    }

    /// Has the plugin demoted: when its turn comes, unless its time runs out already.
    fn demote_in_turn(&mut self, reason: Demotion) {
        let turn = self.demotions.turn_now();
        let is_orderly = matches!(reason, Demotion::Shutdown | Demotion::Resigned);
        match (turn, &mut self.tenure) {
            (None, Some(tenure)) if is_orderly => {
                tenure.turn = Some(self.demotions.turn().boxed());
            }
            (turn, _) => self.begin_demotion(turn),
        }
    }

    /// Begins the demotion that the tenure says.
    pub(super) fn begin_demotion(&mut self, turn: Option<Turn>) {
        let Some(tenure) = &mut self.tenure else {
            return;
        };
        tenure.turn = None;
        if let (Some(activation), Some(reason)) = (&tenure.activation, tenure.reason) {
            activation.demote_in(turn, reason);
        }
    }

    fn activate(&mut self, term: Term) {
        if self.standing.is_some() && (self.only_has_to_be_written() || self.is_outdated()) {
            // The end of the term does that.
            return self.resign(Duration::ZERO);
        }
        let (Some(standing), Some(tenure)) = (&mut self.standing, &mut self.tenure) else {
            // Whatever was elected has ended with its session.
            self.inputs.push_back(Input::Stopped);
            return;
        };
        let nodes = self.task.nodes(Arc::clone(&standing.session));
        (standing.marking, standing.counting) = (None, None);
        standing.order = Some(nodes.resign_order(term.clone()).boxed());
        match (tenure.work.generation, &tenure.work.rollout) {
            (Some(generation), Some(rollout)) => {
                let nodes = RolloutNodes::new(
                    Arc::clone(&standing.session),
                    self.task.paths.clone(),
                    self.task.fence(standing, &term),
                );
                let leading = Leading::begin(
                    &term.host,
                    (generation.number, generation.manifest_version),
                    rollout,
                    nodes,
                );
                tenure.leading = Some(match tenure.copied.take() {
                    Some((record, version)) => leading.having_written(record, version),
                    None => leading,
                });
                self.lead();
            }
            _ => self.start_plugin(term),
        }
    }

    /// Starts the plugin in the term.
    pub(super) fn start_plugin(&mut self, term: Term) {
        let (Some(standing), Some(tenure)) = (&self.standing, &mut self.tenure) else {
            // The end of the session ends the term.
            return;
        };
        let Work {
            plugin: Some(plugin),
            activation,
            ..
        } = &*tenure.work
        else {
            return self.resign(Duration::ZERO);
        };
        let permit = Permit::new(standing.session.deadline().clone());
        let permit = permit.traced(&term);
        let permit = measured(self.enlisted.as_ref(), &term, tenure.since, permit);
        if let Some(leading) = &mut tenure.leading {
            leading.follow(permit.pulse());
        }
        let keys_max = usize::try_from(plugin.limits().state_keys).unwrap_or(usize::MAX);
        let fence = self.task.fence(standing, &term);
        let (notices, _) = self.notices.get_or_insert_with(mpsc::unbounded_channel);
        let session = Arc::clone(&standing.session);
        let state = TaskState::new(session, self.task.paths.clone(), fence).with_keys_max(keys_max);
        tenure.activation = Some(Activation::start(
            &self.plugins,
            Arc::clone(plugin),
            *activation,
            term,
            permit,
            Arc::new(state),
            notices.clone(),
        ));
    }
}
