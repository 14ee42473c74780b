//! What follows when a plugin fails on one host after another, and when it completes.

mod again;
mod case;
mod completion;
mod crashing;
mod once;
mod retried;
