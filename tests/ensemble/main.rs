//! The ensemble in the process, beside a real ZooKeeper server.

mod compare;
mod control;
mod hostile;
mod operation;
mod plan;
mod programs;
mod raw;
mod side;
