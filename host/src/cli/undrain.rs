//! `soloist undrain`: have a drained host stand again.

use clap::ArgMatches;
use soloist_core::text::printable;

use super::Failure;
use super::operator::{OperatorOptions, block_on, host_id};
use super::output::print;

/// End the drain of a host, from any machine: it stands for its tasks again, at the end of each queue
///
/// If the host does not run, it stands when it comes.
#[derive(Debug, clap::Args)]
pub(super) struct Undrain {
    /// The id of the host
    #[arg(value_parser = host_id)]
    host: String,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Undrain {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self { host, options } = self;
        let operator = options.operator(matches)?;
        let order = block_on(operator.ask(async |observer| observer.undrain(&host).await))?;
        let order = order.map_or_else(String::new, |order| {
            let reason = order.reason.map(|reason| format!(" ({reason})"));
            let (by, at) = (printable(&order.by), printable(&order.at));
            format!("; {by} drained it at {at}{}", reason.unwrap_or_default())
        });
        print(&format!("host {host} is drained no more{order}\n")).map(drop)
    }
}
