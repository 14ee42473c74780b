//! What a call of the host costs a plugin, beside the same call in wasmtime alone, and what of it is the look at the lease.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use soloist_core::clock;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Command;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use crate::table::{Samples, Table};

const ROUNDS: usize = 7;
const CALLS: u32 = 5_000_000;

/// The import that costs the host the least.
const INTERFACE: &str = "soloist:plugin/leadership@0.1.0";

/// The same component for both: it calls the host again and again.
fn component() -> String {
    let mut text = String::from("(component");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"
        (import "{INTERFACE}" (instance $leadership (export "remaining" (func (result u64)))))
        (core func $remaining (canon lower (func $leadership "remaining")))
        (core module $module
          (import "host" "remaining" (func $remaining (result i64)))
          (func (export "calls") (local $left i32)
            (local.set $left (i32.const {CALLS}))
            (loop $again
              (drop (call $remaining))
              (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
          (func (export "nothing")))
        (core instance $host (export "remaining" (func $remaining)))
        (core instance $guest (instantiate $module (with "host" (instance $host))))
        (func (export "on-elected") async (canon lift (core func $guest "calls")))
        (func (export "on-demoted") async (canon lift (core func $guest "nothing")))
        (func (export "calls") (canon lift (core func $guest "calls"))))"#
    );
    text
}

/// Measures the three in turns.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut own, mut bare, mut checks) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut measured = Samples::default();
    let plugin = cluster.file("calls.wat", component())?;
    for round in 0..ROUNDS {
        let command = cluster.host_of(&format!("calls-{round}"), &plugin)?;
        own.add(by_host(cluster, &command).await?);
        let command = cluster.host_of(&format!("measured-{round}"), &plugin)?;
        let command = command.flag("--listen", "127.0.0.1:0");
        measured.add(by_host(cluster, &command).await?);
        bare.add(in_wasmtime()?);
        checks.add(lease_checks());
    }
    let nanos = |samples: &Samples, percent| {
        samples.percentile(percent).as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut row = |what: &str, samples: &Samples| {
        let (median, worst) = (
            format!("{:.1} ns", nanos(samples, 50)),
            format!("{:.1} ns", nanos(samples, 100)),
        );
        table.row(what, &median, &worst, &format!("{ROUNDS} x {CALLS}"));
    };
    row("a plugin calls its host", &own);
    row("the same with --listen: each call is measured", &measured);
    row("the same component in wasmtime alone", &bare);
    row(
        "one look at the lease, of two or more in each call",
        &checks,
    );
    table.row(
        "calls of the host in a second",
        &format!("{:.1} million", 1e3 / nanos(&own, 50)),
        "",
        "",
    );
    table.row(
        "a call, ratio to wasmtime alone",
        &format!("{:.2}x", nanos(&own, 50) / nanos(&bare, 50)),
        "",
        "",
    );
    Ok(())
}

/// How long a host takes for all calls.
async fn by_host(cluster: &Cluster, command: &Command) -> Result<Duration> {
    let mut host = command.start(&cluster.history)?;
    let (from, to) = (
        host.event("activated").await?.at,
        host.event("plugin-completed").await?.at,
    );
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(to.duration_since(from)?)
}

fn in_wasmtime() -> Result<Duration> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let engine = Engine::new(&config)?;
    let component = Component::new(&engine, wat::parse_str(component())?)?;
    let mut linker = Linker::new(&engine);
    linker
        .instance(INTERFACE)?
        .func_wrap("remaining", |_, (): ()| Ok((black_box(1_u64),)))?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component)?;
    let calls = instance.get_typed_func::<(), ()>(&mut store, "calls")?;
    let begun = Instant::now();
    calls.call(&mut store, ())?;
    Ok(begun.elapsed())
}

fn lease_checks() -> Duration {
    let deadline = SharedDeadline::default();
    deadline.set(clock::now() + Duration::from_secs(600));
    let permit = Permit::new(deadline);
    let begun = Instant::now();
    for _ in 0..CALLS {
        let _ = black_box(black_box(&permit).check());
    }
    begun.elapsed()
}
