//! `null`: does nothing. What it costs is what the harness costs.
//!
//! # Guarantees
//! None: every lookup misses, every insert says [`Insert::Inserted`]. [`TableInfo::answers`] is false, so its answers are
//! not checked and it appears in reports only as the harness's own cost.

use crate::table::{
    BuildError, ConnectionId, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, Found, Insert,
    PacketMeta, Sharing, Sizing, TableInfo, VirtualTime,
};
use crate::tuple::Tuple;

/// The table that does nothing.
#[derive(Debug)]
pub struct Null;

/// Its handle.
#[derive(Debug)]
pub struct NullHandle;

impl FlowTable for Null {
    type Options = ();
    type Handle<'t> = NullHandle;

    const INFO: TableInfo = TableInfo {
        summary: "does nothing: the cost of the harness itself",
        locking: "none",
        sharing: Sharing::Shared,
        evicts: false,
        answers: false,
    };

    fn new(_: &Sizing, (): &()) -> Result<Self, BuildError> {
        Ok(Self)
    }

    fn handle(&self) -> NullHandle {
        NullHandle
    }

    fn len(&self) -> usize {
        0
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

impl FlowHandle for NullHandle {
    #[inline]
    fn hash(&self, _: &Tuple) -> u64 {
        0
    }

    #[inline]
    fn lookup(&mut self, _: &PacketMeta, _: u64) -> Option<Found> {
        None
    }

    #[inline]
    fn insert(&mut self, _: &PacketMeta, _: &Tuple, _: u64, _: &mut impl EvictionSink) -> Insert {
        Insert::Inserted
    }

    #[inline]
    fn remove(&mut self, _: &Tuple, _: u64, _: VirtualTime) -> Option<ConnectionId> {
        None
    }

    fn expire(&mut self, _: VirtualTime) -> usize {
        0
    }

    fn dump(&mut self, _: &mut DumpCursor, _: usize, _: &mut dyn FnMut(Dumped)) -> bool {
        true
    }
}
