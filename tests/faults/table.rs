//! The figures of all runs, as a table.

use std::time::Duration;

use soloist_tests::revocation::Revocation;

use crate::lab::Run;

/// All runs of one scenario.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub runs: Vec<Run>,
    pub failed: usize,
}

const HEADER: &str = "\
| scenario | runs | failed | handovers | overlap ms | without effect ms, median | worst | after healing ms, worst |\n\
|---|---|---|---|---|---|---|---|";

/// What is behind the mark.
const UNPROTECTED: &str = "\
\\* Somebody who may do so took away what holds the next leader back. How far effects overlap is measured; only an ACL \
prevents it, and fencing tokens tell the terms apart.";

/// A line for each scenario.
pub fn outcomes(rows: &[Row]) -> String {
    let mut lines = vec![HEADER.to_owned()];
    for Row { name, runs, failed } in rows
        .iter()
        .filter(|row| !row.runs.is_empty() || row.failed > 0)
    {
        let mut unavailable: Vec<Duration> =
            runs.iter().map(|run| run.findings.unavailable).collect();
        unavailable.sort();
        let worst =
            |times: &mut dyn Iterator<Item = Duration>| times.max().map_or("-".to_owned(), millis);
        let handovers: usize = runs
            .iter()
            .map(|run| run.findings.tenures.len().saturating_sub(1))
            .sum();
        lines.push(format!(
            "| {} | {} | {failed} | {handovers} | {} | {} | {} | {} |",
            name,
            runs.len(),
            worst(&mut runs.iter().map(|run| run.findings.overlap)),
            median(&unavailable),
            worst(&mut unavailable.iter().copied()),
            worst(&mut runs.iter().map(|run| run.recovered)),
        ));
    }
    lines.extend([String::new(), UNPROTECTED.to_owned()]);
    lines.join("\n")
}

/// A line for each scenario in which a plugin was stopped by force.
pub fn revocations(rows: &[Row]) -> String {
    let mut lines = vec![
        "| scenario | plugins stopped by force | last effect before the deadline ms, least | plugin gone after the deadline ms, median | worst |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for Row { name, runs, .. } in rows {
        let all: Vec<&Revocation> = runs.iter().flat_map(|run| &run.revocations).collect();
        let mut gone: Vec<Duration> = all.iter().map(|revocation| revocation.gone_after).collect();
        gone.sort();
        let (Some(worst), Some(least)) = (
            gone.last(),
            all.iter().map(|revocation| revocation.to_spare_us).min(),
        ) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
        let least = least as f64 / 1000.0;
        let median = median(&gone);
        lines.push(format!(
            "| {} | {} | {least:.1} | {median} | {} |",
            name,
            all.len(),
            millis(*worst)
        ));
    }
    lines.join("\n")
}

/// Of sorted times.
fn median(times: &[Duration]) -> String {
    match times.len() {
        0 => "-".to_owned(),
        count => millis((times[(count - 1) / 2] + times[count / 2]) / 2),
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
