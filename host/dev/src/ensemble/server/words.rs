//! The four-letter words: questions about the server that take no session.

use super::Shared;

/// Whether a connection begins with such a word.
pub(super) fn is_word(begin: &[u8]) -> bool {
    matches!(begin, b"ruok" | b"isro" | b"srvr" | b"mntr")
}

/// The answer to what a connection begins with, if that is such a word.
pub(super) fn answer(begin: &[u8], shared: &Shared) -> Option<String> {
    let state = shared.lock();
    let (machine, connections) = (&state.machine, state.outlets.len());
    let version = concat!(
        "3.8.0-soloist-",
        env!("CARGO_PKG_VERSION"),
        ", for development"
    );
    let zxid = machine.zxid();
    let nodes = machine.tree().len();
    Some(match begin {
        b"ruok" => "imok".into(),
        b"isro" => "rw".into(),
        b"srvr" => format!(
            "Zookeeper version: {version}\nLatency min/avg/max: 0/0.0/0\nReceived: 0\nSent: 0\n\
             Connections: {connections}\nOutstanding: 0\nZxid: {zxid:#x}\nMode: standalone\nNode count: {nodes}\n"
        ),
        b"mntr" => format!(
            "zk_version\t{version}\nzk_server_state\tstandalone\nzk_num_alive_connections\t{connections}\n\
             zk_znode_count\t{nodes}\nzk_watch_count\t{watches}\nzk_ephemerals_count\t{ephemerals}\n\
             zk_approximate_data_size\t{bytes}\nzk_global_sessions\t{sessions}\n",
            watches = machine.watch_count(),
            ephemerals = machine.tree().ephemeral_count(),
            bytes = machine.tree().bytes(),
            sessions = machine.sessions().all().len(),
        ),
        _ => return None,
    })
}
