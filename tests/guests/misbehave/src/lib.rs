//! A guest for the tests: does what its config value `do` says.

mod output;
mod schedule;
mod state;

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, sleep};

const FOREVER: Duration = Duration::from_secs(1_000_000);

#[derive(Default)]
struct Misbehave {
    entered: bool,
}

/// Says that the future it lives in was dropped.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        info!("on_elected was dropped");
    }
}

impl Plugin for Misbehave {
    async fn on_elected(&mut self, term: Term) -> Result {
        self.entered = true;
        let _dropped = Dropped;
        info!(
            term = term.number,
            token = term.fencing_token,
            task = term.task,
            host = term.host,
            "entered"
        );
        match config("do").as_deref().unwrap_or("wait") {
            "wait" => sleep(FOREVER).await,
            "complete" => {}
            "second-term" if term.number > 1 => {}
            "second-term" => sleep(FOREVER).await,
            "third-term" if term.number > 2 => sleep(FOREVER).await,
            "third-term" => Err("this went wrong")?,
            "recover" => recover().await?,
            "spoil" => {
                soloist_sdk::state::set("count", &"no number").await?;
                Err("it is in another format now")?;
            }
            "error" => Err("this went wrong")?,
            // Long enough to look well for a while.
            "later" => {
                sleep(Duration::from_millis(400)).await;
                Err("this went wrong later")?;
            }
            "panic" => innermost(),
            "abort" => {
                eprintln!("these are my last words");
                std::process::abort();
            }
            "exit" => std::process::exit(3),
            "loop" => spin(),
            "thread-sleep" => thread::sleep(FOREVER),
            "memory" => devour(),
            "stack" => info!("{}", recurse(0)),
            "stack-in-memory" => info!("{}", recurse_with_much(0)),
            "print" => {
                println!("first\nsecond");
                eprintln!("to stderr");
                print!("not ended");
                std::io::stdout().flush()?;
            }
            "long-line" => println!("{}", "x".repeat(100_000)),
            "flood" => (0..5000).for_each(|line| info!("line {line}")),
            "resign" => {
                soloist_sdk::resign("enough");
                soloist_sdk::resign("really");
                sleep(FOREVER).await;
            }
            "resign-complete" => soloist_sdk::resign("enough"),
            "resign-error" => {
                soloist_sdk::resign("enough");
                Err("this went wrong")?;
            }
            // A while without a wait: longer than it takes to demote it, shorter than it has for that.
            "compute" => {
                count_rounds();
                sleep(FOREVER).await;
            }
            "idle" => std::future::pending().await,
            "huge-log" => info!("{}", "y".repeat(4 << 20)),
            "calls" => {
                for _ in 0..1_000_000 {
                    black_box(soloist_sdk::remaining());
                }
                info!("a million calls were made");
            }
            "huge-line" => {
                let piece = "x".repeat(1 << 20);
                for _ in 0..100 {
                    print!("{piece}");
                }
                println!();
            }
            "giant-error" => Err("z".repeat(4 << 20))?,
            "timer" => how_late().await,
            "count" => count_rounds(),
            "sandbox" => info!("{}", what_is_there()),
            "fields" => soloist_sdk::error!(answer = 42, path = "a b", "with {} fields", 2),
            "many-fields" => {
                let fields: Vec<_> = (0..40)
                    .map(|number| (format!("field-{number}"), number.to_string()))
                    .collect();
                soloist_sdk::__write(soloist_sdk::Level::Info, "with 40 fields", &fields);
            }
            "remaining" => loop {
                info!(millis = soloist_sdk::remaining().as_millis(), "remaining");
                sleep(Duration::from_millis(10)).await;
            },
            "work" => loop {
                // Many calls of the host and some computing, never idle for long.
                black_box((0..1000_u64).sum::<u64>());
                sleep(Duration::from_nanos(1)).await;
            },
            "overstay" => loop {
                if soloist_sdk::remaining().is_zero() {
                    info!("acts after its time");
                }
            },
            "pair" | "pair-at-once" => state::pair(config("do").as_deref() == Some("pair")).await?,
            "linger" | "linger-loop" | "linger-panic" | "state-drain" => sleep(FOREVER).await,
            other => output::run(other).await?,
        }
        Ok(())
    }

    async fn on_demoted(&mut self, reason: Demotion) {
        info!(
            entered = self.entered,
            left = soloist_sdk::remaining().as_millis(),
            "demoted: {reason:?}"
        );
        match config("do").as_deref() {
            Some("linger") => sleep(FOREVER).await,
            Some("linger-loop") => spin(),
            Some("linger-panic") => innermost(),
            Some("state-late") => {
                if let Err(error) = soloist_sdk::state::set_bytes("put-away", vec![7; 32_000]).await
                {
                    info!("{error}");
                }
            }
            Some("schedule-held") => schedule::demoted().await,
            Some("state-drain") => {
                if let Err(error) = soloist_sdk::state::set("put-away", &true).await {
                    info!("{error}");
                }
            }
            _ => {}
        }
    }
}

/// Runs well the first time, and not at all after that.
async fn recover() -> Result {
    match soloist_sdk::state::get::<bool>("recovered").await? {
        Some(_) => Err("it is over")?,
        None => {
            soloist_sdk::state::set("recovered", &true).await?;
            sleep(Duration::from_secs(1)).await;
            Err("it was good while it lasted")?
        }
    }
}

#[inline(never)]
fn innermost() {
    panic!("this is the reason");
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

/// How much later than asked for it wakes up.
async fn how_late() {
    const ROUNDS: usize = 3_000;
    const INTERVAL: Duration = Duration::from_millis(10);
    let mut late = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let asked = std::time::Instant::now();
        sleep(INTERVAL).await;
        late.push(asked.elapsed().saturating_sub(INTERVAL).as_micros());
    }
    late.sort_unstable();
    let (median, p99) = (late[ROUNDS / 2], late[ROUNDS * 99 / 100]);
    info!(
        rounds = ROUNDS,
        median_us = median,
        p99_us = p99,
        max_us = late[ROUNDS - 1],
        "lateness"
    );
    sleep(FOREVER).await;
}

/// How far it gets within a second.
fn count_rounds() {
    let (begun, mut rounds) = (std::time::Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(1) {
        rounds += 1;
        black_box((0..black_box(100_000_u64)).fold(0, u64::wrapping_add));
    }
    info!(rounds = rounds, "counted");
}

fn devour() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "that is the point")]
fn recurse_with_much(depth: u64) -> u64 {
    let much = black_box([depth; 1000]);
    recurse_with_much(depth + 1).wrapping_add(much[usize::try_from(depth % 1000).unwrap_or(0)])
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    // Little of it in linear memory, or that part of the stack would be the first to overflow.
    recurse(black_box(depth + 1)).wrapping_add(depth)
}

fn what_is_there() -> String {
    let mut there = String::new();
    let _ = write!(there, "variables {}, ", std::env::vars().count());
    let _ = write!(there, "arguments {}, ", std::env::args().count());
    let _ = write!(there, "root {}, ", std::fs::read_dir("/").is_ok());
    let _ = write!(
        there,
        "stdin {}, ",
        std::io::read_to_string(std::io::stdin())
            .unwrap_or_default()
            .len()
    );
    let _ = write!(
        there,
        "tcp {}, ",
        std::net::TcpStream::connect("127.0.0.1:1").is_ok()
    );
    let _ = write!(
        there,
        "listen {}, ",
        std::net::TcpListener::bind("127.0.0.1:0").is_ok()
    );
    let _ = write!(
        there,
        "udp {}, ",
        std::net::UdpSocket::bind("127.0.0.1:0").is_ok()
    );
    let names = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok();
    let _ = write!(there, "names {names}");
    there
}

soloist_sdk::export!(Misbehave);
