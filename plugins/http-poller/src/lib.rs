//! Looks at a page again and again, and says when it has changed. The page's ETag is in the state, so that the next leader
//! does not take for news what this one has seen.

use std::time::Duration;

use serde::Deserialize;
use soloist_sdk::http::Request;
use soloist_sdk::{Result, Term, config_as, debug, every, info, state};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default = "minute")]
    interval: Duration,
}

fn minute() -> Duration {
    Duration::from_mins(1)
}

async fn poll(_: Term) -> Result {
    let settings: Settings = config_as()?;
    let mut turns = every(settings.interval);
    loop {
        turns.tick().await;
        let mut request = Request::get(&settings.url).retries(3);
        if let Some(seen) = state::get::<String>("etag").await? {
            request = request.header("if-none-match", seen);
        }
        let page = request.send().await?.error_for_status()?;
        if page.status == 304 {
            debug!("{} is as it was", page.url);
            continue;
        }
        // Whatever is to be done about a change comes first: if this host is lost in between, the next does it again.
        info!(bytes = page.body.len(), "{} has changed", page.url);
        match page.header("etag") {
            Some(etag) => drop(state::set("etag", etag).await?),
            None => state::delete("etag").await?,
        }
    }
}

soloist_sdk::export!(fn poll);

#[cfg(test)]
mod tests {
    use soloist_sdk::testing::{Answer, Harness};

    use super::*;

    #[test]
    fn the_next_leader_knows_what_was_seen() {
        let test = Harness::new().config("url", "https://a.example/news");
        let page = |etag: &'static str| {
            move |request: &soloist_sdk::testing::Request| {
                if request.header("if-none-match") == Some(etag) {
                    Answer::status(304)
                } else {
                    Answer::text("news").header("etag", etag)
                }
            }
        };
        test.http(page("one"));
        test.elect::<Exported>().advance(Duration::from_mins(5));
        let mut successor = test.elect::<Exported>();
        successor.advance(Duration::from_mins(5));
        let changes = || {
            let messages = test.messages();
            messages
                .iter()
                .filter(|it| it.ends_with("has changed"))
                .count()
        };
        assert_eq!((changes(), test.requests().len()), (1, 12));

        test.http(page("two"));
        successor.advance(Duration::from_mins(2));
        assert_eq!(changes(), 2);
        assert_eq!(test.state::<String>("etag").as_deref(), Some("two"));
    }

    #[test]
    fn what_is_missing_in_the_configuration_is_said() {
        let error = Harness::new().elect::<Exported>().finish().unwrap_err();
        assert_eq!(error, "config `url`: it is missing");
    }
}
