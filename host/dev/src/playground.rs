//! A playground for a plugin: two hosts and the ensemble, in one process, and orders to let things happen to them.
//!
//! The hosts are what `soloist run` runs, session, election, lease and sandbox, each on a thread of its own; they know
//! nothing of the playground. What a person orders is done to them from outside: at the ensemble, at the clock of the
//! tasks, or by ending a host without a word.
//!
//! | module | what |
//! |---|---|
//! | `order` | what can be ordered, as keys and as words |
//! | `told` | how what happens is told: a line for a person, or JSON |
//! | `teller` | hears of every event, tells it, and knows who leads |
//! | `member` | one host on its thread, which can be killed |
//! | `pair` | both hosts and the ensemble: each order as it is carried out |
//! | `shown` | the state, the queue and the terms, for a person |
//! | `sources` | files that are looked at again and again: which change is one to build for |
//! | `play` | the loop: orders, changes of files, the end |

mod member;
mod order;
mod pair;
mod play;
mod shown;
mod sources;
mod teller;
mod told;

pub use self::order::{Order, UnknownOrder};
pub use self::play::{Game, Made, Maker, PlayError, play};
pub use self::sources::Sources;
pub use self::teller::Teller;
pub use self::told::Manner;
