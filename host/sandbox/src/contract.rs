//! What a plugin and its host agree on: the names and types of the imports, and the two functions that a plugin exports.
//!
//! The contract itself is `guest-sdk/wit/plugin.wit`.

pub(crate) mod bindings;
pub(crate) mod exports;
pub(crate) mod plain;
pub(crate) mod version;

use soloist_core::term;
use wit_parser::{Resolve, SourceMap};

/// The name and the text of a file of the contract.
macro_rules! wit {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../guest-sdk/wit/", $path)),
        )
    };
}

/// The packages of the contract, each with the texts that it is made of. Each comes after those that it uses.
const PACKAGES: [&[(&str, &str)]; 4] = [
    &[wit!("deps/clocks.wit")],
    &[wit!("deps/config.wit")],
    &[wit!("deps/http.wit")],
    &[
        wit!("plugin.wit"),
        wit!("schedule.wit"),
        wit!("minimal.wit"),
    ],
];

/// Adds the packages of the contract.
///
/// # Errors
/// The contract has a mistake: a bug.
pub(crate) fn push_packages(resolve: &mut Resolve) -> anyhow::Result<()> {
    for texts in PACKAGES {
        let mut sources = SourceMap::default();
        for (name, text) in texts {
            sources.push_str(name, *text);
        }
        let package = sources
            .parse()
            .map_err(|(sources, error)| anyhow::anyhow!(error.render(&sources)))?;
        resolve.push_group(package)?;
    }
    Ok(())
}

/// The interfaces that a plugin ends itself by, one for each version of WASI.
pub(crate) const EXIT_INTERFACES: [&str; 2] = ["wasi:cli/exit@0.2.12", "wasi:cli/exit@0.3.0"];

/// The function of these interfaces that takes a code. `exit` takes none. WASI 0.2 has this function on trial.
pub(crate) const EXIT_WITH_CODE: &str = "exit-with-code";

impl From<&term::Term> for bindings::Term {
    fn from(term: &term::Term) -> Self {
        Self {
            number: term.number,
            fencing_token: term.fencing_token.0,
            task: term.task.to_string(),
            host: term.host.to_string(),
        }
    }
}

impl From<term::Demotion> for bindings::Demotion {
    fn from(reason: term::Demotion) -> Self {
        match reason {
            term::Demotion::Resigned => Self::Resigned,
            term::Demotion::Shutdown => Self::Shutdown,
            term::Demotion::LeaseExpiring => Self::LeaseExpiring,
            term::Demotion::NodeLost => Self::NodeLost,
            term::Demotion::Replaced => Self::Replaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_contract_is_among_the_packages() {
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/wit");
        let mut there = BTreeSet::new();
        for folder in ["", "deps"] {
            for entry in contract.join(folder).read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.strip_prefix(&contract).unwrap();
                    there.insert(name.display().to_string());
                }
            }
        }
        let packages = PACKAGES.iter().copied().flatten();
        assert_eq!(
            there,
            packages.map(|(name, _)| (*name).to_owned()).collect()
        );
        push_packages(&mut Resolve::default()).unwrap();
    }
}
