use std::io::ErrorKind;
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::super::connection::Stream;
use super::*;
use soloist_core::clock;
use soloist_core::permit::SharedDeadline;

fn permit() -> (Permit, SharedDeadline) {
    let deadline = SharedDeadline::default();
    deadline.set(clock::now() + Duration::from_secs(600));
    (Permit::new(deadline.clone()), deadline)
}

async fn connected(gate: &Arc<Gate>) -> (io::Result<Arc<Connection>>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connection = gate
        .connect(TcpSocket::new_v4().unwrap(), address, gate.slot().unwrap())
        .await;
    (connection, listener.accept().await.unwrap().0)
}

/// How the connection ends for the other side, and how many bytes came before.
async fn end(mut peer: TcpStream) -> (usize, io::Result<()>) {
    let (mut received, mut buffer) = (0, vec![0; 65536]);
    loop {
        match timeout(Duration::from_secs(60), peer.read(&mut buffer))
            .await
            .expect("the connection ends")
        {
            Ok(0) => return (received, Ok(())),
            Ok(read) => received += read,
            Err(error) => return (received, Err(error)),
        }
    }
}

#[tokio::test]
async fn the_other_side_sees_a_reset_when_demotion_begins_though_nobody_looks_at_the_connection() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit.clone(), 2);
    let (connection, peer) = connected(&gate).await;
    let connection = connection.unwrap();
    permit.drain();
    assert_eq!(
        end(peer).await.1.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let write = poll_fn(|context| connection.poll_write(context, b"late")).await;
    assert_eq!(write.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let read = poll_fn(|context| connection.poll_read(context, &mut [0])).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

/// Sends until the buffers of both sides are full, and returns how many bytes these are: nobody reads.
async fn fill(connection: &Connection) -> usize {
    let (mut sent, data) = (0, vec![0; 65536]);
    loop {
        let write = poll_fn(|context| connection.poll_write(context, &data));
        let Ok(written) = timeout(Duration::from_millis(500), write).await else {
            return sent;
        };
        sent += written.unwrap();
    }
}

#[tokio::test]
async fn what_waits_to_be_sent_is_thrown_away() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    let (connection, peer) = connected(&gate).await;
    let connection = connection.unwrap();
    let sent = fill(&connection).await;
    gate.close();
    let (received, end) = end(peer).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(received < sent, "{received} of {sent} bytes arrived");
}

#[tokio::test]
async fn a_lease_that_runs_out_cuts_connections_too() {
    let (permit, deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    let (_connection, peer) = connected(&gate).await;
    deadline.set(clock::now());
    assert_eq!(
        end(peer).await.1.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn nothing_passes_a_closed_gate() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    gate.close();
    let (connection, _peer) = connected(&gate).await;
    assert_eq!(connection.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(gate.slot().is_some());
}

#[tokio::test]
async fn a_connection_that_is_dropped_makes_room_and_ends_in_order() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    let (connection, peer) = connected(&gate).await;
    assert!(gate.slot().is_none());
    drop(connection);
    assert!(gate.slot().is_some());
    assert!(gate.open().connections.is_empty());
    assert!(end(peer).await.1.is_ok());
}

#[tokio::test]
async fn what_a_closed_connection_has_not_sent_when_the_term_ends_is_thrown_away() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit.clone(), 1);
    let (connection, peer) = connected(&gate).await;
    let connection = connection.unwrap();
    let sent = fill(&connection).await;
    drop(connection);
    assert!(gate.slot().is_some(), "it is none that the plugin has");
    permit.drain();
    gate.closed().await;
    while !gate.open().closed {
        sleep(Duration::from_millis(1)).await;
    }
    let (received, end) = end(peer).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(received < sent, "{received} of {sent} bytes arrived");
}

#[tokio::test]
async fn what_a_closed_connection_has_to_send_arrives_within_the_term() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    let (connection, peer) = connected(&gate).await;
    let connection = connection.unwrap();
    let sent = fill(&connection).await;
    drop(connection);
    assert_eq!(gate.open().kept.len(), 1);
    let (received, end) = end(peer).await;
    assert!(end.is_ok());
    assert_eq!(received, sent);
    while !gate.open().kept.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_exchange_that_is_given_up_is_reset_at_once_and_one_that_has_ended_is_not() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 2);
    let (connection, peer) = connected(&gate).await;
    let stream = Stream(connection.unwrap());
    let sent = fill(&stream.0).await;
    drop(stream);
    let (received, outcome) = end(peer).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(received < sent && gate.open().kept.is_empty());
    let (connection, peer) = connected(&gate).await;
    let stream = Stream(connection.unwrap());
    let sent = fill(&stream.0).await;
    stream.0.shutdown(Shutdown::Write).unwrap();
    drop(stream);
    let (received, outcome) = end(peer).await;
    assert!(outcome.is_ok());
    assert_eq!(received, sent);
}

#[tokio::test]
async fn too_many_that_are_kept_leave_no_room() {
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    let mut peers = Vec::new();
    for _ in 0..KEPT_MAX {
        let (connection, peer) = connected(&gate).await;
        let connection = connection.unwrap();
        let data = vec![0; 1 << 20];
        poll_fn(|context| connection.poll_write(context, &data))
            .await
            .unwrap();
        peers.push(peer);
    }
    assert!(gate.is_clogged() && gate.slot().is_none());
    peers.clear();
    while gate.slot().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// The other side of a connection with full buffers whose process is killed. The process runs this very test.
#[tokio::test]
async fn what_waits_to_be_sent_is_thrown_away_when_the_process_is_killed() {
    const PEER: &str = "SOLOIST_TEST_PEER";
    let (permit, _deadline) = permit();
    let (gate, _watch) = Gate::new(permit, 1);
    if let Ok(peer) = std::env::var(PEER) {
        let socket = TcpSocket::new_v4().unwrap();
        let connecting = gate.connect(socket, peer.parse().unwrap(), gate.slot().unwrap());
        let connection = connecting.await.unwrap();
        println!("sent={}", fill(&connection).await);
        return std::future::pending().await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name =
        "network::gate::tests::what_waits_to_be_sent_is_thrown_away_when_the_process_is_killed";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", name])
        .env(PEER, listener.local_addr().unwrap().to_string())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let peer = listener.accept().await.unwrap().0;
    let lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let sent = std::io::BufRead::lines(lines).find_map(|line| {
        let (_, sent) = line
            .unwrap()
            .rsplit_once("sent=")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        sent.parse::<usize>().ok()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let (received, end) = end(peer).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let sent = sent.unwrap();
    assert!(received < sent, "{received} of {sent} bytes arrived");
}
