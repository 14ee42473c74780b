//! The end of a term, as it is written.

use futures::TryFutureExt;
use futures::future::{try_join, try_join3};
use zookeeper_client::{CreateMode, Error};

use super::{Kept, MASTER_VERSION, TaskError, TaskNodes, none_if_missing};
use crate::coordination::nodes::{self, TermEntry, TermRecord};
use crate::election::RELEASE_WRITES;
use crate::term::Term;

/// How often a release is tried against nodes that change under it.
const RELEASE_ATTEMPTS: usize = 5;

/// A term that has ended on this host, and what is to be written of it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The term.
    pub term: Term,
    /// Its record, given back.
    pub record: TermRecord,
    /// Whether that says of something that it has been done which was not done before.
    pub completes: bool,
    /// Its entry in the history.
    pub entry: TermEntry,
    /// The history, if it was read in this term: nobody else writes there while it lasts.
    pub kept: Option<Kept>,
}

/// What of a task is this session's: the version of the master node, if it is; that of the term record; its candidates.
struct Own {
    master: Option<i32>,
    record: Option<i32>,
    kept: Option<Kept>,
    candidates: Vec<String>,
}

impl TaskNodes {
    /// Gives back all that this session holds in the task; `candidates` are its candidates as last seen, `ended` a term
    /// of this host. Says whether the end of that term was written, as far as is known: not if somebody else has changed
    /// its record since.
    pub async fn release(self, ended: Option<Ended>, candidates: Vec<String>) -> Result<bool, TaskError> {
        let release_error = |source| TaskError::Release { path: self.paths.master.clone(), source };
        // As things usually are: one request.
        if let Some(ended @ Ended { kept: Some(kept), .. }) = &ended
            && !candidates.is_empty()
        {
            let written = self.write_release(Some(MASTER_VERSION), Some((ended, Some(kept))), &candidates).await;
            if written.is_ok() {
                return Ok(true);
            }
        }
        let mut last = Error::NodeExists;
        for _ in 0..RELEASE_ATTEMPTS {
            let Own { master, record, kept, candidates } = self.read_own().await.map_err(release_error)?;
            let ended = ended.as_ref().filter(|ended| record == Some(ended.term.record_version));
            let ended = ended.map(|ended| (ended, kept.as_ref()));
            match self.write_release(master, ended, &candidates).await {
                Ok(()) => return Ok(ended.is_some()),
                Err(error @ (Error::NoNode | Error::NodeExists | Error::BadVersion)) => last = error,
                Err(error) => return Err(release_error(error)),
            }
        }
        Err(release_error(last))
    }

    async fn read_own(&self) -> Result<Own, Error> {
        let client = self.session.client();
        // Reads may come from a server that has not yet heard of this session's last write.
        client.sync("/").await?;
        let ((master, term, history), children) = try_join(
            try_join3(
                client.check_stat(&self.paths.master),
                client.check_stat(&self.paths.term),
                client.get_data(&self.paths.history).map_ok(Some).or_else(none_if_missing),
            ),
            client.list_children(&self.paths.candidates).or_else(|error| match error {
                Error::NoNode => futures::future::ok(Vec::new()),
                error => futures::future::err(error),
            }),
        )
        .await?;
        let master = master.filter(|stat| stat.ephemeral_owner == self.session.id());
        let own = nodes::queue(children).into_iter().filter(|candidate| candidate.session == self.session.id());
        Ok(Own {
            master: master.map(|stat| stat.version),
            record: term.map(|stat| stat.version),
            kept: history.map(Kept::read),
            candidates: own.map(|own| own.name).collect(),
        })
    }

    async fn write_release(
        &self,
        master: Option<i32>,
        ended: Option<(&Ended, Option<&Kept>)>,
        candidates: &[String],
    ) -> Result<(), Error> {
        let mut multi = self.session.client().new_multi_writer();
        if let Some(version) = master {
            multi.add_delete(&self.paths.master, Some(version))?;
        }
        if let Some((Ended { term, record, entry, completes, .. }, kept)) = ended {
            multi.add_set_data(&self.paths.term, &nodes::encode(record), Some(term.record_version))?;
            let history = kept.map(|kept| kept.history.clone()).unwrap_or_default();
            let history = nodes::encode(&history.with(entry.clone()));
            if let Some(kept) = kept {
                // Whoever is next may count on the versions that a release leaves which asks nothing of it: see `given_back`.
                let writes = RELEASE_WRITES + i32::from(record.successor.is_some()) + i32::from(*completes);
                for written in 0..writes {
                    multi.add_set_data(&self.paths.history, &history, Some(kept.version + written))?;
                }
            } else {
                let options = CreateMode::Persistent.with_acls(self.session.acls());
                multi.add_create(&self.paths.history, &history, &options)?;
            }
        }
        for candidate in candidates {
            multi.add_delete(&self.candidate_path(candidate), None)?;
        }
        multi.commit().await?;
        Ok(())
    }
}
