//! Names and paths of nodes.

use std::sync::Arc;

use crate::problem::{BadValue, Excerpt};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The longest node path, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// Validates what becomes a component of a node path: a task's name, a host's id.
pub(crate) fn name(text: &str) -> Result<Arc<str>, BadValue> {
    let rule = if text.is_empty() {
        "is empty"
    } else if text.len() > NAME_BYTES_MAX {
        "is too long"
    } else if text.contains('/') {
        "contains a slash"
    } else if text.chars().all(|character| character == '.') {
        "has only dots"
    } else if !text.chars().all(is_node_character) {
        "contains a character that no node may have"
    } else if text.trim() != text {
        "begins or ends with a space"
    } else {
        return Ok(text.into());
    };
    Err(BadValue::Name {
        text: Excerpt::of(text),
        rule,
    })
}

/// ZooKeeper refuses the others in the path of a node.
fn is_node_character(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

/// Validates the absolute path of a node other than `/`.
pub(crate) fn path(text: &str) -> Result<String, BadValue> {
    let rule = match text.strip_prefix('/') {
        None => "does not begin with a slash",
        Some("") => "is the root of all nodes",
        Some(_) if text.len() > PATH_BYTES_MAX => "is too long",
        Some(_) if text.ends_with('/') => "ends with a slash",
        Some(rest) if rest.split('/').any(str::is_empty) => "has an empty component",
        Some(rest)
            if rest
                .split('/')
                .any(|component| matches!(component, "." | "..")) =>
        {
            "has a component of dots"
        }
        Some(rest) if !rest.chars().all(is_node_character) => {
            "contains a character that no node may have"
        }
        Some(_) => return Ok(text.to_owned()),
    };
    Err(BadValue::Path {
        text: Excerpt::of(text),
        rule,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{TASK, are_named, named, task, zookeeper};

    #[test]
    fn every_bad_name_and_path_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (named("\"\""), "2:8", "task.name", "is empty"),
            (named("\"a/b\""), "2:8", "task.name", "slash"),
            (named("\"..\""), "2:8", "task.name", "only dots"),
            (named("\" a\""), "2:8", "task.name", "space"),
            (named("\"a\\u0007\""), "2:8", "task.name", "character"),
            (named("\"a\\uE000\""), "2:8", "task.name", "character"),
            (named(&format!("\"{}\"", "a".repeat(129))), "2:8", "task.name", "too long"),
            ("host_id = \"a/b\"\n".to_owned() + TASK, "1:11", "host_id", "slash"),
            (zookeeper("root = \"soloist\""), "2:8", "zookeeper.root", "begin with a slash"),
            (zookeeper("root = \"/\""), "2:8", "zookeeper.root", "root of all nodes"),
            (zookeeper("root = \"/a//b\""), "2:8", "zookeeper.root", "empty component"),
            (zookeeper("root = \"/a/../b\""), "2:8", "zookeeper.root", "component of dots"),
            (zookeeper(&format!("root = \"/{}\"", "a".repeat(1024))), "2:8", "zookeeper.root", "too long"),
            (task("path = \"/x/\""), "4:8", "task.path", "ends with a slash"),
        ];
        are_named(&cases);
    }
}
