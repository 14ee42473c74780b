//! Text as whatever type a field has.

use std::fmt;
use std::str::FromStr;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Error;

/// How much of a value an error shows.
const SHOWN_CHARS: usize = 60;

/// Reads all entries as the fields of a struct, or as a map.
pub(super) fn whole<T: DeserializeOwned>(entries: Vec<(String, String)>) -> Result<T, Error> {
    T::deserialize(MapAccessDeserializer::new(Entries {
        entries: entries.into_iter(),
        value: None,
    }))
}

/// Reads the value of one key.
pub(super) fn one<T: DeserializeOwned>(key: &str, text: String) -> Result<T, Error> {
    let key = key.to_owned();
    T::deserialize(Value {
        key: key.clone(),
        text,
    })
    .map_err(|error| error.of(key))
}

impl Error {
    /// The error, as one of `key` unless it is of another one already.
    fn of(mut self, key: String) -> Self {
        self.key.get_or_insert(key);
        self
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self {
            key: None,
            reason: reason.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            key: Some(field.to_owned()),
            reason: "it is missing".into(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            key: Some(field.to_owned()),
            reason: format!(
                "there is no such key: the plugin knows {}",
                listed(expected)
            ),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!(
            "{} is none of {}",
            shown(variant),
            listed(expected)
        ))
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

struct Entries {
    entries: std::vec::IntoIter<(String, String)>,
    value: Option<Value>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, text)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(Value {
            key: key.clone(),
            text,
        });
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take();
        let value = value.ok_or_else(|| de::Error::custom("a value was read before its key"))?;
        let key = value.key.clone();
        seed.deserialize(value).map_err(|error| error.of(key))
    }
}

/// A value, or an item of one that is a list.
struct Value {
    key: String,
    text: String,
}

impl IntoDeserializer<'_, Error> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Value {
    fn wrong(&self, wanted: &str) -> Error {
        de::Error::custom(format!("{} is not {wanted}", shown(&self.text)))
    }

    fn parse<T: FromStr>(&self, wanted: &str) -> Result<T, Error> {
        self.text.trim().parse().map_err(|_| self.wrong(wanted))
    }

    /// Reads the value as JSON, then as what `read` makes of that.
    fn json<T>(
        &self,
        wanted: &str,
        read: impl FnOnce(serde_json::Value) -> serde_json::Result<T>,
    ) -> Result<T, Error> {
        let value = serde_json::from_str(&self.text).and_then(read);
        value.map_err(|error| {
            de::Error::custom(format!("{} is not {wanted}: {error}", shown(&self.text)))
        })
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                let (min, max) = ($type::MIN, $type::MAX);
                visitor.$visit(self.parse(&format!("a whole number from {min} to {max}"))?)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Value {
    type Error = Error;

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_i128 visit_i128 i128
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_u128 visit_u128 u128
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct identifier ignored_any }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.parse("true or false")?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(self.parse("a number")?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.parse("a number")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text.trim();
        if text.starts_with('[') {
            return self.json("a list", |json| json.deserialize_seq(visitor));
        }
        let items: Vec<_> = text
            .split(',')
            .map(str::trim)
            .filter(|_| !text.is_empty())
            .map(|item| Self {
                key: self.key.clone(),
                text: item.to_owned(),
            })
            .collect();
        visitor.visit_seq(SeqDeserializer::new(items.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json("a table, as JSON", |json| json.deserialize_map(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // What serde makes of `std::time::Duration`.
        if name == "Duration" && fields == ["secs", "nanos"] {
            let duration = humantime::parse_duration(self.text.trim())
                .map_err(|_| self.wrong("a duration, such as 250ms or 1h 30m"))?;
            let parts = [
                ("secs", duration.as_secs()),
                ("nanos", duration.subsec_nanos().into()),
            ];
            return visitor.visit_map(MapDeserializer::new(parts.into_iter()));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.text.trim_start().starts_with('{') {
            return self.json("a variant, as JSON", |json| {
                json.deserialize_enum(name, variants, visitor)
            });
        }
        visitor.visit_enum(self)
    }
}

impl<'de> EnumAccess<'de> for Value {
    type Error = Error;
    type Variant = Plain;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Plain), Error> {
        let variant = seed.deserialize(self.text.trim().to_owned().into_deserializer());
        variant.map(|variant| (variant, Plain { text: self.text }))
    }
}

/// A variant that is named alone.
struct Plain {
    text: String,
}

impl Plain {
    fn bare<T>(&self) -> Result<T, Error> {
        let text = shown(&self.text);
        Err(de::Error::custom(format!(
            "{text} has more to say: write it as JSON, {{{text}: ...}}"
        )))
    }
}

impl<'de> VariantAccess<'de> for Plain {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        self.bare()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        self.bare()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.bare()
    }
}

#[cfg(test)]
mod tests;
