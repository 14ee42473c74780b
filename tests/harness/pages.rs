//! What a host tells over HTTP, asked for as its own clients would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::certificates::Holder;
use crate::host::Host;
use crate::{PATIENCE, eventually};

/// Where a host listens, and what requests show there.
#[derive(Clone, Debug)]
pub struct Pages {
    /// The address.
    pub address: SocketAddr,
    token: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// All that followed.
    pub body: String,
}

/// Events that a host sends for as long as somebody reads.
#[derive(Debug)]
pub struct Events {
    stream: TcpStream,
    text: String,
}

/// What `/metrics` told, by the name of each series with its labels.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The text itself.
    pub text: String,
    series: BTreeMap<String, f64>,
}

impl Pages {
    /// The pages of a host that was started with `--listen`.
    pub async fn of(host: &mut Host) -> Result<Self> {
        let listening = host.event("host-listening").await?;
        let event = listening.event().context("no event")?;
        let address = event.text("address").context("no address")?.parse()?;
        Ok(Self::at(address))
    }

    /// The pages at this address.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
            tls: None,
        }
    }

    /// The same, for who asks over TLS, knows this authority, and shows that certificate.
    pub fn over_tls(self, ca: &Path, shown: Option<&Holder>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match shown {
            Some(holder) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&holder.certificate)?],
                PrivateKeyDer::from_pem_file(&holder.key)?,
            )?,
            None => builder.with_no_client_auth(),
        };
        let tls = Some(Arc::new(config));
        Ok(Self { tls, ..self })
    }

    /// The same, for who shows a token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        let token = Some(token.to_owned());
        Self { token, ..self }
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        let token = self.token.as_ref();
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let address = self.address;
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{token}Connection: close\r\n\r\n"
        ))
        .await
    }

    /// Listens to the events of a path.
    pub async fn listen(&self, path: &str) -> Result<Events> {
        let token = self.token.as_ref();
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).await?;
        // In this version of HTTP a body without a length is not cut into chunks.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\n{token}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await?;
        let text = String::new();
        let mut events = Events { stream, text };
        let head = events.part("\r\n\r\n").await?;
        ensure!(head.contains(" 200 "), "{head}");
        Ok(events)
    }

    /// Sends these bytes, and reads all that comes until the host closes the connection.
    pub async fn send(&self, request: &str) -> Result<Answer> {
        let asking = async {
            let stream = TcpStream::connect(self.address).await?;
            let Some(tls) = &self.tls else {
                return exchange(stream, request).await;
            };
            let name = self.address.ip().into();
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
            exchange(stream.await?, request).await
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let answer = answer.context("the host does not answer over HTTP")??;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .with_context(|| format!("no answer over HTTP: {answer:?}"))?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// Waits until the answer at this path has this status, and gives its body.
    pub async fn status(&self, path: &str, status: u16) -> Result<String> {
        let mut last = None;
        let what = format!("{status} at {path}");
        let answered = eventually(&what, PATIENCE, async || {
            let answer = self.get(path).await;
            let body = answer
                .as_ref()
                .ok()
                .filter(|answer| answer.status == status);
            let body = body.map(|answer| answer.body.clone());
            last = Some(answer);
            body
        });
        answered.await.with_context(|| format!("{last:?}"))
    }

    /// Asks whether the host leads the task.
    pub async fn leads(&self, task: &str) -> Result<(u16, Value)> {
        let answer = self.get(&format!("/leader/{task}")).await?;
        Ok((answer.status, serde_json::from_str(&answer.body)?))
    }

    /// Asks for the metrics.
    pub async fn metrics(&self) -> Result<Metrics> {
        let answer = self.get("/metrics").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Metrics::parse(answer.body)
    }

    /// Waits until the metrics have a series that fits.
    pub async fn series(&self, series: &str, fits: impl Fn(f64) -> bool) -> Result<f64> {
        let mut last = None;
        let found = eventually(series, PATIENCE, async || {
            let metrics = self.metrics().await.ok()?;
            let value = metrics.value(series);
            last = Some(metrics);
            value.filter(|value| fits(*value))
        });
        found
            .await
            .with_context(|| last.map_or_else(String::new, |last| last.text))
    }
}

impl Events {
    /// The next event: its name, and what it tells.
    pub async fn next(&mut self) -> Result<(String, Value)> {
        let event = self.part("\n\n").await?;
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let name = line("event: ").context("no name")?.to_owned();
        let told = serde_json::from_str(line("data: ").context("no data")?)?;
        Ok((name, told))
    }

    /// Waits for an event of this name that fits.
    pub async fn until(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                let (of, told) = self.next().await?;
                if of == name {
                    last = told;
                    if fits(&last) {
                        return anyhow::Ok(());
                    }
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited
            .map_err(anyhow::Error::from)
            .flatten()
            .with_context(|| format!("no such event {name}, the last was {last}"))?;
        Ok(last)
    }

    /// What comes up to this text.
    async fn part(&mut self, end: &str) -> Result<String> {
        loop {
            if let Some((part, rest)) = self.text.split_once(end) {
                let (part, rest) = (part.to_owned(), rest.to_owned());
                self.text = rest;
                return Ok(part);
            }
            let mut bytes = vec![0; 64 * 1024];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let read = read.context("no more events")??;
            ensure!(read > 0, "the stream has ended");
            // What the host sends is ASCII but for names, and those of the tests are too.
            self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}

/// Sends the request, and reads all that follows.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

impl Metrics {
    /// Reads what was told; a series that is told twice is an error.
    pub fn parse(text: String) -> Result<Self> {
        let mut series = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').context("no value")?;
            if series.insert(name.to_owned(), value.parse()?).is_some() {
                bail!("{name} is told twice");
            }
        }
        Ok(Self { text, series })
    }

    /// The value of a series, by its name with its labels as they are written.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The names of the families that were told, those without a series too.
    pub fn families(&self) -> Vec<(&str, &str)> {
        let types = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split_once(' ')).collect()
    }
}
