//! The files of the page, and the policy that a browser keeps for them.

use super::*;

#[tokio::test]
async fn every_answer_has_the_policy() {
    let pages = pages(None, false, false);
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/favicon.ico",
        "/livez",
        "/metrics",
        "/leader/x",
        "/logs/a",
        "/nothing",
        "/api/",
        "/api/tasks",
        "/api/tasks?x",
        "/api/terms",
        "/api/task/a",
        "/api/task/%ff",
        "/api/state/a?key=b",
        "/api/live",
    ] {
        let answer = ask(&pages, path, &[]).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
}

/// A policy that is kept needs no inline script or style; and what makes markup of a text is not to be found in the script.
#[test]
fn the_files_ask_for_nothing_elsewhere_and_make_no_markup_of_texts() {
    for path in ["/", "/page.css", "/page.js"] {
        let body = file(path).unwrap().into_body();
        let text = std::str::from_utf8(&body).unwrap();
        // The name of the markup of drawings, which nobody asks for.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for never in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "new Function",
            "srcdoc",
            "http://",
            "https://",
            "url(",
            "@import",
            " style=",
            "<style",
            " onclick=",
            " onload=",
            "javascript:",
            "setAttribute(\"style",
            "localStorage",
            "document.cookie",
        ] {
            assert!(!text.contains(never), "{never} in {path}");
        }
        assert!(!text.contains("<script>"), "{path}");
    }
    assert!(file("/page").is_none());
}
