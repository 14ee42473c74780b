//! The versions of the contract: which this host speaks, and whether a plugin is made for one of them.
//!
//! A version says by its first number that is not 0, and those before it, with which others it is compatible: 0.1.0 with 0.1.7,
//! not with 0.2.0; 1.0.0 with 1.3.0. What is compatible differs in functions that were added, and in nothing else.

/// The versions of the contract that a host of this version speaks, oldest first. Each stands for all that are compatible.
pub const CONTRACTS: [&str; 1] = ["0.1"];

/// The interfaces of the contract, in whatever version.
const PACKAGE: &str = "soloist:plugin/";

/// The first import of the contract in a version that this host does not speak.
pub(crate) fn unknown<'a>(imports: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    imports.into_iter().find(|import| {
        let version = import
            .strip_prefix(PACKAGE)
            .map(|interface| interface.split_once('@').map_or("", |(_, version)| version));
        version.is_some_and(|version| !CONTRACTS.contains(&compatible(version)))
    })
}

/// The part of a version that all compatible ones share.
fn compatible(version: &str) -> &str {
    let end = version.match_indices('.').map(|(dot, _)| dot).find(|dot| {
        version[..*dot]
            .bytes()
            .any(|byte| !matches!(byte, b'0' | b'.'))
    });
    &version[..end.unwrap_or(version.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compatible_shares_the_first_number_that_is_not_0() {
        for (version, shared) in [
            ("0.1.0", "0.1"),
            ("0.1.17", "0.1"),
            ("0.10.0", "0.10"),
            ("0.0.3", "0.0.3"),
            ("1.0.0", "1"),
            ("12.3.4", "12"),
            ("0.9.0-rc.1", "0.9"),
            ("", ""),
        ] {
            assert_eq!(compatible(version), shared);
        }
    }

    #[test]
    fn only_the_contract_has_versions_that_are_known_or_not() {
        let known = [
            "wasi:io/poll@9.9.9",
            "soloist:plugin/log@0.1.5",
            "soloist:other/log@3.0.0",
        ];
        assert_eq!(unknown(known), None);
        for import in [
            "soloist:plugin/log@0.9.0",
            "soloist:plugin/log@1.0.0",
            "soloist:plugin/log@0.0.1",
            "soloist:plugin/log",
        ] {
            assert_eq!(unknown(["soloist:plugin/log@0.1.0", import]), Some(import));
        }
    }

    #[test]
    fn the_contract_of_this_host_is_the_newest_that_it_speaks() {
        let contract = include_str!("../../../../guest-sdk/wit/plugin.wit");
        let package = contract
            .lines()
            .find_map(|line| line.strip_prefix("package soloist:plugin@"));
        let version = package.unwrap().trim_end_matches(';');
        assert_eq!(CONTRACTS.last(), Some(&compatible(version)));
    }
}
