//! What people see of a state and of a request.

use soloist_core::text::quoted;

use super::recorder::Entries;

/// How many entries of a state are shown, and how many bytes of a value among them.
const ENTRIES_SHOWN: usize = 4;
const VALUE_BYTES_SHOWN: usize = 40;
/// How many characters of a URL are shown.
const URL_CHARS_SHOWN: usize = 200;

/// A value.
pub(super) fn shown(value: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(value))
}

/// A method and a URL, which may be as long as a plugin makes it.
pub(super) fn request(method: &str, url: &str) -> String {
    let shown: String = url.chars().take(URL_CHARS_SHOWN).collect();
    let more = if shown.len() < url.len() { "..." } else { "" };
    format!("{method} {shown}{more}")
}

/// The first entries.
pub(super) fn listed(state: &Entries) -> String {
    let entries = state.iter().take(ENTRIES_SHOWN);
    let mut entries: Vec<_> = entries
        .map(|(key, value)| {
            let value = shown(&value[..value.len().min(VALUE_BYTES_SHOWN)]);
            format!("{key} = {value}")
        })
        .collect();
    if state.len() > ENTRIES_SHOWN {
        entries.push(format!("and {} more", state.len() - ENTRIES_SHOWN));
    }
    if entries.is_empty() {
        return "nothing".to_owned();
    }
    entries.join(", ")
}
