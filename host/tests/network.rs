//! The network grants, with a real guest and real servers on this machine.

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use serde_json::Value;
use soloist::activation::{ActivationSettings, RestartPolicy};
use soloist::plugin::{Grants, Limits, NetworkPolicy, Plugin, PluginSettings, Resolve, SystemResolver};
use soloist::term::Demotion;
use support::{PATIENCE, Tested, config, engine, guest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wasmtime_wasi_http::io::TokioIo;

/// A server on this machine, which ends when it is dropped.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Connections over which something has come.
    heard: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Serves each connection with `serve`.
    fn start<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_hearing(Arc::default(), serve)
    }

    fn start_hearing<F>(heard: Arc<AtomicUsize>, serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = support::runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        runtime.spawn({
            let accepted = Arc::clone(&accepted);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(serve(stream));
                }
            }
        });
        Self { address, accepted, heard, _runtime: runtime }
    }

    /// Answers requests.
    fn http() -> Self {
        Self::start(serve)
    }

    /// Reads what comes, answers with `answer` as soon as something has come, and tells how the connection ended.
    fn listening(answer: &'static [u8]) -> (Self, mpsc::Receiver<io::Result<usize>>) {
        let (ended, end) = mpsc::channel();
        let heard = Arc::<AtomicUsize>::default();
        let server = Self::start_hearing(Arc::clone(&heard), move |mut stream| {
            let (ended, heard) = (ended.clone(), Arc::clone(&heard));
            async move {
                let (mut bytes, mut buffer) = (0, vec![0; 65536]);
                let outcome = loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => break Ok(bytes),
                        Ok(read) if bytes == 0 => {
                            bytes = read;
                            stream.write_all(answer).await.expect("the guest is there");
                            heard.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(read) => bytes += read,
                        Err(error) => break Err(error),
                    }
                };
                let _ = ended.send(outcome);
            }
        });
        (server, end)
    }

    /// Says back what it hears.
    fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        })
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port())
    }

    fn origin(&self) -> String {
        self.url("")
    }

    /// Waits until so many connections have come.
    fn wait_for(&self, accepted: usize) {
        let end = Instant::now() + PATIENCE;
        while self.accepted() < accepted {
            assert!(Instant::now() < end, "only {} connections have come", self.accepted());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until something has come over a connection: before that the guest may not have it yet.
    fn wait_until_heard(&self) {
        let end = Instant::now() + PATIENCE;
        while self.heard.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < end, "nothing has come over {} connections", self.accepted());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // How it ends is the guest's business.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(|request| async { answer(request).await }))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let full = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/echo" => Response::new(request.into_body().boxed()),
        "/never" => std::future::pending().await,
        "/redirect" => {
            let to = request.uri().query().unwrap_or_default().to_owned();
            Response::builder().status(302).header("location", to).body(full(String::new())).unwrap()
        }
        "/headers" => {
            let mut response = Response::new(full(String::new()));
            for number in 0..1000 {
                response.headers_mut().insert(
                    hyper::header::HeaderName::try_from(format!("x-{number}")).unwrap(),
                    hyper::header::HeaderValue::from_static("x"),
                );
            }
            response
        }
        "/long-header" => Response::builder().header("x-long", "x".repeat(200_000)).body(full(String::new())).unwrap(),
        _ => {
            let mut told = format!("{} {path}", request.method());
            let mut headers: Vec<_> = request.headers().iter().collect();
            headers.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in headers {
                let _ = write!(told, "|{name}={}", value.to_str().unwrap());
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let _ = write!(told, "|{} bytes", body.len());
            Response::builder().header("x-answer", "yes").body(full(told)).unwrap()
        }
    })
}

/// Knows the names that a test gives it, and which it was asked for.
#[derive(Debug, Default)]
struct Names {
    known: BTreeMap<String, Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn new(known: &[(&str, &str)]) -> Arc<Self> {
        let addresses = |text: &str| text.split(' ').map(|address| address.parse().unwrap()).collect();
        let known = known.iter().map(|(name, text)| ((*name).to_owned(), addresses(text))).collect();
        Arc::new(Self { known, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name.into());
        let found = self.known.get(name).cloned().ok_or_else(|| io::Error::other("nobody knows it"));
        Box::pin(async { found })
    }
}

/// What a test grants, and what it has the guest do.
#[derive(Clone)]
struct Case {
    policy: NetworkPolicy,
    config: Vec<(&'static str, String)>,
    sockets: u32,
    resolver: Arc<dyn Resolve>,
}

impl Case {
    /// Nothing is granted, but everything may be imported.
    fn new(what: &str) -> Self {
        let policy = NetworkPolicy { http: Some(Vec::new()), tcp: Some(Vec::new()), ..NetworkPolicy::default() };
        let resolver = Arc::new(SystemResolver::default());
        Self { policy, config: vec![("do", what.into())], sockets: 16, resolver }
    }

    fn http(mut self, origin: &str) -> Self {
        self.policy.http.get_or_insert_default().push(origin.parse().unwrap());
        self
    }

    fn tcp(mut self, endpoint: &str) -> Self {
        self.policy.tcp.get_or_insert_default().push(endpoint.parse().unwrap());
        self
    }

    fn network(mut self, network: &str) -> Self {
        self.policy.networks.push(network.parse().unwrap());
        self
    }

    fn this_machine(self) -> Self {
        self.network("127.0.0.0/8").network("::1")
    }

    fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.config.push((key, value.into()));
        self
    }

    fn names(mut self, names: &Arc<Names>) -> Self {
        self.resolver = Arc::clone(names) as _;
        self
    }

    fn settings(&self) -> PluginSettings {
        let entries: Vec<_> = self.config.iter().map(|(key, value)| (*key, value.as_str())).collect();
        PluginSettings {
            grants: Grants { network: self.policy.clone(), ..Grants::default() },
            limits: Limits { sockets: self.sockets, ..Limits::default() },
            resolver: Arc::clone(&self.resolver),
            ..config(&entries)
        }
    }

    fn start(&self) -> Tested {
        let restart = RestartPolicy { initial: PATIENCE * 10, max: PATIENCE * 10, ..RestartPolicy::default() };
        let settings = ActivationSettings { demote_timeout: PATIENCE, restart, ..ActivationSettings::default() };
        let plugin = Plugin::load(&engine(), &guest("network"), self.settings()).unwrap();
        Tested::start(Arc::new(plugin), settings)
    }

    /// Runs it to its end.
    fn run(&self) -> Outcome {
        let mut tested = self.start();
        tested.wait_for("plugin-completed", "", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(!tested.stopped());
        Outcome::of(&tested)
    }

    /// Runs it with a URL to get, and returns what it heard.
    fn get(&self, url: &str) -> Outcome {
        self.clone().set("url", url).run()
    }
}

/// What was said.
struct Outcome {
    /// By the guest, without what it says about its end.
    lines: Vec<String>,
    /// By the host, about the network.
    refusals: Vec<String>,
}

impl Outcome {
    fn of(tested: &Tested) -> Self {
        let (mut lines, mut refusals) = (Vec::new(), Vec::new());
        for event in tested.events().iter().filter(|event| event["event"] == "plugin-log") {
            let message = event["message"].as_str().unwrap().to_owned();
            match event.get("import") {
                Some(import) => {
                    assert_eq!((import, &event["level"]), (&Value::from("network"), &Value::from("warn")));
                    refusals.push(message);
                }
                None if message == "demoted" => {}
                None => lines.push(message),
            }
        }
        Self { lines, refusals }
    }

    fn line(&self) -> &str {
        let [line] = &self.lines[..] else { panic!("{:?}, {:?}", self.lines, self.refusals) };
        line
    }

    fn refusal(&self) -> &str {
        let [refusal] = &self.refusals[..] else { panic!("{:?}, {:?}", self.lines, self.refusals) };
        refusal
    }
}

#[test]
fn a_request_reaches_what_is_granted_and_the_answer_comes_back() {
    let server = Server::http();
    let case = Case::new("get").http(&server.origin()).this_machine();
    let outcome = case.get(&server.url("/a%20b?c=d"));
    let told = outcome.line();
    assert!(told.starts_with("200 GET /a%20b|"), "{told}");
    assert!(told.contains(&format!("|host=localhost:{}|", server.port())), "{told}");
    assert!(told.contains("|soloist-fencing-token=1007|soloist-task=task-"), "{told}");
    assert!(told.ends_with("|0 bytes"), "{told}");
    assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
    // The grant covers the address as well, if that is what it names.
    let literal = format!("http://127.0.0.1:{}", server.port());
    assert!(Case::new("get").http(&literal).get(&format!("{literal}/")).line().starts_with("200 GET /|"));
}

#[test]
fn a_request_carries_its_body_and_headers_but_says_nothing_in_the_hosts_name() {
    let server = Server::http();
    let case = Case::new("post").http(&server.origin()).this_machine().set("url", server.url("/"));
    let outcome = case.run();
    let told = outcome.line();
    assert!(told.contains("|x-own=yes|3000000 bytes"), "{told}");
    assert!(told.contains("|content-length=3000000|"), "{told}");
    assert!(told.contains("|soloist-fencing-token=1007|soloist-task=task-"), "{told}");
    assert_eq!(told.matches("soloist-").count(), 2, "{told}");
    let mut silent = case;
    silent.policy.identify = false;
    assert!(!silent.run().line().contains("soloist-"));
}

#[test]
fn bodies_go_both_ways_at_once_piece_by_piece() {
    let server = Server::http();
    let case = Case::new("http-stream").http(&server.origin()).this_machine().set("url", server.url("/echo"));
    assert_eq!(case.run().line(), "heard 2000000 bytes, then 0 Dropped, all");
}

#[test]
fn what_is_not_granted_is_not_even_looked_up() {
    let server = Server::http();
    let names = Names::new(&[("granted.example", "127.0.0.1"), ("a.wild.example", "127.0.0.1")]);
    let port = server.port();
    let case = Case::new("get")
        .http(&format!("http://granted.example:{port}"))
        .http(&format!("http://*.wild.example:{port}"))
        .network("127.0.0.0/8")
        .names(&names);
    let refused = [
        (format!("https://granted.example:{port}/"), format!("https://granted.example:{port}")),
        ("http://granted.example/".into(), "http://granted.example".into()),
        (format!("http://other.example:{port}/"), format!("http://other.example:{port}")),
        (format!("http://granted.example.other:{port}/"), format!("http://granted.example.other:{port}")),
        (format!("http://wild.example:{port}/"), format!("http://wild.example:{port}")),
        (format!("http://localhost:{port}/"), format!("http://localhost:{port}")),
        (format!("http://127.0.0.1:{port}/"), format!("http://127.0.0.1:{port}")),
        (format!("http://[::1]:{port}/"), format!("http://[::1]:{port}")),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), format!("http://127.0.0.1:{port}")),
        (format!("http://[::ffff:7f00:1]:{port}/"), format!("http://127.0.0.1:{port}")),
        (format!("http://[64:ff9b::7f00:1]:{port}/"), format!("http://[64:ff9b::7f00:1]:{port}")),
        ("http://169.254.169.254/latest/meta-data/".into(), "http://169.254.169.254".into()),
        ("http://[fd00:ec2::254]/".into(), "http://[fd00:ec2::254]".into()),
        ("http://10.0.0.1/".into(), "http://10.0.0.1".into()),
        ("http://0.0.0.0/".into(), "http://0.0.0.0".into()),
    ];
    let outcome = case.get(&refused.each_ref().map(|(url, _)| url.as_str()).join(" "));
    assert_eq!(outcome.lines, ["refused: Denied"; 15]);
    for (refusal, (_, named)) in outcome.refusals.iter().zip(&refused) {
        assert!(refusal.ends_with(&format!("[task.allow]: http = [\"{named}\"]")), "{refusal}");
    }
    assert_eq!(outcome.refusals.len(), refused.len());
    // What could be read in more than one way is no host at all.
    let bad = [
        format!("http://granted.example:{port}@evil.example/"),
        format!("http://granted.example@127.0.0.1:{port}/"),
        format!("http://me@granted.example:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://*.wild.example:{port}/"),
        format!("http://granted.example:{port}\\@evil.example/"),
        format!("http://granted.example:{port}:{port}/"),
        format!("http://granted.example:+{port}/"),
        format!("http://evil.example%2f.wild.example:{port}/"),
        "http:///".into(),
    ];
    let outcome = case.get(&bad.join(" "));
    assert_eq!((outcome.lines.len(), &outcome.refusals), (bad.len(), &Vec::new()));
    for (told, url) in outcome.lines.iter().zip(&bad) {
        assert!(told.contains("UriInvalid") || told.contains("cannot be asked"), "{url}: {told}");
    }
    assert_eq!((names.asked(), server.accepted()), (Vec::new(), 0));
    // And these are granted, so the test can tell the difference.
    let granted = ["granted.example", "GRANTED.example.", "a.wild.example"];
    let outcome = case.get(&granted.map(|host| format!("http://{host}:{port}/")).join(" "));
    assert!(outcome.lines.iter().all(|line| line.starts_with("200 GET /|")), "{:?}", outcome.lines);
    assert_eq!((names.asked().len(), server.accepted()), (3, 3));
}

#[test]
fn a_name_that_leads_inside_is_not_connected_to_whoever_answers_for_it() {
    let (server, _end) = Server::listening(b"");
    let port = server.port();
    let inside = [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
    ];
    let known: Vec<_> =
        inside.iter().enumerate().map(|(number, address)| (format!("n{number}.example"), *address)).collect();
    let names = Names::new(&known.iter().map(|(name, address)| (name.as_str(), *address)).collect::<Vec<_>>());
    let hosts: Vec<_> = known.iter().map(|(name, _)| format!("{name}:{port}")).collect();
    let case =
        Case::new("get").http(&format!("http://*.example:{port}")).tcp(&format!("*.example:{port}")).names(&names);
    let urls: Vec<_> = hosts.iter().map(|host| format!("http://{host}/")).collect();
    let outcomes =
        [("get", "url", urls), ("lookup", "to", hosts.clone()), ("lookup3", "to", hosts)].map(|(what, key, to)| {
            let mut case = case.clone().set(key, to.join(" "));
            case.config[0].1 = what.into();
            case.run()
        });
    assert!(outcomes[0].lines.iter().all(|line| line == "refused: Address"), "{:?}", outcomes[0].lines);
    assert!(outcomes[2].lines.iter().all(|line| line == "ErrorCode::AccessDenied"), "{:?}", outcomes[2].lines);
    for outcome in outcomes {
        assert_eq!((outcome.lines.len(), outcome.refusals.len()), (inside.len(), inside.len()));
        assert!(!outcome.lines.iter().any(|line| line.contains(|digit: char| digit.is_ascii_digit())));
        for (refusal, (name, address)) in outcome.refusals.iter().zip(&known) {
            let canonical = address.parse::<IpAddr>().unwrap().to_canonical();
            assert!(refusal.starts_with(&format!("{name} has the address {canonical}, ")), "{refusal}");
            assert!(refusal.ends_with(&format!("networks = [\"{canonical}\"]")), "{refusal}");
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_name_that_changes_its_mind_is_judged_each_time() {
    let server = Server::http();
    let port = server.port();
    // Of several addresses, the ones inside are left out.
    let names = Names::new(&[("granted.example", "10.0.0.1 127.0.0.1 169.254.169.254")]);
    let case = Case::new("get").http(&format!("http://granted.example:{port}")).network("127.0.0.1").names(&names);
    assert!(case.get(&format!("http://granted.example:{port}/")).line().starts_with("200 GET /|"));
    let case = Case::new("lookup").tcp(&format!("granted.example:{port}")).network("127.0.0.1").names(&names);
    assert_eq!(case.set("to", format!("granted.example:{port}")).run().line(), format!("127.0.0.1:{port}"));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_redirection_is_a_request_of_its_own() {
    let (server, other) = (Server::http(), Server::http());
    let case = Case::new("get").http(&server.origin()).this_machine().set("secret", "s3cret");
    let within = server.url("/redirect?/redirect?/end");
    let outcome = case.get(&within);
    assert!(outcome.line().starts_with("200 GET /end|"), "{}", outcome.line());
    assert!(outcome.line().contains("|authorization=s3cret|"), "{}", outcome.line());
    let elsewhere = server.url(&format!("/redirect?{}", other.url("/end")));
    let outcome = case.get(&elsewhere);
    assert_eq!(outcome.line(), "refused: Denied");
    assert!(outcome.refusal().contains(&format!("http = [\"{}\"]", other.origin())), "{}", outcome.refusal());
    assert_eq!(other.accepted(), 0);
    let outcome = case.clone().http(&other.origin()).get(&elsewhere);
    assert!(outcome.line().starts_with("200 GET /end|"), "{}", outcome.line());
    assert!(!outcome.line().contains("s3cret"), "{}", outcome.line());
    assert_eq!(case.clone().set("redirects", "0").get(&elsewhere).line(), "302 ");
    let outcome = case.set("redirects", "1").get(&within);
    assert!(outcome.line().starts_with("redirected too often"), "{}", outcome.line());
}

#[test]
fn a_request_is_one_request_for_one_host_whatever_its_headers_say() {
    let server = Server::http();
    let case = Case::new("headers").http(&server.origin()).this_machine().set("url", server.url("/"));
    let outcome = case.run();
    for line in &outcome.lines {
        assert!(!line.contains(": 200 ") && !line.contains("evil"), "{line}");
    }
    assert_eq!(outcome.lines.len(), 10, "{:?}", outcome.lines);
    for name in ["host", "Host", "connection", "transfer-encoding", "upgrade"] {
        let line = format!("{name}: {} cannot be asked: a header is for the host alone to set", server.url("/"));
        assert!(outcome.lines.contains(&line), "{:?}", outcome.lines);
    }
    assert!(outcome.lines[7].starts_with("content-length: "), "{:?}", outcome.lines);
}

#[test]
fn an_answer_has_bounds() {
    let server = Server::http();
    let case = Case::new("get").http(&server.origin()).this_machine();
    for path in ["/headers", "/long-header"] {
        let outcome = case.get(&server.url(path));
        assert!(outcome.line().contains("was not reached: "), "{}", outcome.line());
    }
}

#[test]
fn what_cannot_be_reached_is_told_from_what_is_refused() {
    let case = Case::new("get").http("http://nobody.example").names(&Names::new(&[]));
    let outcome = case.get("http://nobody.example/");
    assert!(outcome.line().contains("was not reached: "), "{}", outcome.line());
    assert_eq!(outcome.refusal(), "nobody.example cannot be looked up: nobody knows it");
    let port = Server::echo().port();
    let literal = format!("http://127.0.0.1:{port}");
    let outcome = Case::new("get").http(&literal).get(&format!("{literal}/"));
    assert!(outcome.line().contains("onnection"), "{}", outcome.line());
    let outcome = Case::new("connect").tcp(&format!("127.0.0.1:{port}")).set("to", format!("127.0.0.1:{port}")).run();
    assert_eq!(outcome.line(), "ConnectionRefused");
}

#[test]
fn there_are_so_many_requests_at_once_and_no_more() {
    let server = Server::http();
    let mut case = Case::new("many").http(&server.origin()).this_machine().set("url", server.url("/never"));
    case.sockets = 4;
    let mut tested = case.start();
    tested.wait_for("plugin-log", "refused: TooMany", 16);
    let said = tested.wait_for("plugin-log", "4 connections are open", 16);
    assert_eq!(said["import"], "network");
    server.wait_for(4);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(Outcome::of(&tested).lines.iter().filter(|line| *line == "refused: TooMany").count(), 16);
    assert_eq!(server.accepted(), 4);
}

#[test]
fn there_are_so_many_sockets_at_once_and_no_more() {
    let server = Server::echo();
    let to = format!("127.0.0.1:{}", server.port());
    let mut case = Case::new("sockets").tcp(&to).set("to", &to);
    case.sockets = 3;
    let outcome = case.run();
    assert_eq!(outcome.lines, ["3 sockets", "then one more"]);
    assert!(outcome.refusal().contains("3 connections are open"), "{}", outcome.refusal());
    case.config[0].1 = "sockets3".into();
    assert!(case.run().line().starts_with("3 sockets, then ErrorCode::Other"));
}

#[test]
fn tcp_reaches_what_is_granted_and_nothing_else_by_both_versions_of_wasi() {
    let (server, other) = (Server::echo(), Server::echo());
    let (port, closed) = (server.port(), other.port());
    let names = Names::new(&[("granted.example", "127.0.0.1"), ("other.example", "127.0.0.1")]);
    let case = |what| Case::new(what).tcp(&format!("granted.example:{port}")).network("127.0.0.0/8").names(&names);
    for what in ["connect", "connect3"] {
        let to = |to: String| case(what).set("to", to).run();
        // Nobody has looked the address up yet, and then only for the port that is granted.
        let outcome = to(format!("127.0.0.1:{port} granted.example:{port} granted.example:{closed} 127.0.0.1:{port}"));
        let denied = if what == "connect" { "PermissionDenied" } else { "ErrorCode::AccessDenied" };
        assert_eq!([&*outcome.lines[0], &*outcome.lines[2]], [denied; 2]);
        assert!(outcome.lines[1].starts_with("heard \"hello\\n\""), "{:?}", outcome.lines);
        assert!(outcome.lines[3].starts_with("heard \"hello\\n\""), "{:?}", outcome.lines);
        let granting = [port, closed].map(|port| format!("tcp = [\"127.0.0.1:{port}\"]"));
        assert!(
            outcome.refusals.iter().zip(&granting).all(|(refusal, line)| refusal.ends_with(line)),
            "{:?}",
            outcome.refusals
        );
        let names =
            ["other.example", "example", "evil.granted.example", "0x7f.1", "127.1", "2130706433", "169.254.169.254"];
        let outcome = to(names.map(|name| format!("{name}:{port}")).join(" "));
        assert!(!outcome.lines.iter().any(|line| line.contains("heard")), "{:?}", outcome.lines);
        assert_eq!(outcome.lines.len(), names.len());
        let literal = format!("127.0.0.1:{port}");
        assert!(Case::new(what).tcp(&literal).set("to", &literal).run().line().starts_with("heard \"hello\\n\""));
    }
    for what in ["lookup", "lookup3"] {
        assert!(case(what).set("to", format!("granted.example:{port}")).run().line().starts_with("127.0.0.1"));
        let outcome = case(what).set("to", format!("other.example:{port}")).run();
        assert!(outcome.refusal().contains("other.example is not granted"), "{}", outcome.refusal());
    }
    assert!(names.asked().iter().all(|name| name == "granted.example"), "{:?}", names.asked());
    assert_eq!(other.accepted(), 0);
    let large = case("large").set("to", format!("granted.example:{port}")).run();
    assert_eq!(large.line(), "heard 3000000 bytes, the same");
}

#[test]
fn nothing_comes_in_and_there_is_no_udp() {
    let case = Case::new("inbound").tcp("*.example:1").network("0.0.0.0/0").network("::/0");
    let outcome = case.run();
    assert_eq!(outcome.lines.len(), 6);
    for line in &outcome.lines {
        assert!(line.ends_with(": PermissionDenied"), "{line}");
    }
    let lines = Case::new("inbound3").tcp("*.example:1").run().lines;
    let denied = "Some(ErrorCode::AccessDenied)";
    let expected = [("bind", denied), ("bind port", denied), ("bind any", "None"), ("listen", denied), ("udp", denied)];
    assert_eq!(lines, expected.map(|(what, how)| format!("{what}: {how}")));
}

/// Starts a term, waits until `begun` was said and the server has a connection, begins demotion, and returns how the
/// connection ended: while the guest is still in `on_demoted`, or wherever else it is.
fn cut(case: &Case, server: &Server, end: &mpsc::Receiver<io::Result<usize>>, begun: &str) -> Tested {
    let tested = case.start();
    if begun.is_empty() {
        server.wait_until_heard();
    } else {
        tested.wait_for("plugin-log", begun, 1);
    }
    server.wait_for(1);
    assert!(end.try_recv().is_err(), "the connection ends too early: {:?}", Outcome::of(&tested).lines);
    tested.activation().demote(Demotion::Shutdown);
    let ended = end.recv_timeout(PATIENCE).expect("the connection ends");
    assert_eq!(ended.expect_err("it is cut, not ended in order").kind(), ErrorKind::ConnectionReset);
    assert!(!tested.story().contains(&"demoted".to_owned()) && !tested.story().contains(&"revoked".to_owned()));
    tested
}

#[test]
fn a_request_is_cut_when_demotion_begins_wherever_it_is() {
    let begins = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (what, answer, begun, held) in [
        ("http-hold", &b""[..], "", "was not reached: ErrorCode::ConnectionTerminated"),
        ("http-hold-response", &begins[..], "begins with 5 bytes", "cut: ErrorCode::ConnectionTerminated"),
        ("http-hold-request", &b""[..], "", "cut: ErrorCode::ConnectionTerminated"),
    ] {
        let (server, end) = Server::listening(answer);
        let case = Case::new(what).http(&server.origin()).this_machine().set("url", server.url("/"));
        let mut tested = cut(&case.set("then", "linger"), &server, &end, begun);
        let told = tested.wait_for("plugin-log", "held: ", 1);
        let told = told["message"].as_str().unwrap();
        assert!(told.contains(held), "{what}: {told}");
        tested.activation().revoke();
        assert!(tested.stopped());
    }
}

#[test]
fn a_socket_is_cut_when_demotion_begins_by_both_versions_of_wasi() {
    // The C library below makes EIO of every error of a stream.
    for (what, held) in [("tcp-hold", "write Uncategorized, read Uncategorized"), ("tcp3-hold", "AccessDenied")] {
        let (server, end) = Server::listening(b"");
        let to = format!("127.0.0.1:{}", server.port());
        let case = Case::new(what).tcp(&to).set("to", &to).set("then", "linger");
        let mut tested = cut(&case, &server, &end, "connected");
        let told = tested.wait_for("plugin-log", "held: ", 1);
        assert!(told["message"].as_str().unwrap().contains(held), "{what}: {told:#}");
        tested.activation().revoke();
        assert!(tested.stopped());
    }
}

#[test]
fn a_guest_that_does_not_let_go_of_the_host_keeps_no_connection() {
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    // It waits in the host: the read ends, and only then can it be told of its demotion.
    let case = Case::new("tcp-read").tcp(&to).set("to", &to).set("then", "linger");
    let mut tested = cut(&case, &server, &end, "reads");
    tested.wait_for("plugin-log", "read: Uncategorized", 1);
    tested.wait_for("plugin-log", "demoted", 1);
    tested.activation().revoke();
    assert!(tested.stopped());
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    let mut tested = cut(&Case::new("spin").tcp(&to).set("to", &to), &server, &end, "spins");
    tested.activation().revoke();
    assert!(tested.stopped());
    let (server, end) = Server::listening(b"");
    let case = Case::new("http-sleep").http(&server.origin()).this_machine().set("url", server.url("/"));
    let mut tested = cut(&case, &server, &end, "waits");
    tested.activation().revoke();
    assert!(tested.stopped());
}

#[test]
fn nothing_new_begins_once_demotion_has() {
    let (http, tcp) = (Server::http(), Server::echo());
    let to = format!("localhost:{}", tcp.port());
    for (then, told) in [
        ("http", "new: refused: Denied"),
        ("tcp", "new: PermissionDenied"),
        ("tcp3", "new: ErrorCode::AccessDenied"),
        ("lookup", "new: "),
    ] {
        let case = Case::new("get").http(&http.origin()).tcp(&to).this_machine();
        let case = case.set("url", http.url("/")).set("to", &to).set("then", then);
        let asked = http.accepted();
        let mut tested = case.start();
        tested.wait_for("plugin-log", "200 GET /|", 1);
        tested.wait_for("plugin-completed", "", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(!tested.stopped());
        let lines = Outcome::of(&tested).lines;
        assert!(lines[1].starts_with(told) && !lines[1].contains("127.0.0.1"), "{lines:?}");
        assert_eq!(http.accepted(), asked + 1);
    }
    assert_eq!(tcp.accepted(), 0);
}

#[test]
fn a_plugin_that_fails_leaves_no_connection_behind() {
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    let mut tested = Case::new("panic").tcp(&to).set("to", &to).start();
    tested.wait_for("plugin-failed", "", 1);
    let ended = end.recv_timeout(PATIENCE).expect("the connection ends");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

/// A certificate authority, a server that it vouches for, and one that it does not.
fn certificates() -> [support::File; 5] {
    let authority = || {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        (certificate.pem(), rcgen::Issuer::new(parameters, key))
    };
    let server = |issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let ((trusted, issuer), (_, stranger)) = (authority(), authority());
    let ((certificate, key), (strange, strange_key)) = (server(&issuer), server(&stranger));
    [trusted, certificate, key, strange, strange_key].map(|pem| support::File::new("pem", pem.as_bytes()))
}

#[test]
fn https_trusts_whom_this_machine_trusts() {
    let [trusted, certificate, key, strange, strange_key] = certificates();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "https_in_a_process_of_its_own"])
        .env("SSL_CERT_FILE", &trusted.0)
        .env("TEST_CERTIFICATES", std::env::join_paths([&certificate.0, &key.0, &strange.0, &strange_key.0]).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "run by another test, which says whom to trust"]
fn https_in_a_process_of_its_own() {
    let files: Vec<_> = std::env::split_paths(&std::env::var_os("TEST_CERTIFICATES").unwrap()).collect();
    let [trusted, strange] = [0, 2].map(|first| {
        let certificate = CertificateDer::from_pem_file(&files[first]).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files[first + 1]).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
    });
    let plain = Server::http();
    let names = Names::new(&[("localhost", "127.0.0.1"), ("other.example", "127.0.0.1")]);
    let get = |host: &str, port: u16| {
        let origin = format!("https://{host}:{port}");
        Case::new("get").http(&origin).this_machine().names(&names).get(&format!("{origin}/"))
    };
    for host in ["localhost", "127.0.0.1"] {
        let outcome = get(host, trusted.port());
        assert!(outcome.line().starts_with("200 GET /|"), "{} {:?}", outcome.line(), outcome.refusals);
        assert!(outcome.line().contains(&format!("|host={host}:{}|", trusted.port())), "{}", outcome.line());
    }
    for (host, port, told) in [
        ("localhost", strange.port(), "TlsCertificateError"),
        ("other.example", trusted.port(), "TlsCertificateError"),
        ("localhost", plain.port(), "TlsProtocolError"),
    ] {
        let outcome = get(host, port);
        assert!(outcome.line().contains(told), "{}", outcome.line());
        assert!(
            outcome.refusal().starts_with(&format!("no secure connection to https://{host}:")),
            "{}",
            outcome.refusal()
        );
    }
}
