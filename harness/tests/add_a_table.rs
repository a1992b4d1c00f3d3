//! The example of `docs/TABLES.md`: a whole table in one file. It passes the contract's suite and runs a cell, through the same
//! one line that the registry has.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use harness::measure::run::Job;
use harness::measure::worker::LookupMode;
use harness::registry::{Table, table};
use structures::{
    BuildError, ConnectionId, Direction, DumpCursor, Dumped, EvictionSink, FlowHandle, FlowTable, FoldHasher,
    Found, Insert, PacketMeta, Sharing, Sizing, Status, TableInfo, Tuple, TupleHasher, VirtualTime,
};

/// `btree`: an ordered map from tuple to connection, behind one lock.
///
/// ```text
/// by_tuple: tuple -> (slot, direction)      two per connection
/// slots:    slot  -> connection             dumps go by slot, which stays while the connection lives (C7)
/// ```
/// Blocking, O(log n), no eviction: at the limit newcomers are refused.
#[derive(Debug)]
struct BTree {
    max_connections: usize,
    hasher: FoldHasher,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_tuple: BTreeMap<Tuple, (usize, Direction)>,
    slots: Vec<Option<Dumped>>,
    free: Vec<usize>,
}

impl Inner {
    /// The live connection of a tuple; an expired one is given back on the way (C2).
    fn find(&mut self, tuple: &Tuple, now: VirtualTime) -> Option<(usize, Direction)> {
        let (slot, direction) = *self.by_tuple.get(tuple)?;
        if self.slots[slot].is_some_and(|c| c.expires <= now) {
            self.take(slot);
            return None;
        }
        Some((slot, direction))
    }

    /// Both tuples, or neither (C1).
    fn take(&mut self, slot: usize) -> Option<ConnectionId> {
        let connection = self.slots[slot].take()?;
        self.by_tuple.remove(&connection.original);
        self.by_tuple.remove(&connection.reply);
        self.free.push(slot);
        Some(connection.id)
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

struct Handle<'t>(&'t BTree);

impl Handle<'_> {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().expect("no panic under the lock")
    }
}

impl FlowTable for BTree {
    type Options = ();
    type Handle<'t> = Handle<'t>;

    const INFO: TableInfo = TableInfo {
        summary: "ordered map behind one lock",
        locking: "one mutex",
        sharing: Sharing::Shared,
        evicts: false,
        answers: true,
    };

    fn new(sizing: &Sizing, (): &()) -> Result<Self, BuildError> {
        if sizing.max_connections == 0 {
            return Err(BuildError::Capacity {
                asked: 0,
                limit: usize::MAX,
            });
        }
        let hasher = FoldHasher::with_seed(sizing.seed);
        Ok(Self {
            max_connections: sizing.max_connections,
            hasher,
            inner: Mutex::default(),
        })
    }

    fn handle(&self) -> Handle<'_> {
        Handle(self)
    }

    fn len(&self) -> usize {
        self.inner.lock().expect("no panic under the lock").len()
    }

    fn memory_bytes(&self) -> usize {
        let inner = self.inner.lock().expect("no panic under the lock");
        inner.slots.capacity() * size_of::<Option<Dumped>>()
            + inner.by_tuple.len() * (size_of::<Tuple>() + size_of::<(usize, Direction)>())
    }
}

impl FlowHandle for Handle<'_> {
    fn hash(&self, tuple: &Tuple) -> u64 {
        // An ordered map needs no hash; the contract's callers want one all the same.
        self.0.hasher.hash(tuple)
    }

    fn lookup(&mut self, packet: &PacketMeta, _: u64) -> Option<Found> {
        let mut inner = self.lock();
        let (slot, direction) = inner.find(&packet.tuple, packet.now)?;
        let connection = inner.slots[slot].as_mut()?;
        connection.expires = packet.expires();
        connection.status = Status(connection.status.0 | packet.set_status.0);
        Some(Found {
            id: connection.id,
            direction,
        })
    }

    fn insert(&mut self, packet: &PacketMeta, reply: &Tuple, _: u64, _: &mut impl EvictionSink) -> Insert {
        let mut inner = self.lock();
        if inner.find(&packet.tuple, packet.now).is_some() || inner.find(reply, packet.now).is_some() {
            return Insert::Duplicate;
        }
        if inner.len() >= self.0.max_connections {
            return Insert::Full;
        }
        let connection = Dumped {
            id: packet.id,
            original: packet.tuple,
            reply: *reply,
            status: packet.set_status,
            expires: packet.expires(),
        };
        let slot = inner.free.pop().unwrap_or_else(|| {
            inner.slots.push(None);
            inner.slots.len() - 1
        });
        inner.slots[slot] = Some(connection);
        inner.by_tuple.insert(packet.tuple, (slot, Direction::Original));
        inner.by_tuple.insert(*reply, (slot, Direction::Reply));
        Insert::Inserted
    }

    fn remove(&mut self, tuple: &Tuple, _: u64, now: VirtualTime) -> Option<ConnectionId> {
        let mut inner = self.lock();
        let (slot, _) = inner.find(tuple, now)?;
        inner.take(slot)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        let mut inner = self.lock();
        let expired = |c: &Option<Dumped>| c.is_some_and(|c| c.expires <= now);
        let slots: Vec<usize> = (0..inner.slots.len())
            .filter(|&slot| expired(&inner.slots[slot]))
            .collect();
        slots.into_iter().filter_map(|slot| inner.take(slot)).count()
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        let inner = self.lock();
        let from = usize::try_from(cursor.position)
            .unwrap_or(usize::MAX)
            .min(inner.slots.len());
        let to = (from + budget).min(inner.slots.len());
        inner.slots[from..to]
            .iter()
            .flatten()
            .for_each(|connection| sink(*connection));
        cursor.position = to as u64;
        to == inner.slots.len()
    }
}

/// The line that would stand in `registry::tables()`.
fn line() -> Table {
    table::<BTree>("btree", ())
}

#[test]
fn the_example_table_passes_the_suite() {
    line().check_conformance();
}

#[test]
fn the_example_table_runs_cells() {
    for workload in ["steady", "churn", "miss", "full"] {
        let trace = workloads::catalog::build(workload, 1 << 10, 1 << 14, 1).unwrap();
        for mode in [LookupMode::Single, LookupMode::Batched] {
            let job = Job {
                trace: &trace,
                threads: 1,
                mode,
                cores: Vec::new(),
            };
            let measurement = line().run(&job).unwrap();
            assert_eq!(measurement.ops, trace.ops.len() as u64, "{workload}");
        }
    }
}
