//! What a test or a tool can do to the ensemble: move its clock, end sessions, cut connections, look, and keep a snapshot.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use soloist_dev::ensemble::{Clock, Ensemble, EnsembleError, Settings};
use soloist_tests::client::{close, connect};
use soloist_tests::{PATIENCE, eventually};
use zookeeper_client::{Acls, Client, CreateMode, SessionState};

use crate::operation::{CREATE, Operation};
use crate::raw::{Claim, Raw};

const TICK: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Its clock stands still: on a machine that is busy with other work no session ends by itself.
fn settings() -> Settings {
    Settings {
        tick: TICK,
        clock: Clock::manual(),
        ..Settings::default()
    }
}

fn with_snapshot(path: &Path) -> Settings {
    Settings {
        snapshot: Some(path.to_owned()),
        ..settings()
    }
}

async fn client(ensemble: &Ensemble) -> Result<Client> {
    connect(&ensemble.address().to_string(), TIMEOUT).await
}

async fn create_ephemeral(client: &Client, path: &str) -> Result<()> {
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create(path, b"held", &options).await?;
    Ok(())
}

fn ephemeral(path: &str) -> Operation {
    Operation::Create {
        code: CREATE,
        path: path.into(),
        data: None,
        acl: vec![(31, "world", "anyone".into())],
        flags: 1,
    }
}

async fn reached(client: &Client, state: SessionState) -> Result<()> {
    let mut states = client.state_watcher();
    let reached = async {
        while states.peek_state() != state {
            states.changed().await;
        }
    };
    let what = || format!("waited in vain for {state}: it is {}", client.state());
    tokio::time::timeout(PATIENCE, reached)
        .await
        .with_context(what)
}

#[tokio::test]
async fn a_session_that_is_ended_takes_its_nodes_along_and_its_client_hears_of_it() -> Result<()> {
    let ensemble = Ensemble::start(settings()).await?;
    let (holder, other) = (client(&ensemble).await?, client(&ensemble).await?);
    create_ephemeral(&holder, "/held").await?;
    let (_, watcher) = other.check_and_watch_stat("/held").await?;
    let id = holder.session_id().0;
    let sessions = ensemble.sessions();
    let held: Vec<_> = sessions
        .iter()
        .filter(|it| it.ephemerals == ["/held"])
        .collect();
    ensure!(
        held.len() == 1 && held[0].id == id && held[0].connected,
        "{sessions:?}"
    );
    ensure!(
        held[0].timeout == TIMEOUT && held[0].expires_in > TICK,
        "{sessions:?}"
    );
    let node = ensemble.node("/held").context("no node")?;
    ensure!(
        node.data == b"held" && node.ephemeral_owner == Some(id),
        "{node:?}"
    );
    ensure!(ensemble.nodes().contains(&node), "{:?}", ensemble.nodes());

    ensure!(ensemble.expire(id) && !ensemble.expire(id));
    ensure!(ensemble.node("/held").is_none());
    tokio::time::timeout(PATIENCE, watcher.changed()).await?;
    reached(&holder, SessionState::Expired).await?;
    close(other).await;
    Ok(())
}

#[tokio::test]
async fn sessions_end_by_the_clock_that_a_test_moves() -> Result<()> {
    let clock = Clock::manual();
    let ensemble = Ensemble::start(Settings {
        clock: clock.clone(),
        ..settings()
    })
    .await?;
    let mut raw = Raw::dial(ensemble.address()).await?;
    let (agreed, claim) = raw
        .greet(&Claim::default(), 1000)
        .await?
        .context("no session")?;
    ensure!(agreed == 1000);
    // It ends at the first tick after its timeout.
    clock.advance(Duration::from_millis(1499));
    ensure!(ensemble.sessions().len() == 1);
    let again = Raw::dial(ensemble.address())
        .await?
        .greet(&claim, 1000)
        .await?;
    ensure!(
        again.is_some_and(|(agreed, _)| agreed == 1000),
        "it has ended too early"
    );
    clock.advance(Duration::from_millis(2000));
    eventually("the session to end", PATIENCE, async || {
        ensemble.sessions().is_empty().then_some(())
    })
    .await?;
    let again = Raw::dial(ensemble.address())
        .await?
        .greet(&claim, 1000)
        .await?;
    ensure!(
        again.is_some_and(|(agreed, claim)| agreed == 0 && claim.session == 0),
        "it goes on"
    );
    Ok(())
}

#[tokio::test]
async fn a_session_is_cut_off_for_a_while_and_goes_on() -> Result<()> {
    let clock = Clock::manual();
    let ensemble = Ensemble::start(Settings {
        clock: clock.clone(),
        ..settings()
    })
    .await?;
    let (cut, other) = (client(&ensemble).await?, client(&ensemble).await?);
    create_ephemeral(&cut, "/held").await?;
    let id = cut.session_id().0;
    ensure!(ensemble.cut(id, TICK));
    ensure!(!ensemble.cut(id + 1000, TICK));
    reached(&cut, SessionState::Disconnected).await?;
    ensure!(other.check_stat("/held").await?.is_some());
    ensure!(
        ensemble
            .sessions()
            .iter()
            .any(|it| it.id == id && !it.connected)
    );
    clock.advance(TICK);
    reached(&cut, SessionState::SyncConnected).await?;
    ensure!(cut.session_id().0 == id);
    ensure!(
        cut.check_stat("/held")
            .await?
            .is_some_and(|stat| stat.ephemeral_owner == id)
    );
    Ok(())
}

#[tokio::test]
async fn a_door_is_closed_without_the_others() -> Result<()> {
    let ensemble = Ensemble::start(settings()).await?;
    let door = ensemble.open_door().await?;
    let through = connect(&door.address().to_string(), TIMEOUT).await?;
    let other = client(&ensemble).await?;
    door.cut();
    reached(&through, SessionState::Disconnected).await?;
    let refused = Raw::dial(door.address())
        .await?
        .greet(&Claim::default(), 1000)
        .await;
    ensure!(refused.is_err() || refused.is_ok_and(|greeted| greeted.is_none()));
    ensure!(other.check_stat("/").await?.is_some());
    door.mend();
    reached(&through, SessionState::SyncConnected).await?;
    close(through).await;
    let mut raw = Raw::dial(door.address()).await?;
    raw.greet(&Claim::default(), 1000)
        .await?
        .context("no session")?;
    drop(door);
    ensure!(raw.receive().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn nobody_listens_where_it_has_stopped() -> Result<()> {
    let ensemble = Ensemble::start(settings()).await?;
    let mut raw = Raw::dial(ensemble.address()).await?;
    raw.greet(&Claim::default(), 1000)
        .await?
        .context("no session")?;
    let listen = ensemble.address();
    let taken = Ensemble::start(Settings {
        listen,
        ..settings()
    })
    .await;
    ensure!(
        matches!(taken, Err(EnsembleError::Listen { .. })),
        "{taken:?}"
    );
    ensemble.stop().await?;
    ensure!(raw.receive().await?.is_none());
    Ensemble::start(Settings {
        listen,
        ..settings()
    })
    .await?
    .stop()
    .await?;
    Ok(())
}

#[tokio::test]
async fn an_address_that_others_could_reach_is_refused() -> Result<()> {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"] {
        let listen: SocketAddr = listen.parse()?;
        match Ensemble::start(Settings {
            listen,
            ..settings()
        })
        .await
        {
            Err(error @ EnsembleError::NotLoopback { .. }) => {
                ensure!(error.to_string().contains(&listen.to_string()), "{error}");
            }
            other => bail!("{listen}: {other:?}"),
        }
    }
    let listen = SocketAddr::from((Ipv4Addr::new(127, 3, 2, 1), 0));
    Ensemble::start(Settings {
        listen,
        ..settings()
    })
    .await?
    .stop()
    .await?;
    Ok(())
}

/// A directory, and the snapshot in it.
fn snapshot() -> Result<(tempfile::TempDir, PathBuf)> {
    let directory = tempfile::Builder::new()
        .prefix("soloist-ensemble-")
        .tempdir()?;
    let path = directory.path().join("snapshot");
    Ok((directory, path))
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_from_a_snapshot() -> Result<()> {
    let (_directory, path) = snapshot()?;
    let first = Ensemble::start(with_snapshot(&path)).await?;
    let mut raw = Raw::dial(first.address()).await?;
    let (_, claim) = raw
        .greet(&Claim::default(), 10_000)
        .await?
        .context("no session")?;
    ensure!(raw.asked(&ephemeral("/held")).await? == 0);
    first.stop().await?;
    let second = Ensemble::start(with_snapshot(&path)).await?;
    let node = second.node("/held").context("no node")?;
    ensure!(node.ephemeral_owner == Some(claim.session), "{node:?}");
    let claim = Claim {
        // The newest transaction is newer than any that the client can have heard of.
        last_zxid: 1000,
        ..claim
    };
    let mut raw = Raw::dial(second.address()).await?;
    let (agreed, again) = raw.greet(&claim, 10_000).await?.context("no session")?;
    ensure!(
        (agreed, again.session) == (10_000, claim.session),
        "{again:?}"
    );
    // And so without a word: what is seen in the file outlives the process.
    let is_there = || {
        let file = std::fs::read(&path).unwrap_or_default();
        file.windows(5).any(|part| part == b"/late").then_some(())
    };
    ensure!(raw.asked(&ephemeral("/late")).await? == 0);
    eventually("the snapshot", PATIENCE, async || is_there()).await?;
    drop(second);
    let third = Ensemble::start(with_snapshot(&path)).await?;
    ensure!(third.node("/late").is_some());
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_snapshot_is_left_as_it_is() -> Result<()> {
    let (directory, path) = snapshot()?;
    std::fs::write(&path, "my thesis")?;
    let refused = Ensemble::start(with_snapshot(&path)).await;
    match refused {
        Err(error @ EnsembleError::BadSnapshot { .. }) => {
            ensure!(
                error.to_string().contains("snapshot: move it away"),
                "{error}"
            );
        }
        other => bail!("{other:?}"),
    }
    ensure!(std::fs::read_to_string(&path)? == "my thesis");
    let nowhere = directory.path().join("none/snapshot");
    let refused = Ensemble::start(with_snapshot(&nowhere)).await;
    ensure!(
        matches!(refused, Err(EnsembleError::WriteSnapshot { .. })),
        "{refused:?}"
    );
    let refused = Ensemble::start(with_snapshot(directory.path())).await;
    ensure!(
        matches!(refused, Err(EnsembleError::ReadSnapshot { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_any_more_is_told() -> Result<()> {
    let (directory, path) = snapshot()?;
    let ensemble = Ensemble::start(with_snapshot(&path)).await?;
    drop(directory);
    let client = client(&ensemble).await?;
    let error = tokio::time::timeout(PATIENCE, ensemble.failed()).await?;
    ensure!(
        matches!(error, EnsembleError::WriteSnapshot { .. }),
        "{error:?}"
    );
    ensure!(client.check_stat("/").await?.is_some());
    ensure!(ensemble.stop().await.is_err());
    Ok(())
}
