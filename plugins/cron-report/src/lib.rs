//! A report every night at 3 o'clock in Berlin, each of them once, whichever host leads; or as the task's config says:
//! `cron`, `zone`, and `takes`, the time that a report takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use soloist_sdk::{Plugin, Result, Term, config, info, schedule, sleep, state};

/// A report, as the state keeps it.
#[derive(Serialize, Deserialize)]
struct Report {
    slot: String,
    attempt: u32,
    missed: u32,
}

#[derive(Default)]
struct CronReport;

impl Plugin for CronReport {
    async fn on_elected(&mut self, _: Term) -> Result {
        let (cron, zone) = (config("cron"), config("zone"));
        let cron = cron.as_deref().unwrap_or("0 3 * * *");
        let takes =
            config("takes").map_or(Ok(Duration::ZERO), |time| humantime::parse_duration(&time))?;
        let nights = schedule::cron(cron, zone.as_deref().unwrap_or("Europe/Berlin"));
        loop {
            let slot = nights.next().await?;
            info!(
                key = slot.key(),
                attempt = slot.attempt(),
                "making the report of {slot}"
            );
            sleep(takes).await;
            let mut reports: Vec<Report> = state::get("reports").await?.unwrap_or_default();
            let (attempt, missed) = (slot.attempt(), slot.missed());
            reports.push(Report {
                slot: slot.to_string(),
                attempt,
                missed,
            });
            reports.drain(..reports.len().saturating_sub(100));
            slot.complete(state::transaction().set("reports", &reports))
                .await?;
            info!(key = slot.key(), "made the report of {slot}");
        }
    }
}

soloist_sdk::export!(CronReport);
