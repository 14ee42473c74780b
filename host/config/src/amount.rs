//! Numbers, sizes and durations: as they are written, and as they are counted.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};

use crate::problem::{BadValue, Excerpt};

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The longest duration that is taken seriously.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// Reads a duration with its unit, from 1 ms to a day.
pub(crate) fn duration(text: &str) -> Result<Duration, BadValue> {
    let duration = humantime::parse_duration(text).map_err(|source| match text.trim().parse() {
        // In the environment and on the command line, and in files as text.
        Ok(number) => BadValue::DurationWithoutUnit { number },
        Err(_) => BadValue::Duration {
            text: Excerpt::of(text),
            source,
        },
    })?;
    if (Duration::from_millis(1)..=DURATION_MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err(BadValue::DurationRange {
            text: Excerpt::of(text),
        })
    }
}

/// Writes a duration with its units.
pub(crate) fn write_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Amount::from(*duration).serialize(serializer)
}

/// A number as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// A number.
    Number(u64),
    /// A number with a unit.
    Text(String),
}

impl Amount {
    /// Reads a number of bytes.
    pub(crate) fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, BadValue> {
        let value = match self {
            Self::Number(bytes) => *bytes,
            Self::Text(text) => text
                .parse::<ByteSize>()
                .map_err(|_| BadValue::Size {
                    text: self.excerpt(),
                })?
                .as_u64(),
        };
        self.within(value, &range, with_unit)
    }

    /// Reads a number without a unit.
    pub(crate) fn count(&self, range: RangeInclusive<u64>) -> Result<u64, BadValue> {
        let value = match self {
            Self::Number(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
        };
        let value = value.ok_or_else(|| BadValue::Number {
            text: self.excerpt(),
        })?;
        self.within(value, &range, |count| count.to_string())
    }

    /// Reads a number without a unit.
    pub(crate) fn number(&self, range: RangeInclusive<u32>) -> Result<u32, BadValue> {
        let value = self.count(u64::from(*range.start())..=u64::from(*range.end()))?;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// Reads a number that may have a percent sign.
    pub(crate) fn percent(&self, range: RangeInclusive<u32>) -> Result<u32, BadValue> {
        match self {
            Self::Text(text) => {
                let digits = text.trim_end_matches('%').trim_end();
                Self::Text(digits.to_owned()).number(range)
            }
            Self::Number(_) => self.number(range),
        }
    }

    /// Reads a duration with its unit, from 1 ms to a day.
    pub(crate) fn duration(&self, (): ()) -> Result<Duration, BadValue> {
        match self {
            Self::Text(text) => duration(text),
            Self::Number(number) => Err(BadValue::DurationWithoutUnit { number: *number }),
        }
    }

    fn within(
        &self,
        value: u64,
        range: &RangeInclusive<u64>,
        shown: impl Fn(u64) -> String,
    ) -> Result<u64, BadValue> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(BadValue::Range {
            text: self.excerpt(),
            min: shown(*range.start()),
            max: shown(*range.end()),
        })
    }

    /// The beginning of it, to be printed.
    pub(crate) fn excerpt(&self) -> Excerpt {
        match self {
            Self::Number(number) => Excerpt::of(&number.to_string()),
            Self::Text(text) => Excerpt::of(text),
        }
    }
}

impl From<u64> for Amount {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Amount {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Duration> for Amount {
    fn from(duration: Duration) -> Self {
        Self::Text(humantime::format_duration(duration).to_string())
    }
}

/// A number of bytes as one would write it.
pub(crate) fn with_unit(bytes: u64) -> String {
    let unit = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || bytes.to_string(),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
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
