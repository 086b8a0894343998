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
            RoleError::LastSuperuser(_) => "2BP01",
            RoleError::Persist(_) => "58030",
        };
        Self::error(code, error.to_string())
    }
}
