//! Paths of nodes.

use super::refusal::Refusal;

/// The nodes that nobody may delete.
pub(super) const PERMANENT: [&str; 4] =
    ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// Whether a node could be made there. What Java counts as a surrogate, ZooKeeper refuses.
pub(super) fn validate(path: &str) -> Result<(), Refusal> {
    let is_bad = |character| matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let Some(below_root) = path.strip_prefix('/') else {
        return Err(Refusal::BadArguments);
    };
    let mut names = below_root.split('/');
    let is_good = below_root.is_empty()
        || names.all(|name| !matches!(name, "" | "." | "..")) && !below_root.contains(is_bad);
    is_good.then_some(()).ok_or(Refusal::BadArguments)
}

/// The path of the parent, empty for the root, and the name below it.
pub(super) fn split(path: &str) -> Result<(&str, &str), Refusal> {
    match path.rsplit_once('/') {
        Some(parts) if !path.contains('\0') => Ok(parts),
        _ => Err(Refusal::BadArguments),
    }
}

/// Like [`split`], for a node that is to be deleted.
pub(super) fn split_to_delete(path: &str) -> Result<(&str, &str), Refusal> {
    if PERMANENT.contains(&path) {
        return Err(Refusal::BadArguments);
    }
    split(path)
}

/// The name that watches know a parent by.
pub(super) fn named(parent: &str) -> &str {
    if parent.is_empty() { "/" } else { parent }
}

/// The path and all above it, up to the root.
pub(super) fn upwards(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        let (parent, _) = path.rsplit_once('/')?;
        (*path != "/").then_some(named(parent))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_zookeeper_refuses_are_refused() {
        for good in ["/", "/a", "/a/b", "/...", "/a.", "/.a/..b", "/é", "/a b"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "a/b",
            "//",
            "/a/",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/..",
            "/a\0",
            "/\u{1f}",
            "/\u{85}",
            "/\u{f8ff}",
            "/\u{ffff}",
            "/😀",
        ] {
            assert_eq!(validate(bad), Err(Refusal::BadArguments), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_followed_up_to_the_root() {
        let all = |path| upwards(path).collect::<Vec<_>>();
        assert_eq!(all("/a/b"), ["/a/b", "/a", "/"]);
        assert_eq!(all("/"), ["/"]);
        assert_eq!(all(""), [""]);
    }
}
