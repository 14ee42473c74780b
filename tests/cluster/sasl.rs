//! Hosts and operators that are users of the servers by SASL, and servers that do not take them for such.

mod refused;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::Command;
use soloist_tests::zookeeper::Settings;
use tempfile::TempDir;
use zookeeper_client::{Acl, AuthId, Client, Error, Permission, SaslOptions};

const FILE: &str = "SOLOIST_SASL_FILE";
const PASSWORD: &str = "hunter2 by \\heart";

/// A server whose users are `soloist` and `other`, with the files that hold them.
struct Ensemble {
    cluster: Cluster,
    _jaas: TempDir,
}

impl Ensemble {
    async fn start() -> Result<Self> {
        Self::with(|settings| settings).await
    }

    /// With settings of one's choice beside that.
    async fn with(more: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("jaas.conf");
        let password = PASSWORD.replace('\\', "\\\\");
        let jaas = format!(
            "Server {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
             user_soloist=\"{password}\"\n  user_other=\"{password}\";\n}};\n"
        );
        std::fs::write(&path, jaas)?;
        let settings = more(Settings::standalone().sasl(&path));
        Ok(Self {
            cluster: Cluster::with(settings, Duration::from_secs(10)).await?,
            _jaas: directory,
        })
    }

    /// The file that holds a user and a password.
    fn file(&self, user: &str, password: &str) -> Result<PathBuf> {
        self.cluster
            .file(&format!("sasl-{user}"), format!("{user}:{password}\n"))
    }

    /// A host that is `soloist`, and has what it creates for itself.
    fn host(&self, id: &str) -> Result<Command> {
        let host = self.cluster.host(id)?.flag("--acl", "creator");
        Ok(host.env(FILE, self.file("soloist", PASSWORD)?))
    }

    /// A client that is that user.
    async fn client(&self, user: &'static str) -> Result<Client> {
        let connector = Client::connector().with_sasl(SaslOptions::digest_md5(user, PASSWORD));
        Ok(connector.connect(self.cluster.servers()).await?)
    }
}

fn of(scheme: &str, id: &str) -> Acl {
    Acl::new(Permission::ALL, AuthId::new(scheme, id))
}

#[tokio::test]
async fn hosts_and_operators_are_a_user_of_the_servers_and_leadership_is_handed_over() -> Result<()>
{
    let ensemble = Ensemble::start().await?;
    let cluster = &ensemble.cluster;
    let mut leader = ensemble.host("a")?.guarded().start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = ensemble.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    let warned = |part: &str| {
        let records = leader.records();
        let messages = records.iter().filter_map(|record| record.event());
        messages
            .filter(|event| event.message.contains(part))
            .count()
    };
    ensure!(warned("DIGEST-MD5") == 1, "not warned once");

    let user = ensemble.client("soloist").await?;
    for node in [&*Cluster::master(TASK), "/soloist", "/soloist/hosts/a"] {
        let (acl, _) = user.get_acl(node).await?;
        ensure!(acl == [of("sasl", "soloist")], "{node}: {acl:?}");
    }
    client::close(user).await;
    for stranger in [cluster.client().await?, ensemble.client("other").await?] {
        let read = stranger.get_data(&Cluster::master(TASK)).await;
        ensure!(matches!(read, Err(Error::NoAuth)), "{read:?}");
        client::close(stranger).await;
    }

    let file = ensemble.file("soloist", PASSWORD)?;
    let file = file.to_str().context("a path")?;
    let known = [(FILE, file)];
    let status = cluster.operator(&known, &["status", TASK]).await?;
    ensure!(status.code == Some(0), "{status:?}");
    let unknown = cluster.operator(&[], &["status", TASK]).await?;
    ensure!(
        unknown.code == Some(1) && unknown.stderr.contains("`sasl_file`"),
        "{unknown:?}"
    );
    let resigned = cluster
        .operator(&[], &["resign", TASK, "--sasl-file", file])
        .await?;
    ensure!(resigned.code == Some(0), "{resigned:?}");
    standby.event("activated").await?;

    // The guardian of a dead leader is that user as well.
    leader.event("standby").await?;
    let resigned = cluster.operator(&known, &["resign", TASK]).await?;
    ensure!(resigned.code == Some(0), "{resigned:?}");
    leader
        .event_where("activated", |event| event.term == Some(3))
        .await?;
    leader.signal_guarded(Signal::KILL).await?;
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(freed["terms"] == 1 && freed["left"] == 0, "{freed}");
    for host in [&mut leader, &mut standby] {
        ensure!(host.terminate().await?.success());
    }
    Ok(())
}

/// From the scheme `digest` to SASL: both for a while, and then the one alone.
#[tokio::test]
async fn a_host_that_shows_two_identities_moves_the_nodes_from_one_to_the_other() -> Result<()> {
    const IDENTITY: &str = "SOLOIST_ZOOKEEPER_AUTH";
    let ensemble = Ensemble::start().await?;
    let cluster = &ensemble.cluster;
    let digest = || Ok::<_, anyhow::Error>(cluster.host("a")?.flag("--acl", "creator"));
    let mut before = digest()?
        .env(IDENTITY, "digest:soloist:old")
        .start(&cluster.history)?;
    before.event("plugin-log").await?;
    ensure!(before.terminate().await?.success());
    let mut both = ensemble
        .host("b")?
        .env(IDENTITY, "digest:soloist:old")
        .start(&cluster.history)?;
    both.event("acl-corrected").await?;
    let user = ensemble.client("soloist").await?;
    let (acl, _) = user.get_acl("/soloist/tasks").await?;
    ensure!(
        acl.len() == 2 && acl.contains(&of("sasl", "soloist")),
        "{acl:?}"
    );
    ensure!(both.terminate().await?.success());
    let mut after = ensemble.host("c")?.start(&cluster.history)?;
    after.event("plugin-log").await?;
    after.event("acl-corrected").await?;
    let (acl, _) = user.get_acl("/soloist/tasks").await?;
    ensure!(acl == [of("sasl", "soloist")], "{acl:?}");
    ensure!(after.terminate().await?.success());
    Ok(())
}
