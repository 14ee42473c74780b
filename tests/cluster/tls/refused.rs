//! Connections with TLS that must not come to be, and what is said of them.

use anyhow::{Result, ensure};
use soloist_tests::certificates::{Authority, Certificates, Wanted};
use soloist_tests::cluster::{Answer, Cluster};

use super::secure;

/// What `soloist status` says with these variables.
async fn status(cluster: &Cluster, variables: &[(&str, &str)]) -> Result<Answer> {
    let mut all = vec![("SOLOIST_CONNECT_TIMEOUT", "1s")];
    all.extend(variables);
    cluster.operator(&all, &["status"]).await
}

fn is_refused(answer: &Answer, part: &str) -> Result<()> {
    ensure!(
        answer.code == Some(3) && answer.stderr.contains(part),
        "not {part:?}: {answer:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let other = cluster.file("other-ca.pem", Authority::new()?.certificate)?;
    let answer = status(
        &cluster,
        &[("SOLOIST_TLS_CA", &other.display().to_string())],
    )
    .await?;
    is_refused(&answer, "invalid peer certificate")?;
    is_refused(&answer, "by an authority in zookeeper.tls.ca")
}

#[tokio::test]
async fn a_server_whose_certificate_has_expired_is_refused() -> Result<()> {
    let wanted = Wanted::names(["localhost", "127.0.0.1"]).expired();
    let certificates = Certificates::of_servers(&wanted)?;
    let cluster = secure(&certificates).await?;
    is_refused(&status(&cluster, &[]).await?, "certificate expired")?;
    // Whoever does not verify names verifies that.
    let by_ca = [("SOLOIST_TLS_VERIFY", "ca")];
    is_refused(&status(&cluster, &by_ca).await?, "certificate expired")
}

#[tokio::test]
async fn a_server_with_the_certificate_of_another_is_refused() -> Result<()> {
    let certificates = Certificates::of_servers(&Wanted::names(["zk7.example"]))?;
    let cluster = secure(&certificates).await?;
    let answer = status(&cluster, &[]).await?;
    is_refused(&answer, "not valid for name \"127.0.0.1\"")?;
    is_refused(&answer, "zk7.example")
}

#[tokio::test]
async fn servers_refuse_whoever_has_no_certificate_or_a_bad_one_and_hosts_say_so() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let ca = certificates.ca().display().to_string();
    let strange = Certificates::new()?;
    let stranger = strange.holder("stranger", &Wanted::subject("soloist"))?;
    let expired = certificates.holder("expired", &Wanted::subject("soloist").expired())?;
    for holder in [stranger, expired] {
        let [certificate, key] =
            [holder.certificate, holder.key].map(|it| it.display().to_string());
        let variables = [
            ("SOLOIST_TLS_CERTIFICATE", certificate.as_str()),
            ("SOLOIST_TLS_KEY", key.as_str()),
        ];
        let answer = status(&cluster, &variables).await?;
        is_refused(&answer, "does not take the certificate of this host")?;
    }
    // A host goes on trying, and says the same.
    let config = format!(
        "[zookeeper]\nservers = {:?}\nsession_timeout = \"10s\"\ntls = {{ ca = {ca:?} }}\n\
         [[task]]\nname = \"beat\"\nplugin = {:?}\n",
        cluster.servers(),
        soloist_tests::build::artifacts()?.guest("heartbeat")
    );
    let config = cluster.file("no-certificate.toml", config)?;
    let mut host = soloist_tests::host::Command::run("a", &config)?.start(&cluster.history)?;
    host.event_where("session-error", |event| {
        event.message.contains("wants a certificate")
            && event.message.contains("zookeeper.tls.certificate")
    })
    .await?;
    ensure!(host.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_told_from_one_that_does() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let plain = cluster.zookeeper.connect_string();
    let answer = status(&cluster, &[("SOLOIST_ZOOKEEPER", &plain)]).await?;
    is_refused(&answer, "does not speak TLS there")?;
    // The embedded ensemble never does.
    let embedded = Cluster::embedded().await?;
    let ca = certificates.ca().display().to_string();
    let answer = status(&embedded, &[("SOLOIST_TLS_CA", &ca)]).await?;
    is_refused(&answer, "does not speak TLS there")
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_else() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = Cluster::embedded().await?;
    let empty = cluster.file("empty.pem", "")?.display().to_string();
    let ca = certificates.ca().display().to_string();
    #[rustfmt::skip]
    let cases = [
        (vec![("SOLOIST_TLS_CA", &*empty)], "empty.pem holds no certificate"),
        (vec![("SOLOIST_TLS_CA", "gone.pem")], "gone.pem cannot be read"),
        (vec![("SOLOIST_TLS_CA", &*ca), ("SOLOIST_ZOOKEEPER", "a..b")], "neither a DNS name nor an IP address"),
        (vec![("SOLOIST_TLS_KEY", &*ca)], "SOLOIST_TLS_KEY: "),
        (vec![("SOLOIST_TLS_CA", &*ca), ("SOLOIST_TLS_VERIFY", "no")], "SOLOIST_TLS_VERIFY: "),
    ];
    for (variables, part) in cases {
        for command in [
            &["status"][..],
            &["check", "plugin.wasm"],
            &["run", "plugin.wasm"],
        ] {
            let answer = cluster.operator(&variables, command).await?;
            ensure!(
                answer.code == Some(2) && answer.stderr.contains(part),
                "{part}: {answer:?}"
            );
        }
    }
    Ok(())
}
