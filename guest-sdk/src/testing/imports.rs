//! The imports of a plugin in a native build.

use std::time::{Duration, SystemTime};

use super::answer::{Kind, Request};
use super::world::{Line, Standing, World, nanos};
use crate::Level;
use crate::http::{Error, Refused, Request as Sent, Response};

pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
    match World::current() {
        Some(world) => world.log(level, message, fields),
        None => println!("{}", Line::new(Duration::ZERO, level, message, fields)),
    }
}

pub(crate) fn remaining() -> u64 {
    let world = World::of("remaining");
    match world.standing.get() {
        Standing::Demoting { until } => until.saturating_sub(world.clock.now()),
        Standing::Leads | Standing::Idle => nanos(world.lease.get()),
    }
}

pub(crate) fn should_stop() -> bool {
    let world = World::of("should_stop");
    let left = world.asks.get();
    world.asks.set(left.map(|left| left.saturating_sub(1)));
    left == Some(0) || matches!(world.standing.get(), Standing::Demoting { .. })
}

pub(crate) fn resign(reason: &str) {
    let world = World::of("resign");
    let mut resigned = world.resigned.borrow_mut();
    resigned.get_or_insert_with(|| reason.to_owned());
}

pub(crate) fn config(key: &str) -> Option<String> {
    World::of("config").config.borrow().get(key).cloned()
}

pub(crate) fn config_all() -> Vec<(String, String)> {
    let world = World::of("config_as");
    let config = world.config.borrow();
    config.clone().into_iter().collect()
}

pub(crate) fn now() -> u64 {
    World::of("time").clock.now()
}

pub(crate) fn system_time() -> SystemTime {
    let world = World::of("time");
    world.began.get() + Duration::from_nanos(world.clock.now())
}

pub(crate) async fn wait_until(deadline: u64) {
    World::of("sleep").clock.wait_until(deadline).await;
}

pub(crate) async fn exchange(sent: &Sent) -> Result<Response, Error> {
    let world = World::of("http");
    sent.target()?;
    let url = sent.url.clone();
    let reason = Refused::Denied;
    if matches!(world.standing.get(), Standing::Demoting { .. }) {
        return Err(Error::Refused { url, reason });
    }
    let term = world.term();
    let mut headers = sent.sent_headers();
    headers.push(("soloist-task".into(), term.task.into_bytes()));
    let token = term.fencing_token.to_string();
    headers.push(("soloist-fencing-token".into(), token.into_bytes()));
    let answer = world.ask(Request {
        method: sent.method.clone(),
        url: url.clone(),
        headers,
        body: sent.body.clone(),
    });
    world.clock.wait_until(world.after(answer.after)).await;
    match answer.kind {
        Kind::Failed(reason) => Err(Error::Failed { url, reason }),
        Kind::Refused => Err(Error::Refused { url, reason }),
        Kind::Answered { body, .. } if body.len() > sent.body_max => Err(Error::TooLarge {
            url,
            max: sent.body_max,
        }),
        Kind::Answered {
            status,
            headers,
            body,
        } => Ok(Response {
            status,
            headers,
            body,
            url,
        }),
    }
}

pub(crate) mod schedule {
    //! Schedules: the test says when the slots of a cron expression are.

    pub(crate) use super::super::slots::{complete, next};
    pub(crate) use crate::bindings::soloist::plugin::schedule::{
        Cron, Error, Problem, Rule, Schedule, Slot,
    };
}

pub(crate) mod state {
    //! The state: each call takes the time that the test says, then is done at once.

    use std::rc::Rc;

    use super::super::world::World;
    pub(crate) use crate::bindings::soloist::plugin::state::{
        Assignment, Entry, Error, Expectation, Operation, Refusal,
    };

    async fn world() -> Rc<World> {
        let world = World::of("state");
        let done = world.after(world.state_takes.get());
        world.clock.wait_until(done).await;
        world
    }

    pub(crate) async fn get(key: String) -> Result<Option<Entry>, Error> {
        world().await.kept.borrow().get(&key)
    }

    pub(crate) async fn set(key: String, value: Vec<u8>) -> Result<u64, Error> {
        world().await.kept.borrow_mut().set(&key, value)
    }

    pub(crate) async fn compare_and_set(
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> Result<u64, Error> {
        let world = world().await;
        let mut kept = world.kept.borrow_mut();
        kept.compare_and_set(&key, expected, value)
    }

    pub(crate) async fn delete(key: String) -> Result<(), Error> {
        world().await.kept.borrow_mut().delete(&key)
    }

    pub(crate) async fn list(prefix: String) -> Result<Vec<String>, Error> {
        world().await.kept.borrow().list(&prefix)
    }

    pub(crate) async fn transact(operations: Vec<Operation>) -> Result<Option<u64>, Refusal> {
        world().await.kept.borrow_mut().transact(operations)
    }
}
