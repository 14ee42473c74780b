//! What a plugin sees of the system: the variables that its task grants, the date, random numbers, and the log behind stdout
//! and stderr. The granted directories are added to it.

use wasmtime_wasi::WasiCtx;

use soloist_core::clock::TaskClock;

use crate::imports::clocks::Date;
use crate::imports::random::SeededRandom;
use crate::imports::stdio::Stdio;

/// Makes the view of the system that one instance has.
pub(crate) fn context<'a>(
    variables: impl Iterator<Item = (&'a str, &'a str)>,
    clock: TaskClock,
    random: Option<&SeededRandom>,
    stdout: Stdio,
    stderr: Stdio,
) -> WasiCtx {
    // No argument, no stdin, no network: what is not named here is not there.
    let mut wasi = WasiCtx::builder();
    wasi.wall_clock(Date(clock))
        .stdout(stdout)
        .stderr(stderr)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    // Without these it has those of the system.
    if let Some(random) = random {
        wasi.secure_random(random.clone())
            .insecure_random(random.clone())
            .insecure_random_seed(random.draw_seed());
    }
    for (name, value) in variables {
        wasi.env(name, value);
    }
    wasi.build()
}
