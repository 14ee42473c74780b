//! The process that compiles a plugin: what it is told, what ends it, and that it ends alone.

mod answers;
mod case;
mod host;
mod limits;
