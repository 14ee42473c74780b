//! How much a task's plugin may have and do: `[task.limits]`, or `--limit KEY=VALUE` for a single plugin.

use std::fmt;
use std::ops::RangeInclusive;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::problem::{BadValue, Excerpt};
use super::settings::{Source, Written};
use super::validate::{Reported, Validator};
use super::values;
use soloist_core::limits::Limits;
use soloist_core::state::{KEYS_MAX, VALUE_MAX_BYTES};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A number as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// A number.
    Number(u64),
    /// A number with a unit.
    Text(String),
}

macro_rules! limits {
    ($($key:ident: $kind:ident($range:expr);)*) => {
        /// What can be limited.
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitSettings {
            $(
                #[doc = concat!("See [`Limits::", stringify!($key), "`].")]
                pub $key: Option<Written<Amount>>,
            )*
        }

        impl LimitSettings {
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

            /// Where the first of what was said comes from, with its key.
            pub(super) fn first(&self) -> Option<(&'static str, &Source)> {
                let all = [$((concat!("limits.", stringify!($key)), self.$key.as_ref()),)*];
                all.into_iter().find_map(|(key, written)| Some((key, &written?.source)))
            }
        }

        impl Validator<'_> {
            pub(super) fn limits(&mut self, settings: &LimitSettings) -> Result<Limits, Reported> {
                let default = Limits::default();
                $(
                    let key = concat!("task.limits.", stringify!($key));
                    let $key = self.optional(key, settings.$key.as_ref(), |amount| $kind(amount, $range));
                )*
                Ok(Limits { $($key: $key?.unwrap_or(default.$key),)* })
            }
        }
    };
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

fn within(
    value: u64,
    amount: &Amount,
    range: &RangeInclusive<u64>,
    shown: impl Fn(u64) -> String,
) -> Result<u64, BadValue> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(BadValue::Range {
        text: amount.excerpt(),
        min: shown(*range.start()),
        max: shown(*range.end()),
    })
}

/// A number of bytes as one would write it.
fn with_unit(bytes: u64) -> String {
    let unit = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || bytes.to_string(),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
}

pub(super) fn bytes(amount: &Amount, range: RangeInclusive<u64>) -> Result<u64, BadValue> {
    let value = match amount {
        Amount::Number(bytes) => *bytes,
        Amount::Text(text) => text
            .parse::<ByteSize>()
            .map_err(|_| BadValue::Size {
                text: amount.excerpt(),
            })?
            .as_u64(),
    };
    within(value, amount, &range, with_unit)
}

fn count(amount: &Amount, range: RangeInclusive<u64>) -> Result<u64, BadValue> {
    let value = match amount {
        Amount::Number(value) => Some(*value),
        Amount::Text(text) => text.parse().ok(),
    };
    within(
        value.ok_or_else(|| BadValue::Number {
            text: amount.excerpt(),
        })?,
        amount,
        &range,
        |count| count.to_string(),
    )
}

fn number(amount: &Amount, range: RangeInclusive<u32>) -> Result<u32, BadValue> {
    let value = count(amount, u64::from(*range.start())..=u64::from(*range.end()))?;
    Ok(u32::try_from(value).unwrap_or(u32::MAX))
}

fn percent(amount: &Amount, range: RangeInclusive<u32>) -> Result<u32, BadValue> {
    match amount {
        Amount::Text(text) => number(
            &Amount::Text(text.trim_end_matches('%').trim_end().to_owned()),
            range,
        ),
        Amount::Number(_) => number(amount, range),
    }
}

fn duration(amount: &Amount, (): ()) -> Result<std::time::Duration, BadValue> {
    match amount {
        Amount::Text(text) => values::duration(text),
        Amount::Number(number) => values::duration(&number.to_string()),
    }
}

impl Amount {
    fn excerpt(&self) -> Excerpt {
        match self {
            Self::Number(number) => Excerpt::of(&number.to_string()),
            Self::Text(text) => Excerpt::of(text),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0, or text like \"64MiB\", \"10s\" or \"50%\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
        u64::try_from(number)
            .map(Amount::Number)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount::Number(number))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Amount, E> {
        Err(E::invalid_value(
            Unexpected::Other("integer of more than 64 bits"),
            &self,
        ))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
        Ok(Amount::Text(text.to_owned()))
    }
}
