//! Tries to make two hosts act at once: three ZooKeeper servers and three hosts, each on a node of a network of its
//! own, a plugin that has an effect about every 5 ms, and faults.
//!
//! After every scenario it is checked that
//! - effects of two terms never interleave, and that the last one of a term precedes the first one of the next;
//! - fencing tokens grow, and no effect is missing from the record;
//! - what the plugin has stored in its state is neither lost nor torn;
//! - every `activated` is paired with `demoted` or `revoked`, or the host was killed;
//! - a leader acts within a bound, also once all has healed, and every host stands again;
//! - no ephemeral node of a session that has ended is left.
//!
//! In some the task is deployed, and something goes wrong while a generation takes over or is taken back. Then it is checked as
//! well that the rollout ends as it has to.
//!
//! `cargo test --test faults -- NAME` runs the scenarios whose name contains NAME; that there is none fails. Set in the
//! environment, `SOLOIST_SOAK=10m` goes through all of them again and again for that time, and `SOLOIST_SEED=N` chooses the
//! pairs of faults. `SOLOIST_TLS=1` has hosts connect with TLS, but for the scenarios that lose single messages. Where the machine allows no network of one's own all are skipped, but
//! not if `SOLOIST_SOAK` or `CI` is set: then that fails.

#![allow(missing_docs, unreachable_pub, reason = "a program")]
#![allow(clippy::enum_glob_use, reason = "the table of scenarios reads better")]

mod fault;
mod lab;
mod rollouts;
mod scenarios;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fault::Fault;
use lab::{Lab, Reach, Run};
use scenarios::Outcome;
use soloist_seed::Random;
use soloist_tests::{build, netns};
use table::Row;

fn main() -> ExitCode {
    match faults() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the fault suite cannot run: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// The name of the scenario that puts pairs together.
const PAIRS: &str = "two faults at a time";

fn faults() -> Result<ExitCode> {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let soak = match std::env::var("SOLOIST_SOAK") {
        Ok(text) => Some(
            humantime::parse_duration(&text).context("SOLOIST_SOAK is no duration such as 10m")?,
        ),
        Err(_) => None,
    };
    let with_tls = std::env::var_os("SOLOIST_TLS").is_some_and(|it| !it.is_empty());
    let picked = scenarios::ALL.iter().filter(|scenario| {
        !(with_tls && scenario.needs_plain())
            && chosen(scenario.name)
            && (scenario.short || soak.is_some() || !filters.is_empty())
    });
    let picked: Vec<_> = picked.collect();
    let rollouts = rollouts::ALL.iter().filter(|rollout| {
        chosen(rollout.name) && (rollout.short || soak.is_some() || !filters.is_empty())
    });
    let rollouts: Vec<_> = rollouts.collect();
    let pairs = chosen(PAIRS);
    if std::env::args().any(|arg| arg == "--list") {
        let names = picked.iter().map(|scenario| scenario.name);
        for name in names.chain(rollouts.iter().map(|rollout| rollout.name)) {
            println!("{name}: test");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if picked.is_empty() && rollouts.is_empty() && !pairs {
        if filters.iter().all(|filter| is_for_other_tests(filter)) {
            return Ok(ExitCode::SUCCESS);
        }
        bail!(
            "no scenario has {} in its name: `--list` shows their names",
            filters.join(" or ")
        );
    }
    let random = Random::new(soloist_seed::seed());
    let mut suite = Suite {
        rows: Vec::new(),
        passed: 0,
        failed: 0,
        skipped: 0,
        random,
    };
    // Before the network is left behind: building may need it.
    build::artifacts()?;
    if let Err(error) = netns::isolate() {
        if soak.is_some() || std::env::var_os("CI").is_some() {
            return Err(error.context(
                "no fault was tried, and where SOLOIST_SOAK or CI is set none may be left out",
            ));
        }
        suite.skipped = picked.len() + rollouts.len() + usize::from(pairs);
        println!("SKIPPED: {} scenarios: {error:#}", suite.skipped);
        return Ok(suite.end());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut lab = Lab::start(with_tls).await?;
        let from = Instant::now();
        loop {
            for scenario in &picked {
                let run = scenario.run(&mut lab).await;
                suite.note(&mut lab, scenario.name, "", run)?;
            }
            for rollout in &rollouts {
                let run = rollout.run(&mut lab, &mut suite.random).await;
                suite.note(&mut lab, rollout.name, "", run)?;
            }
            if pairs {
                suite.pair(&mut lab).await?;
            }
            match soak {
                None => return anyhow::Ok(()),
                Some(soak) if from.elapsed() >= soak => break,
                Some(_) => {}
            }
        }
        lab.begin("waiting", [Reach::All; 3]).await?;
        let writes = lab.writes_per_host(Duration::from_secs(20)).await?;
        let timeout = lab::SESSION_TIMEOUT;
        println!(
            "each host costs {writes:.2} committed writes a second while nothing happens (session timeout {timeout:?})"
        );
        lab.finish(Outcome::SameTerm).await?;
        Ok(())
    })?;
    println!(
        "\n{}\n\n{}",
        table::outcomes(&suite.rows),
        table::revocations(&suite.rows)
    );
    Ok(suite.end())
}

/// Cargo gives the name of a test to every program of tests. Such a name is one word, with underscores or colons.
fn is_for_other_tests(filter: &str) -> bool {
    filter.contains(['_', ':']) && !filter.contains(' ')
}

struct Suite {
    rows: Vec<Row>,
    passed: usize,
    failed: usize,
    skipped: usize,
    random: Random,
}

impl Suite {
    async fn pair(&mut self, lab: &mut Lab) -> Result<()> {
        let faults = loop {
            let mut pick = || one_of(&Fault::TO_COMBINE, &mut self.random);
            let pair = [pick(), pick()];
            // A host that was killed cannot be paused.
            let of_one_host =
                |fault: &Fault| matches!(fault, Fault::HostKilled | Fault::HostPaused);
            if pair[0] != pair[1] && !pair.iter().all(of_one_host) {
                break pair;
            }
        };
        let apart = Duration::from_millis(self.random.below(3000));
        let by = one_of(
            &["waiting", "computing", "calling", "blocking", "storing"],
            &mut self.random,
        );
        let run = scenarios::two_faults(lab, faults, apart, by).await;
        self.note(
            lab,
            PAIRS,
            &format!(": {faults:?}, {apart:?} apart, plugin {by}"),
            run,
        )
    }

    fn note(&mut self, lab: &mut Lab, name: &str, detail: &str, run: Result<Run>) -> Result<()> {
        let story = lab.story();
        lab.clear()?;
        let index = self
            .rows
            .iter()
            .position(|row| row.name == name)
            .unwrap_or_else(|| {
                self.rows.push(Row {
                    name: name.to_owned(),
                    runs: Vec::new(),
                    failed: 0,
                });
                self.rows.len() - 1
            });
        let row = &mut self.rows[index];
        let trouble = match run {
            Ok(run) => {
                let shown = run.violations.iter().take(10).map(String::as_str);
                let more = run.violations.len().saturating_sub(10);
                let more = (more > 0).then(|| format!("and {more} more"));
                let violations = shown
                    .chain(more.as_deref())
                    .collect::<Vec<_>>()
                    .join("\n  ");
                let late = run.findings.received_late;
                if late > 0 {
                    println!(
                        "  {late} lines were delivered late, after a later term's first, though taken before"
                    );
                }
                row.runs.push(run);
                violations
            }
            Err(error) => format!("{error:#}"),
        };
        if trouble.is_empty() {
            self.passed += 1;
            println!("ok      {name}{detail}");
        } else {
            self.failed += 1;
            row.failed += 1;
            println!(
                "FAILED  {name}{detail}\n  {trouble}\n  what happened, but for effects:\n{story}"
            );
        }
        Ok(())
    }

    fn end(&self) -> ExitCode {
        println!(
            "\n{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
        ExitCode::from(u8::from(self.failed > 0))
    }
}

/// One of those, as the seed decides.
fn one_of<T: Copy>(all: &[T], random: &mut Random) -> T {
    all[usize::try_from(random.below(all.len() as u64)).expect("it is below a usize")]
}
