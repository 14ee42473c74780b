//! The compiler's side of a compilation: the whole work of its process.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use tokio::signal::unix::{SignalKind, signal};

use super::order::Order;
use crate::load::compile::{Made, compile};
use crate::load::problem::{PluginProblem, Told};
use crate::load::{MAX_CODE_BYTES, MAX_FILE_BYTES};

/// How many descriptors a compiler may have.
const MAX_DESCRIPTORS: u64 = 64;

/// Compiles the file on standard input. `arguments` are those after [`COMPILE_WORD`](super::COMPILE_WORD).
///
/// The process first limits its own rights and resources. It writes its answer to standard output.
pub fn compile_as_told(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let [order, directory] = &*arguments else {
        return ExitCode::from(2);
    };
    let Some(order) = order
        .to_str()
        .and_then(|order| serde_json::from_str::<Order>(order).ok())
    else {
        return ExitCode::from(2);
    };
    let work = || -> io::Result<Result<Made, PluginProblem>> {
        let _deaf = confine(&order)?;
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(compile(bytes, Path::new(directory), &order.limits()))
    };
    // The host learns of a panic from the exit status: nothing need be printed.
    std::panic::set_hook(Box::new(|_| ()));
    let answer = work().unwrap_or_else(|error| Err(PluginProblem::Confine(Told::of(&error))));
    let said = serde_json::to_vec(&answer)
        .map_err(io::Error::from)
        .and_then(|answer| io::stdout().write_all(&answer));
    if said.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Limits what this process can do to others. The process ignores signals that ask it to stop while the returned value lives,
/// because the host ends it.
fn confine(order: &Order) -> io::Result<impl Sized> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != order.parent) {
        return Err(io::Error::other("the host has ended"));
    }
    // When the machine runs out of memory, this process goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    for (resource, most) in [
        (Resource::As, order.memory),
        (Resource::Cpu, order.processor),
        (Resource::Core, 0),
        (Resource::Fsize, MAX_CODE_BYTES as u64),
        (Resource::Nofile, MAX_DESCRIPTORS),
    ] {
        // The kernel sends XCPU at the first of the two limits, and only if the second one is higher.
        let beyond = if resource == Resource::Cpu {
            most.saturating_add(1)
        } else {
            most
        };
        let maximum = getrlimit(resource)
            .maximum
            .map_or(beyond, |allowed| allowed.min(beyond));
        setrlimit(
            resource,
            Rlimit {
                current: Some(most.min(maximum)),
                maximum: Some(maximum),
            },
        )?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let signals = {
        let _within = runtime.enter();
        [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?
    };
    Ok((runtime, signals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_told_nothing_sensible_does_nothing() {
        for arguments in [&[][..], &["{}"], &["{}", "/"], &["no order", "/"]] {
            let code = compile_as_told(arguments.iter().map(OsString::from));
            assert_eq!(
                format!("{code:?}"),
                format!("{:?}", ExitCode::from(2)),
                "{arguments:?}"
            );
        }
    }
}
