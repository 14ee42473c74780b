//! The smallest plugin: says hello once, on the one host that leads.

use soloist_sdk::{Plugin, Result, Term, info};

#[derive(Default)]
struct Hello;

impl Plugin for Hello {
    async fn on_elected(&mut self, term: Term) -> Result {
        info!(
            "hello from {}, leader of {} in term {}",
            term.host, term.task, term.number
        );
        Ok(())
    }
}

soloist_sdk::export!(Hello);
