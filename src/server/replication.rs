//! Replication commands: each answered from the engine, or with the error that PostgreSQL's
//! clients take cleanly.

use std::sync::Arc;

use pgwire::messages::copy::CopyBothResponse;
use tokio::io::{AsyncRead, AsyncWrite};

use super::sending::ColumnType::{Int4, Int8, Text};
use super::session::{Session, SessionEnd, Stop, blocking};
use super::stream::{self, StreamOutcome};
use crate::clock::Moment;
use crate::engine::{SlotRequest, SlotStart, Subscriber, Subscription};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::plugins::Plugin;
use crate::slots::{DropError, SlotName};
use crate::wire::{CommandOption, ReplicationCommand, SnapshotAction, StreamEnd};

/// The setting with which a subscriber says where it is.
const REGION: &str = "pgspool.region";

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Executes one replication command.
    pub(super) async fn replication_command(
        &mut self,
        command: ReplicationCommand,
    ) -> Result<(), Stop> {
        match command {
            ReplicationCommand::IdentifySystem => self.identify_system(),
            ReplicationCommand::Show(name) => self.show(&name)?,
            ReplicationCommand::CreateLogicalSlot {
                slot,
                temporary,
                plugin,
                snapshot,
                two_phase,
            } => {
                let request = SlotRequest {
                    name: SlotName::parse(&slot).map_err(PgError::from)?,
                    plugin,
                    start: SlotStart::Head,
                    temporary: temporary.then(|| self.pid()),
                    two_phase,
                    owner: self.standing.caller().as_owner(),
                };
                self.create_slot(request, snapshot).await?;
            }
            ReplicationCommand::DropSlot { slot, wait } => self.drop_slot(&slot, wait).await?,
            ReplicationCommand::ReadSlot { slot } => self.read_slot(&slot)?,
            ReplicationCommand::StartLogical {
                slot,
                start,
                options,
            } => self.start_replication(&slot, start, &options).await?,
            ReplicationCommand::CreatePhysicalSlot { .. } => {
                return Err(physical("physical replication slots are not supported"));
            }
            ReplicationCommand::StartPhysical => {
                return Err(physical("physical replication is not supported"));
            }
            ReplicationCommand::BaseBackup => {
                return Err(PgError::unsupported("base backups are not supported").into());
            }
            ReplicationCommand::TimelineHistory(_) => {
                return Err(PgError::unsupported("timeline history is not supported").into());
            }
        }
        Ok(())
    }

    fn identify_system(&mut self) {
        let system_id = self.engine.system_id().to_string();
        let timeline = i32::try_from(self.engine.term()).unwrap_or(i32::MAX);
        let head = self.engine.head().to_string();
        self.conn.send_row(&[
            ("systemid", Text, Some(&system_id)),
            ("timeline", Int4, Some(&timeline.to_string())),
            ("xlogpos", Text, Some(&head)),
            ("dbname", Text, self.database.as_deref()),
        ]);
        self.conn.send_complete("IDENTIFY_SYSTEM");
    }

    fn check_logical(&self) -> Result<(), PgError> {
        if self.database.is_some() {
            return Ok(());
        }
        let message = "logical decoding requires a database connection";
        Err(PgError::error("55000", message))
    }

    async fn create_slot(
        &mut self,
        request: SlotRequest,
        snapshot: SnapshotAction,
    ) -> Result<(), Stop> {
        self.check_logical()?;
        let snapshot_name = match snapshot {
            SnapshotAction::Nothing => None,
            SnapshotAction::Export => {
                self.transaction
                    .check_alone("CREATE_REPLICATION_SLOT ... (SNAPSHOT 'export')")?;
                Some(self.next_snapshot_name())
            }
            SnapshotAction::Use => {
                let error = PgError::unsupported("snapshots cannot be read yet")
                    .with_hint("Use SNAPSHOT 'nothing' and copy the present data another way.");
                return Err(error.into());
            }
        };
        let plugin = Plugin::parse(&request.plugin).map_err(PgError::from)?;
        if self.state.work(|work| !work.is_empty()) {
            return Err(PgError::slot_behind_writes().into());
        }
        let engine = Arc::clone(&self.engine);
        let created = blocking(move || engine.create_slot(request, Moment::now())).await?;
        let slot = created.map_err(PgError::from)?;
        self.conn.send_row(&[
            ("slot_name", Text, Some(slot.name.as_str())),
            (
                "consistent_point",
                Text,
                Some(&slot.restart_lsn.to_string()),
            ),
            ("snapshot_name", Text, snapshot_name.as_deref()),
            ("output_plugin", Text, Some(plugin.name())),
        ]);
        self.conn.send_complete("CREATE_REPLICATION_SLOT");
        Ok(())
    }

    /// A name in PostgreSQL's form. Nothing can be read from it yet.
    fn next_snapshot_name(&mut self) -> String {
        self.num_snapshots = self.num_snapshots.wrapping_add(1);
        format!("{:08X}-{:08X}-1", self.pid(), self.num_snapshots)
    }

    async fn drop_slot(&mut self, slot: &str, wait: bool) -> Result<(), Stop> {
        let name = existing_name(slot)?;
        let signal = self.signal();
        tokio::pin!(signal);
        loop {
            let (engine, slot) = (Arc::clone(&self.engine), name.clone());
            let user = self.standing.caller().slot_user(self.pid());
            let dropped = blocking(move || engine.drop_slot_as(&slot, user)).await?;
            match dropped {
                Ok(()) => break,
                Err(DropError::Active { .. }) if wait => {}
                Err(error) => return Err(PgError::from(error).into()),
            }
            let released = self.engine.slot_released(&name);
            tokio::select! {
                () = released => {}
                () = self.conn.hung_up() => return Err(Stop::Session(SessionEnd::Closed)),
                signal = &mut signal => return Err(signal.into()),
            }
        }
        self.conn.send_complete("DROP_REPLICATION_SLOT");
        Ok(())
    }

    fn read_slot(&mut self, slot: &str) -> Result<(), Stop> {
        let known = SlotName::parse(slot)
            .ok()
            .and_then(|name| self.engine.slot(&name));
        if let Some(known) = known {
            self.standing.caller().check_slot(&known)?;
            let message = "cannot use READ_REPLICATION_SLOT with a logical replication slot";
            return Err(PgError::unsupported(message).into());
        }
        self.conn.send_row(&[
            ("slot_type", Text, None),
            ("restart_lsn", Text, None),
            ("restart_tli", Int8, None),
        ]);
        self.conn.send_complete("READ_REPLICATION_SLOT");
        Ok(())
    }

    async fn start_replication(
        &mut self,
        slot: &str,
        start: Lsn,
        options: &[CommandOption],
    ) -> Result<(), Stop> {
        self.transaction.check_alone("START_REPLICATION")?;
        self.check_logical()?;
        let name = existing_name(slot)?;
        let subscription = self.subscribe(name.clone(), start).await?;
        let plugin = subscription.slot().plugin.clone();
        let hub = self.shared.hub(&self.engine);
        let joined = Plugin::parse(&plugin).and_then(|plugin| hub.join(plugin, options));
        let channel = joined.map_err(|error| {
            PgError::from(error).with_context(format!(
                "slot \"{name}\", output plugin \"{plugin}\", in the startup callback"
            ))
        })?;
        self.conn.send(&CopyBothResponse::new(0, 0, vec![]));
        let timeout = self
            .state
            .settings(|settings| settings.wal_sender_timeout());
        let signal = self.signal();
        let asked = stream::Asked {
            channel,
            timeout,
            standing: self.standing.clone(),
        };
        let outcome = stream::run(&mut self.conn, subscription, asked, signal).await;
        self.finish_stream(outcome, name.as_str(), &plugin)
    }

    async fn subscribe(&self, name: SlotName, from: Lsn) -> Result<Box<Subscription>, Stop> {
        let application_name = self
            .state
            .settings(|settings| settings.value("application_name"));
        let region = self.state.settings(|settings| settings.value(REGION));
        let who = Subscriber {
            user: self.standing.caller().slot_user(self.pid()),
            application_name: if application_name.is_empty() {
                name.as_str().to_owned()
            } else {
                application_name
            },
            region: (!region.is_empty()).then_some(region),
        };
        let engine = Arc::clone(&self.engine);
        let subscribed =
            blocking(move || engine.subscribe(&name, from, &who, Moment::now())).await?;
        Ok(Box::new(subscribed.map_err(PgError::from)?))
    }

    /// What the client is told about the end of its stream.
    fn finish_stream(
        &mut self,
        outcome: StreamOutcome,
        slot: &str,
        plugin: &str,
    ) -> Result<(), Stop> {
        let end = match outcome {
            StreamOutcome::Ended(end) => end,
            StreamOutcome::Io(error) => return Err(Stop::Session(SessionEnd::Io(error))),
            StreamOutcome::Cancelled => return Err(PgError::cancelled().into()),
            StreamOutcome::ReadFailed(error) => return Err(PgError::from(error).into()),
            StreamOutcome::NotRendered(error) => {
                return Err(PgError::not_rendered(error, slot, plugin).into());
            }
            StreamOutcome::Broken(error) => return Err(error.into()),
            StreamOutcome::Invalidated(error) => return Err(PgError::from(error).into()),
            StreamOutcome::SlotGone(error) => {
                return Err(PgError::error("42704", error.to_string()).into());
            }
        };
        match end {
            StreamEnd::ClientDone => {
                self.conn.send_complete("COPY 0");
                self.conn.send_complete("START_REPLICATION");
                Ok(())
            }
            StreamEnd::Disconnected => Err(Stop::Session(SessionEnd::Closed)),
            StreamEnd::Timeout => Err(Stop::Session(SessionEnd::StreamTimeout)),
            StreamEnd::Malformed(words) => Err(Stop::Session(SessionEnd::Malformed(words))),
            StreamEnd::ServerShutdown => Err(PgError::shutdown().into()),
            StreamEnd::Protocol(words) => Err(PgError::fatal("08P01", words).into()),
            StreamEnd::Failed(words) => Err(PgError::error("XX000", words).into()),
        }
    }
}

fn physical(message: &str) -> Stop {
    let hint = "pgspool serves logical replication only.";
    PgError::unsupported(message).with_hint(hint).into()
}

/// A name that cannot be a slot's is the name of no slot.
fn existing_name(slot: &str) -> Result<SlotName, PgError> {
    SlotName::parse(slot).map_err(|_| {
        PgError::error(
            "42704",
            format!("replication slot \"{slot}\" does not exist"),
        )
    })
}
