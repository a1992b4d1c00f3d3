//! From the compact trace to one cache line per packet, split over threads, before the clock starts.

use structures::{Direction, PacketMeta, Tuple};
use workloads::{Op, OpKind, Trace};

/// What one thread runs.
#[derive(Debug)]
pub struct ThreadScript {
    /// One line per operation, in order.
    pub packets: Vec<PacketMeta>,
    /// Reply tuples of the opening packets, in order of their appearance.
    pub replies: Vec<Tuple>,
    /// For each operation its place in [`Trace::ops`], for the check.
    pub op_numbers: Vec<u32>,
}

/// `action` words of an unrolled packet.
pub mod action {
    use workloads::OpKind;

    /// Lookup.
    pub const LOOKUP: u8 = 0;
    /// Lookup, then insert.
    pub const OPEN: u8 = 1;
    /// Remove.
    pub const CLOSE: u8 = 2;
    /// Sweep.
    pub const EXPIRE: u8 = 3;
    /// Lookup of connection or prefix.
    pub const CLASSIFY: u8 = 4;

    /// What the worker does for an operation. A hit and a miss look the same from outside.
    #[must_use]
    pub const fn of(kind: OpKind) -> u8 {
        match kind {
            OpKind::Hit | OpKind::Miss => LOOKUP,
            OpKind::Open => OPEN,
            OpKind::Close => CLOSE,
            OpKind::Expire => EXPIRE,
            OpKind::ClassifyHit | OpKind::ClassifyMiss => CLASSIFY,
        }
    }
}

/// Which thread runs an operation: all packets of a connection go to one thread, as symmetric RSS would send them.
#[must_use]
pub const fn thread_of(op: &Op, threads: usize) -> usize {
    op.connection as usize % threads
}

/// Unrolls `ops` for each of `threads` threads.
#[must_use]
pub fn unroll(trace: &Trace, ops: &[Op], threads: usize) -> Vec<ThreadScript> {
    let mut scripts: Vec<ThreadScript> = (0..threads)
        .map(|thread| {
            let mine = || ops.iter().filter(|op| thread_of(op, threads) == thread);
            ThreadScript {
                packets: Vec::with_capacity(mine().count()),
                replies: Vec::with_capacity(mine().filter(|op| op.kind == OpKind::Open).count()),
                op_numbers: Vec::with_capacity(mine().count()),
            }
        })
        .collect();
    for (number, op) in (0u32..).zip(ops) {
        let script = &mut scripts[thread_of(op, threads)];
        script.packets.push(packet_of(trace, op));
        script.op_numbers.push(number);
        if op.kind == OpKind::Open {
            script
                .replies
                .push(trace.connections[op.connection as usize].reply);
        }
    }
    scripts
}

fn packet_of(trace: &Trace, op: &Op) -> PacketMeta {
    // A sweep has no tuple; connection 0's stands in and is not read.
    let tuple = trace.connections.get(op.connection as usize).map_or_else(
        || Tuple::v4(0, [0; 4].into(), 0, [0; 4].into(), 0),
        |c| *c.tuple(effective_direction(op)),
    );
    PacketMeta {
        tuple,
        now: op.time,
        timeout_ms: op.timeout_ms,
        id: workloads::trace::id_of(op.connection),
        user: 0,
        set_status: op.set_status,
        action: action::of(op.kind),
    }
}

/// An opening packet always carries the original tuple.
const fn effective_direction(op: &Op) -> Direction {
    if matches!(op.kind, OpKind::Open) {
        Direction::Original
    } else {
        op.direction
    }
}
