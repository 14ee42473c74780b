//! Uses what the SDK adds to the contract, in the sandbox: tests of the SDK run natively.

use std::time::Duration;

use serde::Deserialize;
use soloist_sdk::checkpoint::Checkpoint;
use soloist_sdk::{
    Demotion, Either, Plugin, Result, Term, config_as, every, info, join, select, should_stop,
    sleep, spawn_scoped, time, timeout,
};

const MOMENT: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Settings {
    steps: Vec<String>,
    pause: Duration,
}

#[derive(Default)]
struct Toolbox;

struct Says(&'static str);

impl Drop for Says {
    fn drop(&mut self) {
        info!("{}", self.0);
    }
}

impl Plugin for Toolbox {
    async fn on_elected(&mut self, _: Term) -> Result {
        let settings: Settings = config_as()?;
        for step in &settings.steps {
            match step.as_str() {
                "time" => times(settings.pause).await?,
                "tasks" => tasks().await?,
                "checkpoint" => checkpoint().await?,
                #[cfg(feature = "bridges")]
                "bridges" => bridges(),
                // It could ask, and so imports `should-stop`.
                "wait" | "ask and wait" => {
                    let _says = Says("the wait is over");
                    let asks = step != "wait";
                    if asks && should_stop() {
                        return Err("it should not stop yet".into());
                    }
                    info!("waits");
                    sleep(Duration::from_secs(3600)).await;
                }
                "hang" => {
                    let says = Says("the task is dropped");
                    let task = spawn_scoped(async move {
                        let _says = says;
                        sleep(Duration::from_secs(3600)).await;
                    });
                    info!("hangs");
                    task.await;
                }
                other => return Err(format!("there is no step {other}").into()),
            }
            info!("{step} is done");
        }
        Ok(())
    }

    async fn on_demoted(&mut self, _: Demotion) {
        info!("demoted");
    }
}

async fn times(pause: Duration) -> Result {
    let begun = time::Instant::now();
    let mut ticks = every(pause);
    for number in 0..3 {
        let tick = ticks.tick().await;
        if tick.number < number {
            return Err(format!("tick {number} is {tick:?}").into());
        }
    }
    if begun.elapsed() < pause * 2 {
        return Err(format!("three ticks took {:?}", begun.elapsed()).into());
    }
    timeout(pause, std::future::pending::<()>())
        .await
        .unwrap_err();
    timeout(Duration::from_secs(3600), sleep(pause)).await?;
    Ok(())
}

async fn tasks() -> Result {
    let sum = spawn_scoped(async {
        let (one, two) = join(async { 1 }, async {
            sleep(MOMENT).await;
            2
        })
        .await;
        one + two
    });
    let cancelled = spawn_scoped(sleep(Duration::from_secs(3600)));
    let first = select(sleep(Duration::from_secs(3600)), sum).await;
    cancelled.cancel();
    if first != Either::Right(3) {
        return Err(format!("first was {first:?}").into());
    }
    Ok(())
}

async fn checkpoint() -> Result {
    let mut at = Checkpoint::<u32>::load("at").await?;
    for _ in 0..3 {
        at.advance(at.position() + 1).await?;
    }
    info!("at {}", at.position());
    Ok(())
}

#[cfg(feature = "bridges")]
fn bridges() {
    log::warn!(bytes = 12; "by log");
    let span = tracing::info_span!("outer", task = "t").entered();
    tracing::error!(left = 3, "by tracing");
    span.exit();
}

soloist_sdk::export!(Toolbox);
