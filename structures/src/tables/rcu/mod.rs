//! `rcu`: readers that take no lock and make no atomic read-modify-write; writers on striped locks; deferred
//! reclamation.
//!
//! # Source, and what differs
//! The discipline is that of `nf_conntrack` since 2008 (RCU lookups, hashed bucket locks taken in order, both
//! tuples or neither). What differs: buckets are cache lines of tags and links, not chains of entries, as in
//! bucketised tables from Cuckoo++ to F14; slots come back after a real grace period, so a reader neither
//! takes a reference nor checks its find again, as the kernel's must since 2009 (`SLAB_TYPESAFE_BY_RCU`); and
//! eviction has regard to age. Reclamation is by epochs as in Fraser's thesis, with the asymmetric barrier of
//! liburcu's `memb` flavour.
//!
//! # Layout
//! ```text
//! hash of a tuple:   | bucket number (multiply-shift, from the top) ............ tag (low byte) |
//!
//! home line   | 12 tags, next line | 12 links |        one 64-byte line per bucket
//!                          |           |
//!              overflow line, ...      `--> link = slot << 1 | direction --> entry (128 bytes, two lines)
//!
//! stripes     | lock | lock | ...              bucket & mask; one line each
//! records     | active epoch | kept slots |    one per handle; see `grace`
//! ```
//! Bytes per connection at `max_connections`: 128 for the entry + 2 x 64 / `tuples_per_line` for the index,
//! 146 in all by default (7 tuples per line); beside that up to 8192 slots of slack (at most a thirty-second
//! of the table, 128 slots at least), the stripes and the overflow lines, which 0.7 % of tuples need by
//! default.
//!
//! # Progress and cost
//! | operation | progress | lines touched (home line not overfull) |
//! |---|---|---|
//! | lookup, hit, original | wait-free | home line, first line of the entry |
//! | lookup, hit, reply | wait-free | home line, both lines of the entry |
//! | lookup, miss | wait-free | home line; in 2.7 % of misses an entry too, whose tag is the same by chance |
//! | batch lookup | wait-free | the same, fetched ahead for the whole batch, which is one operation |
//! | insert | blocking | two home lines, both lines of the entry, two stripes |
//! | remove | blocking | the same |
//! | evict | blocking, bounded work | those, and one line for each candidate |
//! | expire, dump | blocking / wait-free per slot | one entry line per slot |
//!
//! Atomic read-modify-writes: none in a lookup; eight in an insert and eight in a remove (two stripes and
//! what the handle keeps, locked and unlocked; the count; the live mark), and one `membarrier` per batch of
//! 16 to 256 removals. All are O(1) expected, in the length of one chain at worst. Readers write the entry
//! they hit (`touch`: plain stores, and one read-modify-write when a packet adds a status bit) and their
//! handle's own record, nothing else.
//!
//! # Guarantees
//! * **R1** A lookup answers with a connection that had the packet's tuple at some moment during the lookup;
//!   it never sees parts of two connections. Tests: `r1_*`; models `publication_*`.
//! * **R2** Both tuples of a connection become findable with the entry complete. A reader may find the one
//!   before the other, as long as the insert runs; after it returned, every lookup that begins finds both.
//!   Tests: `r2_*`; models `publication_*`.
//! * **R3** A connection that stays is found by every lookup, whatever comes and goes in its bucket: links do
//!   not move, and an unlinked overflow line still leads on. Tests: `r3_*`; model
//!   `a_chain_that_shrinks_loses_nothing`.
//! * **R4** A slot is not written while a reader that may have found it is inside an operation. Tests:
//!   `r4_*`; models `reclamation_*`.
//! * **R5** No insert fails or waits for ever for want of a slot below `max_connections`: a handle that is
//!   idle holds nothing back, and neither does one that was dropped. Argument in `grace`. Tests: `r5_*`.
//! * **R6** No caller's code (eviction sink, dump sink) runs under a lock or inside an operation. Tests:
//!   `r6_*`.
//! * **R7** Tag comparison gives the same places with and without vector instructions. Tests: `r7_*`.
//! * **R8** Eviction takes, of the some 30 connections it looks at (see `room`), an expired one if it meets
//!   one, else the one without ASSURED that was quiet longest; where none of them will do, it takes what it
//!   finds first among 256 more, which are all there are in tables of up to 128. Tests: `r8_*`.
//!
//! # Known limits
//! * The number of buckets is fixed when the table is built; a table filled past its `tuples_per_line`
//!   overflows into more lines, gently, but does not grow.
//! * An expired connection stays in its slot until an insert meets it or `expire` comes by; readers do not
//!   remove it, since they would have to lock.
//! * A reader that is descheduled inside an operation holds back everything retired since. Removals go on;
//!   inserts wait once the slack is used up.
//! * Under concurrent inserts of the same tuples into a full table, one that ends as a duplicate may have
//!   evicted for nothing (and reported it).
//! * Each batch of removals costs one `membarrier`, microseconds that also interrupt the process's other
//!   threads.

mod barrier;
#[doc(hidden)]
pub mod fault;
mod grace;
mod handle;
mod index;
mod line;
mod room;

use crate::entry::{Entry, Slab};
use crate::hash::{FoldHasher, TupleHasher};
use crate::sync::{Mutex, MutexGuard, Ordering};
use crate::table::{BuildError, FlowTable, Sharing, Sizing, TableInfo};
use crate::tuple::Direction;

pub use barrier::ReaderBarrier;
pub use handle::RcuHandle;

use grace::{Domain, Retired};
use index::{Index, Position};

/// Default tuples per home line when the table is full: 7 of 12 places. At 7, 2.7 % of the buckets overflow
/// with 0.7 % of all tuples (Poisson); at 6, 0.9 % do with 0.2 %, for 3 bytes per connection more; at 8, 6.4
/// % do with 1.6 %.
const TUPLES_PER_LINE: u32 = 7;

/// Most tuples per line that can be asked for: a chain of several lines per bucket, for those who want to see
/// it degrade.
const MAX_TUPLES_PER_LINE: u32 = 1024;

/// Most stripes. If 7 other writers held two of 256 each all the time, a writer that wants two would wait in
/// one of nine operations; a line each, they take 16 KiB, a third of a first-level cache. The kernel has
/// 1024, sixteen to a line.
const MAX_STRIPES: u32 = if cfg!(loom) { 2 } else { 256 };

/// Slots beyond `max_connections`, for those that wait and those that handles keep: a thirty-second more ...
const SLACK_SHARE: usize = 32;
/// ... but at least this many: what the caches of two handles hold (64 slots each, see [`crate::entry`]) ...
const MIN_SLACK: usize = if cfg!(loom) { 1 } else { 128 };
/// ... and at most this many: two of the largest batches for each of 16 handles.
const MAX_SLACK: usize = 8192;

/// Most retirements in a batch: one `membarrier` of some microseconds spread over this many costs each some
/// ten nanoseconds.
const MAX_BATCH_RETIRED: usize = if cfg!(loom) { 1 } else { 256 };
/// A batch is this part of the slack, so that several handles can have one open without starving the rest.
const BATCHES_IN_SLACK: usize = 8;

/// Words of [`Entry::links`]: buckets by direction, lines by direction, places of both.
const BUCKET: [usize; 2] = [0, 1];
const LINE: [usize; 2] = [2, 3];
const PLACES: usize = 4;

/// Configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RcuOptions {
    /// Tuples per home line when the table is full, 1 to 1024. A line has 12 places.
    pub tuples_per_line: u32,
    /// Who pays for the barrier between readers and reclaiming writers.
    pub reader_barrier: ReaderBarrier,
}

impl Default for RcuOptions {
    fn default() -> Self {
        Self {
            tuples_per_line: TUPLES_PER_LINE,
            reader_barrier: ReaderBarrier::default(),
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct Rcu<H: TupleHasher = FoldHasher> {
    hasher: H,
    index: Index,
    stripes: Box<[Stripe]>,
    slab: Slab,
    domain: Domain,
    evict_when_full: bool,
    seed: u64,
}

/// The lock of every bucket whose number has the stripe's low bits; a line to itself.
#[derive(Debug)]
#[repr(align(64))]
struct Stripe(Mutex<()>);

/// The locks of two buckets, which may be one lock.
struct Locked<'t> {
    _first: MutexGuard<'t, ()>,
    _second: Option<MutexGuard<'t, ()>>,
}

impl<H: TupleHasher> FlowTable for Rcu<H> {
    type Options = RcuOptions;
    type Handle<'t> = RcuHandle<'t, H>;

    const INFO: TableInfo = TableInfo {
        summary: "cache-line buckets of tags and links, lock-free readers, deferred reclamation",
        locking: "readers none (epochs, asymmetric barrier); writers striped locks",
        sharing: Sharing::Shared,
        evicts: true,
        answers: true,
    };

    fn new(sizing: &Sizing, options: &RcuOptions) -> Result<Self, BuildError> {
        if !(1..=MAX_TUPLES_PER_LINE).contains(&options.tuples_per_line) {
            return Err(BuildError::Option {
                name: "tuples_per_line",
                problem: format!("is {}; give 1 to {MAX_TUPLES_PER_LINE}", options.tuples_per_line),
            });
        }
        let slack = (sizing.max_connections / SLACK_SHARE).clamp(MIN_SLACK, MAX_SLACK);
        let slab = Slab::new(sizing.max_connections, slack)?;
        let buckets = bucket_count(sizing.max_connections, options.tuples_per_line);
        let stripes = buckets.next_power_of_two().min(MAX_STRIPES);
        let batch = (slack / BATCHES_IN_SLACK).clamp(1, MAX_BATCH_RETIRED);
        Ok(Self {
            hasher: H::with_seed(sizing.seed),
            index: Index::new(buckets),
            stripes: (0..stripes).map(|_| Stripe(Mutex::new(()))).collect(),
            slab,
            domain: Domain::new(options.reader_barrier, batch),
            evict_when_full: sizing.evict_when_full,
            seed: sizing.seed,
        })
    }

    fn handle(&self) -> RcuHandle<'_, H> {
        RcuHandle::new(self)
    }

    fn len(&self) -> usize {
        self.slab.len()
    }

    fn memory_bytes(&self) -> usize {
        let records = self.domain.records();
        let kept = records
            .iter()
            .map(|r| size_of_val(&**r) + r.keep.lock().memory_bytes());
        size_of::<Self>()
            + self.index.memory_bytes()
            + size_of_val(&*self.stripes)
            + self.slab.memory_bytes()
            + kept.sum::<usize>()
    }
}

/// Home lines for two tuples per connection.
fn bucket_count(max_connections: usize, tuples_per_line: u32) -> u32 {
    let buckets = (2 * max_connections).div_ceil(tuples_per_line as usize);
    // At most 2^31: a slab has at most 2^30 slots.
    u32::try_from(buckets).unwrap_or(u32::MAX / 2)
}

impl<H: TupleHasher> Rcu<H> {
    /// Locks two buckets, the lower stripe first, so that no two writers wait for each other.
    fn lock(&self, buckets: [u32; 2]) -> Locked<'_> {
        let stripe = |bucket: u32| bucket as usize & (self.stripes.len() - 1);
        let (a, b) = (stripe(buckets[0]), stripe(buckets[1]));
        Locked {
            _first: self.stripes[a.min(b)].0.lock(),
            _second: (a != b).then(|| self.stripes[a.max(b)].0.lock()),
        }
    }

    /// The entry a link leads to, and which of its tuples.
    #[inline]
    fn follow(&self, link: u32) -> (&Entry, Direction) {
        (self.slab.entry(slot_of(link)), direction_of(link))
    }

    /// Takes the connection in `slot` out of the index. The caller holds both locks and saw it live under
    /// them.
    ///
    /// The slot itself, and lines that became empty, are the caller's to retire.
    fn unlink(&self, slot: u32) -> [Option<Retired>; 3] {
        let entry = self.slab.entry(slot);
        let lines = [Direction::Original, Direction::Reply].map(|direction| {
            let bucket = bucket_of(entry, direction);
            let line = self.index.unpublish(bucket, position_of(entry, direction));
            line.map(Retired::Line)
        });
        entry.clear_live();
        [lines[0], lines[1], Some(Retired::Slot(slot))]
    }
}

const fn link_to(slot: u32, direction: Direction) -> u32 {
    slot << 1 | direction as u32
}

const fn slot_of(link: u32) -> u32 {
    link >> 1
}

const fn direction_of(link: u32) -> Direction {
    if link & 1 == 0 {
        Direction::Original
    } else {
        Direction::Reply
    }
}

/// The bucket of one of an entry's tuples.
fn bucket_of(entry: &Entry, direction: Direction) -> u32 {
    // Relaxed: written by the inserter before set_live() (Release), and read after is_live() (Acquire) or
    // under the lock.
    entry.links[BUCKET[direction as usize]].load(Ordering::Relaxed)
}

fn buckets_of(entry: &Entry) -> [u32; 2] {
    [Direction::Original, Direction::Reply].map(|direction| bucket_of(entry, direction))
}

/// Where the link of one of an entry's tuples is.
fn position_of(entry: &Entry, direction: Direction) -> Position {
    // Relaxed: written and read under the bucket's lock.
    let line = entry.links[LINE[direction as usize]].load(Ordering::Relaxed);
    // Relaxed: as above.
    let places = entry.links[PLACES].load(Ordering::Relaxed);
    Position {
        line,
        place: places >> (16 * direction as u32) & 0xffff,
    }
}

fn note_buckets(entry: &Entry, buckets: [u32; 2]) {
    for (word, bucket) in BUCKET.into_iter().zip(buckets) {
        // Relaxed: published by set_live(); see bucket_of().
        entry.links[word].store(bucket, Ordering::Relaxed);
    }
}

fn note_positions(entry: &Entry, positions: [Position; 2]) {
    for (word, position) in LINE.into_iter().zip(positions) {
        // Relaxed: written and read under the bucket's lock.
        entry.links[word].store(position.line, Ordering::Relaxed);
    }
    let places = positions[0].place | positions[1].place << 16;
    // Relaxed: as above.
    entry.links[PLACES].store(places, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::table::{ConnectionId, FlowHandle, IgnoreEvictions, Insert, PacketMeta, Status, VirtualTime};
    use crate::tuple::Tuple;

    fn packet(n: u16) -> PacketMeta {
        PacketMeta {
            tuple: Tuple::v4(17, [10, 0, 0, 1].into(), n, [10, 0, 0, 2].into(), 53),
            now: VirtualTime(1),
            timeout_ms: 1000,
            id: ConnectionId(n.into()),
            user: 0,
            set_status: Status::NEW,
            action: 0,
        }
    }

    /// Opens and closes connection `n`; returns the slot it had.
    fn open_and_close(handle: &mut RcuHandle<'_, FoldHasher>, n: u16) -> u32 {
        let packet = packet(n);
        let hash = handle.hash(&packet.tuple);
        let opened = handle.insert(&packet, &packet.tuple.mirrored(), hash, &mut IgnoreEvictions);
        assert_eq!(opened, Insert::Inserted);
        let table = handle.table;
        let address = table.index.address(hash);
        let link = table.find(&packet.tuple, address, &mut handle.counters);
        let link = link.expect("just inserted");
        assert_eq!(handle.remove(&packet.tuple, hash, packet.now), Some(packet.id));
        slot_of(link)
    }

    /// R4, R5: while one handle is inside an operation, another goes through every slot there is and none
    /// comes twice; when it has left, they do.
    #[test]
    fn r4_r5_an_operation_under_way_holds_slots_back_and_no_longer() {
        const CONNECTIONS: usize = 8;
        let sizing = Sizing {
            max_connections: CONNECTIONS,
            evict_when_full: false,
            seed: 3,
        };
        let table = Rcu::<FoldHasher>::new(&sizing, &RcuOptions::default()).unwrap();
        let (reader, mut writer) = (table.handle(), table.handle());
        let slots = u16::try_from(CONNECTIONS + MIN_SLACK).unwrap();
        let inside = table.domain.enter(&reader.record);
        let mut seen = HashSet::new();
        for n in 0..slots {
            assert!(
                seen.insert(open_and_close(&mut writer, n)),
                "slot reused too early"
            );
        }
        drop(inside);
        for n in 0..10 * slots {
            assert!(seen.contains(&open_and_close(&mut writer, n)));
        }
    }
}
