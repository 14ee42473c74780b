//! The tables of REFERENCE.md that are an interface, as they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A row of a table, cell by cell.
pub type Row = Vec<String>;

/// REFERENCE.md.
pub fn text() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../REFERENCE.md");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The rows of the table whose first column has that title.
///
/// # Errors
/// There is no such table.
pub fn table(title: &str) -> Result<Vec<Row>> {
    table_of(&text()?, title).with_context(|| "REFERENCE.md".to_owned())
}

/// The same, of another document.
///
/// # Errors
/// There is no such table.
pub fn table_of(text: &str, title: &str) -> Result<Vec<Row>> {
    let mut lines = text
        .lines()
        .map(cells)
        .skip_while(|cells| cells.first().is_none_or(|first| first != title));
    lines
        .next()
        .with_context(|| format!("there is no table of `{title}`"))?;
    // The line below the title has only dashes.
    Ok(lines.skip(1).take_while(|cells| cells.len() > 1).collect())
}

fn cells(line: &str) -> Row {
    let inner = line
        .strip_prefix('|')
        .and_then(|line| line.trim_end().strip_suffix('|'));
    inner
        .map(|inner| {
            inner
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .unwrap_or_default()
}

/// All that stands between backticks.
pub fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    TextOrNull,
    Seconds,
    Number,
    Object,
}

impl Kind {
    /// Reads the note behind a field's name.
    fn of(note: &str) -> Option<Self> {
        match note {
            "" => Some(Self::Text),
            "or null" => Some(Self::TextOrNull),
            "s" => Some(Self::Seconds),
            "n" => Some(Self::Number),
            "object" => Some(Self::Object),
            _ => None,
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::TextOrNull => value.is_string() || value.is_null(),
            Self::Seconds => value.is_f64() || value.is_u64(),
            Self::Number => value.is_u64(),
            Self::Object => value
                .as_object()
                .is_some_and(|fields| fields.values().all(Value::is_string)),
        }
    }
}

#[derive(Clone, Debug)]
struct Field {
    kind: Kind,
    /// Whether every line has it.
    always: bool,
}

/// What REFERENCE.md says of the lines that `--log-format json` prints.
#[derive(Debug)]
pub struct Schema(BTreeMap<String, BTreeMap<String, Field>>);

impl Schema {
    /// As it is written, read once.
    ///
    /// # Errors
    /// The tables are not to be understood.
    pub fn get() -> Result<&'static Self> {
        static SCHEMA: LazyLock<Result<Schema, String>> =
            LazyLock::new(|| Schema::read().map_err(|error| format!("{error:#}")));
        SCHEMA.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn read() -> Result<Self> {
        let mut events = BTreeMap::new();
        for row in table("event")? {
            let [event, _, fields] = &row[..] else {
                anyhow::bail!("three cells: {row:?}")
            };
            let [event] = names(event)[..] else {
                anyhow::bail!("an event: {row:?}")
            };
            events.insert(
                event.to_owned(),
                fields_of(fields).with_context(|| format!("the fields of {event}"))?,
            );
        }
        let log = events.get_mut("plugin-log").context("no `plugin-log`")?;
        for row in table("field of `plugin-log`")? {
            let fields = fields_of(&row[0]).with_context(|| row[0].clone())?;
            log.extend(fields.into_iter().map(|(name, field)| {
                (
                    name,
                    Field {
                        always: false,
                        ..field
                    },
                )
            }));
        }
        Ok(Self(events))
    }

    /// The name of every event.
    pub fn events(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Every event with every further field that it may have.
    pub fn fields(&self) -> BTreeSet<(&str, &str)> {
        self.0
            .iter()
            .flat_map(|(event, fields)| fields.keys().map(|field| (event.as_str(), field.as_str())))
            .collect()
    }

    /// Checks a line. One that is about no event may have any fields besides those that all have.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, line: &Value) -> Result<()> {
        let text = |name: &str| {
            line[name]
                .as_str()
                .with_context(|| format!("`{name}` is no text"))
        };
        let timestamp = text("timestamp")?;
        let time = humantime::parse_rfc3339(timestamp).with_context(|| timestamp.to_owned())?;
        ensure!(
            humantime::format_rfc3339_micros(time).to_string() == timestamp,
            "no microseconds in {timestamp}"
        );
        ensure!(
            ["error", "warn", "info", "debug", "trace"].contains(&text("level")?),
            "level"
        );
        text("message")?;
        ensure!(!text("host")?.is_empty(), "host");
        let Some(event) = line.get("event") else {
            return Ok(());
        };
        let event = event.as_str().context("`event` is no text")?;
        let line = line.as_object().context("no object")?;
        for (name, due) in about(event) {
            let good = line.get(name).map(|value| {
                if name == "task" {
                    value.is_string()
                } else {
                    value.is_u64()
                }
            });
            ensure!(
                good.map_or(due != Due::Always, |good| good && due != Due::Never),
                "`{name}` of `{event}`"
            );
        }
        let known = [
            "timestamp",
            "level",
            "message",
            "host",
            "event",
            "shard",
            "task",
            "term",
            "fencing_token",
        ];
        let further = line
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        self.check_fields(event, further)
    }

    /// Checks the fields that an event has besides those that all lines may have.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_fields<'a>(
        &self,
        event: &str,
        further: impl IntoIterator<Item = (&'a String, &'a Value)>,
    ) -> Result<()> {
        let fields = self
            .0
            .get(event)
            .with_context(|| format!("`{event}` is not in the table of events"))?;
        let further: BTreeMap<_, _> = further.into_iter().collect();
        for (name, field) in fields {
            let fits = further.get(name).map(|value| field.kind.fits(value));
            ensure!(
                fits.unwrap_or(!field.always),
                "`{name}` of `{event}` is not {:?}",
                field.kind
            );
        }
        let more = further.keys().find(|name| !fields.contains_key(**name));
        ensure!(
            more.is_none(),
            "`{event}` has a field `{}` that is not in the table",
            more.map_or("", |name| name)
        );
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Always,
    Sometimes,
    Never,
}

/// What an event is about: a host or one of its sessions, a task, or a term.
fn about(event: &str) -> [(&'static str, Due); 4] {
    let shard = if event.starts_with("session-") {
        Due::Sometimes
    } else {
        Due::Never
    };
    let (task, term) = match event {
        _ if event.starts_with("session-") || event.starts_with("acl-") => (Due::Never, Due::Never),
        "reloaded" | "not-reloaded" | "given-back" | "guardian-lost" => (Due::Never, Due::Never),
        _ if event.starts_with("host-") => (Due::Never, Due::Never),
        "deploy-error" => (Due::Sometimes, Due::Never),
        "generation-ready" | "generation-unready" | "not-standing" | "retried" | "standby"
        | "completed-before" => (Due::Always, Due::Never),
        "election-error" => (Due::Always, Due::Sometimes),
        _ => (Due::Always, Due::Always),
    };
    [
        ("shard", shard),
        ("task", task),
        ("term", term),
        ("fencing_token", term),
    ]
}

/// Reads a list of fields: those up to a semicolon are always there, unless words stand with them that say when.
fn fields_of(cell: &str) -> Result<BTreeMap<String, Field>> {
    let mut fields = BTreeMap::new();
    for group in cell.split(';').filter(|group| {
        names(group)
            .first()
            .is_some_and(|name| *name != "see below")
    }) {
        let mut always = true;
        let mut found = Vec::new();
        for (index, part) in group.split('`').enumerate() {
            if index % 2 == 1 {
                found.push((part.to_owned(), Kind::Text));
                continue;
            }
            let note = part
                .trim_start()
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'));
            let (note, rest) = note.unwrap_or(("", part));
            let (kind, _) = note.split_once(", ").unwrap_or((note, ""));
            if let Some((_, last)) = found.last_mut() {
                *last = Kind::of(kind).with_context(|| format!("what is `({note})`?"))?;
            }
            always &= rest.trim_matches([',', ' ']).is_empty();
        }
        // A flag may be named where it is said when.
        found.retain(|(name, _)| !name.starts_with("--"));
        fields.extend(
            found
                .into_iter()
                .map(|(name, kind)| (name, Field { kind, always })),
        );
    }
    Ok(fields)
}
