//! A request and its answer, by WASI's HTTP.

use std::future::poll_fn;
use std::pin::pin;

use super::{Error, Request, Response, error};
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, Method, Request as Outgoing, RequestOptions, Scheme,
};
use crate::bindings::wasi::http::{client, types};
use crate::bindings::{wit_future, wit_stream};

const CHUNK_BYTES: usize = 64 * 1024;

/// Sends the request once, without following a redirection, and reads the whole answer.
pub(crate) async fn exchange(sent: &Request) -> Result<Response, Error> {
    let failed = |error: ErrorCode| error::failure(&sent.url, error);
    let body = (!sent.body.is_empty()).then(wit_stream::new::<u8>);
    let (writer, reader) = body.unzip();
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let options = Some(RequestOptions::new());
    let (request, _sent) = Outgoing::new(fields(sent)?, reader, trailers, options);
    address(sent, &request)?;
    let mut write = pin!(async {
        if let Some(mut writer) = writer {
            // A server may answer without reading the whole body. Its answer says why, so the rest is dropped.
            writer.write_all(sent.body.clone()).await;
        }
        let _ = no_trailers.write(Ok(None)).await;
    });
    let mut receive = pin!(async {
        let answer = client::send(request).await.map_err(failed)?;
        let (status, headers) = (answer.get_status_code(), answer.get_headers().copy_all());
        let (_well_received, received) = wit_future::new(|| Ok(()));
        let (mut stream, end) = types::Response::consume_body(answer, received);
        let mut body = Vec::new();
        loop {
            let (outcome, chunk) = stream.read(Vec::with_capacity(CHUNK_BYTES)).await;
            if body.len() + chunk.len() > sent.body_max {
                return Err(Error::TooLarge {
                    url: sent.url.clone(),
                    max: sent.body_max,
                });
            }
            body.extend_from_slice(&chunk);
            if !matches!(outcome, wit_bindgen::StreamResult::Complete(_)) {
                break;
            }
        }
        end.await.map_err(failed)?;
        Ok(Response {
            status,
            headers,
            body,
            url: sent.url.clone(),
        })
    });
    let mut written = false;
    poll_fn(|context| {
        // A server may answer before it has read everything.
        written = written || write.as_mut().poll(context).is_ready();
        receive.as_mut().poll(context)
    })
    .await
}

fn fields(sent: &Request) -> Result<Fields, Error> {
    Fields::from_list(&sent.sent_headers()).map_err(|error| match error {
        types::HeaderError::Forbidden => sent.invalid("a header is for the host alone to set"),
        types::HeaderError::SizeExceeded => sent.invalid("the headers are too long"),
        _ => sent.invalid("a header has a character that it cannot have"),
    })
}

fn address(sent: &Request, request: &Outgoing) -> Result<(), Error> {
    let method = match sent.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    };
    let url = sent.target()?;
    let scheme = if url.scheme.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let path = if url.path.starts_with('/') {
        url.path.to_owned()
    } else {
        format!("/{}", url.path)
    };
    request
        .set_method(&method)
        .map_err(|()| sent.invalid("the method has a character that it cannot have"))?;
    request
        .set_scheme(Some(&scheme))
        .map_err(|()| sent.invalid("the scheme is not supported"))?;
    request
        .set_authority(Some(url.authority))
        .map_err(|()| sent.invalid("the host or the port is wrong"))?;
    request
        .set_path_with_query(Some(&path))
        .map_err(|()| sent.invalid("the path has a character that must be written as %XX"))
}
