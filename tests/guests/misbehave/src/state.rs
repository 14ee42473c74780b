//! What the tests of the state have done.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use soloist_sdk::state::{self, Error};
use soloist_sdk::{Result, config, info, sleep};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

pub async fn run(what: &str) -> Result {
    match what {
        "state-roundtrip" => roundtrip().await,
        "state-errors" => errors().await,
        "state-transaction" => transaction().await,
        "state-update" => {
            let add = |_| {
                Box::pin(state::update("count", |count: Option<u64>| {
                    count.unwrap_or(0) + 1
                })) as Boxed<_>
            };
            let results = all((0..20).map(add).collect()).await;
            Ok(results
                .into_iter()
                .collect::<Result<Vec<u64>, Error>>()
                .map(drop)?)
        }
        "state-crowd" => {
            let get = async || {
                let result = state::get::<u64>("count").await;
                if let Err(Error::Unavailable { reason }) = &result {
                    info!("refused: {reason}");
                }
                result.is_ok()
            };
            let done = all((0..100).map(|_| Box::pin(get()) as Boxed<_>).collect()).await;
            info!(
                "{} calls were done",
                done.into_iter().filter(|done| *done).count()
            );
            Ok(())
        }
        "state-large" => {
            assert!(state::set_bytes("small", vec![0; 100]).await.is_ok());
            assert!(matches!(
                state::set_bytes("large", vec![0; 101]).await,
                Err(Error::TooLarge { .. })
            ));
            assert!(matches!(
                state::compare_and_set_bytes("large", None, vec![0; 101]).await,
                Err(Error::TooLarge { .. })
            ));
            info!("too large");
            Ok(())
        }
        "state-flood" => {
            let (mut written, mut refused) = (0, 0);
            for round in 0..30 {
                let write = |number| async move {
                    state::set_bytes(&format!("{round}-{number}"), vec![7; 10_000]).await
                };
                let writes = (0..100)
                    .map(|number| Box::pin(write(number)) as Boxed<Result<u64, Error>>)
                    .collect();
                for outcome in all(writes).await {
                    *(if outcome.is_ok() {
                        &mut written
                    } else {
                        &mut refused
                    }) += 1;
                }
            }
            info!("wrote {written}, was refused {refused}");
            Ok(())
        }
        // One after the other first, then side by side.
        "state-rate" => {
            for _ in 0..10 {
                state::set_bytes("value", vec![7; 10_000]).await?;
            }
            let write = || async {
                let written = state::set_bytes("value", vec![7; 50_000]).await;
                if let Err(Error::Unavailable { reason }) = &written {
                    info!("refused: {reason}");
                }
                written.is_ok()
            };
            let done = all((0..30).map(|_| Box::pin(write()) as Boxed<_>).collect()).await;
            info!("wrote {}", done.into_iter().filter(|done| *done).count());
            Ok(())
        }
        // The largest value that it may, again and again; `keys` of them.
        "state-storm" => {
            let keys: u64 = config("keys")
                .and_then(|keys| keys.parse().ok())
                .unwrap_or(1);
            let mut bytes = 512 * 1024;
            for stored in 1_u64.. {
                match state::set_bytes(&format!("value-{}", stored % keys), vec![7; bytes]).await {
                    Ok(_) => info!("stored {stored} of {bytes} bytes"),
                    Err(Error::TooLarge { .. }) => bytes /= 2,
                    Err(error) => Err(error)?,
                }
            }
            Ok(())
        }
        // It has no more for a long time.
        "state-late" => {
            state::set_bytes("once", vec![7; 64_000]).await?;
            info!("written once");
            sleep(Duration::from_secs(1_000_000)).await;
            Ok(())
        }
        // Until something ends it.
        "state-work" => loop {
            state::update("count", |count: Option<u64>| count.unwrap_or(0) + 1).await?;
            sleep(Duration::from_micros(100)).await;
        },
        other => Err(format!("nothing known to do about {other}"))?,
    }
}

async fn roundtrip() -> Result {
    assert!(state::get::<String>("name").await?.is_none());
    let first = state::set("name", "Ada").await?;
    assert_eq!(state::get::<String>("name").await?.as_deref(), Some("Ada"));
    let second = state::compare_and_set("name", Some(first), &("Grace", 2)).await?;
    assert!(second > first);
    let entry = state::get_entry::<(String, u32)>("name")
        .await?
        .ok_or("it is gone")?;
    assert_eq!(
        (entry.value, entry.version),
        (("Grace".to_owned(), 2), second)
    );
    let created = state::compare_and_set_bytes("raw", None, vec![0, 255]).await?;
    assert!(created > second);
    assert_eq!(
        state::get_bytes("raw").await?.map(|entry| entry.value),
        Some(vec![0, 255])
    );
    assert_eq!(state::list().await?, ["name", "raw"]);
    state::delete("raw").await?;
    state::delete("raw").await?;
    assert!(state::set_bytes("raw", Vec::new()).await? > created);
    info!("all is well");
    Ok(())
}

async fn transaction() -> Result {
    let first = state::transaction()
        .check("a.one", None)
        .set("a.one", &1)
        .set_bytes("a.two", vec![0, 255])
        .set("b", "text")
        .commit()
        .await?;
    let version = |key| async move {
        let entry = state::get_bytes(key).await?;
        Ok::<_, Error>(entry.map(|entry| entry.version))
    };
    for key in ["a.one", "a.two", "b"] {
        assert_eq!(version(key).await?, first, "{key}");
    }
    assert_eq!(state::list_prefix("a.").await?, ["a.one", "a.two"]);
    let refused = state::transaction()
        .set("a.one", &2)
        .delete("b")
        .check("a.two", None)
        .commit()
        .await;
    assert!(
        matches!(&refused, Err(Error::Changed { key, version }) if key == "a.two" && *version == first),
        "{refused:?}"
    );
    assert_eq!(state::get("a.one").await?, Some(1));
    let large = state::transaction()
        .set("a.one", &2)
        .set_bytes("b", vec![0; 70_000])
        .commit()
        .await;
    assert!(
        matches!(&large, Err(Error::TooLarge { key }) if key == "b"),
        "{large:?}"
    );
    let twice = state::transaction().set("b", &1).delete("b").commit().await;
    assert!(
        matches!(&twice, Err(Error::BadKey { key, .. }) if key == "b"),
        "{twice:?}"
    );
    let many = (0..33).fold(state::transaction(), |all, number| {
        all.delete(&number.to_string())
    });
    let many = many.commit().await;
    assert!(matches!(many, Err(Error::Unavailable { .. })), "{many:?}");
    let deleted = state::transaction()
        .delete("b")
        .delete("not-there")
        .commit();
    assert_eq!(deleted.await?, None);
    assert_eq!(state::transaction().commit().await?, None);
    assert_eq!(state::list().await?, ["a.one", "a.two"]);
    info!("all or nothing");
    Ok(())
}

async fn errors() -> Result {
    for key in ["", "a/b", "..", &"x".repeat(129)] {
        assert!(
            matches!(state::set(key, &1).await, Err(Error::BadKey { .. })),
            "{key}"
        );
        assert!(
            matches!(state::get::<u8>(key).await, Err(Error::BadKey { .. })),
            "{key}"
        );
        assert!(
            matches!(state::delete(key).await, Err(Error::BadKey { .. })),
            "{key}"
        );
    }
    assert!(matches!(
        state::set_bytes("large", vec![0; 512 * 1024 + 1]).await,
        Err(Error::TooLarge { .. })
    ));
    state::set_bytes("large", vec![0; 512 * 1024]).await?;
    assert!(matches!(
        state::get::<String>("large").await,
        Err(Error::Decode { .. })
    ));
    let version = state::set("there", &1).await?;
    for expected in [None, Some(version + 1)] {
        let changed = state::compare_and_set("there", expected, &2).await;
        assert!(
            matches!(changed, Err(Error::Changed { version: Some(it), .. }) if it == version),
            "{changed:?}"
        );
    }
    let changed = state::compare_and_set("not-there", Some(version), &2).await;
    assert!(
        matches!(changed, Err(Error::Changed { version: None, .. })),
        "{changed:?}"
    );
    while state::list().await?.len() < 1000 {
        state::set(&format!("key-{}", state::list().await?.len()), &0).await?;
    }
    assert!(matches!(
        state::set("one-more", &1).await,
        Err(Error::TooMany { .. })
    ));
    assert!(matches!(
        state::compare_and_set("one-more", None, &1).await,
        Err(Error::TooMany { .. })
    ));
    state::set("there", &1).await?;
    info!("every error but one");
    // From here on the test lets nothing through.
    loop {
        match state::set("there", &1).await {
            Ok(_) => sleep(Duration::from_millis(1)).await,
            Err(error) => Err(error)?,
        }
    }
}

/// Waits for all of them, side by side.
async fn all<T>(mut futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut done = Vec::new();
    let mut all = pin!(poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                done.push(result);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    all.as_mut().await;
    done
}

/// Counts in two entries that belong together, every ten minutes: one after the other, or both at once.
pub async fn pair(apart: bool) -> Result {
    let mut count = state::get::<u64>("one").await?.unwrap_or_default();
    loop {
        count += 1;
        if apart {
            state::set("one", &count).await?;
            state::set("other", &count).await?;
        } else {
            let both = state::transaction().set("one", &count).set("other", &count);
            both.commit().await?;
        }
        sleep(Duration::from_secs(600)).await;
    }
}
