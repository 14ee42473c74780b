//! What the messages of no request are numbered with.

/// A watch has fired.
pub(in super::super) const EVENT: i32 = -1;
/// The answer to a ping.
pub(in super::super) const PING: i32 = -2;
