//! Greets one server in ZooKeeper's own protocol, for what the client library does not tell: which session timeout this very
//! server agrees to, and what is wrong with a connection to it.
//!
//! The library verifies a certificate for what it connects to. A name can stand for several servers, so each is connected to by
//! its address, and its certificate verified for the name.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls;

use soloist_core::clock::{self, Moment};

use super::servers::Server;
use super::tls::{Tls, cause};
use super::{Credentials, Ensemble};

/// A server that says nothing for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that has answered is not waited for longer to close the session.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// An answer to a greeting has some 40 bytes.
const ANSWER_BYTES_MAX: u32 = 1024;

/// No more of the answer to a word is read.
const WORD_BYTES_MAX: u64 = 64 * 1024;

const XID_AUTH: i32 = -4;
const OP_AUTH: i32 = 100;
const XID_CLOSE: i32 = 1;
const OP_CLOSE: i32 = -11;

/// A server does not give a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(io::Error),
    /// It says nothing.
    #[error("no answer")]
    NoAnswer,
    /// It closes the connection, as servers without a majority do.
    #[error("connections are accepted, and closed without an answer")]
    Closed,
    /// It does not speak TLS.
    #[error(
        "does not speak TLS there: name the server's secureClientPort, or leave out [zookeeper.tls]"
    )]
    NotTls,
    /// It wants to know who this is.
    #[error(
        "wants a certificate of whoever connects ({0}): set zookeeper.tls.certificate and zookeeper.tls.key"
    )]
    WantsCertificate(rustls::Error),
    /// It does not take the certificate.
    #[error(
        "does not take the certificate of this host ({0}): it has to be valid, and by an authority that the servers know"
    )]
    RefusesCertificate(rustls::Error),
    /// Its certificate is not taken.
    #[error(
        "{0}; its certificate has to be valid, by an authority in zookeeper.tls.ca, and for the name in zookeeper.servers"
    )]
    Untrusted(rustls::Error),
    /// The handshake fails.
    #[error("TLS fails: {0}")]
    Tls(rustls::Error),
    /// Its answer is none of ZooKeeper's.
    #[error("what answers there is no ZooKeeper server")]
    Foreign,
}

/// Asks a server for a session, which is closed at once. The session timeout that the server agrees to.
pub(crate) async fn greet(
    server: &Server,
    asked: Duration,
    ensemble: &Ensemble,
) -> Result<Duration, Silence> {
    let greeting = async {
        let stream = connect(server).await.map_err(Silence::Unreachable)?;
        let tls = ensemble.tls.as_ref();
        let answer = match tls {
            None => exchange(stream, asked, ensemble.auth.as_ref()).await,
            Some(tls) => match tls.handshake(&server.name, stream).await {
                Ok(stream) => exchange(stream, asked, ensemble.auth.as_ref()).await,
                Err(error) => return Err(no_handshake(&error, tls)),
            },
        };
        answer.map_err(|error| match tls {
            Some(tls) if cause(&error).is_some() => no_handshake(&error, tls),
            _ if error.kind() == io::ErrorKind::InvalidData => Silence::Foreign,
            _ => Silence::Closed,
        })
    };
    tokio::time::timeout(PATIENCE, greeting)
        .await
        .unwrap_or(Err(Silence::NoAnswer))
}

/// Connects so that what is sent goes at once. Otherwise the system would hold the first word after a handshake back until the
/// server acknowledges the handshake, which servers put off for 40 ms: too long to compare clocks by.
async fn connect(server: &Server) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(&server.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a server has said to one of the four-letter words.
pub(crate) struct Said {
    pub(crate) answer: String,
    /// When the word was sent, over a connection that was there.
    pub(crate) asked: Moment,
    /// How long after that all of the answer was there.
    pub(crate) took: Duration,
}

/// Sends one of the four-letter words to a server, for its answer; none if it has none, or does not allow the word.
pub(crate) async fn word(server: &Server, word: &str, ensemble: &Ensemble) -> Option<Said> {
    let asking = async {
        let stream = connect(server).await?;
        match &ensemble.tls {
            None => answer(stream, word).await,
            Some(tls) => answer(tls.handshake(&server.name, stream).await?, word).await,
        }
    };
    let (asked, answer) = tokio::time::timeout(PATIENCE, asking).await.ok()?.ok()?;
    let took = clock::now().saturating_since(asked);
    let is_refused = answer.is_empty() || answer.contains("not in the whitelist");
    (!is_refused).then_some(Said {
        answer,
        asked,
        took,
    })
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    word: &str,
) -> io::Result<(Moment, String)> {
    let asked = clock::now();
    stream.write_all(word.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = stream.take(WORD_BYTES_MAX).read_to_end(&mut answer).await;
    // A server may end a connection with TLS without saying so.
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok((asked, String::from_utf8_lossy(&answer).into_owned())),
    }
}

/// What a handshake has failed of. With TLS 1.3 the server judges a certificate after the handshake.
fn no_handshake(error: &io::Error, tls: &Tls) -> Silence {
    use rustls::AlertDescription as Alert;
    let Some(error) = cause(error).cloned() else {
        // A plain server takes the first bytes for a length, which is too much for it.
        return Silence::NotTls;
    };
    match &error {
        rustls::Error::InvalidMessage(_) => Silence::NotTls,
        rustls::Error::InvalidCertificate(_) => Silence::Untrusted(error),
        rustls::Error::AlertReceived(alert) => {
            let is_of_certificate = matches!(
                alert,
                Alert::CertificateRequired
                    | Alert::NoCertificate
                    | Alert::BadCertificate
                    | Alert::CertificateExpired
                    | Alert::CertificateRevoked
                    | Alert::CertificateUnknown
                    | Alert::UnsupportedCertificate
                    | Alert::UnknownCA
                    | Alert::AccessDenied
            );
            match (&tls.files().identity, is_of_certificate) {
                (None, true) => Silence::WantsCertificate(error),
                (Some(_), true) => Silence::RefusesCertificate(error),
                _ => Silence::Tls(error),
            }
        }
        _ => Silence::Tls(error),
    }
}

/// Asks on a connection, and closes the session that is given.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    asked: Duration,
    auth: Option<&Credentials>,
) -> io::Result<Duration> {
    stream.write_all(&greeting(asked)).await?;
    stream.flush().await?;
    let length = stream.read_u32().await?;
    if !(8..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut answer).await?;
    let agreed = answer
        .get(4..8)
        .and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
        .filter(|agreed| *agreed <= i32::MAX.unsigned_abs())
        .ok_or(io::ErrorKind::InvalidData)?;
    let agreed = Duration::from_millis(agreed.into());
    // The answer is there. A session that cannot be closed in time expires.
    let _ = tokio::time::timeout(CLOSE_TIME, close(&mut stream, auth)).await;
    Ok(agreed)
}

/// A request for a new session.
fn greeting(asked: Duration) -> Vec<u8> {
    let asked = i32::try_from(asked.as_millis()).unwrap_or(i32::MAX);
    let mut body = Vec::new();
    body.extend(0_i32.to_be_bytes()); // the version of the protocol
    body.extend(0_i64.to_be_bytes()); // the latest zxid seen
    body.extend(asked.to_be_bytes());
    body.extend(0_i64.to_be_bytes()); // no session yet
    body.extend(buffer(&[0; 16])); // its password
    body.push(0); // not with a server that only reads
    buffer(&body)
}

/// Closes the session. Servers may be set to take nothing from those who do not say who they are.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    auth: Option<&Credentials>,
) -> io::Result<()> {
    let mut requests = Vec::new();
    if let Some(Credentials { scheme, secret }) = auth {
        let mut body = header(XID_AUTH, OP_AUTH);
        body.extend(0_i32.to_be_bytes());
        body.extend(buffer(scheme.as_bytes()));
        body.extend(buffer(secret));
        requests.extend(buffer(&body));
    }
    requests.extend(buffer(&header(XID_CLOSE, OP_CLOSE)));
    stream.write_all(&requests).await?;
    stream.flush().await?;
    // The server closes the connection when the session is closed.
    let mut answers = [0; ANSWER_BYTES_MAX as usize];
    while stream.read(&mut answers).await? > 0 {}
    Ok(())
}

fn header(xid: i32, op: i32) -> Vec<u8> {
    [xid.to_be_bytes(), op.to_be_bytes()].concat()
}

/// Bytes after their length.
fn buffer(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}
