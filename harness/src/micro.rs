//! One operation, many times, on one table: what criterion times and gungraun counts.
//!
//! Never the source of published numbers: a loop over one operation shows the table at its warmest. `ctbench bench` measures
//! workloads; this is for whoever works on a table and wants to see one operation move.

use std::hint::black_box;

use structures::{
    BuildError, ConnectionId, FlowHandle, FlowTable, Found, IgnoreEvictions, MAX_BATCH, PacketMeta, Sizing,
    Status, VirtualTime,
};
use workloads::Connection;

/// An operation to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MicroOp {
    /// Lookup of a connection that is there, one by one.
    Hit,
    /// The same in batches.
    HitBatch,
    /// Lookup of a tuple that is not there.
    Miss,
    /// Insert of a new connection.
    Insert,
    /// Removal of a connection.
    Remove,
}

impl MicroOp {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hit, Self::HitBatch, Self::Miss, Self::Insert, Self::Remove];

    /// Name in benchmark identifiers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::HitBatch => "hit-batch",
            Self::Miss => "miss",
            Self::Insert => "insert",
            Self::Remove => "remove",
        }
    }
}

/// A table with connections in it, ready to repeat operations.
pub trait Micro {
    /// Brings the table into the state `op` needs. Not part of what is measured.
    fn prepare(&mut self, op: MicroOp);

    /// Does `op` [`OPERATIONS`] times.
    fn measure(&mut self, op: MicroOp);
}

/// Operations of one [`Micro::measure`].
pub const OPERATIONS: u32 = 1024;

/// A step through the resident connections that meets all of them and is no neighbour of the last (odd, so coprime to any
/// power of two; the golden ratio of 2^32).
const STRIDE: u32 = 0x9e37_79b1;

struct Bench<T> {
    table: T,
    hits: Vec<PacketMeta>,
    misses: Vec<PacketMeta>,
    newcomers: Vec<PacketMeta>,
    newcomers_present: bool,
}

/// A table of type `T` holding `connections` connections.
///
/// # Errors
/// Where the table cannot be built.
pub fn bench<T: FlowTable>(options: &T::Options, connections: u32) -> Result<Box<dyn Micro>, BuildError> {
    let newcomers = OPERATIONS;
    let sizing = Sizing {
        max_connections: (connections + newcomers) as usize,
        evict_when_full: false,
        seed: 1,
    };
    let table = T::new(&sizing, options)?;
    {
        let mut handle = table.handle();
        (0..connections).for_each(|n| insert(&mut handle, &packet(n)));
    }
    let resident = |n: u32| packet(n.wrapping_mul(STRIDE) % connections);
    Ok(Box::new(Bench {
        table,
        hits: (0..newcomers).map(resident).collect(),
        misses: (0..newcomers)
            .map(|n| packet(connections + newcomers + n))
            .collect(),
        newcomers: (0..newcomers).map(|n| packet(connections + n)).collect(),
        newcomers_present: false,
    }))
}

fn packet(number: u32) -> PacketMeta {
    PacketMeta {
        tuple: Connection::from(number).original,
        now: VirtualTime(1),
        timeout_ms: u32::MAX,
        id: ConnectionId(number),
        user: 0,
        set_status: Status::NEW,
        action: 0,
    }
}

fn insert<H: FlowHandle>(handle: &mut H, packet: &PacketMeta) {
    let hash = handle.hash(&packet.tuple);
    black_box(handle.insert(packet, &packet.tuple.mirrored(), hash, &mut IgnoreEvictions));
}

fn remove<H: FlowHandle>(handle: &mut H, packet: &PacketMeta) {
    let hash = handle.hash(&packet.tuple);
    black_box(handle.remove(&packet.tuple, hash, packet.now));
}

fn lookup<H: FlowHandle>(handle: &mut H, packet: &PacketMeta) {
    let hash = handle.hash(&packet.tuple);
    black_box(handle.lookup(packet, hash));
}

impl<T: FlowTable> Micro for Bench<T> {
    fn prepare(&mut self, op: MicroOp) {
        let wanted = op == MicroOp::Remove;
        if self.newcomers_present == wanted {
            return;
        }
        let mut handle = self.table.handle();
        for packet in &self.newcomers {
            if wanted {
                insert(&mut handle, packet);
            } else {
                remove(&mut handle, packet);
            }
        }
        self.newcomers_present = wanted;
    }

    fn measure(&mut self, op: MicroOp) {
        let mut handle = self.table.handle();
        match op {
            MicroOp::Hit => self.hits.iter().for_each(|packet| lookup(&mut handle, packet)),
            MicroOp::Miss => self.misses.iter().for_each(|packet| lookup(&mut handle, packet)),
            MicroOp::HitBatch => {
                let mut found: [Option<Found>; MAX_BATCH] = [None; MAX_BATCH];
                for packets in self.hits.chunks_exact(MAX_BATCH) {
                    handle.lookup_batch(packets, &mut found);
                    black_box(&found);
                }
            }
            MicroOp::Insert => {
                self.newcomers
                    .iter()
                    .for_each(|packet| insert(&mut handle, packet));
                self.newcomers_present = true;
            }
            MicroOp::Remove => {
                self.newcomers
                    .iter()
                    .for_each(|packet| remove(&mut handle, packet));
                self.newcomers_present = false;
            }
        }
    }
}
