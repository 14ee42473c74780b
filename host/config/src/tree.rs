//! Which key stands where in a document.

use std::ops::{Range, RangeInclusive};

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

/// Takes what is wrong out of a table: the entry whose key or value stands at these bytes, or else the innermost one that holds them.
/// Says whether there was one.
pub(crate) fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let mut inside = None;
    for (key, value) in table.iter_mut() {
        if key.span() == *span || value.span() == *span {
            inside = Some((key.clone(), true));
            break;
        }
        let holds = |it: Range<usize>| it.start <= span.start && span.end <= it.end;
        if is_taken_out_below(value.get_mut(), span) {
            return true;
        }
        if holds(key.span()) || holds(value.span()) {
            inside = Some((key.clone(), false));
        }
    }
    inside.is_some_and(|(key, _)| table.remove(&key).is_some())
}

fn is_taken_out_below(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(array) => {
            let before = array.len();
            // A list without the wrong element is a list as well.
            let kept = array.iter().filter(|element| element.span() != *span);
            *array = kept.cloned().collect();
            let mut left = array.iter_mut();
            left.len() < before || left.any(|element| is_taken_out_below(element.get_mut(), span))
        }
        _ => false,
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
