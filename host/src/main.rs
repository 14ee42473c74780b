//! The `soloist` command.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::print_error(&format!("error: {failure}"));
            failure.exit_code()
        }
    }
}
