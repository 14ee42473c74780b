use http::{HeaderValue, Request};
use proptest::prelude::*;
use soloist_core::records::TaskPaths;

use super::*;

const TOKEN: &str = "0123456789abcdef";

fn pages(token: Option<&str>, is_open: bool) -> (Pages, soloist_core::roster::Enlisted) {
    let roster = Arc::new(Roster::default());
    let told = Arc::new(Told::new(Arc::clone(&roster)));
    let name: Arc<str> = "daily report/é".into();
    let task = roster.enlist(&name, &Arc::new(TaskPaths::new("/s", "x", None)));
    let token = token.map(|token| Secret::new(token.into()));
    let pages = Pages::new("alpha".into(), roster, told, token.as_ref(), is_open);
    (pages, task)
}

fn ask(pages: &Pages, method: &str, path: &str, headers: &[(&str, &[u8])]) -> u16 {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    pages.answer(&parts).status().as_u16()
}

#[test]
fn a_token_is_asked_for_by_all_that_tells_more_than_a_word() {
    let (pages, _task) = pages(Some(TOKEN), false);
    let right = format!("Bearer {TOKEN}");
    let lower = format!("bearer {TOKEN}");
    let basic = format!("Basic {TOKEN}");
    let longer = format!("Bearer {TOKEN}x");
    for path in [
        "/metrics",
        "/leader/nobody",
        "/logs/nobody",
        "/",
        "/../metrics",
    ] {
        for wrong in [
            &[][..],
            &[("authorization", &b""[..])],
            &[("authorization", b"Bearer")],
            &[("authorization", b"Bearer ")],
            &[("authorization", &right.as_bytes()[..right.len() - 1])],
            &[("authorization", longer.as_bytes())],
            &[("authorization", basic.as_bytes())],
            &[("authorization", b"Bearer \xff\xfe")],
            &[
                ("authorization", right.as_bytes()),
                ("authorization", right.as_bytes()),
            ],
        ] {
            assert_eq!(ask(&pages, "GET", path, wrong), 401, "{path} {wrong:?}");
        }
    }
    for right in [&right, &lower] {
        let shown = [("authorization", right.as_bytes())];
        assert_eq!(ask(&pages, "GET", "/metrics", &shown), 200);
        assert_eq!(ask(&pages, "GET", "/leader/nobody", &shown), 404);
    }
    assert_eq!(ask(&pages, "GET", "/livez", &[]), 503);
    assert_eq!(ask(&pages, "POST", "/metrics", &[]), 405);
}

#[test]
fn lines_are_told_to_who_shows_the_token_and_on_this_machine_and_to_nobody_else() {
    let journal = Arc::new(Journal::new(1));
    journal.add("a", std::time::SystemTime::UNIX_EPOCH, "{}".into());
    let bearer = format!("Bearer {TOKEN}");
    let shown = [("authorization", bearer.as_bytes()), ("host", b"localhost")];
    for (token, is_open, headers, status) in [
        (Some(TOKEN), true, &shown[..], 200),
        (Some(TOKEN), true, &shown[1..], 401),
        (None, true, &shown[1..], 403),
        (None, false, &shown[1..], 200),
        (None, false, &[("host", &b"evil.example"[..])], 421),
    ] {
        let (pages, _task) = pages(token, is_open);
        let told = |pages| ask(&pages, "GET", "/logs/a?tail=1", headers);
        assert_eq!(told(pages.with_lines(Arc::clone(&journal))), status);
    }
    let (without, _task) = pages(None, false);
    assert_eq!(ask(&without, "GET", "/logs/a", &shown[1..]), 404);
}

#[test]
fn only_so_many_answers_with_metrics_are_kept_and_a_place_is_free_when_one_is_dropped() {
    let (pages, _task) = pages(None, true);
    let mut kept: Vec<_> = (0..METRICS_MAX).map(|_| pages.metrics()).collect();
    assert!(kept.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(ask(&pages, "GET", "/metrics", &[]), 503);
    assert_eq!(ask(&pages, "GET", "/leader/nobody", &[]), 404);
    kept.pop();
    assert_eq!(ask(&pages, "GET", "/metrics", &[]), 200);
    assert_eq!(ask(&pages, "GET", "/metrics", &[]), 200);
}

#[test]
fn a_name_that_leads_to_this_machine_is_no_way_in_for_a_browser() {
    let (pages, _task) = pages(None, false);
    for named in [
        "127.0.0.1:9464",
        "localhost",
        "LocalHost:9464",
        "[::1]:9464",
        "10.0.0.1",
    ] {
        assert_eq!(
            ask(&pages, "GET", "/metrics", &[("host", named.as_bytes())]),
            200
        );
    }
    for named in [
        "evil.example:9464",
        "localhost.evil.example",
        "",
        "127.0.0.1.evil.example",
        "\u{e9}",
    ] {
        let status = ask(&pages, "GET", "/metrics", &[("host", named.as_bytes())]);
        assert_eq!(status, 421, "{named}");
    }
    let (open, _task) = self::pages(None, true);
    assert_eq!(
        ask(&open, "GET", "/metrics", &[("host", b"hosts.example")]),
        200
    );
}

#[test]
fn a_task_is_asked_for_by_its_name_as_a_path_writes_it() {
    let (pages, _task) = pages(None, true);
    let status = |path: &str| ask(&pages, "GET", path, &[]);
    assert_eq!(status("/leader/daily%20report%2F%C3%A9"), 503);
    assert_eq!(status("/leader/daily%20report/%C3%A9"), 503);
    for unknown in [
        "/leader/",
        "/leader/daily",
        "/leader/%ff",
        "/leader/%",
        "/leader",
    ] {
        assert_eq!(status(unknown), 404, "{unknown}");
    }
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    /// Whatever is asked for, and with whatever headers: there is an answer, it repeats nothing, and without the token it is no
    /// page that asks for one.
    #[test]
    fn whatever_is_asked_there_is_an_answer_that_repeats_nothing(
        path in "/(leader/|logs/|metrics|livez|readyz)?[!-~]{0,60}",
        value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..], 0..80),
        name in "(host|authorization|x-[a-z]{1,9})",
    ) {
        let (pages, _task) = pages(Some(TOKEN), false);
        let request = Request::builder().uri(&path);
        let value = HeaderValue::from_bytes(&value).unwrap();
        // What is no path does not get this far.
        let Ok(request) = request.header(&name, value).body(()) else {
            return Ok(());
        };
        let (parts, ()) = request.into_parts();
        let answer = pages.answer(&parts);
        let is_probe = ["/livez", "/readyz"].contains(&parts.uri.path());
        prop_assert_eq!(answer.status().as_u16(), if is_probe { 503 } else { 401 });
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        prop_assert!(path.len() < 12 || !body.contains(&path));
        let (open, _task) = self::pages(None, true);
        prop_assert!(open.answer(&parts).status().as_u16() != 401);
    }
}
