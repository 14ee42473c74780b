//! A guest for the tests: uses the network as its config value `do` says.

mod http;
mod tcp;
mod tcp3;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, sleep};

const FOREVER: Duration = Duration::from_secs(1_000_000);

/// More than somebody who does not read takes, and less than the system takes to send it.
const LEFT_BYTES: usize = 500_000;

thread_local! {
    static DEMOTED: Cell<bool> = const { Cell::new(false) };
}

/// Something that goes on when `on_elected` is dropped, until `on_demoted` asks how it went.
type Held = Pin<Box<dyn Future<Output = String>>>;

#[derive(Default)]
struct Network {
    held: Vec<Held>,
}

impl Plugin for Network {
    async fn on_elected(&mut self, _: Term) -> Result {
        let what = config("do").unwrap_or_default();
        match what.as_str() {
            "get" => {
                for url in setting("url").split(' ') {
                    info!("{}", http::get(url).await);
                }
            }
            "post" => info!("{}", http::post().await),
            "headers" => http::headers().await,
            "many" => http::many().await,
            "http-stream" => info!("{}", http::stream().await),
            "http-hold" => self.hold(http::wait()).await,
            "http-hold-response" => self.hold(http::hold_response()).await,
            "http-hold-request" => self.hold(http::hold_request()).await,
            "connect" => setting("to")
                .split(' ')
                .for_each(|to| info!("{}", tcp::exchange(to))),
            "lookup" => setting("to")
                .split(' ')
                .for_each(|to| info!("{}", tcp::lookup(to))),
            "large" => info!("{}", tcp::large()),
            "inbound" => tcp::inbound(),
            "sockets" => tcp::many().await,
            "tcp-hold" => self.hold(tcp::idle()).await,
            "tcp-read" => info!("{}", tcp::read()),
            "connect3" => {
                for to in setting("to").split(' ') {
                    info!("{}", tcp3::exchange(to).await);
                }
            }
            "lookup3" => {
                for to in setting("to").split(' ') {
                    info!("{}", tcp3::lookup(to).await);
                }
            }
            "inbound3" => tcp3::inbound().await,
            "sockets3" => tcp3::many().await,
            "tcp3-hold" => self.hold(tcp3::idle()).await,
            "tcp-leave" => {
                tcp::leave();
                left().await;
            }
            "tcp3-leave" => {
                tcp3::leave().await;
                left().await;
            }
            "http-leave" => {
                http::leave().await;
                left().await;
            }
            "spin" => {
                let _connection = tcp::connect();
                info!("spins");
                spin();
            }
            "http-sleep" => {
                self.held.push(Box::pin(http::wait()));
                self.begin().await;
                info!("waits");
                std::thread::sleep(FOREVER);
            }
            "panic" => {
                std::mem::forget(tcp::connect());
                info!("connected");
                sleep(Duration::from_millis(100)).await;
                panic!("this is the reason");
            }
            other => Err(format!("nothing known to do about {other}"))?,
        }
        Ok(())
    }

    async fn on_demoted(&mut self, _: Demotion) {
        DEMOTED.set(true);
        info!("demoted");
        for held in &mut self.held {
            info!("held: {}", held.await);
        }
        match config("then").as_deref() {
            Some("linger") => sleep(FOREVER).await,
            Some("http") => info!("new: {}", http::get(&setting("url")).await),
            Some("tcp") => info!("new: {}", tcp::exchange(&setting("to"))),
            Some("tcp3") => info!("new: {}", tcp3::exchange(&setting("to")).await),
            Some("lookup") => info!("new: {}", tcp::lookup(&setting("to"))),
            _ => {}
        }
    }
}

impl Network {
    async fn hold(&mut self, what: impl Future<Output = String> + 'static) {
        self.held.push(Box::pin(what));
        self.begin().await;
        sleep(FOREVER).await;
    }

    /// Looks at what is held until it waits for something.
    async fn begin(&mut self) {
        for _ in 0..10 {
            for held in &mut self.held {
                poll_fn(|context| match held.as_mut().poll(context) {
                    Poll::Ready(outcome) => panic!("this was to wait: {outcome}"),
                    Poll::Pending => Poll::Ready(()),
                })
                .await;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits for demotion; looks whether it has come whenever it is asked.
async fn demoted() {
    poll_fn(|_| {
        if DEMOTED.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

async fn left() {
    info!("left");
    sleep(FOREVER).await;
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn setting(key: &str) -> String {
    config(key).unwrap_or_else(|| panic!("the test sets {key}"))
}

/// Waits for all of them, side by side, and tells of each that is done.
async fn all(mut futures: Vec<Pin<Box<dyn Future<Output = String>>>>) {
    poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                info!("{outcome}");
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

soloist_sdk::export!(Network);
