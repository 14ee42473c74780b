//! What a host tells over TLS, and whom.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::certificates::{Authority, Certificates, Holder, Wanted};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};
use soloist_tests::pages::Pages;
use soloist_tests::{PATIENCE, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A host that shows a certificate where it listens.
async fn secure(cluster: &Cluster, shows: &Holder, wants: bool) -> Result<(Host, Pages)> {
    let mut command = command(cluster, shows)?;
    if wants {
        command = command.flag("--listen-client-ca", &shows.ca);
    }
    let mut host = command.start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    host.event("plugin-log").await?;
    Ok((host, pages))
}

fn command(cluster: &Cluster, shows: &Holder) -> Result<Command> {
    Ok(cluster
        .host("alone")?
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen-certificate", &shows.certificate)
        .flag("--listen-key", &shows.key))
}

fn listener(certificates: &Certificates) -> Result<Holder> {
    certificates.holder("listener", &Wanted::names(["127.0.0.1"]))
}

#[tokio::test]
async fn all_is_told_over_tls_to_who_knows_the_authority_and_nothing_without() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let (mut host, plain) = secure(&cluster, &listener(&certificates)?, false).await?;
    let pages = plain.clone().over_tls(&certificates.ca(), None)?;
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        &format!("/leader/{TASK}"),
        &format!("/logs/{TASK}"),
    ] {
        let answer = pages.get(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        // Probes are asked over TLS as well.
        ensure!(plain.get(path).await.is_err(), "{path} without TLS");
    }
    // Another authority does not vouch for this host, and who knows only that one does not talk to it.
    let strange = Certificates::new()?;
    ensure!(
        plain
            .clone()
            .over_tls(&strange.ca(), None)?
            .get("/livez")
            .await
            .is_err()
    );
    // Operators learn where to ask, and how.
    let address = format!("https://{}", pages.address);
    let told = eventually("the address in the record", PATIENCE, async || {
        let status = cluster.operator(&[], &["status", "--json"]).await.ok()?;
        (status.json().ok()?["hosts"][0]["listen"] == address).then_some(())
    });
    told.await?;
    let records = host.records();
    let listening = records.iter().filter_map(|record| record.event());
    let mut listening = listening.filter(|event| event.name == "host-listening");
    ensure!(
        listening
            .next()
            .is_some_and(|event| event.message.contains(&address))
    );
    ensure!(host.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn who_has_no_certificate_gets_a_word_and_who_has_a_bad_one_gets_nothing() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let (_host, plain) = secure(&cluster, &listener(&certificates)?, true).await?;
    let ca = certificates.ca();
    let lines = format!("/logs/{TASK}");
    let without = plain.clone().over_tls(&ca, None)?;
    for path in ["/livez", "/readyz"] {
        ensure!(without.get(path).await?.status == 200, "{path}");
    }
    for path in ["/metrics", &lines, "/nothing"] {
        let refused = without.get(path).await?;
        ensure!(refused.status == 403, "{path}: {refused:?}");
        ensure!(refused.body.contains("listen_client_ca"), "{refused:?}");
    }
    let known = certificates.holder("scraper", &Wanted::subject("prometheus"))?;
    let known = plain.clone().over_tls(&ca, Some(&known))?;
    for path in ["/livez", "/metrics", &lines] {
        let answer = known.get(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
    }
    let strange = Certificates::new()?;
    let stranger = strange.holder("stranger", &Wanted::subject("prometheus"))?;
    let expired = certificates.holder("expired", &Wanted::subject("prometheus").expired())?;
    for bad in [stranger, expired] {
        let bad = plain.clone().over_tls(&ca, Some(&bad))?;
        for path in ["/livez", "/metrics"] {
            let answer = bad.get(path).await;
            ensure!(answer.is_err(), "{path}: {answer:?}");
        }
    }
    Ok(())
}

/// Connections that are there go on by what they were greeted with; the next one sees what is new.
#[tokio::test]
async fn certificates_are_exchanged_while_the_host_leads() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let shows = listener(&certificates)?;
    let (mut host, plain) = secure(&cluster, &shows, true).await?;
    let old = certificates.holder("old", &Wanted::subject("prometheus"))?;
    let with_old = plain.clone().over_tls(&certificates.ca(), Some(&old))?;
    ensure!(with_old.get("/metrics").await?.status == 200);

    // Half of an exchange changes nothing.
    let next = Authority::new()?;
    let identity = next.identity(&Wanted::names(["127.0.0.1"]))?;
    fs::write(&shows.certificate, &identity.certificate)?;
    host.event("host-tls-not-reloaded").await?;
    ensure!(with_old.get("/metrics").await?.status == 200);

    shows.write(&identity)?;
    fs::write(&shows.ca, &next.certificate)?;
    host.event("host-tls-reloaded").await?;
    ensure!(with_old.get("/livez").await.is_err(), "the old authority");
    let new = Holder {
        ca: shows.ca.clone(),
        certificate: old.certificate.with_extension("new"),
        key: old.key.with_extension("new-key"),
    };
    new.write(&next.identity(&Wanted::subject("prometheus"))?)?;
    // What the host shows is new, and so is who vouches for whoever asks.
    let with_new = plain.clone().over_tls(&new.ca, Some(&new))?;
    ensure!(with_new.get("/metrics").await?.status == 200);
    let outdated = plain.clone().over_tls(&new.ca, Some(&old))?;
    ensure!(
        outdated.get("/metrics").await.is_err(),
        "an old certificate"
    );
    ensure!(host.terminate().await?.success());
    let demoted = host
        .records()
        .iter()
        .filter(|record| record.is("elected"))
        .count();
    ensure!(demoted == 1, "it has led on");
    Ok(())
}

/// Whoever connects and says nothing, or says what is no TLS, is not waited for, and holds up nobody.
#[tokio::test]
async fn a_handshake_is_bounded_in_time() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let (_host, plain) = secure(&cluster, &listener(&certificates)?, false).await?;
    let pages = plain.clone().over_tls(&certificates.ca(), None)?;
    let mut silent = TcpStream::connect(plain.address).await?;
    let begun = Instant::now();
    ensure!(pages.get("/livez").await?.status == 200);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    read.context("it is waited for")??;
    ensure!(
        rest.is_empty() && begun.elapsed().as_secs() >= 5,
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_else() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let shows = listener(&certificates)?;
    let other = certificates.holder("other", &Wanted::names(["127.0.0.1"]))?;
    let text = |path: &std::path::Path| path.display().to_string();
    let (certificate, key, other) = (text(&shows.certificate), text(&shows.key), text(&other.key));
    let empty = text(&cluster.file("empty.pem", "")?);
    #[rustfmt::skip]
    let cases = [
        (&*certificate, &*other, None, "is not that of the certificate"),
        (&*certificate, &*empty, None, "listen_key: "),
        (&*empty, &*key, None, "empty.pem holds no certificate"),
        ("gone.pem", &*key, None, "listen_certificate: gone.pem cannot be read"),
        (&*certificate, &*key, Some(&*empty), "listen_client_ca: "),
    ];
    for (certificate, key, ca, part) in cases {
        let mut variables = vec![
            ("SOLOIST_LISTEN", "127.0.0.1:0"),
            ("SOLOIST_LISTEN_CERTIFICATE", certificate),
            ("SOLOIST_LISTEN_KEY", key),
        ];
        variables.extend(ca.map(|ca| ("SOLOIST_LISTEN_CLIENT_CA", ca)));
        for command in [["check", "plugin.wasm"], ["run", "plugin.wasm"]] {
            let answer = cluster.operator(&variables, &command).await?;
            ensure!(
                answer.code == Some(2) && answer.stderr.contains(part),
                "{part}: {answer:?}"
            );
        }
    }
    Ok(())
}
