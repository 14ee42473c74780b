//! The task's configuration: `config` of a `[[task]]`, or `--config KEY=VALUE`.
//!
//! Every value is text; [`config`] gives it as it is. [`config_as`] makes a type of yours of all of it, and [`get_as`] one of
//! a single value. What is wrong with a value is said with its key:
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::Deserialize;
//! use soloist_sdk::config_as;
//! use soloist_sdk::testing::Harness;
//!
//! #[derive(Debug, PartialEq, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     url: String,
//!     interval: Duration,
//!     #[serde(default)]
//!     verbose: bool,
//!     regions: Vec<String>,
//!     retries: Option<u8>,
//! }
//!
//! let test = Harness::new()
//!     .config("url", "https://api.example.com")
//!     .config("interval", "1m 30s")
//!     .config("regions", "eu, us");
//! let settings: Settings = test.block_on(async { config_as() }).unwrap();
//! assert_eq!(settings.interval, Duration::from_secs(90));
//! assert_eq!(settings.regions, ["eu", "us"]);
//! assert_eq!((settings.verbose, settings.retries), (false, None));
//!
//! test.config("retries", "many");
//! let error = test.block_on(async { config_as::<Settings>() }).unwrap_err();
//! assert_eq!(error.to_string(), "config `retries`: \"many\" is not a whole number from 0 to 255");
//! ```
//!
//! | a field of type | takes |
//! |---|---|
//! | `String`, `char`, an enum of plain variants | text |
//! | `bool` | `true`, `false` |
//! | a number | `42`, `-1.5` |
//! | [`Duration`](std::time::Duration) | a number with its unit, or several: `250ms`, `1m 30s`, `1h`, `7days` |
//! | `bytesize::ByteSize` (that crate, with its feature `serde`) | `64KiB`, `10MB` |
//! | a list | `eu, us`; or as JSON, `["eu", "us"]` |
//! | another struct, or a map | JSON, `{"min": 1, "max": 5}` |
//! | `Option` of any | the same, or nothing if the key is not there |
//!
//! A field that is flattened into another (`#[serde(flatten)]`) gets text, whatever its type.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::imports;

mod value;

/// The value of `key` in the task's configuration.
///
/// ```
/// use soloist_sdk::config;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new().config("greeting", "hello");
/// assert_eq!(test.block_on(async { config("greeting") }).as_deref(), Some("hello"));
/// assert_eq!(test.block_on(async { config("other") }), None);
/// ```
pub fn config(key: &str) -> Option<String> {
    imports::config(key)
}

/// The whole configuration as a type of yours; see [the module](self).
///
/// ```
/// use std::collections::BTreeMap;
///
/// use soloist_sdk::config_as;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new().config("eu", "3").config("us", "5");
/// let weights: BTreeMap<String, u32> = test.block_on(async { config_as() }).unwrap();
/// assert_eq!(weights["us"], 5);
/// ```
///
/// # Errors
/// [`Error`] says which key is wrong or missing, and what is wrong with it.
pub fn config_as<T: DeserializeOwned>() -> Result<T, Error> {
    value::whole(imports::config_all())
}

/// The value of one key, if it is there; see [the module](self).
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::config;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().config("interval", "often").block_on(async {
///     let error = config::get_as::<Duration>("interval").unwrap_err();
///     assert_eq!(
///         error.to_string(),
///         "config `interval`: \"often\" is not a duration, such as 250ms or 1h 30m"
///     );
///     assert_eq!(config::get_as::<Duration>("pause").unwrap(), None);
/// });
/// ```
///
/// # Errors
/// [`Error`] says what is wrong with it.
pub fn get_as<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let text = imports::config(key);
    text.map(|text| value::one(key, text)).transpose()
}

/// What is wrong with the configuration.
///
/// ```
/// use soloist_sdk::config;
/// use soloist_sdk::testing::Harness;
///
/// Harness::new().config("retries", "many").block_on(async {
///     let error: config::Error = config::get_as::<u8>("retries").unwrap_err();
///     assert_eq!(error.key(), Some("retries"));
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    key: Option<String>,
    reason: String,
}

impl Error {
    /// The key that is wrong or missing, if it is one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "config `{key}`: {}", self.reason),
            None => write!(f, "config: {}", self.reason),
        }
    }
}

impl std::error::Error for Error {}
