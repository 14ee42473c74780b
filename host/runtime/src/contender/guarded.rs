//! What the guardian gives back if the process dies.

use super::Contender;
use soloist_core::election::Stage;
use soloist_core::guardian::Place;

impl Contender {
    /// Tells the guardian what this contender has in the ensemble, or is about to have.
    pub(super) fn tell(&mut self) {
        let paths = &self.task.paths;
        let is_away = matches!(
            self.election.stage(),
            Stage::Away | Stage::Full | Stage::Finished
        );
        let standing = self.standing.as_ref().filter(|_| !is_away);
        let place = standing.map(|standing| {
            let term = self.election.active_term();
            let place = Place {
                session: standing.session.id(),
                task: self.task.name.to_string(),
                master: paths.elsewhere.then(|| paths.master.clone()),
                candidates: standing.own(),
                leads: term.map(|term| term.fencing_token.0),
            };
            (standing.session.guardian(), place)
        });
        self.told.now(place);
    }
}
