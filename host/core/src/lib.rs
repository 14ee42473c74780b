//! What decides who leads, and for how long: pure values and state machines, without IO, clock or async.
//!
//! | module | what |
//! |---|---|
//! | [`election`] | the election of one task: inputs to actions |
//! | [`lease`] | how long a host may act without asking anybody |
//! | [`term`] | a term of leadership, and why one ends |
//! | [`restart`] | when a plugin is run again, and how long a host rests |
//! | [`clock`] | a moment; whoever has a clock passes it in |
//!
//! It builds within seconds, so that the model in `tests/model` and `make mutants` can try it many times.

pub mod clock;
pub mod election;
pub mod lease;
pub mod restart;
pub mod term;
