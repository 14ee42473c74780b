//! Plugins that are fetched by HTTPS, by one process or by several.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::{fs, thread};

use anyhow::{Result, ensure};
use soloist_core::digest::Digest;
use soloist_tests::build;
use soloist_tests::certificates::{Authority, Identity};
use soloist_tests::ports::Port;
use soloist_tests::{PATIENCE, eventually};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A web server. It ends with the process.
struct Server {
    port: u16,
    /// The lines that were asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves the plugin, as another file at each path, after `ready` has returned.
    fn start(identity: &Identity, ready: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let (config, ready) = (Arc::new(config), Arc::new(ready));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else {
                    continue;
                };
                let (noted, ready) = (Arc::clone(&noted), Arc::clone(&ready));
                thread::spawn(move || serve(StreamOwned::new(connection, stream), &noted, &*ready));
            }
        });
        Ok(Self { port, asked })
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

/// Answers one request. Whoever does not trust the server leaves before it.
fn serve(
    stream: StreamOwned<ServerConnection, TcpStream>,
    asked: &Mutex<Vec<String>>,
    ready: &dyn Fn(),
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "it has left");
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let file = plugin(path)?;
    asked.lock().expect("nobody panics").push(path.to_owned());
    ready();
    let stream = reader.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        file.len()
    )?;
    stream.write_all(&file)?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

/// The plugin that lies at a path: each has another section that no engine looks at.
fn plugin(path: &str) -> Result<Vec<u8>> {
    let mut plugin = fs::read(build::artifacts()?.guest("hello"))?;
    let name = path.as_bytes();
    let length = u8::try_from(name.len())?;
    plugin.extend([0, length + 1, length]);
    plugin.extend(name);
    Ok(plugin)
}

/// Who fetches: with a home of its own, and an authority that is trusted.
struct User {
    home: TempDir,
}

impl User {
    fn new(trusts: &Authority) -> Result<Self> {
        let home = tempfile::tempdir()?;
        fs::write(home.path().join("authority.pem"), &trusts.certificate)?;
        Ok(Self { home })
    }

    fn file(&self, name: &str, content: String) -> Result<String> {
        let path = self.home.path().join(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(&build::artifacts()?.soloist);
        command
            .args(args)
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("DOCKER_CONFIG", self.home.path())
            .env("SSL_CERT_FILE", self.home.path().join("authority.pem"))
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::null());
        Ok(command)
    }

    fn soloist(&self, args: &[&str]) -> Result<(Output, String)> {
        let output = self.command(args)?.output()?;
        let text = told(&output);
        Ok((output, text))
    }
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn digest(path: &str) -> Result<String> {
    Ok(Digest::of(&plugin(path)?).to_string())
}

#[test]
fn a_plugin_comes_by_https_from_whom_the_machine_trusts_and_from_nobody_else() -> Result<()> {
    let digest = digest("/team/report.wasm")?;
    let (trusted, strange) = (Authority::new()?, Authority::new()?);
    let user = User::new(&trusted)?;
    let stranger = Server::start(&strange.server()?, || ())?;
    let url = stranger.url("/team/report.wasm");
    let (output, text) = user.soloist(&["check", &url, "--sha256", &digest])?;
    // Nobody but the operator can mend that.
    ensure!(output.status.code() == Some(2), "{text}");
    ensure!(
        text.contains("SSL_CERT_FILE") && text.contains("invalid peer certificate"),
        "{text}"
    );
    ensure!(stranger.asked().is_empty(), "{:?}", stranger.asked());
    let server = Server::start(&trusted.server()?, || ())?;
    let url = server.url("/team/report.wasm");
    for _ in 0..2 {
        let (output, text) = user.soloist(&["check", &url, "--sha256", &digest])?;
        ensure!(output.status.success() && text.contains(&digest), "{text}");
    }
    let asked = server.asked();
    ensure!(asked == ["/team/report.wasm"], "{asked:?}");
    Ok(())
}

/// The server answers nobody before all are there.
#[test]
fn the_plugins_of_several_tasks_are_fetched_at_once() -> Result<()> {
    let authority = Authority::new()?;
    let user = User::new(&authority)?;
    let together = Barrier::new(3);
    let server = Server::start(&authority.server()?, move || {
        together.wait();
    })?;
    let mut config = String::new();
    for task in ["a", "b", "c"] {
        let path = format!("/{task}");
        let (url, digest) = (server.url(&path), digest(&path)?);
        config.extend([
            format!("[[task]]\nname = \"{task}\"\nplugin = \"{url}\"\n"),
            format!("sha256 = \"{digest}\"\n"),
        ]);
    }
    let file = user.file("soloist.toml", config)?;
    let (output, text) = user.soloist(&["check", &file])?;
    ensure!(output.status.success(), "{text}");
    let asked = server.asked();
    ensure!(asked == ["/a", "/b", "/c"], "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn two_processes_fetch_the_same_artefact_once() -> Result<()> {
    let authority = Authority::new()?;
    let user = User::new(&authority)?;
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let server = Server::start(&authority.server()?, move || {
        // Until the other process is there.
        let _ = gate.lock().expect("nobody panics").recv();
    })?;
    let (url, digest) = (server.url("/report.wasm"), digest("/report.wasm")?);
    let start = || -> Result<Child> {
        let mut command = user.command(&["check", &url, "--sha256", &digest])?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    };
    let first = start()?;
    eventually("the first to ask", PATIENCE, async || {
        (server.asked().len() == 1).then_some(())
    })
    .await?;
    let second = start()?;
    let threads = format!("/proc/{}/task", second.id());
    eventually("the second to fetch", PATIENCE, async || {
        let mut threads = fs::read_dir(&threads).ok()?.flatten();
        threads
            .any(|thread| fs::read(thread.path().join("comm")).is_ok_and(|it| it == b"fetch\n"))
            .then_some(())
    })
    .await?;
    drop(open);
    for process in [first, second] {
        let output = process.wait_with_output()?;
        let text = told(&output);
        ensure!(output.status.success() && text.contains(&digest), "{text}");
    }
    ensure!(server.asked().len() == 1, "{:?}", server.asked());
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_no_bad_configuration() -> Result<()> {
    let user = User::new(&Authority::new()?)?;
    // Nobody listens there.
    let port = Port::reserve()?;
    let digest = digest("/a")?;
    let gone = format!("https://{}/a", port.address());
    let task = |name: &str, plugin: &str, rest: &str| {
        format!("[[task]]\nname = \"{name}\"\nplugin = \"{plugin}\"\n{rest}\n")
    };
    let sha256 = format!("sha256 = \"{digest}\"");
    let away = task("a", &gone, &sha256) + &task("b", &gone.replace("/a", "/b"), &sha256);
    let bad = task("a", &gone, &sha256) + &task("b", "no-such.wasm", "");
    let [away, bad] =
        [("away.toml", away), ("bad.toml", bad)].map(|(name, config)| user.file(name, config));
    let (away, bad) = (away?, bad?);
    // Each of them tries several times: at once that takes less.
    let cases = [
        (vec!["check", &*away], 1, 2),
        // Else its guardian starts it again, and again.
        (vec!["run", "--on-death", "exit", &away], 1, 2),
        (vec!["check", &bad], 2, 1),
        (vec!["inspect", &gone, "--sha256", &digest], 1, 1),
    ];
    thread::scope(|scope| {
        let checks = cases.map(|(args, code, refused)| {
            let user = &user;
            scope.spawn(move || {
                let (output, text) = user.soloist(&args)?;
                ensure!(output.status.code() == Some(code), "{args:?}: {text}");
                let found = text.matches("no connection").count();
                ensure!(found == refused, "{args:?}: {text}");
                Ok(())
            })
        });
        for check in checks {
            check.join().expect("nobody panics")?;
        }
        Ok(())
    })
}
