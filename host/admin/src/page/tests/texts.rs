//! Texts that others have written.

use super::*;

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
