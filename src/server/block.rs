//! Transactions carried out: begin, commit, roll back, savepoints.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::confirm::Confirmation;
use super::session::{Session, Stop};
use super::statements::{Modes, TransactionStatement};
use super::transaction::{End, Transaction, no_block};
use super::work::Work;
use crate::catalog::SessionInfo;
use crate::clock::Moment;
use crate::pgerror::PgError;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// A statement begins, and a transaction with it where none is open. `alone`: nothing else can
    /// become part of that transaction.
    pub(super) fn begin_statement(&mut self, alone: bool) {
        self.statement_began = Moment::now();
        let timeout = self
            .state
            .settings(|settings| settings.timeout("statement_timeout"));
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if self.transaction == Transaction::None {
            self.transaction = Transaction::Implicit { alone };
            self.begin_transaction(!alone);
        }
    }

    fn begin_transaction(&mut self, together: bool) {
        self.transaction_began = self.statement_began;
        let began = self.transaction_began.unix_ms;
        let show = |info: &mut SessionInfo| info.transaction_unix_ms = Some(began);
        self.state.appearance.update(show);
        self.state.settings(|settings| settings.begin());
        self.state.work(|work| {
            *work = Work::default();
            if together {
                work.begin(&self.engine);
            }
        });
    }

    /// Commits a transaction that began without BEGIN.
    pub(super) async fn finish_implicit(&mut self) -> Result<(), Stop> {
        if matches!(self.transaction, Transaction::Implicit { .. }) {
            self.transaction.end(End::Commit);
            self.commit().await?;
        }
        Ok(())
    }

    /// An error: the transaction ends or has failed.
    pub(super) async fn fail(&mut self) {
        self.portals.close_all().await;
        if self.transaction.fail() {
            self.undo();
        }
    }

    /// Carries out a statement about the transaction; returns its tag.
    pub(super) async fn transaction_statement(
        &mut self,
        statement: &TransactionStatement,
    ) -> Result<&'static str, Stop> {
        match statement {
            TransactionStatement::Begin { tag, modes } => {
                if self.transaction.begin_block() {
                    self.warn("25001", "there is already a transaction in progress");
                } else {
                    self.state.work(|work| work.begin(&self.engine));
                }
                self.set_modes(modes, "transaction")?;
                Ok(tag)
            }
            TransactionStatement::Commit { chain } => {
                self.end_block(End::Commit, *chain, "COMMIT AND CHAIN")
                    .await
            }
            TransactionStatement::Rollback { chain } => {
                self.end_block(End::Rollback, *chain, "ROLLBACK AND CHAIN")
                    .await
            }
            TransactionStatement::Savepoint(name) => {
                self.check_memory(0)?;
                self.transaction.savepoint(name)?;
                self.state.settings(|settings| settings.savepoint());
                self.state.work(|work| work.savepoint());
                Ok("SAVEPOINT")
            }
            TransactionStatement::Release(name) => {
                let number = self.transaction.release(name)?;
                self.portals.release(number);
                self.state.settings(|settings| settings.release(number));
                self.state.work(|work| work.release(number));
                Ok("RELEASE")
            }
            TransactionStatement::RollbackTo(name) => {
                let number = self.transaction.rollback_to(name)?;
                self.portals.close_since(number).await;
                self.state.settings(|settings| settings.rollback_to(number));
                let state = Arc::clone(&self.state);
                self.on_thread(move |_| state.work(|work| work.rollback_to(number)))
                    .await?;
                Ok("ROLLBACK")
            }
            TransactionStatement::TwoPhase(what) => {
                Err(PgError::unsupported(format!("{what} is not supported")).into())
            }
        }
    }

    /// COMMIT or ROLLBACK.
    async fn end_block(
        &mut self,
        wanted: End,
        chain: bool,
        what: &str,
    ) -> Result<&'static str, Stop> {
        if !self.transaction.is_block() {
            if chain {
                return Err(no_block(what).into());
            }
            self.warn("25P01", "there is no transaction in progress");
        }
        let modes = self.modes();
        let end = self.transaction.end(wanted);
        match end {
            End::Commit => self.commit().await?,
            End::Rollback => {
                self.portals.close_all().await;
                self.undo();
            }
        }
        if chain {
            self.transaction.begin_block();
            self.begin_transaction(true);
            self.set_transaction_settings(&modes)?;
        }
        Ok(match end {
            End::Commit => "COMMIT",
            End::Rollback => "ROLLBACK",
        })
    }

    /// Makes the work of the transaction count. The state has left it already.
    async fn commit(&mut self) -> Result<(), Stop> {
        self.portals.close_all().await;
        // From here on: a cancel request while it becomes durable ends the wait behind that.
        let signal = self.signal();
        let work = self.state.work(std::mem::take);
        let end = if work.is_empty() {
            None
        } else {
            let engine = Arc::clone(&self.engine);
            let state = Arc::clone(&self.state);
            // Publishing happens here, and not when the statements came.
            let checked = if work.is_beside_roles() {
                let what = format!("database {}", engine.name());
                state.caller().check_publish(&what)
            } else {
                Ok(())
            };
            let commit = move |_| {
                checked?;
                work.commit(&engine, state.shared.databases.roles())
            };
            let committed = self.on_thread(commit).await;
            committed.inspect_err(|_| self.undo())?
        };
        let synchronous = self
            .state
            .settings(|settings| settings.synchronous_commit());
        self.state.settings(|settings| settings.commit());
        let begin =
            |end| Confirmation::begin(&self.engine, &self.state.appearance, end, synchronous);
        match end.and_then(begin) {
            Some(confirmation) => Ok(confirmation.wait(signal).await?),
            None => Ok(()),
        }
    }

    /// Undoes what the transaction did.
    fn undo(&mut self) {
        self.state.work(std::mem::take);
        self.state.settings(|settings| settings.rollback());
    }

    /// Sets the modes of the transaction (`prefix` transaction), or of those to come
    /// (default_transaction).
    pub(super) fn set_modes(&mut self, modes: &Modes, prefix: &str) -> Result<(), PgError> {
        let switch = |on: bool| if on { "on" } else { "off" };
        let values = [
            (
                "isolation",
                modes.isolation.map(super::statements::Isolation::name),
            ),
            ("read_only", modes.read_only.map(switch)),
            ("deferrable", modes.deferrable.map(switch)),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                let name = format!("{prefix}_{name}");
                self.state
                    .settings(|settings| settings.set(&name, Some(value), false))?;
            }
        }
        Ok(())
    }

    /// The modes of the transaction, as values of its settings.
    fn modes(&self) -> [(&'static str, String); 3] {
        let names = [
            "transaction_isolation",
            "transaction_read_only",
            "transaction_deferrable",
        ];
        let value = |name| self.state.settings(|settings| settings.value(name));
        names.map(|name| (name, value(name)))
    }

    fn set_transaction_settings(&mut self, modes: &[(&str, String)]) -> Result<(), PgError> {
        for (name, value) in modes {
            self.state
                .settings(|settings| settings.set(name, Some(value), true))?;
        }
        Ok(())
    }
}
