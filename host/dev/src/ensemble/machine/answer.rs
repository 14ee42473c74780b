//! What is written into answers.

use std::sync::Arc;

use super::super::access::{Acl, Identity};
use super::super::transactions::Outcome;
use super::super::wire::code;
use super::{Stat, Writer};

/// What was read.
#[derive(Debug)]
pub(super) enum Found {
    Stat(Stat),
    Data(Option<Vec<u8>>, Stat),
    Acl(Arc<[Acl]>, Stat),
    Names(Vec<String>, Option<Stat>),
    Count(usize),
    Identities(Vec<Identity>),
}

/// Whether a request of that code takes a number of its own, though it could not be read.
pub(super) fn is_write(code: i32) -> bool {
    matches!(
        code,
        code::CREATE
            | code::CREATE_2
            | code::CREATE_CONTAINER
            | code::CREATE_TTL
            | code::DELETE
            | code::SET_DATA
            | code::SET_ACL
            | code::CHECK
            | code::MULTI
    )
}

/// What was read.
pub(super) fn found(writer: &mut Writer, found: &Found) {
    match found {
        Found::Stat(stat) => drop(writer.stat(stat)),
        Found::Data(data, stat) => drop(writer.buffer(data.as_deref()).stat(stat)),
        Found::Acl(acl, stat) => drop(writer.acl(acl).stat(stat)),
        Found::Names(names, stat) => {
            writer.texts(names.iter());
            if let Some(stat) = stat {
                writer.stat(stat);
            }
        }
        Found::Count(count) => drop(writer.count(*count)),
        Found::Identities(identities) => {
            writer.count(identities.len());
            for identity in identities {
                writer.text(&identity.scheme).text(identity.user());
            }
        }
    }
}

/// What was changed.
pub(super) fn outcome(writer: &mut Writer, outcome: &Outcome) {
    match outcome {
        Outcome::Created { path, stat } => {
            writer.text(path);
            if let Some(stat) = stat {
                writer.stat(stat);
            }
        }
        Outcome::Set(stat) => drop(writer.stat(stat)),
        Outcome::Deleted | Outcome::Checked => {}
    }
}

/// What was changed by an operation of a transaction.
pub(super) fn part(writer: &mut Writer, made: &Outcome) {
    let code = match made {
        Outcome::Created { stat: None, .. } => code::CREATE,
        Outcome::Created { stat: Some(_), .. } => code::CREATE_2,
        Outcome::Deleted => code::DELETE,
        Outcome::Set(_) => code::SET_DATA,
        Outcome::Checked => code::CHECK,
    };
    writer.int(code).bool(false).int(0);
    outcome(writer, made);
}

/// What was read by an operation of a request that reads several things.
pub(super) fn found_part(writer: &mut Writer, read: &Found) {
    let code = match read {
        Found::Data(..) => code::GET_DATA,
        _ => code::GET_CHILDREN,
    };
    writer.int(code).bool(false).int(0);
    found(writer, read);
}

/// Why an operation was refused, or another one in the same transaction.
pub(super) fn error_part(writer: &mut Writer, error: i32) {
    writer.int(code::ERROR).bool(false).int(error).int(error);
}

/// The end of a transaction.
pub(super) fn end(writer: &mut Writer) {
    writer.int(code::ERROR).bool(true).int(-1);
}
