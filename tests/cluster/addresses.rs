//! A name of a server that stands for several.

use std::net::SocketAddr;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Command;
use soloist_tests::zookeeper::{Settings, ZooKeeper};
use tokio::net::{TcpListener, TcpStream};

/// What runs a program that sees other names of hosts than the rest of this machine does.
fn apart() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--map-root-user", "--mount"]
    }
}

/// The session is with the first address; the server at the second agrees to less. A session that moves there is held to
/// that, so it has to be asked before.
#[tokio::test]
async fn every_address_of_a_name_is_asked_for_its_session_timeout() -> Result<()> {
    let apart = apart();
    let probe = Program::new(apart[0])
        .args(&apart[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        ensure!(
            std::env::var_os("CI").is_none(),
            "no mount namespace is to be had, and where CI is set none may be left out"
        );
        println!("SKIPPED: no mount namespace is to be had");
        return Ok(());
    }
    let cluster = Cluster::start().await?;
    let other =
        ZooKeeper::start(Settings::standalone().property("maxSessionTimeout", "6000")).await?;
    let port = cluster.zookeeper.address(0).port();
    let listener = TcpListener::bind(("127.0.0.2", port)).await?;
    let forwarding = tokio::spawn(forward(listener, other.address(0)));
    let names = cluster.file(
        "hosts",
        "127.0.0.1 zookeeper.test\n127.0.0.2 zookeeper.test\n",
    )?;
    let start = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    let mut command = Command::new("a", apart[0]);
    for arg in &apart[1..] {
        command = command.arg(*arg);
    }
    let command = command
        .arg("sh")
        .arg("-c")
        .arg(start)
        .arg(&names)
        .arg(&build::artifacts()?.soloist)
        .arg("run");
    let command = command
        .arg(build::artifacts()?.guest("heartbeat"))
        .flag("--host-id", "a")
        .flag("--log-format", "json");
    let command = command
        .flag("--zookeeper", format!("zookeeper.test:{port}"))
        .flag("--session-timeout", "10s");
    let command = command
        .flag("--tick-time", "500ms")
        .env("XDG_CACHE_HOME", names.with_file_name("cache"));
    let mut host = command.start(&cluster.history)?;
    host.event_where("session-connected", |event| {
        event.line["session_timeout"] == 10.0
    })
    .await?;
    let shortened = host.event("session-shortened").await?;
    let Some(event) = shortened.event() else {
        bail!("no event")
    };
    ensure!(event.line["session_timeout"] == 6.0, "{event:?}");
    ensure!(
        event.text("server") == Some(&*format!("zookeeper.test:{port} (127.0.0.2:{port})")),
        "{event:?}"
    );
    ensure!(
        tokio::time::timeout(Duration::from_secs(60), host.terminate())
            .await??
            .success(),
        "{}",
        host.errors()
    );
    forwarding.abort();
    Ok(())
}

/// Passes every connection on to `server`.
async fn forward(listener: TcpListener, server: SocketAddr) -> Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut server = TcpStream::connect(server).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}
