//! A client that hides nothing: it sends any bytes, and shows every message that comes back.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use soloist_tests::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::operation::Operation;

/// What an answer to a ping is numbered with.
pub(crate) const PING: i32 = -2;
/// What an event is numbered with.
pub(crate) const EVENT: i32 = -1;

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn bool(mut self, value: bool) -> Self {
        self.0.push(value.into());
        self
    }

    pub(crate) fn buffer(mut self, bytes: Option<&[u8]>) -> Self {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).expect("short"));
        self = self.int(length);
        self.0.extend_from_slice(bytes.unwrap_or_default());
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.buffer(Some(text.as_bytes()))
    }

    pub(crate) fn texts(self, texts: &[String]) -> Self {
        let count = i32::try_from(texts.len()).expect("short");
        texts
            .iter()
            .fold(self.int(count), |body, text| body.text(text))
    }
}

/// A message that is being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a>(pub(crate) &'a [u8]);

impl<'a> Parts<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().context("too short")?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn int(&mut self) -> Result<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<i64> {
        self.bytes().map(i64::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        self.bytes().map(|[byte]| byte != 0)
    }

    pub(crate) fn buffer(&mut self) -> Result<Option<&'a [u8]>> {
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        let (bytes, rest) = self
            .0
            .split_at_checked(usize::try_from(length)?)
            .context("too short")?;
        self.0 = rest;
        Ok(Some(bytes))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.buffer()?.context("no text")?;
        Ok(String::from_utf8(bytes.to_vec())?)
    }

    pub(crate) fn texts(&mut self) -> Result<Vec<String>> {
        (0..self.int()?).map(|_| self.text()).collect()
    }
}

/// Who a session is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim {
    /// 0 for a new one.
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    /// The newest transaction that the client has heard of.
    pub(crate) last_zxid: i64,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn dial(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a message with its length.
    pub(crate) async fn send(&mut self, message: &Body) -> Result<()> {
        let mut whole = Body::default().buffer(Some(&message.0));
        Ok(self.0.write_all(&std::mem::take(&mut whole.0)).await?)
    }

    /// Sends a request.
    pub(crate) async fn request(&mut self, xid: i32, code: i32, body: &Body) -> Result<()> {
        let mut message = Body::default().int(xid).int(code);
        message.0.extend_from_slice(&body.0);
        self.send(&message).await
    }

    /// The next message; none when the connection was closed.
    pub(crate) async fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let reading = async {
            let mut length = [0; 4];
            match self.0.read_exact(&mut length).await {
                Ok(_) => {}
                Err(_) => return Ok(None),
            }
            let mut message = vec![0; usize::try_from(u32::from_be_bytes(length))?];
            ensure!(
                message.len() < 64 << 20,
                "a message of {} bytes",
                message.len()
            );
            self.0.read_exact(&mut message).await?;
            Ok(Some(message))
        };
        timeout(PATIENCE, reading).await.context("no message")?
    }

    /// Makes a request and gives the error that it is answered with.
    pub(crate) async fn asked(&mut self, operation: &Operation) -> Result<i32> {
        self.request(1, operation.code(), &operation.body()).await?;
        let answer = self.receive().await?.context("closed")?;
        let mut parts = Parts(&answer);
        parts.int()?;
        parts.long()?;
        parts.int()
    }

    /// Asks for a session; tells the timeout that was agreed on and who the session is, or nothing if the connection was
    /// closed. A session that is refused has the timeout 0.
    pub(crate) async fn greet(
        &mut self,
        claim: &Claim,
        timeout: i32,
    ) -> Result<Option<(i32, Claim)>> {
        let body = Body::default()
            .int(0)
            .long(claim.last_zxid)
            .int(timeout)
            .long(claim.session)
            .buffer(Some(&claim.password))
            .bool(false);
        self.send(&body).await?;
        let Some(answer) = self.receive().await? else {
            return Ok(None);
        };
        let mut parts = Parts(&answer);
        ensure!(parts.int()? == 0, "an unknown protocol");
        let agreed = parts.int()?;
        let claim = Claim {
            session: parts.long()?,
            password: parts.buffer()?.unwrap_or_default().to_vec(),
            last_zxid: claim.last_zxid,
        };
        ensure!(!parts.bool()?, "a read-only server");
        ensure!(parts.0.is_empty(), "more than an answer");
        Ok(Some((agreed, claim)))
    }
}
