//! What cannot be right is refused before anything begins: exit code 2, and a message that says what is wrong, where,
//! and what would be right.

pub(crate) mod case;
mod configurations;
mod directories;
mod options;
mod plugins;
