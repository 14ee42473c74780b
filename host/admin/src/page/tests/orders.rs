//! Orders.

use http_body_util::Full;

use super::*;

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
