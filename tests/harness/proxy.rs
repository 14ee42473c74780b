//! A TCP proxy in front of one ZooKeeper server, which cuts, swallows, and loses replies.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;

/// What the proxy does with traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// Passes it on.
    #[default]
    Passes,
    /// Closes every connection, and every new one at once.
    Cut,
    /// Swallows what clients send; what the server sends arrives.
    LostToServer,
    /// Swallows what the server sends; what clients send arrives.
    LostToClient,
    /// Swallows everything.
    Lost,
}

/// ZooKeeper's operation codes, as far as tests tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `create`, in all its versions.
    Create,
    /// `delete`.
    Delete,
    /// `setData`.
    SetData,
    /// `multi`.
    Multi,
    /// Another one.
    Other(i32),
}

impl From<i32> for Op {
    fn from(code: i32) -> Self {
        match code {
            1 | 15 | 19 | 21 => Self::Create,
            2 => Self::Delete,
            5 => Self::SetData,
            14 => Self::Multi,
            other => Self::Other(other),
        }
    }
}

/// A request on its way to the server.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it asks for.
    pub op: Op,
    /// What follows the header: paths in it stand as they are.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Whether the request speaks of that path: the whole of it, not the beginning of a longer one.
    pub fn mentions(&self, path: &str) -> bool {
        let Ok(length) = i32::try_from(path.len()) else {
            return false;
        };
        self.contains(&[&length.to_be_bytes(), path.as_bytes()].concat())
    }

    /// Whether these bytes stand anywhere in the request.
    pub fn contains(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

type Chooser = Box<dyn FnMut(Request<'_>) -> bool + Send>;

/// What is lost, with the connection, of a request that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The request: the server never hears of it.
    Request,
    /// The reply: the server does what was asked, and the client never hears of that.
    Reply,
}

#[derive(Default)]
struct Faults {
    /// Chooses the request that is to be lost, or whose reply is; goes when it has chosen one.
    lose: Option<(Loss, Chooser)>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    traffic: watch::Sender<Traffic>,
    faults: Mutex<Faults>,
    replies_lost: watch::Sender<u32>,
    /// New connections wait.
    held: watch::Sender<bool>,
    /// The server's answers to handshakes.
    welcomes: Mutex<Vec<Vec<u8>>>,
}

/// A running proxy. Its connections are closed when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free loopback port in front of the server at that address.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), server).await
    }

    /// Starts a proxy on a free port of that address of this machine.
    pub async fn start_at(address: IpAddr, server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((address, 0))
            .await
            .context("cannot listen for the proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            traffic: watch::Sender::new(Traffic::Passes),
            faults: Mutex::default(),
            replies_lost: watch::Sender::new(0),
            held: watch::Sender::new(false),
            welcomes: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The connect string that leads through the proxy.
    pub fn connect_string(&self) -> String {
        self.address.to_string()
    }

    /// Says what shall happen to traffic from here on. A connection that has lost bytes is closed when traffic passes
    /// again: nobody could make sense of the rest.
    pub fn set(&self, traffic: Traffic) {
        self.shared.traffic.send_replace(traffic);
    }

    /// Loses the reply to the next request that `choose` says yes to: the server does what was asked, and the
    /// connection breaks before the client hears of it.
    pub fn lose_reply_to(&self, choose: impl FnMut(Request<'_>) -> bool + Send + 'static) {
        self.lose(Loss::Reply, choose);
    }

    /// Loses the next request that `choose` says yes to, or the reply to it, and with it the connection.
    pub fn lose(&self, loss: Loss, choose: impl FnMut(Request<'_>) -> bool + Send + 'static) {
        self.shared.faults().lose = Some((loss, Box::new(choose)));
    }

    /// Leads every connection that is made from here on to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self
            .shared
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Lets the server close a session that was opened through the proxy, by asking for it in its own name.
    ///
    /// That takes the connection from the session's owner, who is kept from coming back before it is done: the session
    /// would be his again, and the closing refused.
    pub async fn close_session(&self, id: i64) -> Result<()> {
        self.shared.held.send_replace(true);
        let closed = self.ask_to_close(id).await;
        self.shared.held.send_replace(false);
        closed
    }

    async fn ask_to_close(&self, id: i64) -> Result<()> {
        let welcomes = self.shared.welcomes().clone();
        let welcome = welcomes
            .iter()
            .find(|welcome| welcome.get(12..20) == Some(&id.to_be_bytes()[..]));
        // Length, protocol version, timeout; then session id and password, which a request has in the same form.
        let identity = welcome
            .and_then(|welcome| welcome.get(12..40))
            .context("no such session has passed")?;
        let (version, last_seen, timeout) = (
            0_i32.to_be_bytes(),
            0_i64.to_be_bytes(),
            4000_i32.to_be_bytes(),
        );
        let handshake = [&version[..], &last_seen, &timeout, identity, &[0]].concat();
        // The xid and the code of closeSession.
        let close = [1_i32.to_be_bytes(), (-11_i32).to_be_bytes()].concat();
        let mut stream = TcpStream::connect(self.shared.server()).await?;
        for request in [handshake, close] {
            stream.write_u32(request.len().try_into()?).await?;
            stream.write_all(&request).await?;
        }
        // The server closes the connection when it has closed the session.
        let answers = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        answers.context("the server does not close the session")??;
        Ok(())
    }

    /// Waits until so many replies have been lost in all.
    pub async fn replies_lost(&self, count: u32) -> Result<()> {
        let mut lost = self.shared.replies_lost.subscribe();
        let reached = tokio::time::timeout(PATIENCE, lost.wait_for(|lost| *lost >= count)).await;
        reached.with_context(|| format!("the proxy has not lost {count} replies"))??;
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Traffic::Cut);
    }
}

impl Shared {
    fn server(&self) -> SocketAddr {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn welcomes(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.welcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(client, Arc::clone(&shared)));
    }
}

/// The requests of one connection whose replies are to be lost, by their xid.
type Doomed = Arc<Mutex<VecDeque<i32>>>;

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    if *shared.traffic.borrow() == Traffic::Cut {
        return;
    }
    // The sender lives in `shared`, so this cannot fail.
    let _ = shared.held.subscribe().wait_for(|held| !held).await;
    let Ok(server) = TcpStream::connect(shared.server()).await else {
        return;
    };
    // Small frames must not wait for one another.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let doomed = Doomed::default();
    let mut traffic = shared.traffic.subscribe();
    let broken = async {
        // Cut at once; or once bytes were lost and traffic passes again.
        let lossy = |traffic: &Traffic| !matches!(traffic, Traffic::Passes);
        let seen = traffic.wait_for(lossy).await.map(|traffic| *traffic);
        if matches!(
            seen,
            Ok(Traffic::Lost | Traffic::LostToServer | Traffic::LostToClient)
        ) {
            let _ = traffic
                .wait_for(|traffic| matches!(traffic, Traffic::Passes | Traffic::Cut))
                .await;
        }
    };
    // Whichever ends first takes the others with it, and with them both connections.
    tokio::select! {
        () = broken => {}
        _ = requests(from_client, to_server, &shared, &doomed) => {}
        _ = replies(from_server, to_client, &shared, &doomed) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    doomed: &Doomed,
) -> std::io::Result<()> {
    // The first frame is the handshake and has no header.
    let mut handshake = true;
    loop {
        let frame = read_frame(&mut from).await?;
        if let Some((xid, op, body)) = header(&frame).filter(|_| !handshake) {
            let mut faults = shared.faults();
            let lose = faults.lose.take_if(|(_, choose)| {
                choose(Request {
                    op: Op::from(op),
                    body,
                })
            });
            if let Some((Loss::Request, _)) = lose {
                return Ok(());
            }
            if lose.is_some() {
                doomed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_back(xid);
            }
        }
        handshake = false;
        if !matches!(
            *shared.traffic.borrow(),
            Traffic::Lost | Traffic::LostToServer
        ) {
            to.write_all(&frame).await?;
        }
    }
}

async fn replies(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    doomed: &Doomed,
) -> std::io::Result<()> {
    let mut handshake = true;
    loop {
        let frame = read_frame(&mut from).await?;
        if let Some((xid, ..)) = header(&frame).filter(|_| !handshake)
            && doomed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&xid)
        {
            shared.replies_lost.send_modify(|lost| *lost += 1);
            return Ok(());
        }
        if handshake {
            shared.welcomes().push(frame.clone());
        }
        handshake = false;
        if !matches!(
            *shared.traffic.borrow(),
            Traffic::Lost | Traffic::LostToClient
        ) {
            to.write_all(&frame).await?;
        }
    }
}

/// Reads one frame, its length in front.
async fn read_frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let size = usize::try_from(length).map_err(std::io::Error::other)?;
    let mut frame = vec![0; size + 4];
    frame[..4].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// The first two numbers of a frame, xid and operation (in a reply: xid and half a zxid), and what follows.
fn header(frame: &[u8]) -> Option<(i32, i32, &[u8])> {
    let (xid, rest) = frame.get(4..)?.split_first_chunk()?;
    let (op, body) = rest.split_first_chunk()?;
    Some((i32::from_be_bytes(*xid), i32::from_be_bytes(*op), body))
}
