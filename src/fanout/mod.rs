//! Render a transaction once for all streams that asked for the same.
//!
//! A [`Hub`] stands before one database. Streams that asked for the same (plugin, options) share a
//! channel; a stream asks it for what follows its [`Position`] and gets a [`Piece`]: messages in
//! the form in which they go to the socket. Of the streams that want the same at the same time one
//! renders it and the others wait for that; who comes a little later finds it in the cache. Memory
//! is bounded by a number of bytes for each database, whatever streams do; beyond it stays only what
//! streams in the middle of a transaction are about to go on with.
//!
//! A piece does not depend on who reads it. Descriptions of tables are therefore no part of its
//! bytes: each stream adds those that it was not told of.
//!
//! Nothing here waits, and nothing touches the disk but [`Job::run`], for a blocking thread.

mod cache;
mod channel;
mod flight;
mod hub;
mod piece;
mod reader;
mod resting;
#[cfg(test)]
mod tests;

pub(crate) use channel::{Channel, Job, Next};
pub(crate) use flight::{FlightWait, Made};
pub(crate) use hub::Hub;
pub(crate) use piece::{Description, Piece, Place, Position, Run};
pub(crate) use reader::Failure;
