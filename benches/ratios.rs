//! The table of ratios, as `pgspool bench` prints it: `cargo bench --bench ratios`.
#![allow(missing_docs)]

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo passes `--bench`; everything else goes to `pgspool bench`.
    let args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let exe = Path::new(env!("CARGO_BIN_EXE_pgspool"));
    match Command::new(exe).arg("bench").args(args).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error}", exe.display());
            ExitCode::FAILURE
        }
    }
}
