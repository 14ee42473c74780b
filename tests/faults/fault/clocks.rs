//! Wall clocks that are set wrong, of a host or of a server.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use soloist_tests::{PATIENCE, client, clock, history};

use crate::lab::{Lab, SESSION_TIMEOUT};

/// By how many hours a clock is wrong, one time after the other.
const HOURS: [i64; 3] = [1, -1, 0];

pub(super) async fn set_clock_of_host(lab: &mut Lab) -> Result<()> {
    let pid = lab.hosts[0].pid();
    for hours in HOURS {
        let mark = lab.cluster.history.len();
        lab.clock
            .as_ref()
            .context("the leader has no clock of its own")?
            .set_wrong_by(hours)?;
        // That it is so shows in the stamps of what the plugin does.
        let shows = |record: &history::Record| {
            record.pid == pid && record.is("plugin-log") && record.hours_wrong() == hours
        };
        lab.cluster
            .history
            .wait_for(mark, "the leader's clock to be set", PATIENCE, shows)
            .await?;
        tokio::time::sleep(SESSION_TIMEOUT / 2).await;
    }
    Ok(())
}

pub(super) async fn set_clock_of_server(lab: &mut Lab, server: usize) -> Result<()> {
    let operator = lab.operator().await?;
    for hours in HOURS {
        lab.cluster
            .zookeeper
            .clock(server)
            .context("the server has no clock of its own")?
            .set_wrong_by(hours)?;
        // That it is so shows in the stamps of nodes: the ensemble's leader gives them.
        let path = format!("{}/hours{hours}", lab.root());
        client::make_path(&operator, &path).await?;
        let stat = operator
            .check_stat(&path)
            .await?
            .context("a node that was just created is gone")?;
        let created = SystemTime::UNIX_EPOCH + Duration::from_millis(stat.ctime.unsigned_abs());
        let shown = clock::hours_wrong(created, SystemTime::now());
        ensure!(
            shown == hours,
            "the server's clock is wrong by {shown} hours, not {hours}"
        );
        tokio::time::sleep(SESSION_TIMEOUT / 2).await;
    }
    client::close(operator).await;
    Ok(())
}
