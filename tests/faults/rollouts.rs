//! Rollouts: a generation takes over, or is taken back, and something goes wrong at a moment that matters.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use soloist_core::records::{RolloutRecord, Stage};
use soloist_seed::Random;
use soloist_tests::cluster::TASK;
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::history::Record;
use soloist_tests::process::{Process, command_on};
use soloist_tests::{PATIENCE, build, eventually};

use crate::fault::Fault;
use crate::lab::{Lab, Reach, Run, SESSION_TIMEOUT};
use crate::scenarios::Outcome;

/// Once all has healed, a rollout has ended within this time: a session timeout, a probation, and the rest for a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// When it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// While hosts prepare the generation that has just been deployed.
    Deployed,
    /// The leader has made the generation the current one, and has not given its term back.
    Promoted,
    /// A host was elected for the generation.
    Elected,
    /// A leader has taken the generation back, and has not given its term back.
    TakenBack,
}

/// What the second generation is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    /// It goes on with what the first one has stored.
    Good,
    /// It fails at once.
    Bad,
}

#[derive(Clone, Copy, Debug)]
pub struct Rollout {
    pub name: &'static str,
    second: Second,
    what: What,
    /// Whether the short form of the suite has it.
    pub short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Nothing,
    /// It hits the host that leads then.
    Fault(Fault, When),
    /// Who deploys loses all servers while the command runs.
    OperatorCut,
}

const fn rollout(name: &'static str, second: Second, what: What) -> Rollout {
    Rollout {
        name,
        second,
        what,
        short: true,
    }
}

impl Rollout {
    const fn long(self) -> Self {
        Self {
            short: false,
            ..self
        }
    }
}

pub const ALL: &[Rollout] = &[
    rollout("upgrade", Second::Good, What::Nothing),
    rollout(
        "upgrade, hosts prepare it and the leader is killed",
        Second::Good,
        What::Fault(Fault::HostKilled, When::Deployed),
    )
    .long(),
    rollout(
        "upgrade, leader killed when it hands over",
        Second::Good,
        What::Fault(Fault::HostKilled, When::Promoted),
    ),
    rollout(
        "upgrade, leader of the new generation killed",
        Second::Good,
        What::Fault(Fault::HostKilled, When::Elected),
    )
    .long(),
    rollout(
        "upgrade, leader stopped and resumed when it hands over",
        Second::Good,
        What::Fault(Fault::HostPaused, When::Promoted),
    )
    .long(),
    rollout(
        "upgrade, leader cut from all servers when it hands over",
        Second::Good,
        What::Fault(Fault::HostCut, When::Promoted),
    )
    .long(),
    rollout(
        "upgrade, leader of the new generation cut from all servers",
        Second::Good,
        What::Fault(Fault::HostCut, When::Elected),
    ),
    rollout(
        "upgrade, ensemble's leader killed",
        Second::Good,
        What::Fault(Fault::ServerKilled, When::Promoted),
    ),
    rollout(
        "upgrade, majority of the servers lost and back",
        Second::Good,
        What::Fault(Fault::QuorumLost, When::Deployed),
    )
    .long(),
    rollout(
        "upgrade, who deploys is cut from all servers",
        Second::Good,
        What::OperatorCut,
    ),
    rollout("bad generation", Second::Bad, What::Nothing),
    rollout(
        "bad generation, leader killed when it hands over",
        Second::Bad,
        What::Fault(Fault::HostKilled, When::Promoted),
    )
    .long(),
    rollout(
        "bad generation, leader killed when it takes it back",
        Second::Bad,
        What::Fault(Fault::HostKilled, When::TakenBack),
    ),
    rollout(
        "bad generation, leader cut from all servers when it takes it back",
        Second::Bad,
        What::Fault(Fault::HostCut, When::TakenBack),
    )
    .long(),
    rollout(
        "bad generation, ensemble's leader killed when it is taken back",
        Second::Bad,
        What::Fault(Fault::ServerKilled, When::TakenBack),
    ),
];

impl Rollout {
    /// Runs it once.
    pub async fn run(&self, lab: &mut Lab, random: &mut Random) -> Result<Run> {
        lab.begin_deployed().await?;
        let by = match self.second {
            Second::Good => "storing",
            // The guest knows nothing of it.
            Second::Bad => "failing",
        };
        let text = lab.text(by).await?;
        let from = lab.cluster.history.len();
        match self.what {
            What::Nothing => lab.deploy(&text).await?,
            What::OperatorCut => {
                let after = Duration::from_millis(random.below(400));
                lab.deploy_and_cut(&text, after).await?;
            }
            What::Fault(fault, when) => {
                lab.deploy(&text).await?;
                lab.comes(from, when).await?;
                lab.lead_first()?;
                fault.inflict(lab).await?;
                if lasts(fault) {
                    // Long enough for the session of a leader that is cut off or stopped.
                    tokio::time::sleep(SESSION_TIMEOUT + Duration::from_secs(2)).await;
                }
                fault.heal(lab).await?;
            }
        }
        lab.settled(self.second).await?;
        let run = lab.finish(Outcome::Either).await?;
        lab.runs_nothing_of_a_bad_one(from, self.second)?;
        Ok(run)
    }
}

/// Whether a fault goes on until it is healed.
fn lasts(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::HostKilled | Fault::HostPaused | Fault::HostCut | Fault::ServerKilled
    )
}

impl Lab {
    /// Three hosts take a task whose first generation is healthy, and which stores what it does.
    async fn begin_deployed(&mut self) -> Result<()> {
        self.begin_anew("storing").await?;
        let (client, signers) = (self.operator().await?, vec![Signer::new()?]);
        let root = self.root().to_owned();
        self.deployment = Some(Deployment::below(&root, client, TASK, signers));
        for site in 0..self.sites.len() {
            let mut host = self.host(site, Reach::All).await?;
            host.event("session-connected").await?;
            self.hosts.push(host);
        }
        let text = self.text("storing").await?;
        self.deploy(&text).await?;
        let history = self.cluster.history.clone();
        let is = |event: &'static str| move |record: &Record| record.is(event);
        history
            .wait_for(0, "it to be healthy", PATIENCE, is("generation-healthy"))
            .await?;
        let all_stand = eventually("all to stand", PATIENCE, async || {
            let records = history.since(0);
            let standing = records.iter().filter(|record| record.is("standby"));
            (standing.count() + 1 >= self.sites.len()).then_some(())
        });
        all_stand.await
    }

    fn deployment(&self) -> Result<&Deployment> {
        self.deployment.as_ref().context("nothing is deployed")
    }

    /// The text of the next generation of the plugin that acts in that way.
    async fn text(&self, by: &str) -> Result<String> {
        let task = json!({
            "name": TASK,
            "config": { "by": by },
            "allow": { "state": true },
            "demote_timeout": "1s",
            "restart": { "max_restarts": 0 },
        });
        let plugin = build::artifacts()?.guest("effects");
        self.deployment()?.text(&plugin, task, json!({})).await
    }

    async fn deploy(&self, text: &str) -> Result<()> {
        self.deployment()?.deploy(text).await.map(drop)
    }

    /// Waits until the rollout has come so far, by what hosts say from that position of the history on.
    async fn comes(&self, from: usize, when: When) -> Result<()> {
        let history = &self.cluster.history;
        let event = match when {
            When::Deployed => return Ok(()),
            When::Promoted | When::Elected => "generation-promoted",
            When::TakenBack => "rolled-back",
        };
        let is = |event: &'static str| move |record: &Record| record.is(event);
        history.wait_for(from, event, PATIENCE, is(event)).await?;
        if when == When::Elected {
            history
                .wait_for(from, "the next leader", PATIENCE, is("elected"))
                .await?;
        }
        Ok(())
    }

    /// Lets the host that was elected last be the first: faults hit that one.
    fn lead_first(&mut self) -> Result<()> {
        let records = self.cluster.history.since(0);
        let last = records.iter().rfind(|record| record.is("elected"));
        let pid = last.context("nobody was elected")?.pid;
        let leader = self.hosts.iter().position(|host| host.pid() == pid);
        let leader = leader.context("whoever was elected last is gone")?;
        self.hosts.swap(0, leader);
        self.sites.swap(0, leader);
        Ok(())
    }

    /// Deploys by the command, on a node that loses all servers after that time. If it was not deployed, or the command cannot
    /// tell, that is done again.
    async fn deploy_and_cut(&mut self, text: &str, after: Duration) -> Result<()> {
        let node = self.network.node("operator")?;
        let file = |name: &str, text: &str| self.cluster.file(name, text);
        let manifest = file("cut.json", text)?;
        let signature = file("cut.minisig", &self.deployment()?.sign(text)?)?;
        let mut command = command_on(Some(&node), &build::artifacts()?.soloist);
        command.args(["deploy", "--no-wait", "--timeout", "20s"]);
        let args: [&Path; 5] = [
            &build::artifacts()?.guest("effects"),
            Path::new("--manifest"),
            &manifest,
            Path::new("--signature"),
            &signature,
        ];
        command.args(args).args([
            "--zookeeper",
            &self.cluster.zookeeper.connect_string(),
            "--root",
            self.root(),
        ]);
        let mut command = Process::spawn("soloist deploy", command)?;
        tokio::time::sleep(after).await;
        for server in self.servers.clone() {
            self.network.cut(&node, &server)?;
        }
        let ended = command.ended(PATIENCE).await?;
        self.network.heal()?;
        let deployment = self.deployment()?;
        let (record, _) = deployment.record().await?.context("no record")?;
        match record.newest {
            1 => {
                ensure!(!ended.success(), "the command says that it was deployed");
                // What was cut off is all there or not there at all.
                let left = deployment.paths.generation(2);
                let stat = deployment.client().check_stat(&left).await?;
                ensure!(stat.is_none(), "{left} is there, and nothing names it");
                deployment.deploy(text).await.map(drop)
            }
            2 => Ok(()),
            newest => bail!("{newest} generations were deployed"),
        }
    }

    /// Waits until the rollout has ended as it has to.
    async fn settled(&self, second: Second) -> Result<()> {
        let deployment = self.deployment()?;
        let mut last = None;
        let is_settled = |record: &RolloutRecord| {
            let current = record.current.map(|current| current.number);
            match (second, &record.stage) {
                (Second::Good, Stage::Healthy) => current == Some(2),
                (Second::Bad, Stage::RolledBack(_)) => current == Some(1) && !record.restore,
                _ => false,
            }
        };
        let settled = eventually("the rollout to end", SETTLED_WITHIN, async || {
            let (record, _) = deployment.record().await.ok()??;
            let settled = is_settled(&record).then_some(());
            last = Some(record);
            settled
        });
        settled.await.with_context(|| format!("{last:?}"))
    }

    /// A generation that has failed is run in one term, or in more if a leader was lost before it could take it back, and in
    /// none after that.
    fn runs_nothing_of_a_bad_one(&self, from: usize, second: Second) -> Result<()> {
        let records = self.cluster.history.since(from);
        let backs = records.iter().filter(|it| it.is("rolled-back")).count();
        match second {
            Second::Good => ensure!(backs == 0, "a good generation was taken back"),
            // Who dies before it has heard that it was done does not tell.
            Second::Bad => ensure!(backs <= 1, "it was taken back {backs} times"),
        }
        Ok(())
    }
}
