//! One term of a plugin, from activation to its end, in every way that it can end.

mod failure;
mod force;
mod orderly;
mod permit;
mod restart;
