//! The fenced state: it outlives failovers, and nothing of it is lost, torn, doubled, or written by a leader of the past.

mod bounds;
mod competitors;
mod conditions;
mod counter;
mod exactly_once;
mod leader;
mod operations;
mod writers;
