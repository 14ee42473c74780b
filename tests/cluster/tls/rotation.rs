//! Certificates that change while a host leads.

use anyhow::{Result, ensure};
use soloist_tests::certificates::{Authority, Certificates, Wanted};
use soloist_tests::cluster::Cluster;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, eventually};
use std::time::Duration;

/// The servers know both authorities, and tell in their log who connects.
#[tokio::test]
async fn a_leader_whose_certificate_changes_leads_on_and_its_next_connection_shows_the_new_one()
-> Result<()> {
    let certificates = Certificates::new()?;
    let next = Authority::new()?;
    let both = format!(
        "{}{}",
        certificates.authority().certificate,
        next.certificate
    );
    std::fs::write(certificates.ca(), both)?;
    // A lease that outlasts the start of a server, however busy the machine.
    let settings = Settings::standalone().property("maxSessionTimeout", "40000");
    let cluster = Cluster::with(settings.tls(&certificates), Duration::from_secs(40)).await?;
    let holder = certificates.holder("host", &Wanted::subject("the old one"))?;
    let mut cluster = cluster.over_tls(holder.clone());
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("activated").await?;
    let shows =
        |cluster: &Cluster, name: &str| cluster.zookeeper.log(0).contains(&format!("CN={name}"));
    ensure!(shows(&cluster, "the old one") && !shows(&cluster, "the new one"));

    std::fs::write(&holder.certificate, "not a certificate")?;
    host.event("session-tls-not-reloaded").await?;
    holder.write(&next.identity(&Wanted::subject("the new one"))?)?;
    host.event("session-tls-reloaded").await?;
    ensure!(!shows(&cluster, "the new one"));

    cluster.zookeeper.kill(0)?;
    cluster.zookeeper.start_all().await?;
    host.event_where("session-connected", |event| event.message.contains("again"))
        .await?;
    eventually("the new certificate at the server", PATIENCE, async || {
        shows(&cluster, "the new one").then_some(())
    })
    .await?;
    ensure!(!shows(&cluster, "the old one"));
    ensure!(host.terminate().await?.success());
    let names = |name: &str| {
        let records = host.records();
        records.iter().filter(|record| record.is(name)).count()
    };
    ensure!(names("elected") == 1 && names("session-expired") == 0);
    ensure!(names("session-tls-not-reloaded") == 1 && names("session-tls-reloaded") == 1);
    Ok(())
}
