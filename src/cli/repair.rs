//! repair
use std::process::ExitCode;
use super::RepairArgs;
pub(super) fn run(_args: &RepairArgs) -> Result<ExitCode, std::io::Error> { Ok(ExitCode::SUCCESS) }
