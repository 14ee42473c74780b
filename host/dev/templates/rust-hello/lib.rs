use soloist_sdk::{Plugin, Result, Term, info};

#[derive(Default)]
struct Hello;

impl Plugin for Hello {
    async fn on_elected(&mut self, term: Term) -> Result {
        info!("hello from {}, leader of {}", term.host, term.task);
        Ok(())
    }
}

soloist_sdk::export!(Hello);
#[cfg(test)]
mod tests;
