use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use super::{Answer, Harness};
use crate::{Demotion, Plugin, Result, Term, config, http, remaining, resign, sleep, state, term};

const SECOND: Duration = Duration::from_secs(1);

/// What it does is in the configuration, one word after the other.
#[derive(Default)]
struct Script {
    done: u32,
}

impl Plugin for Script {
    async fn on_elected(&mut self, _: Term) -> Result {
        for word in config("script").unwrap_or_default().split_whitespace() {
            match word {
                "sleep" => sleep(SECOND).await,
                "ask" => drop(http::get("http://a.example").await?),
                "write" => drop(state::set("key", "value").await?),
                "fail" => return Err("as told".into()),
                "resign" => resign("as told"),
                "hang" => pending().await,
                "spin" => {
                    std::future::poll_fn(|context| {
                        context.waker().wake_by_ref();
                        Poll::<()>::Pending
                    })
                    .await;
                }
                other => panic!("what is {other}?"),
            }
            self.done += 1;
        }
        Ok(())
    }

    async fn on_demoted(&mut self, reason: Demotion) {
        info!(left = remaining().as_secs(), "{reason} after {}", self.done);
        for word in config("last").unwrap_or_default().split_whitespace() {
            match word {
                "sleep" => sleep(SECOND).await,
                "ask" => {
                    let refused = http::get("http://a.example").await;
                    info!("{}", refused.unwrap_err());
                }
                other => panic!("what is {other}?"),
            }
        }
        info!("stopped");
    }
}

fn sentence(fails: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(fails)).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
        let text = panic.downcast_ref::<&str>().expect("a panic with a text");
        (*text).to_owned()
    })
}

#[test]
fn demotion_cuts_on_elected_where_it_waits_and_tells_the_plugin() {
    let test = Harness::new().config("script", "sleep sleep hang");
    let mut leader = test.elect::<Script>();
    leader.advance(5 * SECOND);
    assert!(leader.leads());
    leader.demote(Demotion::NodeLost);
    assert!(!leader.leads());
    assert_eq!(leader.outcome(), None);
    assert_eq!(test.messages(), ["node-lost after 2", "stopped"]);
    assert_eq!(test.logs()[0].at, 5 * SECOND);
    assert_eq!(test.logs()[0].field("left"), Some("2"));
}

#[test]
fn a_plugin_that_has_returned_leads_on_and_is_told_and_one_that_failed_is_not() {
    let test = Harness::new().config("script", "sleep");
    let mut leader = test.elect::<Script>();
    leader.advance(SECOND);
    assert_eq!(leader.outcome(), Some(Ok(())));
    assert!(leader.leads());
    leader.demote(Demotion::Shutdown);
    assert_eq!(leader.outcome(), Some(Ok(())));
    assert_eq!(test.messages(), ["shutdown after 1", "stopped"]);

    let test = Harness::new().config("script", "sleep fail");
    let mut leader = test.elect::<Script>();
    assert_eq!(leader.finish(), Err("as told".into()));
    leader.demote(Demotion::Shutdown);
    assert!(test.messages().is_empty());
}

#[test]
fn a_resignation_ends_the_term() {
    let test = Harness::new().config("script", "sleep resign hang");
    let mut leader = test.elect::<Script>();
    assert_eq!(test.resigned(), None);
    leader.advance(SECOND);
    assert!(!leader.leads());
    assert_eq!(test.resigned().as_deref(), Some("as told"));
    assert_eq!(test.messages()[0], "resigned after 2");
}

#[test]
fn a_killed_plugin_is_not_told_and_the_next_has_another_term() {
    let test = Harness::new().config("script", "write hang");
    let mut first = test.elect::<Script>();
    first.kill();
    assert!(test.messages().is_empty());
    let second = test.elect::<Script>();
    assert!(second.term().number == 2 && second.term().fencing_token > first.term().fencing_token);
    assert_ne!(second.term().host, first.term().host);
    // A plugin that was dropped leads no more either.
    drop(second);
    assert_eq!(test.elect::<Script>().term().number, 3);
    assert_eq!(test.state_keys(), ["key"]);
}

#[test]
fn no_two_lead_at_once() {
    let test = Harness::new().config("script", "hang");
    let _leader = test.elect::<Script>();
    let said = sentence(|| drop(test.elect::<Script>()));
    assert!(said.contains("a plugin leads already, in term 1"), "{said}");
}

#[test]
fn a_plugin_that_is_slow_to_stop_fails_the_test() {
    let test = Harness::new()
        .config("script", "hang")
        .config("last", "sleep");
    test.elect::<Script>().demote(Demotion::Shutdown);
    assert_eq!(test.now(), SECOND);
    assert_eq!(test.messages().len(), 2);

    test.demote_timeout(SECOND / 2);
    let mut leader = test.elect::<Script>();
    let said = sentence(|| leader.demote(Demotion::Shutdown));
    assert!(said.contains("had not returned after 500ms"), "{said}");
}

#[test]
fn requests_are_refused_once_demotion_has_begun() {
    let test = Harness::new()
        .config("script", "ask hang")
        .config("last", "ask");
    test.http(|_| Answer::status(200));
    test.elect::<Script>().demote(Demotion::Shutdown);
    assert_eq!(test.requests().len(), 1);
    assert!(test.messages()[1].contains("was refused"));
}

#[test]
fn a_demotion_finds_the_plugin_in_a_write_that_takes_its_time() {
    let test = Harness::new().config("script", "write").state_takes(SECOND);
    let mut leader = test.elect::<Script>();
    leader.advance(SECOND / 2);
    leader.demote(Demotion::Shutdown);
    assert_eq!(test.messages()[0], "shutdown after 0");
    assert_eq!(test.state::<String>("key"), None);
    assert_eq!(test.elect::<Script>().finish(), Ok(()));
    assert_eq!(test.state::<String>("key").as_deref(), Some("value"));
}

#[test]
fn what_is_not_faked_fails_with_a_sentence() {
    let test = Harness::new().config("script", "ask");
    let said = sentence(|| drop(test.elect::<Script>()));
    assert!(
        said.contains("GET http://a.example") && said.contains("Harness::http"),
        "{said}"
    );

    let outside: [(&str, fn()); 4] = [
        ("`config`", || drop(config("a"))),
        ("`remaining`", || assert!(remaining().is_zero())),
        ("`resign`", || resign("now")),
        ("`time`", || assert!(crate::time::now().elapsed().is_ok())),
    ];
    for (call, fails) in outside {
        let said = sentence(fails);
        assert!(
            said.contains(call) && said.contains("testing::Harness"),
            "{said}"
        );
    }
    // A line is just printed.
    info!("outside");
}

#[test]
fn what_never_waits_or_never_comes_fails_with_a_sentence() {
    let test = Harness::new().config("script", "spin");
    let said = sentence(|| drop(test.elect::<Script>()));
    assert!(said.contains("wakes itself again and again"), "{said}");

    let test = Harness::new().config("script", "hang");
    let said = sentence(|| drop(test.elect::<Script>().finish()));
    assert!(
        said.contains("waits for something that is not the clock"),
        "{said}"
    );
    let said = sentence(|| Harness::new().block_on(pending()));
    assert!(
        said.contains("waits for something that is not the clock"),
        "{said}"
    );
}

#[test]
fn two_worlds_on_one_thread_stay_apart() {
    let one = Harness::new().task("one").config("script", "sleep hang");
    let other = Harness::new()
        .task("other")
        .config("script", "sleep sleep hang");
    let (mut first, mut second) = (one.elect::<Script>(), other.elect::<Script>());
    second.advance(2 * SECOND);
    first.advance(SECOND);
    first.demote(Demotion::Shutdown);
    second.demote(Demotion::Shutdown);
    assert_eq!(one.messages()[0], "shutdown after 1");
    assert_eq!(other.messages()[0], "shutdown after 2");
    assert_eq!(one.block_on(async { term().task }), "one");
}
