//! Hosts and operators that connect with TLS, and servers that want a certificate.

mod refused;
mod rotation;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;
use std::time::Duration;

/// A server that speaks TLS, and hosts with a certificate.
pub(crate) async fn secure(certificates: &Certificates) -> Result<Cluster> {
    let holder = certificates.holder("host", &Wanted::subject("soloist"))?;
    let settings = Settings::standalone().tls(certificates);
    let cluster = Cluster::with(settings, Duration::from_secs(10)).await?;
    Ok(cluster.over_tls(holder))
}

#[tokio::test]
async fn hosts_and_operators_connect_with_tls_below_a_chroot_and_leadership_is_handed_over()
-> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let client = cluster.client().await?;
    soloist_tests::client::make_path(&client, "/apps/here").await?;
    let servers = format!(
        "{}/apps/here",
        cluster.servers().replace("127.0.0.1", "localhost")
    );
    let cluster = cluster.through(servers);
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    let master = format!("/apps/here{}", Cluster::master(TASK));
    ensure!(client.check_stat(&master).await?.is_some());
    ensure!(cluster.status().await?["leader"]["host"] == "a");
    let resigned = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(resigned.code == Some(0), "{resigned:?}");
    hosts[1].event("activated").await?;
    for host in &mut hosts {
        ensure!(host.terminate().await?.success());
    }
    Ok(())
}

/// Each server is asked by its address, and its certificate is for its name.
#[tokio::test]
async fn a_server_that_agrees_to_a_shorter_session_is_found_with_tls_as_well() -> Result<()> {
    let certificates = Certificates::of_servers(&Wanted::names(["localhost"]))?;
    let settings = Settings::standalone().property("maxSessionTimeout", "9000");
    let cluster = Cluster::with(settings.tls(&certificates), Duration::from_secs(9)).await?;
    let holder = certificates.holder("host", &Wanted::subject("soloist"))?;
    let mut cluster = cluster.over_tls(holder);
    let servers = cluster.servers().replace("127.0.0.1", "localhost");
    cluster = cluster.through(servers);
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("activated").await?;
    cluster
        .zookeeper
        .configure(0, Some(("maxSessionTimeout", "6000")))?;
    cluster.zookeeper.kill(0)?;
    cluster.zookeeper.start_all().await?;
    let shortened = host.event("session-shortened").await?;
    let shortened = &shortened.event().context("an event")?.line;
    ensure!(shortened["session_timeout"] == 6.0, "{shortened}");
    ensure!(host.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn what_a_host_with_a_certificate_creates_is_its_own() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let mut host = cluster
        .host("a")?
        .flag("--acl", "creator")
        .start(&cluster.history)?;
    host.event("activated").await?;
    let client = cluster.client().await?;
    let stranger = client.get_data(&Cluster::master(TASK)).await;
    ensure!(
        matches!(stranger, Err(zookeeper_client::Error::NoAuth)),
        "{stranger:?}"
    );
    // Who has the certificate is let in, and who has another is not.
    ensure!(cluster.status().await?["leader"]["host"] == "a");
    let other = certificates.holder("other", &Wanted::subject("somebody else"))?;
    let other = other
        .variables()
        .map(|(name, path)| (name, path.display().to_string()));
    let other: Vec<_> = other
        .iter()
        .map(|(name, path)| (*name, path.as_str()))
        .collect();
    let answer = cluster.operator(&other, &["status", TASK]).await?;
    ensure!(
        answer.code == Some(1) && answer.stderr.contains("ACL"),
        "{answer:?}"
    );
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// As Java's `keytool` makes them, and ZooKeeper's own guide has them made.
#[tokio::test]
async fn a_certificate_without_names_is_refused_unless_names_are_not_verified() -> Result<()> {
    let certificates = Certificates::of_servers(&Wanted::subject("localhost"))?;
    let cluster = secure(&certificates).await?;
    let within = ("SOLOIST_CONNECT_TIMEOUT", "1s");
    let refused = cluster.operator(&[within], &["status"]).await?;
    ensure!(
        refused.code == Some(3) && refused.stderr.contains("not valid for name"),
        "{refused:?}"
    );
    let by_ca = [("SOLOIST_TLS_VERIFY", "ca")];
    let answer = cluster.operator(&by_ca, &["status"]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let mut host = cluster
        .host("a")?
        .flag("--tls-verify", "ca")
        .start(&cluster.history)?;
    host.event("activated").await?;
    let records = host.records();
    let warned = |record: &soloist_tests::history::Record| {
        record
            .event()
            .is_some_and(|event| event.message.contains("can pass for a server"))
    };
    ensure!(records.iter().any(warned));
    ensure!(host.terminate().await?.success());
    Ok(())
}
