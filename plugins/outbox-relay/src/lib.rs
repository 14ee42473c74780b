//! Relays what a program puts into a table of PostgreSQL, in order, to a server: nothing is lost, and nothing is done twice.
//!
//! - An item is sent, then marked in the database, then the checkpoint moves on. Whoever leads next begins at the checkpoint,
//!   and passes over what is marked. At most the one item that was under way is sent again, with the same
//!   `Idempotency-Key`, by which the server knows it.
//! - The database knows the greatest fencing token. It takes no mark of an earlier leader, whatever delayed that one.

mod database;

use std::time::Duration;

use database::Database;
use serde::Deserialize;
use soloist_sdk::checkpoint::Checkpoint;
use soloist_sdk::http::Request;
use soloist_sdk::{Result, Term, config_as, every, info};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the database is: `HOST:PORT`. The password is in the variable `PGPASSWORD`.
    address: String,
    user: String,
    database: String,
    /// What the items are sent to.
    target: String,
    /// How long to wait for more when there are none.
    #[serde(default = "second")]
    interval: Duration,
}

fn second() -> Duration {
    Duration::from_secs(1)
}

async fn relay(term: Term) -> Result {
    let settings: Settings = config_as()?;
    let password = std::env::var("PGPASSWORD").map_err(|_| "there is no secret PGPASSWORD")?;
    let mut database = Database::connect(
        &settings.address,
        &settings.user,
        &password,
        &settings.database,
    )?;
    let token = term.fencing_token.to_string();
    claim(&mut database, &token)?;
    let mut done = Checkpoint::<i64>::load("relayed").await?;
    info!("relays what comes after {}", done.position());
    let mut turns = every(settings.interval);
    loop {
        turns.tick().await;
        while let Some((id, payload)) = next(&mut database, *done.position())? {
            Request::post(&settings.target)
                .idempotency_key(format!("{}/{id}", term.task))
                .body(payload)
                .retries(5)
                .send()
                .await?
                .error_for_status()?;
            mark(&mut database, &token, id)?;
            done.advance(id).await?;
            info!(id = id, "relayed");
        }
    }
}

/// Has the database refuse every leader before this one.
fn claim(database: &mut Database, token: &str) -> Result {
    database.query(
        "UPDATE relay SET token = $1::bigint WHERE token < $1::bigint",
        &[token],
    )?;
    is_last(database, token)
}

/// Whether no later leader has claimed the outbox.
fn is_last(database: &mut Database, token: &str) -> Result {
    let rows = database.query("SELECT token FROM relay", &[])?;
    match rows
        .first()
        .and_then(|row| row.first())
        .and_then(Option::as_deref)
    {
        Some(greatest) if greatest == token => Ok(()),
        Some(greatest) => Err(format!(
            "a later leader is at work: its token is {greatest}, and ours {token}"
        )
        .into()),
        None => Err("the table `relay` is empty: it needs one row, as in schema.sql".into()),
    }
}

/// The first item after that position that nobody has relayed yet.
fn next(database: &mut Database, position: i64) -> Result<Option<(i64, String)>> {
    let rows = database.query(
        "SELECT id, payload FROM outbox WHERE id > $1::bigint AND relayed_by IS NULL ORDER BY id LIMIT 1",
        &[&position.to_string()],
    )?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let [Some(id), Some(payload)] = <[_; 2]>::try_from(row).map_err(|_| "the row is not a pair")?
    else {
        return Err("the row has no id or no payload".into());
    };
    Ok(Some((id.parse()?, payload)))
}

/// Marks an item as relayed, unless a later leader has claimed the outbox.
fn mark(database: &mut Database, token: &str, id: i64) -> Result {
    let marked = database.query(
        "WITH leader AS (SELECT token FROM relay WHERE token = $1::bigint FOR SHARE)
        UPDATE outbox SET relayed_by = leader.token FROM leader
        WHERE id = $2::bigint AND relayed_by IS NULL RETURNING id",
        &[token, &id.to_string()],
    )?;
    if marked.is_empty() {
        is_last(database, token)?;
        return Err(format!("item {id} was marked by somebody else").into());
    }
    Ok(())
}

soloist_sdk::export!(fn relay);
