//! The transaction as the session's dialogue knows it: which statement leads where.
//!
//! It is the state only. What a transaction did and has not published yet is in `work`, what it
//! set is in `settings`; whoever changes the state here carries the change out there.

use pgwire::messages::response::TransactionStatus;

use crate::pgerror::PgError;

/// Where the session stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Transaction {
    /// No transaction.
    #[default]
    None,
    /// One that began with a statement and ends with it, with its query string, or at Sync.
    Implicit {
        /// The statement is the only one of its string or up to Sync.
        alone: bool,
    },
    /// A block, from BEGIN on.
    Open(Savepoints),
    /// A block in which something failed.
    Failed(Savepoints),
}

/// Names of savepoints, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Savepoints(Vec<String>);

impl Savepoints {
    /// The number from 1 of the newest savepoint of that name.
    fn number(&self, name: &str) -> Result<usize, PgError> {
        let at = self.0.iter().rposition(|known| known == name);
        at.map(|at| at.saturating_add(1))
            .ok_or_else(|| PgError::error("3B001", format!("savepoint \"{name}\" does not exist")))
    }
}

/// What an end of the transaction comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What was done counts.
    Commit,
    /// What was done is undone.
    Rollback,
}

impl Transaction {
    /// For ReadyForQuery.
    pub(super) const fn status(&self) -> TransactionStatus {
        match self {
            Self::None | Self::Implicit { .. } => TransactionStatus::Idle,
            Self::Open(_) => TransactionStatus::Transaction,
            Self::Failed(_) => TransactionStatus::Error,
        }
    }

    /// For `pg_stat_activity` while no statement runs.
    pub(super) const fn idle_state(&self) -> &'static str {
        match self {
            Self::None | Self::Implicit { .. } => "idle",
            Self::Open(_) => "idle in transaction",
            Self::Failed(_) => "idle in transaction (aborted)",
        }
    }

    /// Whether a block is open or failed.
    pub(super) const fn is_block(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Failed(_))
    }

    /// How many savepoints the block has.
    pub(super) const fn num_savepoints(&self) -> usize {
        match self {
            Self::None | Self::Implicit { .. } => 0,
            Self::Open(savepoints) | Self::Failed(savepoints) => savepoints.0.len(),
        }
    }

    /// Whether several statements share it: what they do counts together.
    pub(super) const fn is_shared(&self) -> bool {
        match self {
            Self::None => false,
            Self::Implicit { alone } => !*alone,
            Self::Open(_) | Self::Failed(_) => true,
        }
    }

    /// The error for what a failed transaction does not do any more.
    pub(super) fn check_not_failed(&self) -> Result<(), PgError> {
        if matches!(self, Self::Failed(_)) {
            let message = "current transaction is aborted, commands ignored until end of \
                           transaction block";
            return Err(PgError::error("25P02", message));
        }
        Ok(())
    }

    /// The error for what cannot run in a transaction with other statements.
    pub(super) fn check_alone(&self, what: &str) -> Result<(), PgError> {
        if self.is_shared() {
            let message = format!("{what} cannot run inside a transaction block");
            return Err(PgError::error("25001", message));
        }
        Ok(())
    }

    /// BEGIN: true when there was a block already.
    pub(super) fn begin_block(&mut self) -> bool {
        let was_open = self.is_block();
        if !was_open {
            *self = Self::Open(Savepoints::default());
        }
        was_open
    }

    /// COMMIT or ROLLBACK: what it comes to.
    pub(super) fn end(&mut self, wanted: End) -> End {
        match std::mem::take(self) {
            Self::Failed(_) => End::Rollback,
            Self::None | Self::Implicit { .. } | Self::Open(_) => wanted,
        }
    }

    /// An error: true when the transaction ends with it.
    pub(super) fn fail(&mut self) -> bool {
        match std::mem::take(self) {
            Self::None | Self::Implicit { .. } => true,
            Self::Open(savepoints) | Self::Failed(savepoints) => {
                *self = Self::Failed(savepoints);
                false
            }
        }
    }

    /// SAVEPOINT
    pub(super) fn savepoint(&mut self, name: &str) -> Result<(), PgError> {
        self.savepoints("SAVEPOINT")?.0.push(name.to_owned());
        Ok(())
    }

    /// RELEASE SAVEPOINT: the number of the savepoint that is gone with all later ones.
    pub(super) fn release(&mut self, name: &str) -> Result<usize, PgError> {
        let savepoints = self.savepoints("RELEASE SAVEPOINT")?;
        let number = savepoints.number(name)?;
        savepoints.0.truncate(number.saturating_sub(1));
        Ok(number)
    }

    /// ROLLBACK TO SAVEPOINT: the number of the savepoint that is the last one then.
    pub(super) fn rollback_to(&mut self, name: &str) -> Result<usize, PgError> {
        let savepoints = match self {
            Self::Open(savepoints) | Self::Failed(savepoints) => savepoints,
            Self::None | Self::Implicit { .. } => return Err(no_block("ROLLBACK TO SAVEPOINT")),
        };
        let number = savepoints.number(name)?;
        savepoints.0.truncate(number);
        *self = Self::Open(std::mem::take(savepoints));
        Ok(number)
    }

    fn savepoints(&mut self, what: &str) -> Result<&mut Savepoints, PgError> {
        self.check_not_failed()?;
        match self {
            Self::Open(savepoints) => Ok(savepoints),
            Self::None | Self::Implicit { .. } | Self::Failed(_) => Err(no_block(what)),
        }
    }
}

/// The error for what means something in a transaction block only.
pub(super) fn no_block(what: &str) -> PgError {
    PgError::error(
        "25P01",
        format!("{what} can only be used in transaction blocks"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Transaction {
        let mut transaction = Transaction::Implicit { alone: true };
        assert!(!transaction.begin_block());
        transaction
    }

    #[test]
    fn a_failed_block_ends_with_a_rollback_whatever_ends_it() {
        let mut transaction = open();
        assert!(!transaction.fail());
        assert_eq!(transaction.check_not_failed().unwrap_err().code(), "25P02");
        assert_eq!(transaction.end(End::Commit), End::Rollback);
        assert_eq!(transaction, Transaction::None);
        let mut implicit = Transaction::Implicit { alone: false };
        assert!(implicit.is_shared() && implicit.fail());
        assert_eq!(implicit, Transaction::None);
    }

    #[test]
    fn savepoints_are_found_by_their_newest_name() {
        let mut transaction = open();
        for name in ["a", "b", "a"] {
            transaction.savepoint(name).unwrap();
        }
        assert_eq!(transaction.rollback_to("b").unwrap(), 2);
        transaction.fail();
        assert_eq!(transaction.rollback_to("c").unwrap_err().code(), "3B001");
        assert_eq!(transaction.release("a").unwrap_err().code(), "25P02");
        assert_eq!(transaction.rollback_to("a").unwrap(), 1);
        assert_eq!(transaction.release("a").unwrap(), 1);
        assert_eq!(transaction.release("a").unwrap_err().code(), "3B001");
        let mut none = Transaction::None;
        assert_eq!(none.savepoint("a").unwrap_err().code(), "25P01");
    }
}
