//! Streams of events.

use super::*;

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
