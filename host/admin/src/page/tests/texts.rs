//! Texts that others have written.

use soloist_core::schedule::Record;

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

#[tokio::test]
async fn only_so_many_answers_are_kept_and_a_place_is_free_when_one_is_dropped() {
    let pages = pages(None, false, false);
    let mut kept = Vec::new();
    for _ in 0..8 {
        kept.push(ask(&pages, "/api/terms", &[]).await);
    }
    assert!(kept.iter().all(|answer| answer.status() == 200));
    for path in ["/api/tasks", "/api/task/a"] {
        assert_eq!(ask(&pages, path, &[]).await.status(), 503, "{path}");
    }
    kept.pop();
    assert_eq!(ask(&pages, "/api/tasks", &[]).await.status(), 200);
}

/// Whoever writes a rule into the ensemble that takes long to follow has it followed by what reads there, not by what answers.
#[tokio::test]
async fn the_slots_of_a_schedule_are_looked_for_when_it_is_read() {
    let record = br#"{"version":1,"rule":"every 3600 s","after":"2001-01-01T00:00:00Z"}"#;
    let record = Record::decode(record).unwrap();
    let now = record.after() + Duration::from_secs(60);
    let read = Written::hostile().task("a").await;
    let mut detail = read.unwrap().unwrap();
    detail.plans = vec![PlanRow::read("a".into(), Ok(record), now)];
    let told = shown::task(&detail, Reader::Known, &shown::Leases::default(), None);
    let next = &told["plans"][0]["next"];
    assert_eq!(next.as_array().map(Vec::len), Some(5), "{told}");
    assert_eq!(next[0], "2001-01-01T01:00:00.000Z", "{told}");
}
