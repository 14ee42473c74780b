//! Which key stands where in a document.

use std::ops::RangeInclusive;

use toml::de::{DeArray, DeTable, DeValue};

/// The last key that begins in this range of bytes, with its tables.
pub(crate) fn last_key(table: &DeTable<'_>, range: &RangeInclusive<usize>) -> Option<String> {
    let mut last = None;
    keys(table, "", &mut |start, key| {
        if range.contains(&start) && last.as_ref().is_none_or(|(other, _)| *other <= start) {
            last = Some((start, key));
        }
    });
    last.map(|(_, key)| key)
}

/// Visits every key below a table: where it begins, and its name with those of its parents.
fn keys(table: &DeTable<'_>, parent: &str, visit: &mut impl FnMut(usize, String)) {
    for (key, value) in table {
        let name = if parent.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{parent}.{}", key.get_ref())
        };
        descend(value.get_ref(), &name, visit);
        visit(key.span().start, name);
    }
}

fn descend(value: &DeValue<'_>, name: &str, visit: &mut impl FnMut(usize, String)) {
    match value {
        DeValue::Table(table) => keys(table, name, visit),
        DeValue::Array(array) => elements(array, name, visit),
        _ => {}
    }
}

fn elements(array: &DeArray<'_>, name: &str, visit: &mut impl FnMut(usize, String)) {
    for element in array {
        descend(element.get_ref(), name, visit);
    }
}
