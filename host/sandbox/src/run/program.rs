//! A plugin's code, ready to run: what all tasks that run the same file have in common.

use wasmtime::Engine;
use wasmtime::component::InstancePre;

use crate::contract::exports::Exports;
use crate::engine::ticker::Pulse;
use crate::run::store::InstanceData;

/// A plugin that is compiled and linked. Runs share it, whatever their tasks grant: nothing of a run is kept in it.
///
/// An interruption reaches all guests of its engine. For those that it was not meant for it is one more tick, at which they
/// look at their own permit, and go on.
pub(crate) struct Program {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<InstanceData>,
    pub(crate) exports: Exports,
    /// What interrupts its guests.
    pub(crate) pulse: Pulse,
}
