//! Somebody else writes a task's nodes, all the time, and always just before its leader does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use soloist_core::state::{State, StateError};
use soloist_tests::cluster::Cluster;
use soloist_tests::proxy::{Op, Proxy};
use soloist_tests::{PATIENCE, client};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::leader::{Leader, node};
use super::operations::set;

/// The pauses between ten attempts are longer than this together.
const PAUSES: Duration = Duration::from_secs(1);

/// What a competitor does with a node.
#[derive(Clone, Copy)]
enum Act {
    Overwrite,
    /// Deletes it if it is there, and creates it if it is not.
    Toggle,
}

/// Acts on its own thread, since a proxy does not wait for futures.
struct Competitor {
    orders: SyncSender<Act>,
    done: Receiver<()>,
}

impl Competitor {
    fn start(servers: &str, path: String) -> Result<Self> {
        let servers = servers.to_owned();
        let (orders, ordered) = sync_channel(1);
        let (tell, done) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let operator = client::connect(&servers, PATIENCE).await?;
                while let Ok(act) = ordered.recv() {
                    act_on(&operator, &path, act).await?;
                    let _ = tell.send(());
                }
                client::close(operator).await;
                anyhow::Ok(())
            })
        });
        Ok(Self { orders, done })
    }

    /// Acts; returns when that is done.
    fn act(&self, act: Act) {
        self.orders.send(act).expect("the competitor has ended");
        let done = self.done.recv_timeout(PATIENCE);
        done.expect("the competitor has done nothing");
    }
}

async fn act_on(operator: &Client, path: &str, act: Act) -> Result<(), Error> {
    match act {
        Act::Overwrite => operator.set_data(path, b"theirs", None).await.map(drop),
        Act::Toggle => match operator.delete(path, None).await {
            Err(Error::NoNode) => {
                let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
                operator.create(path, b"theirs", &options).await.map(drop)
            }
            deleted => deleted,
        },
    }
}

/// Has a competitor act before each of the next `times` transactions that write the node; counts all of these.
fn before_each(
    proxy: &Proxy,
    servers: &str,
    path: &str,
    times: u32,
    act: Act,
) -> Result<Arc<AtomicU32>> {
    let competitor = Competitor::start(servers, path.to_owned())?;
    let (path, seen) = (path.to_owned(), Arc::new(AtomicU32::new(0)));
    let counted = seen.clone();
    proxy.lose_reply_to(move |request| {
        if request.op == Op::Multi
            && request.mentions(&path)
            && counted.fetch_add(1, Ordering::Relaxed) < times
        {
            competitor.act(act);
        }
        // Nothing is lost.
        false
    });
    Ok(seen)
}

fn is_given_up(error: &StateError) -> bool {
    matches!(error, StateError::Unavailable(reason) if reason.contains("find out who else writes it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_pauses_between_attempts_at_a_node_that_somebody_else_writes_and_gives_up()
-> Result<()> {
    let cluster = Cluster::embedded().await?;
    let servers = cluster.servers().to_owned();
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let operator = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let leader = Leader::elected(&cluster, "a").await?;
    let path = node("key");
    leader.set("key", "ours").await?;
    let before_each = |times, act| before_each(&proxy, &servers, &path, times, act);

    // What a transaction has read is another's by the time that it writes.
    let began = Instant::now();
    let attempts = before_each(u32::MAX, Act::Overwrite)?;
    let error = leader.state.transact(vec![set("key", "again")]).await;
    let error = error.err().context("it was written")?.error;
    ensure!(is_given_up(&error), "{error}");
    ensure!(attempts.load(Ordering::Relaxed) == 10 && began.elapsed() > PAUSES);
    let attempts = before_each(3, Act::Overwrite)?;
    leader.state.transact(vec![set("key", "again")]).await?;
    ensure!(attempts.load(Ordering::Relaxed) == 4);

    // A node that is to be set is gone, and one that is to be created is there.
    let began = Instant::now();
    let attempts = before_each(u32::MAX, Act::Toggle)?;
    let error = leader.set("key", "once more").await.err();
    let error = error.context("it was written")?;
    ensure!(is_given_up(&error), "{error}");
    ensure!(attempts.load(Ordering::Relaxed) == 20 && began.elapsed() > PAUSES);
    before_each(2, Act::Toggle)?;
    leader.set("key", "once more").await?;
    let (value, _) = operator.get_data(&path).await?;
    ensure!(value == b"once more", "{value:?}");
    client::close(operator).await;
    Ok(())
}
