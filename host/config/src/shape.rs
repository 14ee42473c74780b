//! Which shapes of a value are taken, in the words of whoever writes it: serde's own words are those of Rust.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::written::Written;

/// A text where there should be none. It is not quoted: somebody may have written a secret there.
const TEXT: Unexpected<'static> = Unexpected::Other("text");

/// Takes a table, and no list: serde would take one for a table, value by value.
pub(crate) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Table(PhantomData))
}

/// Takes a table, and keeps its place.
pub(crate) fn some_table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Written<T>>, D::Error> {
    struct NoList<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for NoList<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            table(deserializer).map(Self)
        }
    }

    let Written { value, source } = Written::deserialize(deserializer)?;
    let NoList(value) = value;
    Ok(Some(Written { value, source }))
}

/// Takes a list.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    list_of("a list, in brackets", deserializer)
}

/// Takes a list that is called what `wanted` says.
pub(crate) fn list_of<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    wanted: &'static str,
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List {
        wanted,
        of: PhantomData,
    })
}

/// Takes a list where it matters whether there is one.
pub(crate) fn some_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    list(deserializer).map(Some)
}

/// Takes a number of things.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    deserializer.deserialize_u32(Count).map(Some)
}

/// Takes a duration as text. A number alone is told with the unit that it may be meant in.
pub(crate) fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Written<String>>, D::Error> {
    struct Text(String);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Duration).map(Self)
        }
    }

    let Written { value, source } = Written::deserialize(deserializer)?;
    let Text(value) = value;
    Ok(Some(Written { value, source }))
}

struct Duration;

impl Visitor<'_> for Duration {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration as text, with its unit, like \"10s\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        Err(E::custom(format_args!(
            "{number} has no unit: write a duration as text, like \"{number}s\" if seconds are meant"
        )))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<String, E> {
        Err(E::invalid_value(
            Unexpected::Other("integer of more than 64 bits"),
            &self,
        ))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

struct Table<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a table, its name in one pair of brackets, or as { key = value }; in JSON { \"key\": value }",
        )
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Err(E::invalid_type(TEXT, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

struct List<T> {
    wanted: &'static str,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Vec<T>, E> {
        Err(E::invalid_type(TEXT, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

struct Count;

impl Visitor<'_> for Count {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {}", u32::MAX)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<u32, E> {
        Err(E::invalid_value(
            Unexpected::Other("integer of more than 64 bits"),
            &self,
        ))
    }
}
