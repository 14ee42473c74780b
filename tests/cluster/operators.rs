//! What operators ask and order, from any machine: `soloist status`, `soloist resign`, `soloist history`, and the commands for
//! deployed tasks.

mod case;
mod cut;
mod deploy;
mod describe;
mod forget;
mod history;
mod mistakes;
mod orders;
mod resign;
mod signed;
mod state;
mod status;
mod tasks;
