//! What is asked of a registry.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde::Deserialize;
use soloist_core::digest::Digest;
use soloist_core::grants::Origin;
use soloist_core::secret::Secret;
use tokio::sync::Mutex;
use url::{Host, Url, form_urlencoded};

use super::challenge::Challenge;
use super::credentials::{Credentials, DockerConfig};
use super::manifest::{Manifest, TYPE};
use crate::error::{FetchError, OciError};
use crate::http::{Answer, Ask, Client, HttpError, shown};

/// How long a manifest may be, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 256 * 1024;

const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// What is taken for a manifest. Those after the first are only told from it.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// One repository of a registry.
pub(crate) struct Registry<'a> {
    client: &'a Client,
    docker: &'a DockerConfig,
    name: String,
    repository: String,
    /// Where all of the repository is.
    base: Url,
    /// What is asked for, in the words of those who give tokens.
    may: &'static str,
    credentials: Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct TokenWire {
    token: Option<Secret>,
    access_token: Option<Secret>,
}

impl<'a> Registry<'a> {
    /// Opens a repository, to read from it or to write to it. Only a registry of this machine is asked whether it speaks TLS.
    pub(crate) async fn open(
        client: &'a Client,
        docker: &'a DockerConfig,
        registry: &Origin,
        repository: &str,
        writes: bool,
    ) -> Result<Self, FetchError> {
        let name = registry.authority();
        // Docker's own registry is not where it is said to be.
        let (host, repository) = match &*name {
            "docker.io" if repository.contains('/') => ("registry-1.docker.io", repository.into()),
            "docker.io" => ("registry-1.docker.io", format!("library/{repository}")),
            name => (name, repository.to_owned()),
        };
        let text = format!("https://{host}/v2/{repository}/");
        let bad = || HttpError::Url { url: text.clone() };
        let mut base = Url::parse(&text).map_err(|_| bad())?;
        if is_of_this_machine(&base) && !client.speaks_tls(&base).await? {
            let port = base.port_or_known_default();
            base.set_scheme("http")
                .and_then(|()| base.set_port(port).map_err(drop))
                .map_err(|()| bad())?;
        }
        Ok(Self {
            client,
            docker,
            name,
            repository,
            base,
            may: if writes { "pull,push" } else { "pull" },
            credentials: Mutex::default(),
        })
    }

    /// The text of a manifest, by a tag or by `sha256:` and a digest.
    pub(crate) async fn manifest(&self, reference: &str) -> Result<Vec<u8>, FetchError> {
        let mut ask = Ask::get();
        ask.headers
            .insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let answer = self.ask(&format!("manifests/{reference}"), ask).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal().into());
        }
        Ok(answer.all(MANIFEST_BYTES_MAX).await?)
    }

    /// Asks for a blob, or a part of it.
    pub(crate) async fn blob(
        &self,
        digest: Digest,
        headers: HeaderMap,
    ) -> Result<Answer, FetchError> {
        let ask = Ask {
            headers,
            ..Ask::get()
        };
        self.ask(&format!("blobs/sha256:{digest}"), ask).await
    }

    /// Puts a plugin there, under a tag. Gives the digest of its manifest.
    pub(crate) async fn push(&self, plugin: Bytes, tag: &str) -> Result<Digest, FetchError> {
        let (config, manifest) = Manifest::write(&plugin);
        self.push_blob(plugin).await?;
        self.push_blob(config.into()).await?;
        let digest = Digest::of(&manifest);
        let mut ask = Ask::new(Method::PUT);
        ask.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(TYPE));
        ask.body = manifest.into();
        let answer = self.ask(&format!("manifests/{tag}"), ask).await?;
        expect(&answer, StatusCode::CREATED)?;
        Ok(digest)
    }

    async fn push_blob(&self, bytes: Bytes) -> Result<(), FetchError> {
        let digest = Digest::of(&bytes);
        let there = self
            .ask(&format!("blobs/sha256:{digest}"), Ask::new(Method::HEAD))
            .await?;
        if there.status == StatusCode::OK {
            return Ok(());
        }
        let begun = self.ask("blobs/uploads/", Ask::new(Method::POST)).await?;
        expect(&begun, StatusCode::ACCEPTED)?;
        let place = begun
            .header(LOCATION)
            .and_then(|place| begun.url.join(place).ok())
            .ok_or(OciError::NoUpload)?;
        if self.base.scheme() == "https" && place.scheme() != "https" {
            return Err(HttpError::Downgrade {
                url: shown(&begun.url),
                to: shown(&place),
            }
            .into());
        }
        drop(begun);
        let mut place = place;
        place
            .query_pairs_mut()
            .append_pair("digest", &format!("sha256:{digest}"));
        let mut ask = Ask::new(Method::PUT);
        ask.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        ask.body = bytes;
        // Some registries take the bytes elsewhere.
        if place.origin() == self.base.origin() {
            ask.credentials.clone_from(&*self.credentials.lock().await);
        }
        let answer = self.client.send(&place, ask).await?;
        expect(&answer, StatusCode::CREATED)
    }

    /// Asks, and once more with credentials if the registry wants some.
    async fn ask(&self, path: &str, ask: Ask) -> Result<Answer, FetchError> {
        let url = self.base.join(path).map_err(|_| HttpError::Url {
            url: shown(&self.base),
        })?;
        let mut kept = self.credentials.lock().await;
        let first = Ask {
            credentials: kept.clone(),
            ..ask.clone()
        };
        let answer = self.client.send(&url, first).await?;
        // A server that we were sent to has nothing to ask of us.
        if answer.status != StatusCode::UNAUTHORIZED || answer.url.origin() != url.origin() {
            return Ok(answer);
        }
        let challenge = answer
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::read)
            .ok_or_else(|| OciError::Challenge {
                registry: self.name.clone(),
            })?;
        drop(answer);
        let credentials = self.answer_to(challenge).await?;
        *kept = Some(credentials.clone());
        let second = Ask {
            credentials: Some(credentials),
            ..ask
        };
        let answer = self.client.send(&url, second).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(self.refused().into());
        }
        Ok(answer)
    }

    async fn answer_to(&self, challenge: Challenge) -> Result<HeaderValue, FetchError> {
        let found = self.docker.find(&self.name)?;
        match (challenge, found) {
            (Challenge::Basic, Some(Credentials::Password { user, password })) => {
                Ok(basic(&user, &password))
            }
            (Challenge::Basic, _) => Err(OciError::NoCredentials {
                registry: self.name.clone(),
                config: self.docker.shown(),
            }
            .into()),
            (Challenge::Bearer { realm, service }, found) => {
                self.token(&realm, service.as_deref(), found).await
            }
        }
    }

    /// Gets a token from whom the registry names. Whoever has no credentials gets one for what everybody may read.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        found: Option<Credentials>,
    ) -> Result<HeaderValue, FetchError> {
        let no_token = || OciError::Token {
            registry: self.name.clone(),
        };
        let mut url = Url::parse(realm).map_err(|_| no_token())?;
        // Only a registry of this machine, which is asked without TLS itself, may have its tokens given without.
        let is_safe = url.scheme() == "https" || self.base.scheme() == "http";
        if !is_safe {
            return Err(OciError::Realm {
                registry: self.name.clone(),
                realm: shown(&url),
            }
            .into());
        }
        let scope = format!("repository:{}:{}", self.repository, self.may);
        let has_credentials = found.is_some();
        let ask = if let Some(Credentials::Identity(token)) = found {
            let body = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", service.unwrap_or_default())
                .append_pair("client_id", "soloist")
                .append_pair("scope", &scope)
                .append_pair("refresh_token", token.expose())
                .finish();
            let mut ask = Ask::new(Method::POST);
            ask.headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            ask.body = body.into();
            ask
        } else {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &scope);
            drop(query);
            let mut ask = Ask::get();
            if let Some(Credentials::Password { user, password }) = found {
                ask.credentials = Some(basic(&user, &password));
            }
            ask
        };
        let answer = self.client.send(&url, ask).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if has_credentials => {
                return Err(self.refused().into());
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(OciError::NoCredentials {
                    registry: self.name.clone(),
                    config: self.docker.shown(),
                }
                .into());
            }
            _ => return Err(answer.refusal().into()),
        }
        let text = answer.all(TOKEN_BYTES_MAX).await?;
        let wire: TokenWire = serde_json::from_slice(&text).map_err(|_| no_token())?;
        let token = wire.token.or(wire.access_token).ok_or_else(no_token)?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| no_token())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn refused(&self) -> OciError {
        OciError::Refused {
            registry: self.name.clone(),
            config: self.docker.shown(),
        }
    }
}

fn basic(user: &str, password: &Secret) -> HeaderValue {
    let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {pair}"))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

fn expect(answer: &Answer, status: StatusCode) -> Result<(), FetchError> {
    if answer.status == status {
        Ok(())
    } else {
        Err(answer.refusal().into())
    }
}

fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
