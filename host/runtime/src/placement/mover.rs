//! The companion that looks at the loads of all hosts now and then, and has contenders hand over what the rules say.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use soloist_coordination::error::NodeError;
use soloist_coordination::placement;
use soloist_coordination::session::{Session, View};
use soloist_core::clock::{self, Moment};
use soloist_core::election::Stage;
use soloist_core::placement::{Led, Move, Peer, Sightings, Standby, TaskPlacement, decide};
use soloist_core::term::Term;
use tokio::sync::watch;

use super::{Member, Members};
use crate::duties::{Duties, HandOver};

/// The longest pause between two looks at the loads of hosts.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// The shortest one, where the times of moves are short.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(250);
/// A host that had nothing to hand over looks at every so many-th turn only.
const IDLE_TURNS: u32 = 6;
/// Of how many tasks the standbys, or the leaders of those that they avoid, are read at one look.
const READS_MAX: usize = 64;

/// The companion of a host.
#[derive(Debug)]
pub struct Mover {
    duties: Duties,
    members: Members,
    root: String,
    view: watch::Receiver<View>,
    sightings: Sightings,
    /// Who did not take a task, or should not have it, and until when that counts.
    shunned: BTreeMap<(Arc<str>, String), Moment>,
    /// Where to go on reading at the next look.
    next_read: usize,
}

/// A term of this host, with what is known of its task.
struct Own {
    task: Arc<str>,
    member: Member,
    term: Term,
    led_for: Duration,
    steady: bool,
    crowded: bool,
    placement: TaskPlacement,
    standbys: Option<Vec<Standby>>,
    shunned: Vec<String>,
}

impl Own {
    fn led(&self) -> Led<'_> {
        Led {
            task: &self.task,
            placement: &self.placement,
            led_for: self.led_for,
            steady: self.steady,
            crowded: self.crowded,
            standbys: self.standbys.as_deref(),
            shunned: &self.shunned,
        }
    }
}

impl Mover {
    /// The companion of the host with this duties and these contenders, which keeps its nodes below `root`.
    pub fn new(
        duties: Duties,
        members: Members,
        root: String,
        view: watch::Receiver<View>,
    ) -> Self {
        Self {
            duties,
            members,
            root,
            view,
            sightings: Sightings::default(),
            shunned: BTreeMap::new(),
            next_read: 0,
        }
    }

    /// Goes on until it is dropped.
    pub async fn run(mut self) {
        let (mut turn, mut is_idle) = (0_u32, false);
        loop {
            let pace = self.duties.placement().pace;
            let pause = (pace.grace / 12).clamp(LOOK_PAUSE_MIN, LOOK_PAUSE);
            tokio::time::sleep(pause * 3 / 4 + some_of(pause / 2)).await;
            turn = turn.wrapping_add(1);
            let Some(session) = self.view.borrow().session.clone() else {
                continue;
            };
            let own = self.own(clock::now());
            let may_wait = is_idle && own.iter().all(|it| !it.crowded && !it.placement.preempt);
            if own.is_empty() || may_wait && !turn.is_multiple_of(IDLE_TURNS) {
                continue;
            }
            match self.look(&session, own).await {
                Ok(is_even) => is_idle = is_even,
                // The next look may do better, and what keeps it from that is told elsewhere.
                Err(error) => tracing::debug!(%error, "cannot read who leads how much"),
            }
        }
    }

    /// The terms of this host.
    fn own(&self, now: Moment) -> Vec<Own> {
        let leads = |(task, member): (Arc<str>, Member)| {
            let status = member.status.borrow().clone();
            let term = status.term.filter(|_| status.stage == Stage::Leading)?;
            let placement = member.works.borrow().placement.clone();
            Some(Own {
                led_for: now.saturating_since(status.since),
                steady: status.steady,
                crowded: self.duties.is_crowded(&task, &placement),
                standbys: None,
                shunned: Vec::new(),
                task,
                member,
                term,
                placement,
            })
        };
        self.members.all().into_iter().filter_map(leads).collect()
    }

    /// Looks at all hosts, and hands over what is to be; gives whether nothing is.
    async fn look(&mut self, session: &Session, mut own: Vec<Own>) -> Result<bool, NodeError> {
        let pace = self.duties.placement().pace;
        let seen = placement::peers(session, &self.root).await?;
        let now = clock::now();
        let peers: Vec<Peer> = self.sightings.see(now, seen, pace.grace);
        self.shunned.retain(|_, until| now < *until);
        let leads = |task: &str, token| {
            let mut own = own.iter();
            own.any(|it| *it.task == *task && it.term.fencing_token == token)
        };
        if !self
            .sightings
            .are_current(session.host(), now, pace.grace, leads)
        {
            return Ok(false);
        }
        self.read_more(session, &mut own).await?;
        for own in &mut own {
            let shunned = self.shunned.keys().filter(|(task, _)| *task == own.task);
            own.shunned.extend(shunned.map(|(_, host)| host.clone()));
        }
        let led: Vec<Led<'_>> = own.iter().map(Own::led).collect();
        let moves = decide(session.host(), &peers, &led, &pace);
        let mut is_even = true;
        for Move { task, to, why } in moves {
            let Some(own) = own.iter().find(|own| *own.task == *task) else {
                continue;
            };
            // Whatever comes of it, it is not tried again at once.
            let key = (Arc::clone(&own.task), to.clone());
            self.shunned.insert(key, now + pace.grace);
            let standbys = placement::standbys(session, &own.member.paths).await?;
            let takes = |it: &Standby| it.host == to && it.priority >= own.placement.priority;
            if standbys.iter().any(takes) {
                let token = own.term.fencing_token;
                self.sightings
                    .ordered(token, &own.task, &to, now + pace.grace);
                // A contender that has ended leads nothing.
                let _ = own
                    .member
                    .orders
                    .unbounded_send(HandOver { token, to, why });
                is_even = false;
            }
        }
        Ok(is_even)
    }

    /// Reads what only some tasks ask for: who stands, of those that preempt; and who leads what they avoid. If there are many,
    /// those that are left are read at the next look.
    async fn read_more(&mut self, session: &Session, own: &mut [Own]) -> Result<(), NodeError> {
        let asks = |own: &Own| own.placement.preempt || !own.placement.avoid.is_empty();
        let asking: Vec<usize> = (0..own.len()).filter(|it| asks(&own[*it])).collect();
        let first = self.next_read.min(asking.len());
        self.next_read = if asking.len() > READS_MAX {
            first + READS_MAX
        } else {
            0
        };
        if self.next_read >= asking.len() {
            self.next_read = 0;
        }
        for it in asking[first..].iter().take(READS_MAX) {
            let own = &mut own[*it];
            if own.placement.preempt {
                own.standbys = Some(placement::standbys(session, &own.member.paths).await?);
            }
            for other in &own.placement.avoid {
                let leader = placement::leader(session, &self.root, other).await?;
                own.shunned.extend(leader);
            }
        }
        Ok(())
    }
}

/// Any part of a time: hosts that were started together do not look together.
fn some_of(time: Duration) -> Duration {
    // The keys of the standard library's maps come from the system's source of random numbers.
    let random = RandomState::new().hash_one(()) % 1_000;
    time * u32::try_from(random).unwrap_or_default() / 1_000
}
