//! A place where clients come in, which can be closed for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::error::EnsembleError;
use super::{Shared, connection};

/// The pause after a connection could not be accepted.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A port on which the ensemble listens. Nobody listens there any more when it is dropped, and its connections are closed.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    /// Whether it is open.
    is_open: watch::Sender<bool>,
}

impl Door {
    /// Listens on a loopback address, for as long as the ensemble runs.
    pub(super) async fn open(
        address: SocketAddr,
        shared: Arc<Shared>,
        running: watch::Receiver<()>,
    ) -> Result<Self, EnsembleError> {
        if !address.ip().is_loopback() {
            return Err(EnsembleError::NotLoopback { address });
        }
        let listen = |error| EnsembleError::Listen {
            address,
            source: Arc::new(error),
        };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let is_open = watch::Sender::new(true);
        tokio::spawn(accept(listener, shared, is_open.subscribe(), running));
        Ok(Self { address, is_open })
    }

    /// Where clients come in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections that came in here, and every new one at once, until [`Door::mend`].
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets clients in again.
    pub fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut is_open: watch::Receiver<bool>,
    mut running: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gone(&mut is_open) => return,
            _ = running.changed() => return,
        };
        // What cannot be accepted, as there are too many files, will be once some are closed.
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        if *is_open.borrow() {
            tokio::spawn(let_in(
                shared.clone(),
                stream,
                address,
                is_open.clone(),
                running.clone(),
            ));
        }
    }
}

async fn let_in(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    mut is_open: watch::Receiver<bool>,
    mut running: watch::Receiver<()>,
) {
    // Answers are small, and somebody waits for them. That it cannot be set is no reason not to answer.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        () = connection::serve(shared, stream, address) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
        _ = running.changed() => {}
    }
}

/// Waits until the door is no more.
async fn gone(is_open: &mut watch::Receiver<bool>) {
    while is_open.changed().await.is_ok() {}
}
