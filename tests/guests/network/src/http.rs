//! What the tests of HTTP have done.

use std::pin::Pin;
use std::task::Poll;

use soloist_sdk::bindings::wasi::http::client;
use soloist_sdk::bindings::wasi::http::types::{
    ErrorCode, Fields, Method, Request as Outgoing, Response as Answer, Scheme,
};
use soloist_sdk::bindings::{wit_future, wit_stream};
use soloist_sdk::http::{Error, Request, Response};
use soloist_sdk::{config, info};
use wit_bindgen::StreamResult;

use crate::setting;

fn told(outcome: Result<Response, Error>) -> String {
    match outcome {
        Ok(answer) => format!("{} {}", answer.status, answer.text()),
        Err(Error::Refused { reason, .. }) => format!("refused: {reason:?}"),
        Err(error) => error.to_string(),
    }
}

pub async fn get(url: &str) -> String {
    let mut request = Request::get(url);
    if let Some(redirects) = config("redirects") {
        request = request.redirects(redirects.parse().expect("a number"));
    }
    if let Some(secret) = config("secret") {
        request = request.header("authorization", secret);
    }
    told(request.send().await)
}

pub async fn post() -> String {
    let request = Request::post(setting("url"))
        .header("x-own", "yes")
        .header("soloist-task", "liar");
    let request = request
        .header("Soloist-Fencing-Token", 1)
        .header("soloist-fencing-token", 2);
    told(request.body(vec![b'x'; 3_000_000]).send().await)
}

/// Headers that say where a message begins or ends, or whom it is for.
pub async fn headers() {
    for (name, value) in [
        ("host", "evil.example"),
        ("Host", "evil.example"),
        ("connection", "upgrade"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("x-split", "a\r\nhost: evil.example"),
        ("x split", "a"),
        ("content-length", "1"),
    ] {
        let outcome = Request::post(setting("url"))
            .header(name, value)
            .body("ab")
            .send()
            .await;
        info!("{name}: {}", told(outcome));
    }
    for method in [
        "CONNECT",
        "GET /granted HTTP/1.1\r\nhost: evil.example\r\n\r\nGET",
    ] {
        info!(
            "method: {}",
            told(Request::new(method, setting("url")).send().await)
        );
    }
}

pub async fn many() {
    let get = || async { told(Request::get(setting("url")).send().await) };
    crate::all((0..20).map(|_| Box::pin(get()) as Pin<Box<_>>).collect()).await;
}

/// Waits for an answer that does not come.
pub async fn wait() -> String {
    told(
        Request::get(setting("url"))
            .timeout(crate::FOREVER)
            .send()
            .await,
    )
}

fn outgoing(body: Option<wit_bindgen::StreamReader<u8>>) -> Outgoing {
    let url = setting("url");
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
    let (_, trailers) = wit_future::new(|| Ok(None));
    let method = if body.is_some() {
        Method::Post
    } else {
        Method::Get
    };
    let (request, _) = Outgoing::new(Fields::new(), body, trailers, None);
    request.set_method(&method).expect("a method");
    request
        .set_scheme(Some(if scheme == "https" {
            &Scheme::Https
        } else {
            &Scheme::Http
        }))
        .expect("a scheme");
    request
        .set_authority(Some(authority))
        .expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    request
}

/// Reads until the end, or until something is wrong.
async fn rest(answer: Answer, first: impl FnOnce(usize)) -> Result<usize, ErrorCode> {
    let (_, received) = wit_future::new(|| Ok(()));
    let (mut stream, end) = Answer::consume_body(answer, received);
    let (mut first, mut bytes) = (Some(first), 0);
    loop {
        let (outcome, chunk) = stream.read(Vec::with_capacity(100_000)).await;
        bytes += chunk.len();
        if let Some(first) = first.take() {
            first(chunk.len());
        }
        if !matches!(outcome, StreamResult::Complete(_)) {
            return end.await.map(|_| bytes);
        }
    }
}

/// Hears what it says itself, each piece before it says the next.
pub async fn stream() -> String {
    const PIECE: usize = 100_000;
    let (mut writer, reader) = wit_stream::new::<u8>();
    let mut answer = std::pin::pin!(client::send(outgoing(Some(reader))));
    let (mut written, mut begun) = (false, None);
    {
        let mut write = std::pin::pin!(writer.write_all(vec![b'a'; PIECE]));
        std::future::poll_fn(|context| {
            written = written || write.as_mut().poll(context).is_ready();
            if let (None, Poll::Ready(answer)) = (&begun, answer.as_mut().poll(context)) {
                begun = Some(answer);
            }
            if written && begun.is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    let answer = match begun.expect("it has begun") {
        Ok(answer) => answer,
        Err(error) => return format!("no answer: {error}"),
    };
    let (_received, well) = wit_future::new(|| Ok(()));
    let (mut echo, end) = Answer::consume_body(answer, well);
    let (mut said, mut heard) = (PIECE, 0);
    loop {
        while heard < said {
            let (outcome, chunk) = echo.read(Vec::with_capacity(PIECE)).await;
            heard += chunk.len();
            if !matches!(outcome, StreamResult::Complete(_)) {
                return format!(
                    "{outcome:?} after {heard} of {said} bytes: {:?}",
                    end.await.err()
                );
            }
        }
        if said == 20 * PIECE {
            break;
        }
        writer.write_all(vec![b'b'; PIECE]).await;
        said += PIECE;
    }
    drop(writer);
    let (outcome, rest) = echo.read(Vec::with_capacity(PIECE)).await;
    format!(
        "heard {heard} bytes, then {} {outcome:?}, {}",
        rest.len(),
        if end.await.is_ok() { "all" } else { "cut" }
    )
}

/// Reads an answer that does not end.
pub async fn hold_response() -> String {
    match client::send(outgoing(None)).await {
        Err(error) => format!("no answer: {error}"),
        Ok(answer) => match rest(answer, |bytes| info!("begins with {bytes} bytes")).await {
            Ok(bytes) => format!("ended after {bytes} bytes"),
            Err(error) => format!("cut: {error:?}"),
        },
    }
}

/// Sends a request that does not end.
pub async fn hold_request() -> String {
    send_without_end(1000).await
}

/// Begins a request with more than the other side takes, and lets it go.
pub async fn leave() {
    let mut request = Box::pin(send_without_end(crate::LEFT_BYTES));
    for _ in 0..20 {
        std::future::poll_fn(|context| match request.as_mut().poll(context) {
            Poll::Ready(outcome) => panic!("this was to wait: {outcome}"),
            Poll::Pending => Poll::Ready(()),
        })
        .await;
        soloist_sdk::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn send_without_end(bytes: usize) -> String {
    let (mut writer, reader) = wit_stream::new::<u8>();
    let mut answer = std::pin::pin!(client::send(outgoing(Some(reader))));
    let mut write = std::pin::pin!(async {
        writer.write_all(vec![b'a'; bytes]).await;
        std::future::pending::<()>().await;
    });
    std::future::poll_fn(|context| {
        let _ = write.as_mut().poll(context);
        answer.as_mut().poll(context)
    })
    .await
    .map_or_else(
        |error| format!("cut: {error:?}"),
        |answer| format!("answered {}", answer.get_status_code()),
    )
}
