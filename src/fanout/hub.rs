//! What the streams of one database share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cache::Cache;
use super::channel::Channel;
use super::flight::Flight;
use super::piece::{Piece, Position};
use super::reader::Reader;
use super::resting::Resting;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::plugins::{Plugin, PluginError, Renderer};

/// Bytes of pieces that are kept for each database.
const MOST_BYTES: usize = 16 << 20;
/// Pieces and readers that nobody used for that long go.
const UNUSED: Duration = Duration::from_secs(10);
/// So many readers may rest in a channel, also when it has fewer streams.
const FEW_READERS: usize = 4;
/// A stream that stood still for longer is not waited for.
const STALLED: Duration = Duration::from_millis(100);

/// What a stream asks for: its plugin, and the options in the order of their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    plugin: Plugin,
    options: Vec<(String, Option<String>)>,
}

impl Asked {
    fn new(plugin: Plugin, options: &[(String, Option<String>)]) -> Self {
        let mut options = options.to_vec();
        // Stable: what a name that is given twice means may depend on the order.
        options.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { plugin, options }
    }
}

/// What the streams of one database share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(super) engine: Arc<Engine>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    next_id: u64,
    channels: BTreeMap<u64, Shared>,
    cache: Cache,
    resting: Resting,
    /// Bytes of readers that rest, as far as nobody needs them.
    most_resting: usize,
    /// When it was looked for what nobody uses (steady time).
    tidied: Duration,
}

/// One channel.
#[derive(Debug)]
struct Shared {
    asked: Arc<Asked>,
    members: BTreeMap<u64, Member>,
    flights: BTreeMap<Position, Arc<Flight>>,
}

/// A stream of a channel.
#[derive(Debug, Clone, Copy)]
struct Member {
    at: Position,
    /// When it came there (steady time).
    since: Duration,
}

/// What a stream that stands somewhere has to do.
pub(super) enum Found {
    /// Nothing: here it is.
    Piece(Arc<Piece>),
    /// Wait for who makes it.
    Flight(Arc<Flight>),
    /// Let others catch up for a moment.
    Pace,
    /// Make it.
    Make(Making),
}

/// What it takes to make a piece.
pub(super) struct Making {
    pub(super) flight: Arc<Flight>,
    /// A reader that stands there already.
    pub(super) reader: Option<Box<Reader>>,
    /// Another piece begins there.
    pub(super) until: Option<Lsn>,
    pub(super) asked: Arc<Asked>,
}

impl Hub {
    /// The hub of a database.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self::with_most_bytes(engine, MOST_BYTES)
    }

    /// Whether it is shared by streams of this very database, not of one that had its name before.
    pub(crate) fn is_of(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// The same with another bound for what is kept.
    pub(super) fn with_most_bytes(engine: Arc<Engine>, most_bytes: usize) -> Self {
        let state = State {
            next_id: 0,
            channels: BTreeMap::new(),
            cache: Cache::new(most_bytes),
            resting: Resting::default(),
            most_resting: most_bytes / 2,
            tidied: Duration::ZERO,
        };
        Self {
            engine,
            state: Mutex::new(state),
        }
    }

    /// Joins the channel of those who asked for the same.
    ///
    /// # Errors
    ///
    /// When the plugin refuses the options.
    pub(crate) fn join(
        self: &Arc<Self>,
        plugin: Plugin,
        options: &[(String, Option<String>)],
    ) -> Result<Channel, PluginError> {
        let asked = Asked::new(plugin, options);
        // Options are judged as they were given.
        Renderer::start(plugin, options, self.engine.relations().clone())?;
        let mut state = self.lock();
        let known = state.channels.iter().find(|(_, of)| *of.asked == asked);
        let id = known.map(|(id, _)| *id);
        let id = id.unwrap_or_else(|| state.open(asked));
        let member = state.new_id();
        let at = Member {
            at: Position::after(Lsn::ZERO),
            since: Duration::ZERO,
        };
        if let Some(channel) = state.channels.get_mut(&id) {
            channel.members.insert(member, at);
        }
        Ok(Channel::new(Arc::clone(self), id, member))
    }

    /// Bytes that are kept for streams.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let state = self.lock();
        state.cache.bytes() + state.resting.bytes()
    }

    /// How many readers rest, and the bytes that they hold.
    #[cfg(test)]
    pub(super) fn resting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.resting.len(), state.resting.bytes())
    }

    /// Starts a plugin once more.
    pub(super) fn start(&self, asked: &Asked) -> Result<Renderer, PluginError> {
        let relations = self.engine.relations().clone();
        Renderer::start(asked.plugin, &asked.options, relations)
    }

    /// Looks for what follows `at`. `patient`: the stream may be asked to let others catch up.
    pub(super) fn look(
        &self,
        id: u64,
        member: u64,
        at: Position,
        now: Moment,
        patient: bool,
    ) -> Option<Found> {
        let mut state = self.lock();
        let state = &mut *state;
        let channel = state.channels.get_mut(&id)?;
        channel.note(member, at, now.steady);
        if let Some(piece) = state.cache.find(id, at, now.steady) {
            return Some(Found::Piece(piece));
        }
        if let Some(flight) = channel.flights.get(&at) {
            return Some(Found::Flight(Arc::clone(flight)));
        }
        if patient && channel.has_followers(id, at, &state.cache, now.steady) {
            return Some(Found::Pace);
        }
        let flight = Arc::new(Flight::default());
        channel.flights.insert(at, Arc::clone(&flight));
        let next = state.cache.next_begin(id, at);
        Some(Found::Make(Making {
            flight,
            reader: state.resting.take(id, at).map(Box::new),
            until: next.filter(|next| next.frames == 0).map(|next| next.after),
            asked: Arc::clone(&channel.asked),
        }))
    }

    /// The flight at `at` is over: what it made is kept for others, and so is its reader.
    pub(super) fn land(
        &self,
        id: u64,
        at: Position,
        piece: Option<&Arc<Piece>>,
        reader: Option<Box<Reader>>,
        now: Option<Moment>,
    ) {
        let gone = {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(channel) = state.channels.get_mut(&id) else {
                return;
            };
            channel.flights.remove(&at);
            let Some(now) = now else {
                return;
            };
            let most = channel.members.len().max(FEW_READERS);
            let more = reader.and_then(|of| state.resting.insert(id, *of, now.steady, most));
            let readers = state.shrink_resting(now.steady);
            let pieces = piece.map(|piece| state.cache.insert(id, piece, now.steady));
            (more, readers, pieces)
        };
        // Freed when others can go on already.
        drop(gone);
    }

    /// Leaves a channel; the last one takes it along.
    pub(super) fn leave(&self, id: u64, member: u64) {
        let gone = {
            let mut state = self.lock();
            let Some(channel) = state.channels.get_mut(&id) else {
                return;
            };
            channel.members.remove(&member);
            if !channel.members.is_empty() {
                return;
            }
            let channel = state.channels.remove(&id);
            let readers = state.resting.remove_channel(id);
            (channel, readers, state.cache.remove_channel(id))
        };
        drop(gone);
    }

    /// Lets go of what nobody has used for a while. The stream that says so stands at `at`.
    pub(super) fn tidy(&self, id: u64, member: u64, at: Position, now: Moment) {
        let gone = {
            let mut state = self.lock();
            let state = &mut *state;
            if let Some(channel) = state.channels.get_mut(&id) {
                channel.note(member, at, now.steady);
            }
            let Some(since) = now.steady.checked_sub(UNUSED) else {
                return;
            };
            // Every stream asks for it; once is enough.
            if now.steady < state.tidied + UNUSED / 10 {
                return;
            }
            state.tidied = now.steady;
            let pieces = state.cache.remove_unused(since);
            let is_needed = |id, at| needs(&state.channels, id, at, Duration::ZERO);
            let readers = state.resting.remove_unused(since, is_needed);
            (pieces, readers)
        };
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn open(&mut self, asked: Asked) -> u64 {
        let id = self.new_id();
        let channel = Shared {
            asked: Arc::new(asked),
            members: BTreeMap::new(),
            flights: BTreeMap::new(),
        };
        self.channels.insert(id, channel);
        id
    }

    /// Keeps the readers that rest within their bound. Those stay that streams which move are about
    /// to need in the middle of a transaction: it would be rendered again and again.
    fn shrink_resting(&mut self, now: Duration) -> Vec<Reader> {
        let since = now.saturating_sub(UNUSED);
        let is_needed = |id, at| needs(&self.channels, id, at, since);
        let gone = self.resting.shrink(self.most_resting, is_needed);
        self.cache.set_beside(self.resting.bytes());
        gone
    }
}

/// Whether a stream of the channel that moved since then has not passed `at`.
fn needs(channels: &BTreeMap<u64, Shared>, id: u64, at: Position, since: Duration) -> bool {
    let channel = channels.get(&id);
    let members = channel.into_iter().flat_map(|of| of.members.values());
    members
        .filter(|member| member.since >= since)
        .any(|member| member.at <= at)
}

impl Shared {
    fn note(&mut self, member: u64, at: Position, now: Duration) {
        let moved = Member { at, since: now };
        let member = self.members.entry(member).or_insert(moved);
        if member.at != at {
            *member = moved;
        }
    }

    /// Whether a stream behind `at` still needs what would have to go for one more piece: then who
    /// is in front lets it catch up, or both would render all of the rest. One that stands still
    /// is not waited for.
    fn has_followers(&self, id: u64, at: Position, cache: &Cache, now: Duration) -> bool {
        let Some((channel, piece)) = cache.next_to_go() else {
            return false;
        };
        channel == id
            && self.members.values().any(|member| {
                member.at < at
                    && member.at < piece.end()
                    && now.saturating_sub(member.since) < STALLED
                    && cache.holds(id, member.at)
            })
    }
}
