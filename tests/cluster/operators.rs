//! What operators ask and order, from any machine: `soloist status`, `soloist resign`, `soloist history`.

mod case;
mod history;
mod resign;
mod status;
