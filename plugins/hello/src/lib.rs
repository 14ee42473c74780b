//! The smallest plugin: says hello once, on the one host that leads.

use soloist_sdk::{Result, Term, info};

async fn hello(term: Term) -> Result {
    info!("hello from {}, leader of {}", term.host, term.task);
    Ok(())
}

soloist_sdk::export!(fn hello);
