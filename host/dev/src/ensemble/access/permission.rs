//! What may be done with a node, as bits.

pub(in super::super) const READ: i32 = 1;
pub(in super::super) const WRITE: i32 = 1 << 1;
pub(in super::super) const CREATE: i32 = 1 << 2;
pub(in super::super) const DELETE: i32 = 1 << 3;
pub(in super::super) const ADMIN: i32 = 1 << 4;
pub(in super::super) const ALL: i32 = (1 << 5) - 1;
