//! Arguments and config into a running server; offline tools.

use std::process::ExitCode;

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    todo!()
}
