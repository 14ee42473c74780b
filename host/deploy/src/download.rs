//! One artefact from a server. After a cut it is gone on from where it broke off.

use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue,
    IF_RANGE, RANGE,
};

use crate::cache::Part;
use crate::error::FetchError;
use crate::http::{Answer, HttpError, shown};
use crate::retries::Retries;

/// Brings a part to its end, which is after `max` bytes at most. `get` asks for the artefact with the headers that it is given.
///
/// # Errors
/// Too many attempts have failed in a row, or one in a way that no other would mend.
///
/// # Cancellation safety
/// Dropped, what was fetched stays in the part.
pub(crate) async fn download(
    get: impl AsyncFn(HeaderMap) -> Result<Answer, FetchError>,
    part: &mut Part,
    max: u64,
    mut retries: Retries,
) -> Result<(), FetchError> {
    let mut attempt = Attempt::default();
    let mut is_begun_anew = false;
    let mut farthest = part.length();
    loop {
        attempt.is_resumed |= part.length() > 0;
        let error = match attempt.go_on(&get, part, max).await {
            Ok(()) => match verified(part) {
                // The beginning may have been of another version of the file. A server that goes on like that is not believed.
                Err(FetchError::Mismatch { .. }) if attempt.is_resumed && !is_begun_anew => {
                    is_begun_anew = true;
                    attempt = Attempt::default();
                    part.restart()?;
                    continue;
                }
                verified => return verified,
            },
            Err(error) => error,
        };
        // A beginning that comes again and again brings nothing.
        if part.length() > farthest {
            farthest = part.length();
            retries.reset();
        }
        retries.pause(error).await?;
    }
}

/// Whether it is the artefact that was asked for.
pub(crate) fn verified(part: &Part) -> Result<(), FetchError> {
    let (found, wanted) = (part.digest(), part.wanted());
    if found == wanted {
        Ok(())
    } else {
        Err(FetchError::Mismatch { found, wanted })
    }
}

/// What is known from the attempts so far.
#[derive(Default)]
struct Attempt {
    /// What the server calls the version of the file that the part is of.
    version: Option<HeaderValue>,
    is_resumed: bool,
}

impl Attempt {
    async fn go_on(
        &mut self,
        get: &impl AsyncFn(HeaderMap) -> Result<Answer, FetchError>,
        part: &mut Part,
        max: u64,
    ) -> Result<(), FetchError> {
        let mut answer = get(self.headers(part.length())).await?;
        let url = shown(&answer.url);
        match answer.status {
            StatusCode::OK => part.restart()?,
            StatusCode::PARTIAL_CONTENT => {
                let is_next = range_start(&answer) == Some(part.length());
                let is_same = self.version.is_none() || version(&answer) == self.version;
                if !is_next || !is_same {
                    self.version = None;
                    part.restart()?;
                    return Err(HttpError::OtherPart { url }.into());
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart()?;
                return Err(answer.refusal().into());
            }
            _ => return Err(answer.refusal().into()),
        }
        if let Some(encoding) = answer.header(CONTENT_ENCODING)
            && !encoding.eq_ignore_ascii_case("identity")
        {
            let encoding = encoding.chars().take(30).collect();
            return Err(HttpError::Encoded { url, encoding }.into());
        }
        self.version = version(&answer);
        let left = max.saturating_sub(part.length());
        let announced = answer
            .header(CONTENT_LENGTH)
            .and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|announced| announced > left) {
            return Err(FetchError::TooLarge { max });
        }
        while let Some(chunk) = answer.chunk().await? {
            if part.length() + chunk.len() as u64 > max {
                return Err(FetchError::TooLarge { max });
            }
            part.append(&chunk)?;
        }
        Ok(())
    }

    fn headers(&self, from: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            headers.extend(range.ok().map(|range| (RANGE, range)));
            headers.extend(self.version.clone().map(|version| (IF_RANGE, version)));
        }
        headers
    }
}

/// The version of the file, if the server says so of every byte.
fn version(answer: &Answer) -> Option<HeaderValue> {
    let version = answer.headers.get(ETAG)?;
    version
        .as_bytes()
        .starts_with(b"\"")
        .then(|| version.clone())
}

/// Which byte a part of a file begins with.
fn range_start(answer: &Answer) -> Option<u64> {
    let range = answer.header(CONTENT_RANGE)?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.parse().ok()
}
