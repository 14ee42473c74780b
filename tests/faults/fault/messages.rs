//! Faults of single messages, and of what the servers agree to.

use anyhow::{Context, Result, ensure};
use soloist_tests::proxy::{Loss, Traffic};

use super::third;
use crate::lab::{Lab, Reach, SESSION_TIMEOUT};

/// How many messages about a task pass when it is handed over, at least.
const MESSAGES: u32 = 14;

pub(super) async fn lose_each_message(lab: &mut Lab) -> Result<()> {
    let task = lab.task();
    for number in 1..=MESSAGES {
        let (task, mut passed) = (task.clone(), 0);
        let loss = if number % 2 == 0 {
            Loss::Request
        } else {
            Loss::Reply
        };
        let proxy = lab.proxy()?;
        proxy.lose(loss, move |request| {
            passed += u32::from(request.contains(task.as_bytes()));
            passed == number
        });
        let (token, leader) = (lab.token(), lab.acting()?);
        let status = lab.hosts[leader].terminate().await?;
        ensure!(
            status.success(),
            "with message {number} lost the leader ended with {status}"
        );
        lab.successor(token)
            .await
            .with_context(|| format!("message {number} ({loss:?}) was lost"))?;
        let mut host = lab.host(leader, Reach::Proxy).await?;
        host.event("standby").await?;
        lab.hosts[leader] = host;
    }
    Ok(())
}

pub(super) async fn shorten_timeout(lab: &mut Lab) -> Result<()> {
    let server = third(lab);
    let half = (SESSION_TIMEOUT / 2).as_millis().to_string();
    lab.restart(server, Some(("maxSessionTimeout", &half)))
        .await?;
    let mark = lab.cluster.history.len();
    let address = lab.cluster.zookeeper.address(server);
    lab.proxy()?.lead_to(address);
    lab.proxy()?.set(Traffic::Cut);
    lab.hosts[0]
        .event_after(mark, "session-disconnected", |_| true)
        .await?;
    lab.proxy()?.set(Traffic::Passes);
    lab.hosts[0]
        .event_after(mark, "session-shortened", |_| true)
        .await?;
    lab.proxy()?.set(Traffic::Lost);
    Ok(())
}
