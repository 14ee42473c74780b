use std::rc::Rc;

use async_trait::async_trait;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use proptest::prelude::*;
use soloist_core::records::{End, TermEntry};
use soloist_core::secret::Secret;

use super::*;
use crate::pages::Pages;
use crate::told::Told;

const TOKEN: &str = "0123456789abcdef";
const FOR_ORDERS: &str = "fedcba9876543210";

/// What those write who mean harm: markup, what ends a string or a script, what drives a terminal or turns text around, an address
/// that is none of HTTP, much text, and what ends an event.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"}]}'`${alert(1)}\\",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{202e}txt.exe\u{2066}\u{200b}",
    "javascript:alert(1)",
    "a\n\nevent: tasks\ndata: {}\n\n",
    "\u{2028}\u{feff}&lt;b&gt;",
];

/// An ensemble into which somebody has written that.
#[derive(Clone)]
struct Written(Vec<Row>);

impl Written {
    fn hostile() -> Self {
        let row = |text: &&str| Row {
            task: (*text).to_owned(),
            health: "failing",
            leader: Some(Led {
                host: (*text).to_owned(),
                since: text.repeat(100),
                digest: Some((*text).to_owned()),
                ..Led::default()
            }),
            standbys: vec![(*text).to_owned(); 1_000],
            failure: Some(Failure {
                at: (*text).to_owned(),
                host: (*text).to_owned(),
                cause: (*text).to_owned(),
                detail: text.repeat(1_000),
                term: 1,
            }),
            retry_at: Some((*text).to_owned()),
            restarts: None,
        };
        Self(HOSTILE.iter().map(row).collect())
    }
}

#[async_trait(?Send)]
impl Look for Written {
    async fn begin(&self) -> Result<Rc<dyn Sight>, String> {
        Ok(Rc::new(self.clone()))
    }
}

#[async_trait(?Send)]
impl Sight for Written {
    fn is_lost(&self) -> bool {
        false
    }

    async fn glance(&self) -> Result<Glance, String> {
        let host = |row: &Row| HostRow {
            host: row.task.clone(),
            version: Some(row.task.clone()),
            labels: vec![row.task.clone(); 100],
            listen: Some(row.task.clone()),
            ..HostRow::default()
        };
        Ok(Glance {
            hosts: self.0.iter().map(host).collect(),
            tasks: self.0.clone(),
            ..Glance::default()
        })
    }

    async fn task(&self, _: &str) -> Result<Option<Detail>, String> {
        let text = self.0[0].task.clone();
        let texts: Vec<String> = self.0.iter().map(|row| row.task.clone()).collect();
        Ok(Some(Detail {
            row: self.0[0].clone(),
            hosts: vec![Readied {
                host: text.clone(),
                reason: Some(texts.concat()),
                ..Readied::default()
            }],
            ended: self.terms(&texts).await?.concat(),
            keys: vec![texts.concat(); 5_000],
            plans: vec![PlanRow {
                name: text.clone(),
                record: Err(texts.concat()),
            }],
            rollout: Some(Err(texts.concat())),
            generations: Vec::new(),
        }))
    }

    async fn terms(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, String> {
        let term = |text: &String| TermEntry {
            number: 1,
            host: text.clone(),
            since: text.clone(),
            generation: None,
            digest: None,
            fencing_token: Some(1),
            end: Some(End {
                at: text.clone(),
                reason: text.clone(),
                cause: Some(text.clone()),
                detail: Some(text.repeat(1_000)),
            }),
        };
        Ok(tasks.iter().map(|text| vec![term(text)]).collect())
    }

    async fn value(&self, _: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        let value = match key {
            "bytes" => vec![0, 255],
            _ => self
                .0
                .iter()
                .map(|row| row.task.clone())
                .collect::<String>()
                .into_bytes(),
        };
        Ok(Some(value))
    }

    async fn order(&self, task: &str, order: &Order) -> Result<String, String> {
        match order {
            Order::Rollback { .. } => Err(format!("{}\u{1b}", order.name())),
            _ => Ok(format!("{} {task}", order.name())),
        }
    }

    async fn close(self: Rc<Self>) {}
}

fn pages(token: Option<&str>, is_open: bool, tells_values: bool) -> Pages {
    let roster = Arc::new(Roster::default());
    let told = Arc::new(Told::new(Arc::clone(&roster)));
    let token = token.map(|token| Secret::new(token.into()));
    let pages = Pages::new("alpha".into(), roster, told, token.as_ref(), is_open);
    let journal = Arc::new(Journal::new(1));
    let now = std::time::SystemTime::UNIX_EPOCH;
    journal.add("a", now, HOSTILE[0].to_owned());
    let look = Box::new(Written::hostile());
    let orders = Secret::new(FOR_ORDERS.into());
    let settings = Settings {
        tells_values,
        orders: Some(&orders),
    };
    pages.with_lines(journal).with_page(look, settings).unwrap()
}

async fn ask(pages: &Pages, path: &str, headers: &[(&str, &str)]) -> Response<Answer> {
    let mut request = Request::builder().uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    pages.answer_in_time(&parts, Empty::<Bytes>::new()).await
}

async fn told(answer: Response<Answer>) -> (u16, String) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What a part of the stream says, up to this text.
async fn heard(body: &mut Answer, until: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(until) {
        let frame = body.frame().await.unwrap().unwrap();
        heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    heard
}

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

#[tokio::test]
async fn the_files_are_for_everybody_and_what_they_ask_for_wants_the_token() {
    let pages = pages(Some(TOKEN), false, true);
    let bearer = format!("Bearer {TOKEN}");
    for (path, without, with) in [
        ("/", 200, 200),
        ("/page.js", 200, 200),
        ("/favicon.ico", 204, 204),
        ("/api/tasks", 401, 200),
        ("/api/terms", 401, 200),
        ("/api/task/a", 401, 200),
        ("/api/state/a?key=k", 401, 200),
        ("/api/live", 401, 200),
        ("/api/nothing", 401, 404),
        ("/api/task/a%2Fb", 401, 404),
        ("/api/tasks?page=x", 401, 400),
        ("/page.html", 401, 404),
    ] {
        let (none, wrong) = (
            ask(&pages, path, &[]).await,
            [("authorization", "Bearer x")],
        );
        assert_eq!(none.status().as_u16(), without, "{path}");
        assert_eq!(
            ask(&pages, path, &wrong).await.status().as_u16(),
            without,
            "{path}"
        );
        let right = ask(&pages, path, &[("authorization", &bearer)]).await;
        assert_eq!(right.status().as_u16(), with, "{path}");
    }
}

#[tokio::test]
async fn another_site_is_refused_also_where_no_token_is_asked_for() {
    let pages = pages(None, false, false);
    for (headers, status) in [
        (&[("sec-fetch-site", "same-origin")][..], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("origin", "http://localhost")], 200),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "localhost")], 403),
    ] {
        for path in ["/api/tasks", "/api/live"] {
            let answer = ask(&pages, path, headers).await;
            assert_eq!(answer.status().as_u16(), status, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn what_others_wrote_is_bounded_and_has_no_character_that_is_not_seen() {
    let pages = pages(None, false, true);
    for path in [
        "/api/tasks",
        "/api/terms",
        "/api/task/a",
        "/api/state/a?key=k",
        "/api/state/a?key=bytes",
    ] {
        let (status, body) = told(ask(&pages, path, &[]).await).await;
        assert_eq!(status, 200, "{path}: {body}");
        let json: Value = serde_json::from_str(&body).unwrap();
        assert!(body.len() < 3 << 20, "{path}: {} bytes", body.len());
        texts(&json, &mut |text| {
            let unseen = text
                .chars()
                .find(|it| *it != '\n' && !soloist_core::text::is_printable(*it));
            assert_eq!(unseen, None, "{path}: {text:?}");
            assert!(
                path.contains("state") || text.chars().count() < 2_100,
                "{path}: {text}"
            );
        });
    }
}

fn texts(json: &Value, check: &mut impl FnMut(&str)) {
    match json {
        Value::String(text) => check(text),
        Value::Array(all) => all.iter().for_each(|it| texts(it, check)),
        Value::Object(all) => all.iter().for_each(|(name, it)| {
            check(name);
            texts(it, check);
        }),
        _ => {}
    }
}

/// An address that is open to all tells nothing that a plugin wrote.
#[tokio::test]
async fn to_anybody_nothing_is_told_that_a_plugin_wrote() {
    let pages = pages(None, true, true);
    let (status, body) = told(ask(&pages, "/api/task/a", &[]).await).await;
    assert_eq!(status, 200);
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["row"]["failure"]["detail"], Value::Null, "{body}");
    assert_eq!(json["terms"][1]["end"]["detail"], Value::Null, "{body}");
    assert_eq!(
        (&json["keys"], &json["keys_all"]),
        (&json!([]), &json!(5_000))
    );
    assert_eq!(ask(&pages, "/api/state/a?key=k", &[]).await.status(), 403);
    let mut body = ask(&pages, "/api/live?task=a", &[]).await.into_body();
    let begin = heard(&mut body, "event: tick").await;
    assert!(
        begin.contains("\"lines\":false") && begin.contains("\"values\":false"),
        "{begin}"
    );
    let more = heard(&mut body, "event: tick").await;
    assert!(!more.contains("event: lines"), "{more}");
}

#[tokio::test]
async fn values_are_hidden_unless_the_host_is_told_to_show_them() {
    let answer = ask(&pages(None, false, false), "/api/state/a?key=k", &[]).await;
    assert_eq!(answer.status(), 403);
    let (_, body) = told(ask(&pages(None, false, true), "/api/state/a?key=bytes", &[]).await).await;
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&json["text"], &json["value"]),
        (&json!(false), &json!("00ff"))
    );
}

/// A text in an event cannot end it and begin another one.
#[tokio::test]
async fn an_event_is_one_line_whatever_is_in_it() {
    let pages = pages(None, false, false);
    for path in ["/api/live", "/api/live?task=a"] {
        let mut body = ask(&pages, path, &[]).await.into_body();
        let heard = heard(&mut body, "event: tick").await;
        for line in heard.lines().filter(|line| !line.is_empty()) {
            assert!(
                line.starts_with("event: ") || line.starts_with("data: {"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn only_so_many_streams_are_open_and_one_that_nobody_reads_has_one_event_waiting() {
    let pages = pages(None, false, false);
    let mut streams = Vec::new();
    loop {
        let answer = ask(&pages, "/api/live", &[]).await;
        if answer.status() != 200 {
            assert_eq!(answer.status(), 503);
            break;
        }
        streams.push(answer.into_body());
        assert!(streams.len() <= 32);
    }
    assert_eq!(streams.len(), 32);
    assert_eq!(ask(&pages, "/api/tasks", &[]).await.status(), 200);
    let mut read = streams.pop().unwrap();
    for _ in 0..4 {
        heard(&mut read, "event: tick").await;
    }
    // Those that were not read meanwhile have not gathered events.
    let Answer::Live(unread) = &streams[0] else {
        panic!()
    };
    assert_eq!(unread.len(), 1);
    drop(streams);
    drop(read);
    let mut again = ask(&pages, "/api/live", &[]).await;
    while again.status() != 200 {
        tokio::task::yield_now().await;
        again = ask(&pages, "/api/live", &[]).await;
    }
}

/// Orders are taken from who shows their token, in a header, from this page; and from nobody else, whatever else it shows.
#[tokio::test]
async fn an_order_is_taken_from_who_shows_its_token_and_from_no_other_site() {
    let orders = format!("Bearer {FOR_ORDERS}");
    let reads = format!("Bearer {TOKEN}");
    let order =
        async |pages: &Pages, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
            told(pages.answer_in_time(&parts, body).await).await
        };
    let json = ("content-type", "application/json");
    let (here, may) = (("host", "localhost"), ("authorization", &*orders));
    let resign = r#"{"order":"resign","to":"b"}"#;
    let guarded = pages(Some(TOKEN), false, false);
    let local = pages(None, false, false);
    let open = pages(None, true, false);
    for pages in [&guarded, &local, &open] {
        let (status, body) = order(pages, "POST", "/api/order/a", &[here, json, may], resign).await;
        assert_eq!((status, &*body), (200, "resign a\n"));
        for (headers, status) in [
            (&[here, json][..], 401),
            (&[here, json, ("authorization", &reads)], 401),
            (&[here, json, ("cookie", FOR_ORDERS)], 401),
            (&[here, may], 415),
            (&[here, may, ("content-type", "text/plain")], 415),
            (&[here, json, may, ("origin", "http://evil.example")], 403),
            (&[here, json, may, ("origin", "http://localhost")], 200),
            (&[here, json, may, ("sec-fetch-site", "cross-site")], 403),
        ] {
            let told = order(pages, "POST", "/api/order/a", headers, resign).await;
            assert_eq!(told.0, status, "{headers:?} {told:?}");
        }
        let long = format!(r#"{{"order":"pause","reason":"{}"}}"#, "x".repeat(5_000));
        for (method, path, body, status) in [
            ("GET", "/api/order/a", "", 405),
            ("DELETE", "/api/order/a", "", 405),
            ("POST", "/api/order/..%2Fa", resign, 404),
            ("POST", "/api/order/", resign, 404),
            ("POST", "/api/order/a", "{}", 400),
            ("POST", "/api/order/a", &long, 400),
            ("POST", "/api/task/a", resign, 405),
        ] {
            let told = order(pages, method, path, &[here, json, may], body).await;
            assert_eq!(told.0, status, "{method} {path} {body} {told:?}");
        }
        let refused = order(
            pages,
            "POST",
            "/api/order/a",
            &[here, json, may],
            r#"{"order":"rollback"}"#,
        )
        .await;
        assert_eq!(refused, (409, "rollback\\u{1b}\n".into()));
        // It reads as well.
        assert_eq!(
            order(pages, "GET", "/api/tasks", &[here, may], "").await.0,
            200
        );
    }
    let named = [("host", "evil.example"), json, may];
    let told = order(&local, "POST", "/api/order/a", &named, resign).await;
    assert_eq!(told.0, 405, "a name that leads here is no way in");
    assert_eq!(order(&local, "GET", "/api/tasks", &named, "").await.0, 421);
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn whatever_is_asked_for_there_is_an_answer_that_repeats_nothing(
        path in "/(api/(tasks|terms|live|task/|state/)?|page[.])?[!-~]{0,40}",
        name in "(host|origin|authorization|sec-fetch-site|cookie|x-[a-z]{1,9})",
        value in "[ -~]{0,60}",
    ) {
        let request = Request::builder().uri(&path).header(&name, &value).body(());
        let Ok(request) = request else { return Ok(()) };
        let (parts, ()) = request.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pages = pages(Some(TOKEN), false, true);
            let answer = pages.answer_in_time(&parts, Empty::<Bytes>::new()).await;
            prop_assert!(answer.headers().contains_key("content-security-policy"));
            let is_free = ["/", "/page.css", "/page.js", "/favicon.ico", "/livez", "/readyz"].contains(&parts.uri.path());
            prop_assert!(is_free || answer.status() == 401, "{}", answer.status());
            if !is_free {
                let (_, body) = told(answer).await;
                prop_assert!(path.len() < 12 || !body.contains(&path));
            }
            Ok(())
        })?;
    }
}
