//! What a guardian answers while the process of its host is dead.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::build;
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};
use soloist_tests::pages::Pages;

use super::metrics::check;

/// The pause before a process is started again doubles with each death: 3.2 s after the sixth.
const DEATHS: u32 = 6;
/// What an order has to show.
const ORDERS: &str = "an-order-token-of-the-test";

/// Has the process die again and again, until its guardian makes a long pause.
async fn long_dead(command: Command, cluster: &Cluster) -> Result<(Host, Pages)> {
    let mut host = command.guarded().start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    let mut from = 0;
    for _ in 0..DEATHS {
        host.event_after(from, "host-listening", |_| true).await?;
        from = cluster.history.len();
        host.signal_guarded(Signal::KILL).await?;
        host.event_after(from, "host-died", |_| true).await?;
    }
    Ok((host, pages))
}

#[tokio::test]
async fn a_scrape_of_a_dead_process_is_answered_by_its_guardian_and_then_by_the_next_process()
-> Result<()> {
    let cluster = Cluster::embedded().await?;
    let token = "a-token-of-sixteen-letters";
    let file = cluster.file("token", token)?;
    let command = cluster.host("often")?.flag("--listen", "127.0.0.1:0");
    let command = command.flag("--listen-token-file", file);
    let (mut host, pages) = long_dead(command, &cluster).await?;
    let known = pages.clone().with_token(token);
    let told = known.metrics().await?;
    let dead = told.clone();
    for (series, value) in [
        ("soloist_process_up", 0.0),
        ("soloist_guardian_restarts_total", f64::from(DEATHS)),
        ("soloist_host_info{host=\"often\"}", 1.0),
    ] {
        ensure!(told.value(series) == Some(value), "{series}\n{}", told.text);
    }
    let died = "soloist_guardian_last_death_timestamp_seconds{cause=\"kill\"}";
    ensure!(told.value(died) > Some(1.7e9), "{}", told.text);
    ensure!(!told.text.contains("task="), "{}", told.text);
    ensure!(
        pages.get("/metrics").await?.status == 401,
        "without the token"
    );
    for path in ["/livez", "/readyz"] {
        let answer = pages.get(path).await?;
        ensure!(
            answer.status == 503 && answer.body.contains("signal 9"),
            "{answer:?}"
        );
    }
    ensure!(known.get(&format!("/leader/{TASK}")).await?.status == 503);
    ensure!(
        pages
            .send("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await?
            .status
            == 405
    );
    check(&dead)?;

    // The next process answers at the same address, and knows of those before it.
    known
        .series("soloist_process_up", |value| value > 0.0)
        .await?;
    let told = known.metrics().await?;
    check(&told)?;
    ensure!(told.value("soloist_guardian_restarts_total") == Some(f64::from(DEATHS)));
    ensure!(told.value(died) > Some(1.7e9), "{}", told.text);
    known.status("/readyz", 200).await?;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    ensure!(
        pages.get("/livez").await.is_err(),
        "nobody answers any more"
    );
    Ok(())
}

#[tokio::test]
async fn a_guardian_answers_over_tls_where_the_process_did() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let certificates = Certificates::new()?;
    let shows = certificates.holder("listener", &Wanted::names(["127.0.0.1"]))?;
    let command = cluster
        .host("often")?
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen-certificate", &shows.certificate)
        .flag("--listen-key", &shows.key)
        .flag("--listen-client-ca", &shows.ca);
    let scraper = certificates.holder("scraper", &Wanted::subject("prometheus"))?;
    let (mut host, plain) = long_dead(command, &cluster).await?;
    let known = plain.clone().over_tls(&shows.ca, Some(&scraper))?;
    let told = known.metrics().await?;
    ensure!(
        told.value("soloist_process_up") == Some(0.0),
        "{}",
        told.text
    );
    let without = plain.clone().over_tls(&shows.ca, None)?;
    ensure!(without.get("/livez").await?.status == 503);
    ensure!(without.get("/metrics").await?.status == 403);
    ensure!(plain.get("/metrics").await.is_err(), "without TLS");
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(())
}

/// A process that is started again reads the configuration anew, and its guardian has the address of the old one: who may ask is
/// never decided for an address by what was said of another.
#[tokio::test]
async fn at_an_address_that_the_configuration_no_longer_has_only_probes_are_answered() -> Result<()>
{
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("hello");
    let configured = |address: &str| {
        let task = format!(
            "[[task]]\nname = {TASK:?}\nplugin = {:?}\n",
            plugin.display()
        );
        let listen = format!("listen = \"{address}\"\nlisten_admin_token_file = \"orders\"\n");
        cluster.file("soloist.toml", listen + &task)
    };
    cluster.file("orders", ORDERS)?;
    let file = configured("127.0.0.1:0")?;
    let command = cluster.host_of("moved", &file)?.guarded();
    let mut host = command.start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    pages.status("/metrics", 200).await?;
    configured("127.0.0.2:0")?;
    let from = cluster.history.len();
    host.signal_guarded(Signal::KILL).await?;
    host.event_after(from, "host-listening", |_| true).await?;
    pages.status("/livez", 200).await?;
    let orders = pages.clone().with_token(ORDERS);
    for path in ["/metrics", &*format!("/logs/{TASK}"), "/", "/api/tasks"] {
        let answer = orders.get(path).await?;
        ensure!(
            answer.status == 403 && answer.body.contains("only probes"),
            "{path}: {answer:?}"
        );
    }
    let order = format!(
        "POST /api/order/{TASK} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\
         Authorization: Bearer {ORDERS}\r\nConnection: close\r\n\r\n{{\"order\": \"pause\"}}"
    );
    ensure!(pages.send(&order).await?.status == 405, "an order");
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    let warned = host
        .records()
        .iter()
        .filter_map(|record| record.event())
        .any(|event| {
            event
                .message
                .contains("the guardian still listens at 127.0.0.1")
        });
    ensure!(warned, "no warning");
    Ok(())
}
