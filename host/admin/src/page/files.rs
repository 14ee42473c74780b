//! The page itself: three files without a secret, which anybody may have.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::answer::respond;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The script, a file a subject, in one scope. What runs at once, and does not only wait for something to happen, comes after what
/// it needs: `route` is the last, as it begins.
const PAGE_JS: &str = concat!(
    include_str!("files/script/dom.js"),
    include_str!("files/script/say.js"),
    include_str!("files/script/time.js"),
    include_str!("files/script/ask.js"),
    include_str!("files/script/login.js"),
    include_str!("files/script/orders.js"),
    include_str!("files/script/lease.js"),
    include_str!("files/script/hosts.js"),
    include_str!("files/script/timeline.js"),
    include_str!("files/script/tasks.js"),
    include_str!("files/script/task.js"),
    include_str!("files/script/rollout.js"),
    include_str!("files/script/state.js"),
    include_str!("files/script/log.js"),
    include_str!("files/script/route.js"),
);

/// One of the files. None for another path.
pub(crate) fn file(path: &str) -> Option<Response<Bytes>> {
    let (kind, text) = match path {
        "/" => (HTML, include_str!("files/page.html")),
        "/page.css" => (CSS, include_str!("files/page.css")),
        "/page.js" => (SCRIPT, PAGE_JS),
        // Browsers ask for it by themselves.
        "/favicon.ico" => return Some(respond(StatusCode::NO_CONTENT, CSS, Bytes::new())),
        _ => return None,
    };
    Some(respond(
        StatusCode::OK,
        kind,
        Bytes::from_static(text.as_bytes()),
    ))
}
