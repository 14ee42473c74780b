//! A plugin on trial: the scripted life of its task, in virtual time.
//!
//! The plugin runs as on a host that leads, with the activation, the sandbox and the grants of a host. One thread runs all of
//! it, on a clock that stands still while anybody has something to do, and otherwise goes to the next moment that somebody
//! waits for. So a day takes a moment, and the same life goes the same way again.
//!
//! | module | what |
//! |---|---|
//! | `script` | what is to happen and what is expected, as somebody wrote it |
//! | `point` | where a failover strikes, and which |
//! | `recorder` | what the plugin does: its calls, its states, its requests, its slots. It is bounded |
//! | `calls`, `answers`, `watched` | where the recorder listens: at each call, in the place of servers, before the state |
//! | `record` | what the plugin and its terms report, in the order in which it happened |
//! | `terms` | one term after another, and what happens to the leader |
//! | `patience` | how long a step may take in real time |
//! | `life` | the driver, step by step |
//! | `verdict` | what is not as it should be |
//! | `lived` | what is tried, and what is known of it afterwards |
//! | `expect` | whether what was expected is so, and what is there instead |
//! | `work` | which of what it does is its work at the slots of its schedules |
//! | `slots` | whether a failover loses a slot, or has it done twice |
//! | `explore` | the same life again, with a failover at each call |

mod answers;
mod calls;
mod expect;
mod explore;
mod life;
mod lived;
mod patience;
mod point;
mod record;
mod recorder;
mod script;
mod shown;
mod slots;
mod terms;
mod verdict;
mod watched;
mod work;

pub use self::explore::{Explored, Finding, explore};
pub use self::life::live;
pub use self::lived::{Lived, Subject, Unmet};
pub use self::point::{BadPoint, Point};
pub use self::record::Listener;
pub use self::script::{BadStep, Script, ScriptError};
