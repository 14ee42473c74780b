//! A real browser: Debian's chromium without a screen, driven by the DevTools protocol over a pair of pipes. So there is no port that
//! others could reach, and the browser ends when its owner does.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::process::{self, Process};
use crate::{PATIENCE, build, tools};

/// Without what asks others for anything by itself, and without what this machine may not have.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// How long what a page shows is left alone between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    // Before the profile: the browser must be gone before its files are.
    _process: Process,
    _profile: TempDir,
    input: ChildStdin,
    messages: UnboundedReceiver<Value>,
    number: u64,
    session: Option<String>,
    /// All that the browser said by itself.
    events: Vec<Value>,
}

impl Browser {
    /// Starts a browser with an empty tab. `None` where chromium is not installed.
    ///
    /// # Errors
    /// It does not start, or this is CI and it is not installed.
    pub async fn start() -> Result<Option<Self>> {
        let probe = std::process::Command::new("chromium")
            .arg("--version")
            .output();
        let probe = probe.context("cannot run chromium");
        if tools::or_skipped(probe, "chromium")?.is_none() {
            return Ok(None);
        }
        let profile = tempfile::tempdir()?;
        // The browser reads what it is asked at descriptor 3, and answers at 4.
        let mut command = process::command("sh");
        command
            .args([
                "-c",
                r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
                "sh",
            ])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            // What it leaves when it is killed goes with its profile.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Process::spawn("chromium", command)?;
        let input = process.input().context("no input")?;
        let output = process.pipes().0.context("no output")?;
        let (sender, messages) = unbounded_channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).unwrap_or_default();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            _process: process,
            _profile: profile,
            input,
            messages,
            number: 0,
            session: None,
            events: Vec::new(),
        };
        let tab = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(Some(browser))
    }

    /// Calls a method of the DevTools protocol.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.number += 1;
        let number = self.number;
        let mut call = json!({ "id": number, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        let mut call = serde_json::to_vec(&call)?;
        call.push(0);
        self.input.write_all(&call)?;
        self.input.flush()?;
        loop {
            let message = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
            let mut message = message
                .with_context(|| format!("no answer to {method}"))?
                .context("the browser has ended")?;
            if message["id"] != number {
                self.events.push(message);
                continue;
            }
            ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
            return Ok(message["result"].take());
        }
    }

    /// Goes to an address.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(opened["errorText"].is_null(), "{url}: {opened}");
        Ok(())
    }

    /// Gives what an expression of JavaScript comes to in the tab.
    pub async fn eval(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
            // As if somebody had clicked.
            "userGesture": true,
        });
        let mut told = self.call("Runtime.evaluate", asked).await?;
        if !told["exceptionDetails"].is_null() {
            bail!("{expression}: {}", told["exceptionDetails"]);
        }
        Ok(told["result"]["value"].take())
    }

    /// Waits until an expression comes to something else than false, nothing or an error, and gives that.
    pub async fn until(&mut self, expression: &str) -> Result<Value> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let value = self.eval(expression).await;
            if let Ok(value) = &value
                && !matches!(value, Value::Null | Value::Bool(false))
            {
                return Ok(value.clone());
            }
            if std::time::Instant::now() > deadline {
                let shown = self.eval("document.body.innerText").await?;
                bail!(
                    "{expression} did not come true: {value:?}; events {:?}; the page: {shown}",
                    self.said()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Presses a key, like `Tab`, `Enter` or `+`.
    pub async fn press(&mut self, key: &str) -> Result<()> {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            key if key.len() == 1 => key,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Types a text where the focus is.
    pub async fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text }))
            .await
            .map(drop)
    }

    /// Makes the window so large, in points, and the colours those of day or of night.
    pub async fn look(&mut self, width: u32, height: u32, is_dark: bool) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media)
            .await
            .map(drop)
    }

    /// Keeps a picture of all of the page below the build directory; gives its path.
    pub async fn picture(&mut self, name: &str) -> Result<PathBuf> {
        let directory = build::target()?.join("screenshots");
        fs::create_dir_all(&directory)?;
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", asked).await?;
        let data = picture["data"].as_str().context("no picture")?;
        let data = base64::engine::general_purpose::STANDARD.decode(data)?;
        let path = directory.join(Path::new(name).with_extension("png"));
        fs::write(&path, data)?;
        Ok(path)
    }

    /// What the browser complained about so far: errors of scripts, and what the policy of the page has refused.
    pub fn complaints(&self) -> Vec<&Value> {
        let is_one = |event: &&Value| {
            let entry = &event["params"]["entry"];
            event["method"] == "Runtime.exceptionThrown"
                || event["method"] == "Log.entryAdded" && entry["level"] == "error"
        };
        self.events.iter().filter(is_one).collect()
    }

    /// The addresses that it has asked for so far.
    pub fn requests(&self) -> Vec<&str> {
        let requests = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .collect()
    }

    fn said(&self) -> Vec<&Value> {
        self.complaints().into_iter().rev().take(5).collect()
    }
}
