//! The `soloist` command.

use std::env;
use std::process::ExitCode;

use soloist_sandbox::{COMPILE_WORD, compile_as_told};

mod cli;
mod guardian;
mod service;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    // Not a command for people: a host runs it to compile a plugin.
    if arguments.next().is_some_and(|word| word == COMPILE_WORD) {
        return compile_as_told(arguments);
    }
    // Nor is that: a guardian runs it to have a process that it guards.
    let line = match guardian::line() {
        Ok(line) => line,
        Err(error) => {
            cli::print_error(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    match cli::run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::print_error(&format!("error: {failure}"));
            failure.exit_code()
        }
    }
}
