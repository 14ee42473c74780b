//! What a server answers by itself, from what it has heard of.

use soloist_core::election::{Holder, Input, Queue};

use super::Answer;
use crate::belief::Rule;
use crate::host::{Ask, Seen, Watch};
use crate::plan::{HostId, Session};
use crate::tree::{NOBODY, Tree, new_term};

pub(super) fn read(
    tree: &Tree,
    session: Session,
    host: HostId,
    ask: &Ask,
    rule: Rule,
) -> Option<Answer> {
    match ask {
        Ask::Look => look(tree, session, host),
        Ask::Await { other, own } => Some(match own {
            Some(own) if tree.is_candidate(*other) && tree.is_candidate(*own) => {
                let watch = Some(Watch::Candidates {
                    other: *other,
                    own: *own,
                });
                Answer {
                    watch,
                    ..Input::Awaiting.into()
                }
            }
            _ => Input::Gone.into(),
        }),
        Ask::ReadMaster { own } => Some(read_master(tree, session, *own, rule)),
        _ => None,
    }
}

/// The queue and the term record; nothing, if something has to be created first.
pub(super) fn look(tree: &Tree, session: Session, host: HostId) -> Option<Answer> {
    let said = tree.term?.said;
    tree.history.as_ref()?;
    let record = tree.record();
    let place = tree.place(session);
    let successor = said
        .and_then(|said| said.successor)
        .filter(|successor| record.released && *successor != host);
    let queue = Queue {
        ahead: place.map(|(ahead, _)| ahead),
        predecessor: place
            .and_then(|(_, predecessor)| predecessor)
            .map(|it| it.to_string()),
        appointed: tree.queue().any(|(_, it)| Some(it.host) == successor),
        record: record.clone(),
    };
    let seen = Some(Seen {
        own: tree.own(session),
        record,
    });
    Some(Answer {
        seen,
        ..Input::Looked(queue).into()
    })
}

pub(super) fn read_master(tree: &Tree, session: Session, own: Option<u64>, rule: Rule) -> Answer {
    let Some(master) = tree.master else {
        return Input::MasterSeen(Holder::Nobody).into();
    };
    if master.owner == NOBODY {
        return Input::MasterSeen(Holder::Unowned).into();
    }
    let watch = Some(Watch::Master(master.zxid));
    if master.owner != session {
        let holder = Holder::Other(master.host.to_string());
        return Answer {
            watch,
            ..Input::MasterSeen(holder).into()
        };
    }
    let blind = rule == Rule::BlindToCandidate;
    let place = own.filter(|own| blind || tree.is_candidate(*own));
    let Some(own) = place else {
        return Answer {
            watch,
            ..Input::MasterSeen(Holder::MeWithoutPlace).into()
        };
    };
    let Some(term) = tree.term.filter(|term| term.zxid == master.zxid) else {
        return Answer {
            watch,
            ..Input::MasterSeen(Holder::MeWithoutTerm).into()
        };
    };
    let holder = Holder::Me(new_term(
        tree.number(),
        master.zxid,
        master.host,
        term.version,
    ));
    let watch = if blind {
        watch
    } else {
        Some(Watch::Leadership {
            zxid: master.zxid,
            own,
        })
    };
    let history = tree.history.as_ref().map(|history| history.version);
    Answer {
        watch,
        history,
        ..Input::MasterSeen(holder).into()
    }
}
