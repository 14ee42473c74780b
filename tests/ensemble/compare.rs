//! The ensemble answers what ZooKeeper answers, and tells of watches in the same order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_dev::ensemble::{Clock, Ensemble, Settings};
use soloist_seed::seed;
use soloist_tests::zookeeper::{self, ZooKeeper};

use crate::operation::{CREATE, Operation};
use crate::plan::{CLIENTS, Plan};
use crate::side::{Side, Step};

const TICK: Duration = Duration::from_secs(6);
/// How many steps a plan has.
const STEPS: usize = 120;
/// How many plans there are, unless `SOLOIST_PLANS` says otherwise.
const PLANS: u64 = 30;

#[tokio::test]
async fn random_operations_come_to_the_same_as_on_a_real_server() -> Result<()> {
    let first = seed();
    let plans = match std::env::var("SOLOIST_PLANS") {
        Ok(plans) => plans.parse()?,
        Err(_) => PLANS,
    };
    // Containers go when a timer says so, which is another one on each side.
    // Sessions are long: on a machine that is busy with other work none ends by itself.
    let settings = zookeeper::Settings::standalone()
        .tick(TICK)
        .system_property("znode.container.checkIntervalMs", "1000000000");
    let zookeeper = ZooKeeper::start(settings).await?;
    let ensemble = Ensemble::start(Settings {
        tick: zookeeper.tick(),
        clock: Clock::manual(),
        ..Settings::default()
    })
    .await?;
    let mut sides = [
        Side::new(zookeeper.address(0)),
        Side::new(ensemble.address()),
    ];
    for plan in 0..plans {
        let seed = first.wrapping_add(plan);
        run(&mut sides, seed)
            .await
            .with_context(|| format!("with SOLOIST_SEED={seed} SOLOIST_PLANS=1"))?;
    }
    Ok(())
}

async fn run([zookeeper, ensemble]: &mut [Side; 2], seed: u64) -> Result<()> {
    let base = format!("/{seed}");
    let mut plan = Plan::new(seed, &base);
    let begun = zookeeper.begin(CLIENTS).await?;
    same("begin", &begun, &ensemble.begin(CLIENTS).await?)?;
    let mut before = Vec::new();
    let base = Operation::Create {
        code: CREATE,
        path: base,
        data: None,
        acl: vec![(31, "world", "anyone".into())],
        flags: 0,
    };
    let mut next = Step::Ask {
        client: 0,
        operations: vec![base],
    };
    for number in 0..STEPS {
        let step = format!("step {number}: {next:?}");
        let expected = zookeeper.take(&next).await;
        let expected = expected.with_context(|| format!("ZooKeeper, {step}"))?;
        let answered = ensemble.take(&next).await;
        let answered = answered.with_context(|| format!("the ensemble, {step}"))?;
        let last = before.len().saturating_sub(6);
        same(&step, &expected, &answered)
            .with_context(|| format!("after\n{}", before[last..].join("\n")))?;
        before.push(format!("{step}\n    {}", expected.join("\n    ")));
        next = plan.step(|client| zookeeper.last_zxid(client));
    }
    let ended = zookeeper.end().await?;
    same("end", &ended, &ensemble.end().await?)
}

fn same(step: &str, expected: &[String], answered: &[String]) -> Result<()> {
    ensure!(
        expected == answered,
        "{step}\nZooKeeper:\n  {}\nthe ensemble:\n  {}",
        expected.join("\n  "),
        answered.join("\n  ")
    );
    Ok(())
}
