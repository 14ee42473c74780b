//! What is read from the answers to the four-letter words. Anybody may have written them.

use std::fmt;
use std::time::Duration;

/// A release of ZooKeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) [u32; 3]);

impl Version {
    /// Reads the answer to `srvr`: `Zookeeper version: 3.8.0-5a02a05, built on ...`.
    pub(super) fn of_srvr(answer: &str) -> Option<Self> {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("Zookeeper version: "))?;
        let numbers = line
            .split(|it: char| !it.is_ascii_digit() && it != '.')
            .next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        Some(Self([parts.next()??, parts.next()??, parts.next()??]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What `conf` tells of a server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conf {
    pub(super) tick: Duration,
    /// Whether the ensemble has observers; none if it tells no members.
    pub(super) has_observers: Option<bool>,
}

impl Conf {
    /// Reads the answer to `conf`: lines like `tickTime=2000` and `server.1=zk1:2888:3888:participant`.
    pub(super) fn read(answer: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut lines = answer.lines().filter_map(|line| line.split_once('='));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let millis = |name: &str| value(name)?.parse().ok().map(Duration::from_millis);
        let mut members = answer
            .lines()
            .filter(|line| line.starts_with("server."))
            .peekable();
        let has_members = members.peek().is_some();
        let has_observers =
            members.any(|line| line.contains(":observer")) || value("peerType") == Some("1");
        Some(Self {
            tick: millis("tickTime")?,
            has_observers: has_members.then_some(has_observers),
        })
    }
}

/// Reads the answer to `mntr`: how long a server has been up.
pub(super) fn uptime(answer: &str) -> Option<Duration> {
    let millis = answer
        .lines()
        .find_map(|line| line.strip_prefix("zk_uptime"))?;
    let millis = millis.trim().split('.').next()?;
    millis.parse().ok().map(Duration::from_millis)
}

/// How much more time has passed at a server than here, in parts of a million, if that can be told: `uncertain` is how long the
/// readings took, and a millisecond is lost in each of them.
pub(super) fn drift_ppm(here: Duration, there: Duration, uncertain: Duration) -> Option<i64> {
    let micros = |time: Duration| i64::try_from(time.as_micros()).ok();
    let (here, there) = (micros(here)?, micros(there)?);
    let uncertain = micros(uncertain)? + 2000;
    // Less than half of the 1 % that the lease allows for.
    if here == 0 || uncertain.checked_mul(200)? > here {
        return None;
    }
    (there - here).checked_mul(1_000_000)?.checked_div(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_servers_are_read_and_other_texts_are_not() {
        let srvr = "Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on x\nLatency";
        assert_eq!(Version::of_srvr(srvr), Some(Version([3, 8, 0])));
        assert!(Version([3, 10, 0]) > Version([3, 9, 4]));
        for bad in [
            "",
            "Zookeeper version: ",
            "Zookeeper version: 3.8",
            "Zookeeper version: 99999999999.0.0",
        ] {
            assert_eq!(Version::of_srvr(bad), None, "{bad}");
        }
        let conf = "clientPort=2181\ntickTime=500\nmaxSessionTimeout=10000\nmembership: \n\
                    server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:observer\n";
        let expected = Conf {
            tick: Duration::from_millis(500),
            has_observers: Some(true),
        };
        assert_eq!(Conf::read(conf), Some(expected));
        assert_eq!(
            Conf::read("conf is not executed because it is not in the whitelist."),
            None
        );
        assert_eq!(
            uptime("zk_version\t3\nzk_uptime\t12345.0\n"),
            Some(Duration::from_millis(12345))
        );
        assert_eq!(uptime("zk_uptime\tlong"), None);
    }

    #[test]
    fn a_clock_that_is_off_is_told_if_it_was_read_in_time() {
        let seconds = Duration::from_secs_f64;
        let near =
            |found: Option<i64>, ppm: i64| found.is_some_and(|found| (found - ppm).abs() < 10);
        assert!(near(
            drift_ppm(seconds(2.0), seconds(2.04), seconds(0.002)),
            20_000
        ));
        assert!(near(
            drift_ppm(seconds(2.0), seconds(1.98), seconds(0.002)),
            -10_000
        ));
        assert_eq!(drift_ppm(seconds(2.0), seconds(2.0), seconds(0.1)), None);
        assert_eq!(drift_ppm(seconds(0.0), seconds(2.0), seconds(0.0)), None);
    }
}
