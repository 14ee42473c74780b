//! A wall clock that can be set, for one process alone.
//!
//! The machine's own clock stays as it is: a small library, compiled here and loaded before all others, answers the
//! process when it asks for the time of day. Clocks that only count on are not touched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("clock.c");
const HOUR: Duration = Duration::from_hours(1);

/// The clock of one process. Set to the right time until it is set to another.
#[derive(Debug)]
pub struct Clock {
    directory: TempDir,
    seconds: File,
}

impl Clock {
    /// Makes a clock; its files go when it is dropped.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("soloist-clock-")
            .tempdir()?;
        let source = directory.path().join("clock.c");
        fs::write(&source, SOURCE)?;
        let library = directory.path().join("clock.so");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .args([&library, &source])
            .output();
        let output = output.context("cannot run the C compiler `cc`")?;
        ensure!(
            output.status.success(),
            "cannot compile {SOURCE:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let seconds = File::create(directory.path().join("seconds"))?;
        let clock = Self { directory, seconds };
        clock.set_wrong_by(0)?;
        Ok(clock)
    }

    /// What the process has to find in its environment.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        let file = |name: &str| -> PathBuf { self.directory.path().join(name) };
        [
            ("LD_PRELOAD", file("clock.so").into()),
            ("SOLOIST_TESTS_CLOCK", file("seconds").into()),
        ]
    }

    /// Sets the clock: so many hours forth, or back.
    pub fn set_wrong_by(&self, hours: i64) -> Result<()> {
        Ok(self
            .seconds
            .write_all_at(&(hours * 3600).to_ne_bytes(), 0)?)
    }
}

/// By how many whole hours a stamp is wrong that a process with such a clock gave, when the harness received it a little
/// later, at the most some minutes.
pub fn hours_wrong(stamp: SystemTime, received: SystemTime) -> i64 {
    let half = HOUR / 2;
    let hours = |apart: Duration| {
        i64::try_from((apart + half).as_secs() / HOUR.as_secs()).unwrap_or(i64::MAX)
    };
    match stamp.duration_since(received) {
        Ok(ahead) => hours(ahead),
        Err(behind) => -hours(behind.duration()),
    }
}

/// The right time at which such a stamp was given.
pub fn set_right(stamp: SystemTime, received: SystemTime) -> SystemTime {
    let hours = hours_wrong(stamp, received);
    let wrong = HOUR * u32::try_from(hours.unsigned_abs()).unwrap_or(u32::MAX);
    if hours < 0 {
        stamp + wrong
    } else {
        stamp - wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_set_right() {
        let received = SystemTime::UNIX_EPOCH + HOUR * 1000;
        let given = received - Duration::from_secs(20);
        for (hours, stamp) in [
            (0, given),
            (1, given + HOUR),
            (-1, given - HOUR),
            (3, given + 3 * HOUR),
        ] {
            assert_eq!(
                (hours_wrong(stamp, received), set_right(stamp, received)),
                (hours, given)
            );
        }
    }

    #[test]
    fn a_process_is_shown_a_wrong_time_and_this_one_is_not() {
        let clock = Clock::new().unwrap();
        let shown = || -> u64 {
            let output = Command::new("date")
                .arg("+%s")
                .envs(clock.environment())
                .output()
                .unwrap();
            String::from_utf8(output.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        };
        for hours in [0, 1, -1] {
            clock.set_wrong_by(hours).unwrap();
            let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(shown());
            assert_eq!(hours_wrong(stamp, SystemTime::now()), hours);
        }
    }
}
