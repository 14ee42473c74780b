//! The rules and values of Soloist: who leads, for how long, and what a plugin may do. Without IO, but for [`clock`], for
//! [`secret`], which reads the files that hold secrets, and for [`directories`], which looks who can write to one.
//!
//! | module | what |
//! |---|---|
//! | [`election`] | the election of one task: inputs to actions |
//! | [`lease`] | how long a host may act without asking anybody |
//! | [`permit`] | a leader's permission to have effects, which ends by itself |
//! | [`pulse`] | when a plugin last gave a sign of life |
//! | [`term`] | a term of leadership, and why one ends |
//! | [`restart`] | when a plugin is run again, and how long a host rests |
//! | [`backoff`] | pauses that double up to a bound |
//! | [`records`] | the nodes in ZooKeeper: their names, and what they hold |
//! | [`status`] | what is seen of a task and of a host |
//! | [`state`] | what a keeper of a plugin's state promises |
//! | [`schedule`] | when the slots of a task are due, and which of them are run |
//! | [`rollout`] | which generation of a task is run, and when that changes |
//! | [`placement`] | which of its terms a leader hands to which standby |
//! | [`grants`], [`limits`] | what a task may use, and how much of it |
//! | [`pattern`], [`similar`] | which names are meant |
//! | [`access`] | who a host is to the ensemble, and who may change its nodes |
//! | [`artefact`] | where an artefact comes from, and which of such places are trusted |
//! | [`guardian`] | what a guardian knows of the process that it guards, and what follows from its death |
//! | [`service`] | what a host tells the service manager that runs it |
//! | [`event`], [`cause`] | what a host tells the world, and why a plugin failed |
//! | [`journal`] | the latest lines about each task, for whoever asks |
//! | [`meter`], [`roster`] | what a host measures of its plugins, and where it is in each task |
//! | [`spans`] | how long a term and each of its effects took, for a collector of traces |
//! | [`text`], [`secret`] | what may be printed, and what may not |
//! | [`directories`] | where the user's cache is, and who else could exchange what lies in a directory |
//! | [`bucket`], [`volume`] | how much may be written in a time |
//! | [`clock`] | the clock that leases are measured on; pure code takes a moment as a parameter |
//!
//! It builds within seconds, so that the model in `tests/model` and `make mutants` can try it many times.

pub mod access;
pub mod artefact;
pub mod backoff;
pub mod bucket;
pub mod cause;
pub mod clock;
pub mod digest;
pub mod directories;
pub mod election;
pub mod event;
pub mod grants;
pub mod guardian;
pub mod journal;
pub mod lease;
pub mod limits;
pub mod meter;
pub mod pattern;
pub mod permit;
pub mod placement;
pub mod pulse;
pub mod records;
pub mod restart;
pub mod rollout;
pub mod roster;
pub mod schedule;
pub mod secret;
pub mod service;
pub mod similar;
pub mod spans;
pub mod state;
pub mod status;
pub mod term;
pub mod text;
pub mod volume;
