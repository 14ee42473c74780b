//! A request about one node that failed, and what the ensemble's answer means.

use std::fmt;

use zookeeper_client::Error;

use soloist_core::text::printable;

/// A request about one node failed.
#[derive(Debug, thiserror::Error)]
#[error("{}{}{}", .doing.about(path), hint(.source), hint_of_size(.source, *.bytes))]
pub struct NodeError {
    doing: Doing,
    path: String,
    /// How much was to be written, if that may matter.
    bytes: usize,
    source: Error,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// A host creates a node that it or a task needs.
    Create,
    /// A host reads the queue and the term record.
    Look,
    Join,
    Elect,
    ReadMaster,
    /// A leader reads the orders to resign.
    ReadOrders,
    Release,
    /// A leader writes the mark on a task that fails.
    Mark,
    Heartbeat,
    /// An operator reads or writes.
    Read,
    Write,
}

impl Doing {
    /// What failed, in words, at `path`.
    fn about(self, path: &str) -> impl fmt::Display {
        let path = printable(path);
        match self {
            Self::Create => format!("cannot create node {path}"),
            Self::Look => format!("cannot read the queue at {path}"),
            Self::Join => format!("cannot join the queue at {path}"),
            Self::Elect => format!("cannot elect at {path}"),
            Self::ReadMaster => format!("cannot read the master node {path}"),
            Self::ReadOrders => format!(
                "cannot read orders to resign at {path}: none is heard until that can be read or is gone"
            ),
            Self::Release => format!("cannot release {path}"),
            Self::Mark => format!("cannot write {path}"),
            Self::Heartbeat => {
                format!("heartbeats fail at node {path}: nothing can be led without a lease")
            }
            Self::Read => format!("cannot read node {path}"),
            Self::Write => format!("cannot write node {path}"),
        }
    }
}

impl NodeError {
    /// What becomes of an error that comes while the node at `path` is used.
    pub(crate) fn at(doing: Doing, path: &str) -> impl Fn(Error) -> Self + Copy {
        move |source| Self {
            doing,
            path: path.to_owned(),
            bytes: 0,
            source,
        }
    }

    /// The same, where so many bytes were to be written.
    #[must_use]
    pub(crate) fn writing(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Whether the ensemble has answered, and will answer the same to the same request.
    pub fn is_refusal(&self) -> bool {
        is_refusal(&self.source)
    }

    /// Whether the same request may succeed later, by this connection or another, since this one was cut off.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.source,
            Error::ConnectionLoss | Error::SessionExpired | Error::ClientClosed | Error::Custom(_)
        )
    }
}

/// Whether the ensemble has answered, and will answer the same to the same request.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::NoAuth
            | Error::InvalidAcl
            | Error::QuotaExceeded
            | Error::NotEmpty
            | Error::NoChildrenForEphemerals
            | Error::BadArguments(_)
            | Error::Unimplemented
            | Error::UnexpectedErrorCode(_)
    )
}

/// What to do about an error, where that is known.
pub(crate) fn hint(error: &Error) -> &'static str {
    match error {
        Error::NoAuth => {
            " (the ACL there does not admit this identity: check `auth` or `sasl_file`, and the node's ACL with `getAcl` in zkCli.sh)"
        }
        Error::InvalidAcl => " (an ACL for the creator needs `auth`)",
        _ => "",
    }
}

/// From how many bytes on the size of a request may be why a server has ended the connection.
const LARGE_BYTES: usize = 64 << 10;

/// What to do about a request of so many bytes that was not answered: a server says nothing to whoever sends it too much.
pub(crate) fn hint_of_size(error: &Error, bytes: usize) -> String {
    match error {
        Error::ConnectionLoss if bytes >= LARGE_BYTES => format!(
            " ({bytes} bytes were to be written, and a server ends the connection of whoever sends it more than its \
             `jute.maxbuffer`: look for \"Len error\" in the logs of the servers, and raise it on all of them)"
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_request_is_told_with_its_node_and_with_what_to_do() {
        let told = |doing, error| NodeError::at(doing, "/a\u{1b}b")(error).to_string();
        let path = printable("/a\u{1b}b").into_owned();
        assert_eq!(
            told(Doing::Create, Error::InvalidAcl),
            format!("cannot create node {path} (an ACL for the creator needs `auth`)")
        );
        assert_eq!(
            told(Doing::Heartbeat, Error::Timeout),
            format!("heartbeats fail at node {path}: nothing can be led without a lease")
        );
    }

    #[test]
    fn a_large_request_that_was_cut_off_is_told_with_what_may_have_cut_it_off() {
        let told = |error, bytes| {
            let error = NodeError::at(Doing::Write, "/a")(error).writing(bytes);
            error.to_string()
        };
        let large = told(Error::ConnectionLoss, 2_000_000);
        assert!(
            large.starts_with("cannot write node /a (2000000 bytes were")
                && large.contains("`jute.maxbuffer`"),
            "{large}"
        );
        for told in [
            told(Error::ConnectionLoss, 1_000),
            told(Error::NoAuth, 2_000_000),
        ] {
            assert!(!told.contains("jute"), "{told}");
        }
    }

    #[test]
    fn a_verdict_of_the_ensemble_is_a_refusal_and_a_lost_answer_may_pass() {
        let kind = |error| {
            let error = NodeError::at(Doing::Read, "/a")(error);
            (error.is_refusal(), error.may_pass())
        };
        assert_eq!(kind(Error::NoAuth), (true, false));
        assert_eq!(kind(Error::ConnectionLoss), (false, true));
        assert_eq!(kind(Error::NoNode), (false, false));
    }
}
