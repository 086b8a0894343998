//! The `pgspool` binary: all of its work is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgspool::cli::run()
}
