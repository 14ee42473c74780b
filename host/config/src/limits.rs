//! How much a task's plugin may have and do: `[task.limits]`, or `--limit KEY=VALUE` for a single plugin.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serializer};
use soloist_core::limits::Limits;
use soloist_core::state::{KEYS_MAX, VALUE_MAX_BYTES};

use crate::amount::{Amount, GIB, KIB, MIB};
use crate::validator::{Reported, Validator};
use crate::written::{Source, Written};

macro_rules! limits {
    ($($key:ident: $kind:ident($range:expr);)*) => {
        /// What can be limited.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitsWire {
            $(
                #[doc = concat!("See [`Limits::", stringify!($key), "`].")]
                pub $key: Option<Written<Amount>>,
            )*
        }

        impl LimitsWire {
            /// Every key there is.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key),)*];

            /// Sets one by its key; says whether there is such a key.
            pub fn set(&mut self, key: &str, amount: Written<Amount>) -> bool {
                match key {
                    $(stringify!($key) => self.$key = Some(amount),)*
                    _ => return false,
                }
                true
            }

            /// The first limit that is set: its key in a task, and the place it comes from.
            pub(crate) fn first(&self) -> Option<(&'static str, &Source)> {
                let all = [$((concat!("limits.", stringify!($key)), self.$key.as_ref()),)*];
                all.into_iter().find_map(|(key, written)| Some((key, &written?.source)))
            }

            /// Validates them; `table` is the key of their table.
            pub(crate) fn validate(
                &self,
                table: &str,
                validator: &mut Validator<'_>,
            ) -> Result<Limits, Reported> {
                let default = Limits::default();
                $(
                    let key = format!("{table}.{}", stringify!($key));
                    let $key = validator.optional(&key, self.$key.as_ref(), |amount| amount.$kind($range));
                )*
                Ok(Limits { $($key: $key?.unwrap_or(default.$key),)* })
            }
        }

        /// Those of the limits that are higher than the others.
        pub(crate) fn raised(limits: &Limits, others: &Limits) -> Vec<RaisedLimit> {
            let mut all = Vec::new();
            $(
                if limits.$key > others.$key {
                    all.push(RaisedLimit {
                        key: stringify!($key),
                        value: shown::$kind(limits.$key),
                        other: shown::$kind(others.$key),
                    });
                }
            )*
            all
        }

        /// Writes every limit.
        pub(crate) fn write<S: Serializer>(limits: &Limits, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            $(map.serialize_entry(stringify!($key), &written::$kind(limits.$key))?;)*
            map.end()
        }
    };
}

/// A limit that is higher than another one. It is displayed as the line of `[task.limits]` that sets it, with the other value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedLimit {
    key: &'static str,
    value: String,
    other: String,
}

impl fmt::Display for RaisedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, other } = self;
        write!(f, "{key} = {value} instead of {other}")
    }
}

/// Values as one would write them, each kind in its own way.
mod shown {
    use std::time::Duration;

    use crate::amount::with_unit;

    pub(super) fn bytes(bytes: u64) -> String {
        let text = with_unit(bytes);
        if text.parse::<u64>().is_ok() {
            text
        } else {
            format!("\"{text}\"")
        }
    }

    pub(super) fn count(count: u64) -> String {
        count.to_string()
    }

    pub(super) fn number(number: u32) -> String {
        number.to_string()
    }

    pub(super) fn percent(percent: u32) -> String {
        format!("\"{percent}%\"")
    }

    pub(super) fn duration(duration: Duration) -> String {
        format!("\"{}\"", humantime::format_duration(duration))
    }
}

/// The same, as they are written into a manifest.
mod written {
    use std::time::Duration;

    use crate::amount::{Amount, with_unit};

    pub(super) fn bytes(bytes: u64) -> Amount {
        let text = with_unit(bytes);
        text.parse().map_or(Amount::Text(text), Amount::Number)
    }

    pub(super) fn count(count: u64) -> Amount {
        count.into()
    }

    pub(super) fn number(number: u32) -> Amount {
        number.into()
    }

    pub(super) fn percent(percent: u32) -> Amount {
        Amount::Text(format!("{percent}%"))
    }

    pub(super) fn duration(duration: Duration) -> Amount {
        duration.into()
    }
}

limits! {
    memory: bytes(64 * KIB..=64 * GIB);
    table_elements: count(0..=Limits::TABLE_ELEMENTS_MAX);
    instances: number(1..=1000);
    memories: number(1..=Limits::MEMORIES_MAX);
    tables: number(1..=Limits::TABLES_MAX);
    stack: bytes(64 * KIB..=Limits::STACK_MAX);
    call_bytes: bytes(4 * KIB..=GIB);
    calls: number(1..=10_000);
    sockets: number(1..=10_000);
    files: number(1..=10_000);
    resources: number(16..=10_000);
    state_keys: number(0..=KEYS_MAX.try_into().unwrap_or(u32::MAX));
    state_value: bytes(0..=VALUE_MAX_BYTES as u64);
    state_rate: bytes(KIB..=64 * MIB);
    state_burst: bytes(KIB..=64 * MIB);
    log_rate: number(1..=1_000_000);
    log_burst: number(1..=1_000_000);
    log_bytes: bytes(KIB..=GIB);
    log_line: bytes(64..=MIB);
    compile_timeout: duration(());
    compile_memory: bytes(256 * MIB..=64 * GIB);
    start_timeout: duration(());
    cpu: percent(1..=100);
}

#[cfg(test)]
mod tests {
    use crate::testing::{are_named, task};

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (task("limits = { memroy = \"1MiB\" }"), "4:12", "task.limits.memroy", "unknown field `memroy`"),
            (task("limits.memory = \"much\""), "4:17", "task.limits.memory", "not a number of bytes"),
            (task("limits.memory = \"1KiB\""), "4:17", "task.limits.memory", "out of range: write 64KiB to 64GiB"),
            (task("limits.state_value = \"1GiB\""), "4:22", "task.limits.state_value", "write 0 to 512KiB"),
            (task("limits.files = 0"), "4:16", "task.limits.files", "write 1 to 10000"),
            (task("limits.resources = 1"), "4:20", "task.limits.resources", "write 16 to 10000"),
            (task("limits.state_rate = 1"), "4:21", "task.limits.state_rate", "write 1KiB to 64MiB"),
            (task("limits.state_burst = \"1GiB\""), "4:22", "task.limits.state_burst", "write 1KiB to 64MiB"),
            (task("limits.sockets = \"many\""), "4:18", "task.limits.sockets", "not a number"),
            (task("limits.sockets = 0"), "4:18", "task.limits.sockets", "write 1 to"),
            (task("limits.state_keys = 1001"), "4:21", "task.limits.state_keys", "write 0 to 1000"),
            (task("limits.cpu = \"101%\""), "4:14", "task.limits.cpu", "write 1 to 100"),
            (task("limits.start_timeout = 5"), "4:24", "task.limits.start_timeout", "like \"5s\""),
            (task("limits.compile_timeout = \"0s\""), "4:26", "task.limits.compile_timeout", "out of range"),
            (task("limits = 5"), "4:10", "task.limits", "a table"),
            (task("[[task.limits]]"), "4:1", "task.limits", "in one pair of brackets"),
            (task("limits.memory = true"), "4:17", "task.limits.memory", "expected a whole number from 0, or text"),
            (task("limits.memory = -5"), "4:17", "task.limits.memory", "`-5`, expected a whole number from 0, or text"),
            (task("limits.cpu = 0.5"), "4:14", "task.limits.cpu", "`0.5`, expected a whole number from 0, or text"),
            (task("limits.memory = 99999999999999999999"), "4:17", "task.limits.memory", "more than 64 bits, expected a whole number"),
        ];
        are_named(&cases);
    }
}
