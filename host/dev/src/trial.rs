//! A plugin on trial: the scripted life of its task, in virtual time.
//!
//! The plugin runs as on a host that leads, with the activation, the sandbox and the grants of a host. One thread runs all of
//! it, on a clock that stands still while anybody has something to do, and otherwise goes to the next moment that somebody
//! waits for. So a day takes a moment, and the same life goes the same way again.
//!
//! | module | what |
//! |---|---|
//! | `script` | what is to happen and what is expected, as somebody wrote it |
//! | `record` | what the plugin and its terms report, in the order in which it happened |
//! | `answers` | the answers to the plugin's requests, and which it made |
//! | `calls` | the calls of the plugin, and the one at which a failover strikes |
//! | `lived` | what is tried, and what is known of it afterwards |
//! | `patience` | how long a step may take in real time |
//! | `life` | the driver: step by step, through one term after another |
//! | `expect` | whether what was expected is so, and what is there instead |
//! | `explore` | the same life again, with a failover at each call |

mod answers;
mod calls;
mod expect;
mod explore;
mod life;
mod lived;
mod patience;
mod record;
mod script;

pub use self::calls::{BadPoint, Point};
pub use self::explore::{Explored, Finding, explore};
pub use self::life::live;
pub use self::lived::{Lived, Subject, Unmet};
pub use self::record::Listener;
pub use self::script::{BadStep, Script, ScriptError};
