//! Answers in the place of servers: those who try a plugin say what its requests are to get.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{Error, WasiBody};

use super::HEADER_BYTES;
use crate::network::Outbound;
use soloist_core::grants::Origin;

/// How much of a request's body is read before it is answered, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Answers the requests of a plugin that its task grants. No connection is made then.
pub trait AnswerHttp: fmt::Debug + Send + Sync {
    /// Answers a request, which has its whole URI and the headers that the host sets.
    ///
    /// Dropped, the plugin has given the request up, or its term has ended.
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Option<Response<Bytes>>>;
}

impl Outbound {
    /// What `answers` say to a request: the connection is refused if that is nothing.
    pub(super) async fn answered(
        &self,
        answers: &dyn AnswerHttp,
        origin: &Origin,
        request: Request<WasiBody>,
    ) -> Result<Response<WasiBody>, Error> {
        let (mut head, body) = request.into_parts();
        head.uri = Uri::builder()
            .scheme(&*origin.scheme.to_string())
            .authority(origin.authority())
            .path_and_query(head.uri.to_string())
            .build()
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body
            .map_err(|_| Error::HttpRequestBodySize(None))?
            .to_bytes();
        let answer = answers.answer(Request::from_parts(head, body)).await;
        let response = answer.ok_or(Error::ConnectionRefused)?;
        let header_bytes: usize = response
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if header_bytes > HEADER_BYTES {
            return Err(Error::HttpResponseHeaderSectionSize(None));
        }
        Ok(response.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        }))
    }
}
