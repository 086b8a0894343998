//! SQLSTATEs of changes of roles.

use super::PgError;
use crate::roles::RoleError;

impl From<RoleError> for PgError {
    fn from(error: RoleError) -> Self {
        let code = match &error {
            RoleError::Exists(_) => "42710",
            RoleError::Missing(_) => "42704",
            RoleError::ReservedName(_) => "42939",
            RoleError::InvalidName => "42602",
            RoleError::NoMoreOids => "54000",
            RoleError::Required(_) | RoleError::LastSuperuser(_) => "2BP01",
            RoleError::Persist(_) => "58030",
        };
        let text = error.to_string();
        match error {
            RoleError::ReservedName(name) if name.starts_with("pg_") => Self::error(code, text)
                .with_detail("Role names starting with \"pg_\" are reserved."),
            RoleError::LastSuperuser(_) => {
                Self::error(code, text).with_hint("Make another superuser that can log in first.")
            }
            RoleError::Persist(_) => Self::error(code, text)
                .with_hint("Roles are not changed any more until the server is started again."),
            RoleError::Exists(_)
            | RoleError::Missing(_)
            | RoleError::ReservedName(_)
            | RoleError::InvalidName
            | RoleError::NoMoreOids
            | RoleError::Required(_) => Self::error(code, text),
        }
    }
}
