//! Why a request is refused, as ZooKeeper's error codes.

/// An error that a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Refusal {
    /// An operation before this one in the same transaction has failed.
    RuntimeInconsistency = -2,
    /// The request could not be read.
    Marshalling = -5,
    Unimplemented = -6,
    BadArguments = -8,
    NoNode = -101,
    NoAuth = -102,
    BadVersion = -103,
    NoChildrenForEphemerals = -108,
    NodeExists = -110,
    NotEmpty = -111,
    InvalidAcl = -114,
    AuthFailed = -115,
    NoWatcher = -121,
    ReconfigDisabled = -123,
    /// The ensemble is full.
    QuotaExceeded = -125,
}

impl Refusal {
    /// What stands for it in an answer.
    pub(super) fn code(self) -> i32 {
        self as i32
    }
}
