//! Servers that do not take a host for the user that it says it is, and what is said of them.

use anyhow::{Context as _, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::zookeeper::Settings;

use super::{Ensemble, FILE, PASSWORD};

/// Starts a host as that user, which never had a session, and an operator: both say this, and no secret.
async fn are_refused(cluster: &Cluster, file: &std::path::Path, parts: &[&str]) -> Result<()> {
    let command = cluster.host("a")?.flag("--acl", "creator").env(FILE, file);
    let command = command.flag("--log-level", "trace,zookeeper_client=trace,rsasl=trace");
    let mut host = command.start(&cluster.history)?;
    let status = host.ended().await?;
    let errors = host.errors();
    ensure!(status.code() == Some(3), "{status}: {errors}");
    let file = file.to_str().context("a path")?;
    let answer = cluster
        .operator(&[(FILE, file)], &["status", "--acl", "creator"])
        .await?;
    ensure!(answer.code == Some(3), "{answer:?}");
    for part in parts {
        ensure!(errors.contains(part), "not {part:?}: {errors}");
        ensure!(answer.stderr.contains(part), "not {part:?}: {answer:?}");
    }
    is_silent(&host)?;
    ensure!(!answer.stderr.contains("hunter2"), "{answer:?}");
    Ok(())
}

/// Nothing of a password is in what the host has said.
fn is_silent(host: &Host) -> Result<()> {
    let records = host.records();
    let shown = records
        .iter()
        .find(|it| format!("{it:?}").contains("hunter2"));
    ensure!(shown.is_none(), "{shown:?}");
    ensure!(!host.errors().contains("hunter2"), "{}", host.errors());
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_or_user_is_refused_at_once_with_what_to_look_at() -> Result<()> {
    let ensemble = Ensemble::start().await?;
    let cluster = &ensemble.cluster;
    // Before a server of that version has heard of a user that it knows: see ZOOKEEPER-4839.
    let unknown = ensemble.file("nobody", PASSWORD)?;
    are_refused(
        cluster,
        &unknown,
        &["refuses the credentials", "user_nobody"],
    )
    .await?;
    let wrong = ensemble.file("soloist", "hunter2")?;
    let parts = [
        "refuses the credentials",
        cluster.servers(),
        "`sasl_file`",
        "user_soloist",
    ];
    are_refused(cluster, &wrong, &parts).await?;
    let told = cluster.history.since(0);
    let refused = told
        .iter()
        .filter(|record| record.is("session-auth-failed"));
    ensure!(refused.count() == 2, "not told, or tried again");
    Ok(())
}

#[tokio::test]
async fn a_server_without_sasl_is_told_from_one_that_refuses() -> Result<()> {
    let cluster = Cluster::with(
        Settings::standalone().real(),
        super::Duration::from_secs(10),
    )
    .await?;
    let file = cluster.file("sasl", format!("soloist:{PASSWORD}"))?;
    are_refused(
        &cluster,
        &file,
        &["does not take", "soloist", "section Server"],
    )
    .await
}

/// Such a server answers as if all were well.
#[tokio::test]
async fn a_server_that_lets_in_who_has_failed_is_not_believed() -> Result<()> {
    let ensemble =
        Ensemble::with(|it| it.system_property("zookeeper.allowSaslFailedClients", "true")).await?;
    let wrong = ensemble.file("soloist", "hunter2")?;
    are_refused(&ensemble.cluster, &wrong, &["allowSaslFailedClients"]).await
}

/// It knows the user, and no ACL could name it.
#[tokio::test]
async fn a_server_without_acls_of_users_is_told_if_the_acl_refers_to_them() -> Result<()> {
    let ensemble = Ensemble::with(|it| {
        it.property(
            "authProvider.sasl",
            "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
        )
    })
    .await?;
    let cluster = &ensemble.cluster;
    let file = ensemble.file("soloist", PASSWORD)?;
    are_refused(cluster, &file, &["no ACL of the scheme sasl"]).await?;
    let mut open = cluster
        .host("open")?
        .flag("--acl", "world")
        .env(FILE, file)
        .start(&cluster.history)?;
    open.event("plugin-log").await?;
    ensure!(open.terminate().await?.success());
    Ok(())
}

/// The host's questions to each server end with sessions that nobody closes, and do not keep it from leading.
#[tokio::test]
async fn a_server_that_admits_users_alone_admits_hosts_and_says_what_others_lack() -> Result<()> {
    let ensemble = Ensemble::with(|it| it.property("sessionRequireClientSASLAuth", "true")).await?;
    let cluster = &ensemble.cluster;
    let mut host = ensemble.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let answer = cluster.operator(&[], &["status"]).await?;
    ensure!(
        answer.code == Some(3) && answer.stderr.contains("`sasl_file`"),
        "{answer:?}"
    );
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// A host that has had a session does not end: another server may know the user, or this one soon.
#[tokio::test]
async fn a_host_whose_session_comes_to_a_server_without_sasl_says_so_and_tries_on() -> Result<()> {
    let mut ensemble = Ensemble::start().await?;
    let mut host = ensemble.host("a")?.start(&ensemble.cluster.history)?;
    host.event("plugin-log").await?;
    let zookeeper = &mut ensemble.cluster.zookeeper;
    // No section of JAAS has that name.
    zookeeper.configure(0, Some(("sasl.serverconfig", "Nothing")))?;
    zookeeper.kill(0)?;
    zookeeper.start_all().await?;
    host.event_where("session-auth-failed", |event| {
        event.message.contains("section Server") && event.line["retry_in"].is_number()
    })
    .await?;
    let mark = ensemble.cluster.history.len();
    let zookeeper = &mut ensemble.cluster.zookeeper;
    zookeeper.configure(0, None)?;
    zookeeper.kill(0)?;
    zookeeper.start_all().await?;
    host.event_after(mark, "activated", |_| true).await?;
    is_silent(&host)?;
    ensure!(host.terminate().await?.success());
    Ok(())
}
