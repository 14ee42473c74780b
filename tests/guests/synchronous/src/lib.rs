//! A guest for the tests, of the world `minimal`: does what its config value `do` says, and never waits but by blocking.

use std::thread;
use std::time::{Duration, Instant};

use soloist::plugin::blocking_clock::sleep;
use soloist::plugin::blocking_state::{self, Assignment, Expectation, Operation};
use soloist::plugin::leadership::{current_term, should_stop};
use soloist::plugin::log::{Level, log};
use wasi::config::store;

wit_bindgen::generate!({
    path: "../../../guest-sdk/wit",
    world: "minimal",
    generate_all,
});

const FOREVER: Duration = Duration::from_secs(1_000_000);

/// How long `on_demoted` takes, as far as it can tell.
const FAREWELL: Duration = Duration::from_millis(20);

struct Synchronous;

fn say(message: &str) {
    log(Level::Info, message, &[]);
}

impl Guest for Synchronous {
    fn on_elected(term: Term) -> Result<(), String> {
        let current = current_term();
        let told = (term.number, term.fencing_token, term.task, term.host);
        if told
            != (
                current.number,
                current.fencing_token,
                current.task,
                current.host,
            )
        {
            return Err("there are two terms".into());
        }
        say(&format!("elected for {told:?}"));
        match store::get("do").unwrap().as_deref() {
            Some("asks") => {
                while !should_stop() {
                    say("sleeps");
                    thread::sleep(FOREVER);
                }
                // No wait is long any more.
                thread::sleep(FOREVER);
                say("has slept");
            }
            Some("asks-late") => {
                say("sleeps");
                thread::sleep(FOREVER);
                should_stop();
            }
            Some("computes") => {
                say("computes");
                while !should_stop() {}
            }
            Some("sleeps") => {
                say("sleeps");
                while !sleep(1_000_000_000_000_000) {}
            }
            Some("state") => state()?,
            Some("waits-for-state") => {
                let read = blocking_state::get("key");
                say(&format!("read {read:?}"));
            }
            Some("error") => return Err("this went wrong".into()),
            other => return Err(format!("do what? {other:?}")),
        }
        Ok(())
    }

    fn on_demoted(reason: Demotion) {
        let begun = Instant::now();
        thread::sleep(FAREWELL);
        sleep(u64::try_from(FAREWELL.as_nanos()).unwrap());
        let slept = begun.elapsed() >= 2 * FAREWELL;
        say(&format!(
            "demoted: {reason:?}, slept: {slept}, asked: {}",
            should_stop()
        ));
    }
}

fn state() -> Result<(), String> {
    let told = |error: blocking_state::Error| format!("{error:?}");
    let first = blocking_state::set("name", b"Ada").map_err(told)?;
    let second = blocking_state::compare_and_set("name", Some(first), b"Grace").map_err(told)?;
    let stale = blocking_state::compare_and_set("name", Some(first), b"Eve");
    let Err(blocking_state::Error::Changed(Some(version))) = stale else {
        return Err(format!("changed, was expected: {stale:?}"));
    };
    let entry = blocking_state::get("name").map_err(told)?;
    let entry = entry.ok_or("it is not there")?;
    if version != second || (entry.version, &*entry.value) != (second, b"Grace") {
        return Err(format!("read {entry:?}, of version {second}"));
    }
    blocking_state::set("more", b"").map_err(told)?;
    let keys = blocking_state::list("").map_err(told)?;
    if blocking_state::list("mo").map_err(told)? != ["more"] {
        return Err("more keys begin with `mo`".into());
    }
    let assignment = |key: &str| Assignment {
        key: key.into(),
        value: b"by transaction".into(),
    };
    let stale = [
        Operation::Set(assignment("both")),
        Operation::Check(Expectation {
            key: "name".into(),
            expected: Some(first),
        }),
    ];
    let refused = blocking_state::transact(&stale);
    if !matches!(refused, Err(ref refusal) if refusal.at == Some(1)) {
        return Err(format!("its second, was expected: {refused:?}"));
    }
    let both = [
        Operation::Set(assignment("both")),
        Operation::Delete("more".into()),
    ];
    blocking_state::transact(&both).map_err(|refusal| format!("{refusal:?}"))?;
    blocking_state::delete("both").map_err(told)?;
    let large = blocking_state::set("name", &vec![0; 65_537]);
    if !matches!(large, Err(blocking_state::Error::TooLarge)) {
        return Err(format!("too large, was expected: {large:?}"));
    }
    let named = blocking_state::set("a/b", b"");
    if !matches!(named, Err(blocking_state::Error::BadKey(_))) {
        return Err(format!("bad key, was expected: {named:?}"));
    }
    say(&format!("all is well with {keys:?}"));
    Ok(())
}

export!(Synchronous);
