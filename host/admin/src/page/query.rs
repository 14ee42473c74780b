//! Which rows of which page are asked for. The host searches, sorts and cuts, so a browser gets one page of ten thousand tasks.

use std::cmp::Ordering;
use std::str::FromStr as _;

use percent_encoding::percent_decode_str;

use soloist_core::status::Health;

use super::seen::{HostRow, Row};

pub(super) const USAGE: &str = "this takes q=TEXT, health=WORD, host=HOST, sort=name|leader|since|health|restarts|failure, \
                                down=true, page=NUMBER, size=NUMBER, hosts=NUMBER, task=TASK and key=KEY\n";

/// The longest query, in bytes.
const BYTES_MAX: usize = 2048;
/// How many rows a page has at most, and how many unless told otherwise.
pub(super) const SIZE_MAX: usize = 100;
const SIZE: usize = 50;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// What the name of the task, of its leader or of a standby has in it, in lower case.
    text: String,
    health: Option<String>,
    host: Option<String>,
    sort: Sort,
    down: bool,
    page: usize,
    size: usize,
    /// Which page of the hosts.
    pub(super) hosts: usize,
    /// The task that is looked at closely.
    pub(super) task: Option<String>,
    /// The key whose value is asked for.
    pub(super) key: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Name,
    Leader,
    Since,
    Health,
    Restarts,
    Failure,
}

/// The rows of one page.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) page: Vec<&'a Row>,
    /// How many rows fit, on all pages.
    pub(super) matched: usize,
    /// The number of the page, from 0.
    pub(super) number: usize,
    pub(super) pages: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: String::new(),
            health: None,
            host: None,
            sort: Sort::default(),
            down: false,
            page: 0,
            size: SIZE,
            hosts: 0,
            task: None,
            key: None,
        }
    }
}

impl Query {
    /// Reads the query of an address. None if it cannot be understood.
    pub(super) fn read(written: &str) -> Option<Self> {
        let mut query = Self::default();
        if written.len() > BYTES_MAX {
            return None;
        }
        for part in written.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8().ok()?.into_owned();
            let given = Some(value.clone()).filter(|value| !value.is_empty());
            match name {
                "q" => query.text = value.trim().to_lowercase(),
                "health" => query.health = given,
                "host" => query.host = given,
                "sort" => query.sort = Sort::read(&value)?,
                "down" => query.down = bool::from_str(&value).ok()?,
                "page" => query.page = value.parse().ok()?,
                "size" => query.size = value.parse::<usize>().ok()?.clamp(1, SIZE_MAX),
                "hosts" => query.hosts = value.parse().ok()?,
                "task" => query.task = given.filter(|name| super::is_name(name)).map(Some)?,
                "key" => query.key = given,
                _ => return None,
            }
        }
        Some(query)
    }

    /// The rows that are asked for. A page beyond the last is the last.
    pub(super) fn rows<'a>(&self, all: &'a [Row]) -> Rows<'a> {
        let mut found: Vec<&Row> = all.iter().filter(|row| self.fits(row)).collect();
        let order = |one: &&Row, other: &&Row| {
            let order = self.sort.order(one, other);
            let order = if self.down { order.reverse() } else { order };
            order.then_with(|| one.task.cmp(&other.task))
        };
        // They are sorted by their names already.
        if self.sort != Sort::Name || self.down {
            found.sort_by(order);
        }
        let matched = found.len();
        let pages = matched.div_ceil(self.size).max(1);
        let number = self.page.min(pages - 1);
        let page = found.into_iter().skip(number * self.size);
        Rows {
            page: page.take(self.size).collect(),
            matched,
            number,
            pages,
        }
    }

    /// One page of the hosts, its number, and how many pages there are.
    pub(super) fn page_of_hosts<'a>(
        &self,
        all: &'a [HostRow],
    ) -> (impl Iterator<Item = &'a HostRow>, usize, usize) {
        let pages = all.len().div_ceil(SIZE).max(1);
        let number = self.hosts.min(pages - 1);
        (all.iter().skip(number * SIZE).take(SIZE), number, pages)
    }

    fn fits(&self, row: &Row) -> bool {
        let leader = row.leader.as_ref().map(|leader| &leader.host);
        let stands = |host: &String| leader == Some(host) || row.standbys.contains(host);
        let health = match self.health.as_deref() {
            None => true,
            // Whatever an operator should look at.
            Some("unwell") => is_unwell(row.health),
            Some(health) => health == row.health.name(),
        };
        health
            && self.host.as_ref().is_none_or(stands)
            && (self.text.is_empty()
                || has(&row.task, &self.text)
                || leader.is_some_and(|leader| has(leader, &self.text)))
    }
}

/// Whether a text has another one in it, whatever the case of its letters; `text` is in lower case.
fn has(within: &str, text: &str) -> bool {
    if within.is_ascii() && text.is_ascii() {
        // Without another copy of each of ten thousand names.
        let (within, text) = (within.as_bytes(), text.as_bytes());
        return within
            .windows(text.len())
            .any(|part| part.eq_ignore_ascii_case(text));
    }
    within.to_lowercase().contains(text)
}

impl Sort {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "name" => Self::Name,
            "leader" => Self::Leader,
            "since" => Self::Since,
            "health" => Self::Health,
            "restarts" => Self::Restarts,
            "failure" => Self::Failure,
            _ => return None,
        })
    }

    fn order(self, one: &Row, other: &Row) -> Ordering {
        match self {
            Self::Name => one.task.cmp(&other.task),
            Self::Leader => {
                let host = |row: &Row| row.leader.as_ref().map(|it| it.host.clone());
                host(one).cmp(&host(other))
            }
            Self::Since => {
                let since = |row: &Row| row.leader.as_ref().map(|it| it.since.clone());
                since(one).cmp(&since(other))
            }
            Self::Health => grave(one.health).cmp(&grave(other.health)),
            Self::Restarts => one.restarts.cmp(&other.restarts),
            Self::Failure => {
                let at = |row: &Row| row.failure.as_ref().map(|it| it.at.clone());
                at(one).cmp(&at(other))
            }
        }
    }
}

fn is_unwell(health: Health) -> bool {
    match health {
        Health::Failed | Health::Failing | Health::Vacant => true,
        Health::Foreign | Health::Healthy => false,
    }
}

/// The worst first.
fn grave(health: Health) -> u8 {
    match health {
        Health::Failed => 0,
        Health::Failing => 1,
        Health::Vacant => 2,
        Health::Foreign => 3,
        Health::Healthy => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soloist_core::status::Leader;

    use super::*;

    fn rows() -> Vec<Row> {
        let row = |number: usize| Row {
            task: format!("team-{}/report-{number:04}", number % 7),
            health: [Health::Healthy, Health::Failing, Health::Vacant][number % 3],
            leader: (number % 3 != 2).then(|| Leader {
                host: format!("host-{}", number % 5),
                since: format!("2026-11-{:02}T00:00:00Z", number % 28),
                ..Leader::default()
            }),
            standbys: Vec::new(),
            restarts: Some(u32::try_from(number % 11).unwrap()),
            failure: None,
            retry_at: None,
        };
        let mut rows: Vec<_> = (0..1_000).map(row).collect();
        rows.sort_by(|one, other| one.task.cmp(&other.task));
        rows
    }

    fn asked(query: &str) -> (Vec<String>, usize, usize, usize) {
        let rows = rows();
        let found = Query::read(query).unwrap().rows(&rows);
        let page = found.page.iter().map(|row| row.task.clone()).collect();
        (page, found.matched, found.number, found.pages)
    }

    #[test]
    fn one_page_comes_of_what_was_found_and_the_last_if_there_are_fewer() {
        let (page, matched, number, pages) = asked("");
        assert_eq!((page.len(), matched, number, pages), (50, 1_000, 0, 20));
        let (page, matched, number, pages) = asked("q=REPORT-00&size=30&page=9");
        assert_eq!((page.len(), matched, number, pages), (10, 100, 3, 4));
        let (page, matched, ..) = asked("q=host-3&health=failing");
        assert!(!page.is_empty() && matched < 100);
        assert_eq!(asked("q=nobody"), (Vec::new(), 0, 0, 1));
        let (page, ..) = asked("sort=restarts&down=true&size=1");
        let rows = rows();
        let first = rows.iter().find(|row| row.restarts == Some(10)).unwrap();
        assert_eq!(page, std::slice::from_ref(&first.task));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for bad in [
            "q",
            "page=-1",
            "page=x",
            "sort=size",
            "x=1",
            "q=%ff",
            "down=1",
            "task=a%2Fb",
            "task=",
        ] {
            assert_eq!(Query::read(bad), None, "{bad}");
        }
        assert_eq!(Query::read(&format!("q={}", "x".repeat(BYTES_MAX))), None);
        assert_eq!(Query::read("size=1000000").unwrap().size, SIZE_MAX);
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        #[test]
        fn whatever_is_asked_for_a_page_is_bounded(written in "[ -~]{0,80}", page in 0usize..2000) {
            let rows = rows();
            for written in [written.clone(), format!("q={written}&page={page}")] {
                if let Some(query) = Query::read(&written) {
                    prop_assert!(query.rows(&rows).page.len() <= SIZE_MAX);
                }
            }
        }
    }
}
