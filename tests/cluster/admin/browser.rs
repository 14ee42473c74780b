//! The page of a host in a real browser: what somebody sees, who looks at it while things happen.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use soloist_tests::browser::Browser;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::pages::Pages;
use zookeeper_client::{Acls, CreateMode};

use super::{failing, listening, write_task};

/// The text of a cell of the first task.
fn cell(label: &str) -> String {
    format!("document.querySelector('#rows tr td[data-label=\"{label}\"]')?.textContent")
}

/// Nothing was asked of anybody else, and the browser has refused nothing.
fn is_clean(browser: &Browser, pages: &Pages) -> Result<()> {
    let own = format!("http://{}/", pages.address);
    let foreign: Vec<_> = browser
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(&own))
        .collect();
    ensure!(foreign.is_empty(), "{foreign:?}");
    ensure!(
        browser.complaints().is_empty(),
        "{:?}",
        browser.complaints()
    );
    Ok(())
}

/// Nothing is to be found by scrolling to the side, on a phone either.
async fn fits(browser: &mut Browser) -> Result<()> {
    let wide = browser
        .eval("[document.documentElement.scrollWidth, innerWidth]")
        .await?;
    ensure!(wide[0].as_u64() <= wide[1].as_u64(), "{wide}");
    Ok(())
}

#[tokio::test]
async fn a_failover_is_seen_as_it_happens_and_the_focus_stays_where_it_is() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let cluster = Cluster::start().await?;
    let (mut leader, _) = listening(&cluster, "alpha", "plugin-log").await?;
    let (_standby, pages) = listening(&cluster, "beta", "standby").await?;
    browser.look(1280, 900, false).await?;
    browser.open(&format!("http://{}/", pages.address)).await?;
    browser
        .until(&format!("{} === 'alpha'", cell("Leader")))
        .await?;
    browser
        .until(&format!("{} === 'beta'", cell("Standbys")))
        .await?;
    browser
        .until("document.querySelector('#host-rows tr:nth-child(2)')")
        .await?;
    // The bar of the lease moves by itself, and is never longer than a lease.
    browser
        .until("document.querySelector('#rows meter')")
        .await?;
    let moves = "new Promise(done => { const meter = document.querySelector('#rows meter'); const seen = new Set(); \
                 const look = () => { seen.add(meter.value); if (seen.size > 3) done(meter.value < meter.max); else setTimeout(look, 30); }; look(); })";
    ensure!(browser.eval(moves).await? == true);
    // It can be used with a keyboard: the first link of the table is reached with Tab.
    let focused =
        "document.activeElement.closest('#rows')?.querySelector('a') === document.activeElement";
    let mut tabs = 0;
    while browser.eval(focused).await? != true {
        browser.press("Tab").await?;
        tabs += 1;
        ensure!(tabs < 40, "the task is not reached");
    }
    browser.picture("tasks-light").await?;

    leader.kill()?;
    browser
        .until(&format!("{} === 'beta'", cell("Leader")))
        .await?;
    browser
        .until("document.getElementById('said').textContent.includes('led by beta')")
        .await?;
    ensure!(browser.eval(focused).await? == true, "the focus was lost");
    browser.look(1280, 900, true).await?;
    browser
        .eval("document.getElementById('terms-all').open = true")
        .await?;
    browser
        .until("document.querySelectorAll('#timeline-all rect').length >= 2")
        .await?;
    browser.picture("tasks-dark").await?;

    browser.press("Enter").await?;
    browser
        .until(&format!(
            "document.getElementById('one-title').textContent === '{TASK}'"
        ))
        .await?;
    browser
        .until("document.querySelectorAll('#history-rows tr').length === 2")
        .await?;
    browser
        .until("document.getElementById('history-rows').textContent.includes('lost')")
        .await?;
    browser
        .until("document.querySelectorAll('#log div').length > 2")
        .await?;
    browser
        .until("document.querySelector('#one-lease meter')")
        .await?;
    ensure!(browser.eval("document.activeElement.id").await? == "one-title");
    // The timeline can be zoomed with the keyboard.
    browser
        .eval("document.querySelector('#timeline-one [tabindex]').focus()")
        .await?;
    let range = "document.querySelector('#timeline-one .tools .sub').textContent";
    let before = browser.eval(range).await?;
    browser.press("+").await?;
    ensure!(browser.eval(range).await? != before);
    browser.picture("task-dark").await?;
    browser.look(1280, 900, false).await?;
    browser.picture("task-light").await?;
    browser.look(360, 740, false).await?;
    fits(&mut browser).await?;
    browser.picture("task-phone").await?;
    browser
        .eval("document.getElementById('back').click()")
        .await?;
    browser
        .until(&format!("{} === 'beta'", cell("Leader")))
        .await?;
    fits(&mut browser).await?;
    browser.picture("tasks-phone").await?;
    is_clean(&browser, &pages)?;
    cluster.verdict().check()
}

/// The token is asked for by the page, and what plugins and others wrote is text, whatever it looks like.
#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one story from its beginning to its end"
)]
async fn a_failing_plugin_is_seen_by_who_has_the_token_and_no_text_becomes_markup() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let token = "0123456789-the-token";
    let for_orders = "0123456789-the-other-token";
    let token_file = cluster.file("token", token)?;
    let orders_file = cluster.file("orders", for_orders)?;
    let file = format!("listen_values = true\n{}", failing("fails", 2)?);
    let file = cluster.file("fails.toml", file)?;
    let command = cluster
        .host_of("alpha", &file)?
        .flag("--listen", "127.0.0.1:0");
    let command = command.flag("--listen-token-file", token_file);
    let command = command.flag("--listen-admin-token-file", orders_file);
    let mut host = command.start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    let markup = "<img src=x onerror=window.owned=1><b>bold";
    let failed = json!({ "terms": 1, "term": 1, "host": markup, "at": markup, "cause": markup, "detail": markup });
    let term = json!({ "number": 1, "host": markup, "since": "2026-11-27T00:00:00Z", "state": "released" });
    let ended = json!([{ "number": 1, "host": markup, "since": "2026-11-27T00:00:00Z", "fencing_token": 1,
                         "end": { "at": "2026-11-27T01:00:00Z", "reason": markup, "detail": markup } }]);
    let nodes = [
        ("failed".to_owned(), failed),
        ("history".to_owned(), ended),
        ("term".to_owned(), term),
        ("state".to_owned(), Value::Null),
    ];
    write_task(&client, markup, &nodes).await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let key = format!("/soloist/tasks/{markup}/state/{markup}");
    client.create(&key, markup.as_bytes(), &options).await?;

    browser.look(1280, 900, false).await?;
    browser.open(&format!("http://{}/", pages.address)).await?;
    browser
        .until("document.activeElement.id === 'token'")
        .await?;
    browser.picture("login-light").await?;
    for wrong in ["not-the-token-at-all", token] {
        browser.write(wrong).await?;
        browser.press("Enter").await?;
        if wrong != token {
            browser
                .until("document.getElementById('login-said').textContent")
                .await?;
        }
    }
    browser
        .until("document.querySelectorAll('#rows .badge.failed').length === 2")
        .await?;
    browser
        .until("document.querySelector('#rows').textContent.includes('error')")
        .await?;
    let said = browser
        .eval("document.querySelector('#rows').textContent")
        .await?;
    ensure!(
        said.as_str().is_some_and(|text| text.contains(markup)),
        "{said}"
    );
    browser.picture("failing-light").await?;
    // A search is done by the host, and the address keeps it.
    browser.eval("document.getElementById('q').focus()").await?;
    browser.write("fail").await?;
    browser
        .until(
            "document.querySelectorAll('#rows tr').length === 1 && location.hash === '#/?q=fail'",
        )
        .await?;
    browser.eval("location.hash = '#/task/fails'").await?;
    browser
        .until("document.getElementById('one-failure').textContent.startsWith('error')")
        .await?;
    browser.until("[...document.querySelectorAll('#history-rows tr')].some(row => row.textContent.includes('failed: error'))").await?;
    browser
        .until("document.querySelector('#log .error, #log .warn')")
        .await?;
    browser.picture("failing-task-light").await?;
    browser.look(360, 740, true).await?;
    fits(&mut browser).await?;
    browser.picture("failing-task-phone").await?;

    let address = browser
        .eval(&format!(
            "'#/task/' + encodeURIComponent({})",
            Value::from(markup)
        ))
        .await?;
    browser.eval(&format!("location.hash = {address}")).await?;
    browser
        .until("document.querySelector('#keys button')")
        .await?;
    browser
        .eval("document.querySelector('#keys button').click()")
        .await?;
    browser.until("document.querySelector('#keys pre')").await?;
    let shown = browser
        .eval("document.querySelector('#keys pre').textContent")
        .await?;
    ensure!(shown == markup, "{shown}");
    browser
        .until("document.querySelectorAll('#history-rows tr').length === 1")
        .await?;
    let made = browser.eval("[document.querySelectorAll('img, b:not(#summary b), iframe').length, document.scripts.length, window.owned ?? null]").await?;
    ensure!(made == json!([0, 1, null]), "{made}");
    fits(&mut browser).await?;
    browser.picture("hostile-phone").await?;
    // Orders ask for the other token, and then once more whether they are meant.
    browser.eval("location.hash = '#/task/fails'").await?;
    browser
        .until("!document.getElementById('orders').hidden && document.getElementById('one-title').textContent === 'fails'")
        .await?;
    browser
        .eval("document.getElementById('orders-ask').click()")
        .await?;
    browser
        .until("document.activeElement.id === 'token'")
        .await?;
    browser.write(for_orders).await?;
    browser.press("Enter").await?;
    browser
        .until("document.getElementById('order-form').checkVisibility()")
        .await?;
    browser
        .eval("document.getElementById('order').value = 'pause'; document.getElementById('order-form').requestSubmit()")
        .await?;
    browser.picture("order-phone").await?;
    browser
        .eval("document.getElementById('order-yes').click()")
        .await?;
    browser
        .until("document.getElementById('order-said').textContent.startsWith('Not done: ')")
        .await?;
    fits(&mut browser).await?;
    // The first answer to the wrong token, and to none, is what a browser calls an error.
    let complaints = browser.complaints();
    ensure!(
        complaints.iter().all(|it| ["401", "409"]
            .iter()
            .any(|status| it.to_string().contains(status))),
        "{complaints:?}"
    );
    client::close(client).await;
    Ok(())
}

/// Every object of a script seems to have a `constructor`. What goes wrong with an event leaves no stream that nobody reads.
#[tokio::test]
async fn a_task_may_be_called_constructor_and_what_is_written_twice_is_shown_once() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let term =
        json!({ "number": 1, "host": "a", "since": "2026-11-27T00:00:00Z", "state": "released" });
    let ended = json!({ "number": 1, "host": "a", "since": "2026-11-27T00:00:00Z", "fencing_token": 1,
                        "end": { "at": "2026-11-27T01:00:00Z", "reason": "resigned" } });
    let nodes = [
        ("term".to_owned(), term),
        ("history".to_owned(), json!([ended, ended])),
    ];
    write_task(&client, "constructor", &nodes).await?;
    let (_host, pages) = listening(&cluster, "alpha", "plugin-log").await?;
    browser.open(&format!("http://{}/", pages.address)).await?;
    let lease =
        "document.querySelector('#rows [data-key=constructor] [data-label=\"Lease left\"]')";
    browser
        .until(&format!("{lease}?.classList.contains('empty')"))
        .await?;
    browser
        .until("document.querySelector('#rows meter')")
        .await?;
    ensure!(
        browser
            .eval("document.getElementById('trouble').hidden")
            .await?
            == true
    );
    let fails = "(async () => { for (let n = 0; n < 12; n++) await listen('/api/live', () => { throw n; }).catch(() => {}); return true; })()";
    ensure!(browser.eval(fails).await? == true);

    browser.eval("location.hash = '#/task/constructor'").await?;
    let terms = "document.querySelectorAll('#history-rows tr').length";
    browser.until(&format!("{terms} > 0")).await?;
    ensure!(browser.eval(terms).await? == 1);
    is_clean(&browser, &pages)?;
    client::close(client).await;
    Ok(())
}
