//! The order that drains a host, and what the host says of it.

use serde::{Deserialize, Serialize};

use super::format::{Format, FormatError};
use super::{RECORD_MAX_BYTES, clean, encode, timestamp};

const FORMAT: Format = Format {
    what: "order to drain a host",
    remedy: "delete the node, and drain the host again",
    version: 1,
    max_bytes: RECORD_MAX_BYTES,
};

/// An operator's order that a host stands for nothing. It counts until its node is deleted, whether the host runs or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainOrder {
    version: u32,
    /// Whether the host goes on with the terms that it has, until each ends for another reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The operator, as `who@where`.
    pub by: String,
    /// When the operator gave the order: RFC 3339, UTC, by the operator's clock.
    pub at: String,
    /// The operator's reason, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DrainOrder {
    /// An order given now. The texts are made printable, and cut to a bounded length.
    pub fn now(keep: bool, by: &str, reason: Option<&str>) -> Self {
        let (version, by, at) = (FORMAT.version, by.to_owned(), timestamp());
        let reason = reason.map(str::to_owned);
        Self {
            version,
            keep,
            by,
            at,
            reason,
        }
        .cleaned()
    }

    /// Reads an order.
    ///
    /// # Errors
    /// A newer operator wrote it, or nobody did.
    pub fn decode(data: &[u8]) -> Result<Self, FormatError> {
        FORMAT.decode(data).map(Self::cleaned)
    }

    /// Writes the order.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Why a term ends by it, for the history.
    pub fn why(&self) -> String {
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}"));
        format!("{} drains the host{}", self.by, reason.unwrap_or_default())
    }

    /// Anybody may have written the texts.
    fn cleaned(self) -> Self {
        Self {
            by: clean(&self.by),
            at: clean(&self.at),
            reason: self.reason.as_deref().map(clean),
            ..self
        }
    }
}

/// How far a host has come with an order to drain it: a part of its [`HostRecord`](super::HostRecord).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainProgress {
    /// The order: the transaction that last wrote its node.
    pub order: u64,
    /// Whether the host leads nothing, and stands for nothing.
    pub empty: bool,
}

#[cfg(test)]
mod tests {
    use super::super::{DETAIL_MAX_CHARS, HostRecord, decode};
    use super::*;
    use crate::text::is_printable;

    #[test]
    fn an_order_says_who_gave_it_and_why_and_reads_as_it_was_written() {
        let order = DrainOrder::now(false, "ann@ops", Some("kernel upgrade"));
        assert_eq!(DrainOrder::decode(&order.encode()), Ok(order.clone()));
        assert_eq!(order.why(), "ann@ops drains the host: kernel upgrade");
        let order = DrainOrder::now(true, "ann@ops", None);
        let written = String::from_utf8(order.encode()).unwrap();
        let shape = format!(
            r#"{{"version":1,"keep":true,"by":"ann@ops","at":"{}"}}"#,
            order.at
        );
        assert_eq!(written, shape, "what other programs read does not change");
        assert_eq!(DrainOrder::decode(written.as_bytes()), Ok(order));
    }

    #[test]
    fn what_is_no_order_is_named_and_texts_are_printable_and_bounded() {
        let read = |text: &str| DrainOrder::decode(text.as_bytes());
        let newer = read(r#"{"version":2,"hosts":"all"}"#).unwrap_err();
        assert!(newer.to_string().ends_with("update this host"), "{newer}");
        for text in ["", "{}", r#"{"version":1}"#, "null"] {
            assert_eq!(read(text), Err(FORMAT.unreadable()));
        }
        let long = " ".repeat(RECORD_MAX_BYTES + 1);
        assert!(matches!(read(&long), Err(FormatError::TooLong { .. })));
        let hostile = format!("\u{1b}[2J{}", "é".repeat(10_000));
        let order = DrainOrder::now(false, &hostile, Some(&hostile));
        for text in [&order.by, order.reason.as_ref().unwrap()] {
            assert!(text.starts_with("\\u{1b}[2Jé") && text.chars().all(is_printable));
            assert!(text.chars().count() <= DETAIL_MAX_CHARS);
        }
        assert!(order.encode().len() < RECORD_MAX_BYTES);
    }

    #[test]
    fn a_host_of_an_earlier_version_says_nothing_of_a_drain() {
        let text = br#"{"host":"a","pid":7,"version":"0.1.0","started":"2026-11-20T08:00:00Z"}"#;
        let record: HostRecord = decode(text).unwrap();
        assert_eq!((record.drain, encode(&record)), (None, text.to_vec()));
        let (order, empty) = (4_294_967_301, true);
        let drain = Some(DrainProgress { order, empty });
        let record = HostRecord { drain, ..record };
        assert_eq!(decode(&encode(&record)), Some(record));
    }
}
