//! What a server answers by itself, from what it has heard of.

use soloist_core::election::{Appointed, Holder, Input, Queue};

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
    older: usize,
) -> Option<Answer> {
    match ask {
        Ask::Look => look(tree, session, host, older),
        Ask::Await { other, own } => Some(watch_candidates(tree, *other, *own)),
        Ask::ReadMaster { own } => Some(read_master(tree, session, *own, rule)),
        _ => None,
    }
}

pub(super) fn watch_candidates(tree: &Tree, other: u64, own: Option<u64>) -> Answer {
    let there = |candidate: u64| {
        let version = tree
            .version(candidate)
            .filter(|_| tree.is_candidate(candidate));
        Some((candidate, version?))
    };
    match (there(other), own.and_then(there)) {
        (Some(other), Some(own)) => Answer {
            watch: Some(Watch::Candidates { other, own }),
            ..Input::Awaiting.into()
        },
        _ => Input::Gone.into(),
    }
}

/// The queue and the term record; nothing, if something has to be created first. The hosts below `older` are of the release
/// before.
pub(super) fn look(tree: &Tree, session: Session, host: HostId, older: usize) -> Option<Answer> {
    let said = tree.term?.said;
    tree.history.as_ref()?;
    let record = tree.record();
    let stands_at = tree.place(session);
    let successor = said
        .and_then(|said| said.successor)
        .filter(|_| record.released);
    let stands = tree.queue().find(|(_, it)| Some(it.host) == successor);
    let place = tree.before_all();
    let appointed = match stands {
        Some((_, it)) if it.host == host && host >= older && place.is_some() => Appointed::ThisHost,
        Some((sequence, it)) if it.host != host => Appointed::Another {
            candidate: sequence.to_string(),
            out_of_turn: it.host >= older && host >= older && place.is_some(),
        },
        _ => Appointed::Nobody,
    };
    let queue = Queue {
        ahead: stands_at.map(|(ahead, _)| ahead),
        predecessor: stands_at
            .and_then(|(_, predecessor)| predecessor)
            .map(|it| it.to_string()),
        appointed,
        record,
    };
    let seen = Some(Seen {
        own: tree.own(session),
        queue: queue.clone(),
        place,
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
