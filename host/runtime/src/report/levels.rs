//! Which lines are shown.

use std::str::FromStr;

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// Where our own lines come from: our crates are named `soloist` and `soloist_...`.
pub(super) const OWN: &str = "soloist";

/// How grave a line must be to be shown: of Soloist and its plugins, and of libraries that are asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(Vec<(String, Level)>);

/// Not a level, followed by levels of libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no level, and no list of a level and levels of libraries")]
pub struct BadLevels;

impl Levels {
    /// Of Soloist and its plugins what is at least as grave as `level`; of libraries nothing.
    pub fn own(level: Level) -> Self {
        Self(vec![(OWN.to_owned(), level)])
    }

    /// Says whether a line is shown. The longest name that its target begins with counts.
    pub(super) fn show(&self, target: &str, level: Level) -> bool {
        let names = self.0.iter().filter(|(name, _)| is_part_of(target, name));
        names
            .max_by_key(|(name, _)| name.len())
            .is_some_and(|(_, least)| level <= *least)
    }

    /// The least grave level of which any line is shown.
    pub(super) fn least(&self) -> LevelFilter {
        self.0
            .iter()
            .map(|(_, level)| LevelFilter::from_level(*level))
            .max()
            .unwrap_or(LevelFilter::OFF)
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self::own(Level::INFO)
    }
}

/// Reads `LEVEL,LIBRARY=LEVEL,...`.
impl FromStr for Levels {
    type Err = BadLevels;

    fn from_str(text: &str) -> Result<Self, BadLevels> {
        let mut parts = text.split(',').map(str::trim);
        let mut levels = Self::own(level(parts.next().unwrap_or_default())?);
        for part in parts {
            let (name, least) = part.split_once('=').ok_or(BadLevels)?;
            // As a crate is named, and as its modules are.
            let name = name.trim().replace('-', "_");
            if name.is_empty()
                || !name
                    .chars()
                    .all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | ':'))
            {
                return Err(BadLevels);
            }
            levels.0.push((name, level(least.trim())?));
        }
        Ok(levels)
    }
}

fn level(text: &str) -> Result<Level, BadLevels> {
    match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(BadLevels),
    }
}

/// Whether a module is that one or lies in it; in [`OWN`] lie all our crates.
pub(super) fn is_part_of(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with("::") || (module == OWN && rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_shown_only_if_they_are_named() {
        let levels: Levels = "trace".parse().unwrap();
        assert_eq!(levels, Levels::own(Level::TRACE));
        assert!(
            levels.show("soloist", Level::TRACE)
                && levels.show("soloist_sandbox::engine", Level::TRACE)
        );
        for library in ["wasmtime_wasi::p2", "soloistic", "log", ""] {
            assert!(!levels.show(library, Level::ERROR), "{library}");
        }
        let levels: Levels =
            "warn, wasmtime-wasi=debug,wasmtime_wasi::p3=error,soloist_sandbox=trace"
                .parse()
                .unwrap();
        assert!(
            levels.show("wasmtime_wasi::p2", Level::DEBUG)
                && !levels.show("wasmtime_wasi::p2", Level::TRACE)
        );
        assert!(
            levels.show("wasmtime_wasi::p3::cli", Level::ERROR)
                && !levels.show("wasmtime_wasi::p3", Level::WARN)
        );
        assert!(levels.show("soloist", Level::WARN) && !levels.show("soloist", Level::INFO));
        assert!(
            levels.show("soloist_sandbox::engine", Level::TRACE)
                && !levels.show("wasmtime", Level::ERROR)
        );
        assert_eq!(levels.least(), LevelFilter::TRACE);
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for bad in [
            "",
            "loud",
            "INFO",
            "info,",
            "info,wasmtime",
            "info,=debug",
            "info,a b=debug",
            "debug=wasmtime",
            "info,a=b",
        ] {
            assert_eq!(bad.parse::<Levels>(), Err(BadLevels), "{bad}");
        }
    }
}
