//! Logging with levels and fields.

use std::fmt;

use crate::Level;
use crate::imports;

/// In capitals, like `INFO`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// Writes one line; what the macros expand to.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    imports::log(level, message, fields);
}

/// Writes a line at a [`Level`](crate::Level): fields first, then the message as for `format!`.
///
/// ```
/// # let (path, bytes) = ("a", 1);
/// soloist_sdk::log!(soloist_sdk::Level::Info, path = path, bytes = bytes, "wrote {path}");
/// ```
#[macro_export]
macro_rules! log {
    ($level:expr, $($key:ident = $value:expr,)* $message:literal $($arguments:tt)*) => {
        $crate::__write(
            $level,
            &::std::format!($message $($arguments)*),
            &[$((::std::string::ToString::to_string(::std::stringify!($key)), ::std::string::ToString::to_string(&$value)),)*],
        )
    };
}

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident = $level:ident;)*) => {
        levels!(@with ($) $($(#[$doc])* $name = $level;)*);
    };
    (@with ($d:tt) $($(#[$doc:meta])* $name:ident = $level:ident;)*) => {
        $(
            $(#[$doc])*
            #[macro_export]
            macro_rules! $name {
                ($d($d line:tt)*) => { $crate::log!($crate::Level::$level, $d($d line)*) };
            }
        )*
    };
}

levels! {
    /// Writes a line that only somebody who hunts a bug wants; see [`log!`](crate::log!).
    ///
    /// ```
    /// # let url = "http://a.example";
    /// soloist_sdk::trace!(url = url, "asked {url}");
    /// ```
    trace = Trace;
    /// Writes a line for whoever wants the details; see [`log!`](crate::log!).
    ///
    /// ```
    /// # let url = "http://a.example";
    /// soloist_sdk::debug!(url = url, "asked {url}");
    /// ```
    debug = Debug;
    /// Writes a line about what goes as it should; see [`log!`](crate::log!).
    ///
    /// ```
    /// # let url = "http://a.example";
    /// soloist_sdk::info!(url = url, "asked {url}");
    /// ```
    info = Info;
    /// Writes a line about what somebody should look at; see [`log!`](crate::log!).
    ///
    /// ```
    /// # let url = "http://a.example";
    /// soloist_sdk::warn!(url = url, "asked {url} twice");
    /// ```
    warn = Warn;
    /// Writes a line about what went wrong; see [`log!`](crate::log!).
    ///
    /// ```
    /// # let url = "http://a.example";
    /// soloist_sdk::error!(url = url, "{url} is gone");
    /// ```
    error = Error;
}
