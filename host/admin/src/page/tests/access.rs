//! Who is told what.

use proptest::prelude::*;

use super::*;

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
