//! File descriptors: the system lets a process have so many, and the host's own come first.
//!
//! The system gives the lowest number that is free. So a host that refuses the highest numbers to plugins has these for
//! itself, however many plugins there are and whatever they have open, and nobody has to keep count.

use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Resource, getrlimit};

/// How many are kept for the host where there are many: for its session, probes of servers, look-ups and files.
const KEPT_MAX: u64 = 256;

/// There are no descriptors left for plugins.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "plugins have all file descriptors of this host that are for them, {}; raise its limit, with `ulimit -n` or \
     LimitNOFILE",
    for_plugins(limit())
)]
pub(crate) struct NoneLeft;

/// Whether a plugin may have what the system has just given.
pub(crate) fn is_for_plugins(descriptor: &impl AsFd) -> bool {
    u64::from(descriptor.as_fd().as_raw_fd().unsigned_abs()) < for_plugins(limit())
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many of these are for plugins, with those that the host has open: the first ones.
fn for_plugins(limit: u64) -> u64 {
    limit - (limit / 4).min(KEPT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_kept_for_the_host_however_few_there_are() {
        for (limit, expected) in [
            (u64::MAX, u64::MAX - 256),
            (1 << 20, (1 << 20) - 256),
            (1024, 768),
            (256, 192),
        ] {
            assert_eq!(for_plugins(limit), expected);
        }
        assert!(for_plugins(4) > 0);
    }
}
