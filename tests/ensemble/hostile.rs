//! What strangers send: it closes their own connection, or is refused, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_dev::ensemble::{Ensemble, Settings};
use soloist_seed::{Random, seed};
use soloist_tests::client::connect;
use soloist_tests::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operation::{CREATE, GET_CHILDREN, Operation};
use crate::plan::Plan;
use crate::raw::{Body, Claim, Parts, Raw};

const TIMEOUT: Duration = Duration::from_secs(10);

async fn greeted(address: SocketAddr) -> Result<Raw> {
    let mut raw = Raw::dial(address).await?;
    raw.greet(&Claim::default(), 10_000)
        .await?
        .context("no session")?;
    Ok(raw)
}

/// Whether the connection is closed before anything is said.
async fn is_closed(stream: &mut TcpStream) -> Result<bool> {
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await;
    Ok(!matches!(read.context("it stays open")?, Ok(1)))
}

#[tokio::test]
async fn a_length_that_cannot_be_closes_the_connection() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    for length in [
        -1,
        i32::MIN,
        i32::MAX,
        1 << 20,
        i32::from_be_bytes(*b"GET "),
        i32::from_be_bytes(*b"kill"),
    ] {
        let mut stream = TcpStream::connect(ensemble.address()).await?;
        stream.write_all(&length.to_be_bytes()).await?;
        ensure!(is_closed(&mut stream).await?, "{length}");
        let mut raw = greeted(ensemble.address()).await?;
        raw.0.write_all(&length.to_be_bytes()).await?;
        ensure!(is_closed(&mut raw.0).await?, "{length}");
    }
    // A message without a header, and none that asks for a session.
    let mut raw = greeted(ensemble.address()).await?;
    raw.send(&Body::default().int(7)).await?;
    ensure!(is_closed(&mut raw.0).await?);
    let mut raw = Raw::dial(ensemble.address()).await?;
    raw.send(&Body::default()).await?;
    ensure!(is_closed(&mut raw.0).await?);
    Ok(())
}

#[tokio::test]
async fn what_lies_about_how_much_it_holds_is_refused_and_takes_no_memory() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let mut raw = greeted(ensemble.address()).await?;
    let lies = [
        // Data, an ACL and lists of watches with two thousand million entries.
        (CREATE, Body::default().text("/a").int(i32::MAX)),
        (CREATE, Body::default().text("/a").int(0).int(i32::MAX)),
        (105, Body::default().long(0).int(i32::MAX)),
        (101, Body::default().long(0).int(-1).int(-1).int(-1)),
        (4, Body::default().int(-2)),
        (14, Body::default().int(1).bool(false)),
    ];
    for (xid, (code, body)) in (1..).zip(lies) {
        raw.request(xid, code, &body).await?;
        let answer = raw.receive().await?.context("closed")?;
        let mut parts = Parts(&answer);
        let (answered, _, error) = (parts.int()?, parts.long()?, parts.int()?);
        ensure!((answered, error) == (xid, -5), "{code}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn random_messages_hurt_nobody_else() -> Result<()> {
    let mut random = Random::new(seed());
    let ensemble = Ensemble::start(Settings::default()).await?;
    let client = connect(&ensemble.address().to_string(), TIMEOUT).await?;
    let mut plan = Plan::new(random.next(), "/hostile");
    for _ in 0..300 {
        let mut raw = Raw::dial(ensemble.address()).await?;
        if random.below(8) > 0 {
            raw.greet(&Claim::default(), 10_000)
                .await?
                .context("no session")?;
        }
        for _ in 0..random.below(6) {
            let mut message = plan.message();
            for _ in 0..random.below(4) {
                let index = usize::try_from(random.below(message.0.len() as u64))?;
                message.0[index] = u8::try_from(random.below(256))?;
            }
            // It may be closed by now.
            if raw.send(&message).await.is_err() {
                break;
            }
        }
    }
    let sessions = || ensemble.sessions().iter().filter(|it| it.connected).count();
    eventually("the connections to go", PATIENCE, async || {
        (sessions() == 1).then_some(())
    })
    .await?;
    ensure!(client.check_stat("/").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn who_asks_much_and_reads_nothing_is_not_listened_to() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let client = connect(&ensemble.address().to_string(), TIMEOUT).await?;
    let mut raw = greeted(ensemble.address()).await?;
    let create = Operation::Create {
        code: CREATE,
        path: "/large".into(),
        data: Some(vec![0; 1_000_000]),
        acl: vec![(31, "world", "anyone".into())],
        flags: 0,
    };
    raw.request(1, create.code(), &create.body()).await?;
    raw.receive().await?.context("closed")?;
    let read = Operation::GetData {
        path: "/large".into(),
        watch: false,
    };
    // Four gigabytes of answers: the ensemble stops reading, and so the requests do not get through.
    let flood = async {
        for xid in 0..4000 {
            raw.request(xid, read.code(), &read.body()).await?;
        }
        loop {
            raw.0.write_all(&[0; 4096]).await?;
        }
    };
    let flooded: Result<Result<()>, _> = tokio::time::timeout(Duration::from_secs(2), flood).await;
    ensure!(flooded.is_err(), "all of it was taken in: {flooded:?}");
    ensure!(client.check_stat("/large").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn there_is_an_end_to_what_it_holds() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let mut raw = greeted(ensemble.address()).await?;
    let mut codes = Vec::new();
    for number in 0..300 {
        let create = Operation::Create {
            code: CREATE,
            path: format!("/{number}"),
            data: Some(vec![1; 1_000_000]),
            acl: vec![(31, "world", "anyone".into())],
            flags: 0,
        };
        raw.request(number, create.code(), &create.body()).await?;
        let answer = raw.receive().await?.context("closed")?;
        let mut parts = Parts(&answer);
        parts.int()?;
        parts.long()?;
        codes.push(parts.int()?);
    }
    let full = codes
        .iter()
        .position(|code| *code == -125)
        .context("never full")?;
    ensure!((256..300).contains(&full), "{full}");
    ensure!(codes[full..].iter().all(|code| *code == -125));
    let list = Operation::GetChildren {
        code: GET_CHILDREN,
        path: "/".into(),
        watch: false,
    };
    raw.request(1000, list.code(), &list.body()).await?;
    ensure!(raw.receive().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn there_is_an_end_to_what_is_watched_and_room_again_when_the_connection_is_gone()
-> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let watch = |number: i32| Operation::Exists {
        path: format!("/{number}{}", "x".repeat(1_000_000)),
        watch: true,
    };
    let mut raw = greeted(ensemble.address()).await?;
    let mut number = 0;
    while raw.asked(&watch(number)).await? == -101 {
        number += 1;
        ensure!(number < 100, "never full");
    }
    ensure!(number > 10 && raw.asked(&watch(number)).await? == -125);
    drop(raw);
    let mut raw = greeted(ensemble.address()).await?;
    eventually("room for watches", PATIENCE, async || {
        (raw.asked(&watch(0)).await.ok()? == -101).then_some(())
    })
    .await
}

#[tokio::test]
async fn one_request_does_not_ask_for_gigabytes() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let mut raw = greeted(ensemble.address()).await?;
    let create = Operation::Create {
        code: CREATE,
        path: "/large".into(),
        data: Some(vec![0; 1_000_000]),
        acl: vec![(31, "world", "anyone".into())],
        flags: 0,
    };
    ensure!(raw.asked(&create).await? == 0);
    let read = Operation::GetData {
        path: "/large".into(),
        watch: false,
    };
    let reads = |count| Operation::MultiRead(vec![read.clone(); count]);
    ensure!(raw.asked(&reads(20)).await? == 0);
    ensure!(raw.asked(&reads(40_000)).await? == -125);
    Ok(())
}

#[tokio::test]
async fn nobody_is_more_people_than_there_is_room_for() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let auth = |secret: &str| {
        let body = Body::default()
            .int(0)
            .text("digest")
            .buffer(Some(secret.as_bytes()));
        Operation::Odd {
            code: 100,
            body: body.0,
        }
    };
    let mut raw = greeted(ensemble.address()).await?;
    let mut shown = 0;
    while raw.asked(&auth(&format!("user{shown}:secret"))).await? == 0 {
        shown += 1;
        ensure!(shown < 1000, "never full");
    }
    ensure!(is_closed(&mut raw.0).await?);
    let mut raw = greeted(ensemble.address()).await?;
    ensure!(raw.asked(&auth(&"x".repeat(100_000))).await? == -115);
    ensure!(is_closed(&mut raw.0).await?);
    Ok(())
}

/// Whoever says nothing, or not all of it, takes no place of those who do.
#[tokio::test]
async fn a_greeting_that_does_not_end_ends_the_connection() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let begun = [
        &[][..],
        &[0, 0],
        &[0, 0, 0, 45],
        &[0, 0, 0, 45, 0, 0, 0, 0, 7],
    ];
    let mut streams = Vec::new();
    for begin in begun {
        let mut stream = TcpStream::connect(ensemble.address()).await?;
        stream.write_all(begin).await?;
        streams.push(stream);
    }
    // The word is asked for by itself, so none of the others counts.
    let mut words = TcpStream::connect(ensemble.address()).await?;
    words.write_all(b"mntr").await?;
    let mut told = String::new();
    words.read_to_string(&mut told).await?;
    ensure!(told.contains("zk_num_alive_connections\t0\n"), "{told}");
    for stream in &mut streams {
        ensure!(is_closed(stream).await?);
    }
    // A greeting is short: nobody keeps what is long.
    let mut long = TcpStream::connect(ensemble.address()).await?;
    long.write_all(&100_000_i32.to_be_bytes()).await?;
    ensure!(is_closed(&mut long).await?);
    Ok(())
}

/// The end of a session closes its connection, even if what waits to be sent is never read.
#[tokio::test]
async fn a_connection_that_is_to_close_does_not_wait_for_who_never_reads() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let mut raw = greeted(ensemble.address()).await?;
    let create = Operation::Create {
        code: CREATE,
        path: "/large".into(),
        data: Some(vec![0; 1_000_000]),
        acl: vec![(31, "world", "anyone".into())],
        flags: 0,
    };
    ensure!(raw.asked(&create).await? == 0);
    let read = Operation::GetData {
        path: "/large".into(),
        watch: false,
    };
    // More than the system keeps for both ends, and than the ensemble listens on for.
    for xid in 0..40 {
        raw.request(xid, read.code(), &read.body()).await?;
    }
    // It does not listen any more.
    let full = async {
        loop {
            raw.0.write_all(&[0; 4096]).await?;
        }
    };
    let filled: Result<Result<()>, _> = tokio::time::timeout(Duration::from_secs(1), full).await;
    ensure!(filled.is_err(), "it was closed before: {filled:?}");
    let [session] = &ensemble.sessions()[..] else {
        anyhow::bail!("one session")
    };
    ensure!(ensemble.expire(session.id));
    // A closed end refuses what is sent to it; an open one takes it, or has no room for the moment.
    eventually("the connection to close", PATIENCE, async || {
        let refused = raw.0.try_write(&[0]).err()?;
        (refused.kind() != std::io::ErrorKind::WouldBlock).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_thousand_strangers_disturb_no_session() -> Result<()> {
    let ensemble = Ensemble::start(Settings::default()).await?;
    let client = connect(&ensemble.address().to_string(), TIMEOUT).await?;
    let session = client.session_id().0;
    // Guessed sessions, the client's own among them, with passwords that are none.
    for guess in 0..300 {
        let mut raw = Raw::dial(ensemble.address()).await?;
        let claim = Claim {
            session: if guess % 2 == 0 { session } else { guess },
            password: vec![0; 16],
            ..Claim::default()
        };
        let (agreed, told) = raw.greet(&claim, 10_000).await?.context("closed")?;
        ensure!((agreed, told.session) == (0, 0), "{guess}");
    }
    let mut random = Random::new(seed());
    let mut open = Vec::new();
    for _ in 0..1000 {
        // The system may have no more room for files: then the ensemble has not either.
        let Ok(mut raw) = Raw::dial(ensemble.address()).await else {
            break;
        };
        match random.below(3) {
            0 => {
                raw.0.write_all(&[0, 0, 0]).await?;
                open.push(raw);
            }
            1 => drop(raw.greet(&Claim::default(), 10_000).await?),
            _ => {}
        }
    }
    ensure!(client.check_stat("/").await?.is_some());
    ensure!(client.session_id().0 == session);
    let is_there = ensemble
        .sessions()
        .iter()
        .any(|it| it.id == session && it.connected);
    ensure!(is_there, "its connection was taken");
    Ok(())
}
