//! Connections: how many, how long, how slow. Whoever asks is not trusted with any of it.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::admission::Shown;
use crate::answer::{self, Answer};
use crate::obituary::Obituary;
use crate::pages::Pages;
use crate::tls::Tls;
use crowd::{Crowd, Progress};

mod crowd;

/// How long a handshake of TLS may take, or a request to arrive, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a connection lives, whatever it does; then the answer under way has some time left.
const LIFE_TIME: Duration = Duration::from_secs(120);
const LAST_ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long no byte of an answer may be taken.
const STALL_TIME: Duration = Duration::from_secs(10);

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

/// The most headers of a request.
const HEADERS_MAX: usize = 64;

/// How long nothing is accepted after the system has refused a connection, as when there are no descriptors left.
const REFUSED_TIME: Duration = Duration::from_millis(100);

/// An address that requests can come to. Nothing is answered yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
}

/// Who answers.
enum Teller {
    Host(Pages),
    Guardian(Obituary),
}

/// Answers requests, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    /// The system does not give it.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls: None })
    }

    /// The address that another process has taken, and has given to this one.
    ///
    /// # Errors
    /// It is no socket that can be used so.
    pub fn given(socket: OwnedFd) -> io::Result<Self> {
        let socket = TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls: None })
    }

    /// What another process can be given.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Answers for a process that is dead, on the runtime of the caller, and never ends. The same bounds hold.
    ///
    /// # Errors
    /// The system does not take the socket.
    ///
    /// # Cancellation safety
    /// Connections that are open then are cut.
    pub async fn mourn(&self, tls: Option<Tls>, obituary: Obituary) -> io::Result<()> {
        let obituary = match &tls {
            Some(tls) => obituary.over_tls(tls.wants_certificates()),
            None => obituary,
        };
        let socket = self.socket.try_clone()?;
        accept(socket, tls, Arc::new(Teller::Guardian(obituary))).await;
        Ok(())
    }

    /// The same address, where all is said over TLS, if this is some.
    #[must_use]
    pub fn over(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The address, with the port that the system has chosen.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn serve(self, pages: Pages) -> io::Result<Serving> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let Self { socket, tls } = self;
        let pages = match &tls {
            Some(tls) => pages.over_tls(tls.wants_certificates()),
            None => pages,
        };
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || {
                runtime.block_on(async {
                    let following = async {
                        match tls.clone() {
                            Some(tls) => tls.follow().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = accept(socket, tls.clone(), Arc::new(Teller::Host(pages))) => {}
                        () = following => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Serving {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that has left its trace.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<Tls>, teller: Arc<Teller>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("nothing is answered at `listen`: {error}"),
    };
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::default();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = stream else {
            sleep(REFUSED_TIME).await;
            continue;
        };
        let now = Instant::now();
        if !crowd.make_room(now) {
            continue;
        }
        let progress = Progress::new(tls.is_some());
        let greeted = greet(stream, tls.clone(), Arc::clone(&teller), progress.clone());
        crowd.add(connections.spawn(greeted), progress, now);
    }
}

/// Answers what comes on one connection, after the handshake, if there is one.
async fn greet(stream: TcpStream, tls: Option<Tls>, teller: Arc<Teller>, progress: Progress) {
    // What the kernel has not got rid of for so long, the other side does not take.
    let stall = rustix::net::sockopt::set_tcp_user_timeout(
        &stream,
        u32::try_from(STALL_TIME.as_millis()).unwrap_or(u32::MAX),
    );
    if let Err(error) = stall {
        tracing::debug!("no time limit for a slow reader: {error}");
    }
    let Some(tls) = tls else {
        return serve(stream, Shown::Nothing, teller, progress).await;
    };
    // Whoever does not get through learns why by TLS itself. Nobody here could do anything about it.
    if let Ok(Ok(stream)) = timeout(HEAD_TIME, tls.acceptor().accept(stream)).await {
        let shown = match stream.get_ref().1.peer_certificates() {
            Some([_, ..]) => Shown::Certificate,
            _ => Shown::Nothing,
        };
        progress.greeted();
        serve(stream, shown, teller, progress).await;
    }
}

/// Answers the requests of one connection.
async fn serve<S>(stream: S, shown: Shown, teller: Arc<Teller>, progress: Progress)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(shown);
        let teller = Arc::clone(&teller);
        let progress = progress.clone();
        async move {
            let answer = answer(&teller, &parts, body).await;
            progress.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // What was wrong with a connection is of no use to anybody here.
        _ = connection.as_mut() => {}
        () = sleep(LIFE_TIME) => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(LAST_ANSWER_TIME, connection).await;
        }
    }
}

async fn answer(teller: &Teller, parts: &http::request::Parts, body: Incoming) -> Response<Answer> {
    use hyper::body::Body as _;
    // Hardly anybody reads a body, so what follows it could not be told from it.
    let has_body = !body.is_end_stream();
    let mut answer = match teller {
        Teller::Host(pages) => pages.answer_in_time(parts, body).await,
        Teller::Guardian(obituary) => answer::whole(obituary.answer(parts)),
    };
    if has_body {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}
