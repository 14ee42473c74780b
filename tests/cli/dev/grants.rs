//! A plugin may do what it is granted; or everything, and what it did is what has to be granted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use soloist_tests::build;

use super::game::Game;

/// Answers every request.
fn server() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    Ok(port)
}

/// Has the plugin ask that address; gives what it says, and what is told to be granted at the end.
async fn asked(url: &str, flags: &[&str]) -> Result<(String, String, Option<String>)> {
    let plugin = build::artifacts()?.guest("network").display().to_string();
    let url = format!("url={url}");
    let args = [&plugin, "--config", "do=get", "--config", &url, "--json"];
    let mut game = Game::start(&[&args[..], flags].concat())?;
    let said = game
        .wait_for("an answer", |line| {
            line["event"] == "plugin-log" && line["import"].is_null()
        })
        .await?;
    game.order("quit")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    let text = |line: &serde_json::Value| line["message"].as_str().unwrap_or_default().to_owned();
    let refused = game
        .told("plugin-log")
        .into_iter()
        .find(|line| line["import"] == "network");
    let grants = game.told("grants").pop().map(|line| text(&line));
    Ok((
        text(&said),
        refused.map(|line| text(&line)).unwrap_or_default(),
        grants,
    ))
}

#[tokio::test]
async fn what_is_recorded_is_what_has_to_be_granted() -> Result<()> {
    let port = server()?;
    let url = format!("http://localhost:{port}/path");
    let origin = format!("http://localhost:{port}");
    // It is granted nothing of use, and told what to grant.
    let (said, refused, grants) = asked(&url, &["--allow-http=", "--allow-tcp="]).await?;
    ensure!(
        said.starts_with("refused") && grants.is_none(),
        "{said} {grants:?}"
    );
    ensure!(
        refused.contains(&format!("http = [\"{origin}\"]")),
        "{refused}"
    );
    // It may do what it wants, which is recorded.
    let (said, told, grants) = asked(&url, &["--record-grants"]).await?;
    ensure!(
        said == "200 hi" && told.contains("let pass"),
        "{said} {told}"
    );
    let grants = grants.context("nothing is recorded")?;
    ensure!(
        grants.contains(&format!("[task.allow]\nhttp = [\"{origin}\"]\ntcp = []\n")),
        "{grants}"
    );
    let line = grants
        .lines()
        .find_map(|line| line.strip_prefix("networks = "));
    let networks: Vec<String> = serde_json::from_str(line.context("no network")?)?;
    ensure!(networks.contains(&"127.0.0.1".to_owned()), "{grants}");
    // With that granted it may do the same, and needs no more.
    let networks = networks.join(",");
    let granted = [
        "--allow-http",
        &origin,
        "--allow-tcp=",
        "--allow-networks",
        &networks,
    ];
    let (said, refused, _) = asked(&url, &granted).await?;
    ensure!(said == "200 hi" && refused.is_empty(), "{said} {refused}");
    Ok(())
}

/// A connection by TCP is recorded by the name that was looked up for it.
#[tokio::test]
async fn a_connection_is_recorded_by_its_name() -> Result<()> {
    let port = server()?;
    let plugin = build::artifacts()?.guest("network").display().to_string();
    let to = format!("to=localhost:{port}");
    let mut game = Game::start(&[
        &plugin,
        "--config",
        "do=connect",
        "--config",
        &to,
        "--json",
        "--record-grants",
    ])?;
    game.wait_for("its end", |line| line["event"] == "plugin-completed")
        .await?;
    game.order("quit")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    let grants = game.told("grants").pop().context("nothing is recorded")?;
    let expected = format!("tcp = [\"localhost:{port}\"]");
    ensure!(
        grants["message"]
            .as_str()
            .is_some_and(|it| it.contains(&expected)),
        "{grants}"
    );
    Ok(())
}
