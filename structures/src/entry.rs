//! The connection entry and the slab it lives in.
//!
//! ```text
//!          0                                      40       48         56  60    64
//! line 0 | original tuple                        | expires | last_seen | id | status |
//! line 1 | reply tuple                           | links: 6 words of the table's own  |
//! ```
//! A hit in the original direction reads and writes line 0 only; one in the reply direction compares line 1 and touches
//! line 0. Both lines lie in one 128-byte block, which the adjacent-line prefetcher of current x86 fetches together.
//! The kernel's `struct nf_conn` takes 256 bytes or more for the same with its extensions.
//!
//! Slots are numbered by `u32`. The slab is one allocation made for the table's limit (`nf_conntrack_max`), as DPDK's mempools are:
//! pages that no connection ever used are never touched, but the allocator's account shows them.
//!
//! # Guarantees
//! * **S1** [`Slab::reserve`] never lets more than `max_connections` through at once.
//! * **S2** A slot is handed out to one owner at a time.

use std::cell::UnsafeCell;

use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::table::{BuildError, ConnectionId, Dumped, Evicted, PacketMeta, Status, VirtualTime};
use crate::tuple::{Direction, Tuple};

/// Slot number that no slab hands out: the end of a chain, an empty place.
pub const NO_SLOT: u32 = u32::MAX;

/// Most slots a slab can have: slot numbers below 2^30 leave two bits for tables to tag links with.
pub const MAX_SLOTS: usize = 1 << 30;

/// Slots a handle takes from or returns to the shared free list at once.
const CACHE_BATCH: usize = 32;

/// Set in the status word while the slot holds a connection that is in its table.
const LIVE: u32 = 1 << 31;

/// One connection.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Entry {
    original: UnsafeCell<Tuple>,
    expires: AtomicU64,
    last_seen: AtomicU64,
    id: AtomicU32,
    status: AtomicU32,
    reply: UnsafeCell<Tuple>,
    /// The table's own words: chain links, stored hashes, positions.
    pub links: [AtomicU32; 6],
    /// Stands for both tuples in a model: loom fails the model where a read and a write of it can race.
    #[cfg(loom)]
    race: loom::cell::UnsafeCell<()>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry>() == 128);

// SAFETY: the tuples are written only through `fill`, whose caller has the slot to itself, and read only through
// `tuple`, whose caller knows that no `fill` can run meanwhile; everything else is atomic.
unsafe impl Sync for Entry {}

impl Entry {
    fn empty() -> Self {
        let nothing = Tuple::v4(0, [0, 0, 0, 0].into(), 0, [0, 0, 0, 0].into(), 0);
        Self {
            original: UnsafeCell::new(nothing),
            expires: AtomicU64::new(0),
            last_seen: AtomicU64::new(0),
            id: AtomicU32::new(0),
            status: AtomicU32::new(0),
            reply: UnsafeCell::new(nothing),
            links: std::array::from_fn(|_| AtomicU32::new(0)),
            #[cfg(loom)]
            race: loom::cell::UnsafeCell::new(()),
        }
    }

    /// Writes a new connection into the slot. It is not live yet: see [`Entry::set_live`].
    ///
    /// # Safety
    /// The caller owns the slot (it came from [`Slab::allocate`] and was not published since), and no other thread can
    /// still read tuples of the slot's earlier connection.
    pub unsafe fn fill(&self, packet: &PacketMeta, reply: &Tuple) {
        #[cfg(loom)]
        self.race.with_mut(|_| ());
        // SAFETY: the caller owns the slot: nobody else reads or writes the tuple.
        unsafe { *self.original.get() = packet.tuple };
        // SAFETY: as above.
        unsafe { *self.reply.get() = *reply };
        // Relaxed: the publishing store of the table (a link or a lock release) orders all of these.
        self.expires.store(packet.expires().0, Ordering::Relaxed);
        // Relaxed: as above.
        self.last_seen.store(packet.now.0, Ordering::Relaxed);
        // Relaxed: as above.
        self.id.store(packet.id.0, Ordering::Relaxed);
        // Relaxed: as above; LIVE stays clear.
        self.status
            .store(u32::from(packet.set_status.0), Ordering::Relaxed);
    }

    /// One of the connection's tuples.
    ///
    /// # Safety
    /// No [`Entry::fill`] of this slot can run while the returned reference lives: the caller holds the table's lock, or a
    /// pin that keeps the slot from being reused, and reached the slot through a published link or a live flag.
    #[inline]
    #[must_use]
    pub unsafe fn tuple(&self, direction: Direction) -> &Tuple {
        #[cfg(loom)]
        self.race.with(|_| ());
        let cell = match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        };
        // SAFETY: the caller keeps `fill` away, the only writer.
        unsafe { &*cell.get() }
    }

    /// The direction whose tuple equals `tuple`, if any.
    ///
    /// # Safety
    /// As [`Entry::tuple`].
    #[inline]
    #[must_use]
    pub unsafe fn direction_of(&self, tuple: &Tuple) -> Option<Direction> {
        // SAFETY: the caller's promise is the same.
        if unsafe { self.tuple(Direction::Original) } == tuple {
            return Some(Direction::Original);
        }
        // SAFETY: as above.
        (unsafe { self.tuple(Direction::Reply) } == tuple).then_some(Direction::Reply)
    }

    /// The caller's number for the connection.
    #[inline]
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        // Relaxed: published with the entry.
        ConnectionId(self.id.load(Ordering::Relaxed))
    }

    /// Its status bits.
    #[inline]
    #[must_use]
    pub fn status(&self) -> Status {
        // Relaxed: a hint that may be a packet old; eviction tolerates a just-assured connection, as the kernel does.
        #[expect(clippy::cast_possible_truncation, reason = "status bits are the low byte")]
        Status(self.status.load(Ordering::Relaxed) as u8)
    }

    /// When it last saw a packet.
    #[inline]
    #[must_use]
    pub fn last_seen(&self) -> VirtualTime {
        // Relaxed: a lone statistic.
        VirtualTime(self.last_seen.load(Ordering::Relaxed))
    }

    /// When it expires if no packet follows.
    #[inline]
    #[must_use]
    pub fn expires(&self) -> VirtualTime {
        // Relaxed: compared with a clock only.
        VirtualTime(self.expires.load(Ordering::Relaxed))
    }

    /// Whether its timeout has passed at `now`.
    #[inline]
    #[must_use]
    pub fn is_expired(&self, now: VirtualTime) -> bool {
        self.expires() <= now
    }

    /// Notes a packet: last-seen, expiry, status bits.
    ///
    /// Two threads that see both directions of one connection at the same moment may leave the earlier of two expiry
    /// times, a packet's worth apart: tolerated, as the kernel tolerates it.
    #[inline]
    pub fn touch(&self, packet: &PacketMeta) {
        // Relaxed: lone values, see above.
        self.expires.store(packet.expires().0, Ordering::Relaxed);
        // Relaxed: as above.
        self.last_seen.store(packet.now.0, Ordering::Relaxed);
        let bits = u32::from(packet.set_status.0);
        // Relaxed: the bits only ever grow while the connection lives; tested first because most packets add none
        // and a read-modify-write costs ten times a load.
        if self.status.load(Ordering::Relaxed) & bits != bits {
            self.status.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// Marks the connection as being in its table; dumps and sweeps look at live slots only.
    #[inline]
    pub fn set_live(&self) {
        // Release: pairs with the Acquire in is_live(); publishes the entry's fields to dumps and sweeps.
        self.status.fetch_or(LIVE, Ordering::Release);
    }

    /// Takes the live mark away. Returns false where it was gone already: of two threads that remove the same
    /// connection, one gets true.
    #[inline]
    pub fn clear_live(&self) -> bool {
        // AcqRel: pairs with itself and set_live(); the winner sees all of the entry and frees it.
        self.status.fetch_and(!LIVE, Ordering::AcqRel) & LIVE != 0
    }

    /// Whether the slot holds a connection that is in its table.
    #[inline]
    #[must_use]
    pub fn is_live(&self) -> bool {
        // Acquire: pairs with the Release in set_live().
        self.status.load(Ordering::Acquire) & LIVE != 0
    }

    /// The entry as an eviction report.
    #[must_use]
    pub fn as_evicted(&self) -> Evicted {
        Evicted {
            id: self.id(),
            status: self.status(),
            last_seen: self.last_seen(),
        }
    }

    /// The entry as a line of a dump.
    ///
    /// # Safety
    /// As [`Entry::tuple`].
    #[must_use]
    pub unsafe fn as_dumped(&self) -> Dumped {
        // SAFETY: the caller's promise is the same.
        let original = *unsafe { self.tuple(Direction::Original) };
        // SAFETY: as above.
        let reply = *unsafe { self.tuple(Direction::Reply) };
        Dumped {
            id: self.id(),
            original,
            reply,
            status: self.status(),
            expires: self.expires(),
        }
    }
}

/// All entries of one table.
#[derive(Debug)]
pub struct Slab {
    entries: Box<[Entry]>,
    max_connections: usize,
    live: AtomicUsize,
    unused: AtomicU32,
    free: Mutex<Vec<u32>>,
}

/// A handle's own free slots.
#[derive(Debug, Default)]
pub struct SlotCache(Vec<u32>);

impl Slab {
    /// A slab for `max_connections` live connections and `slack` more slots, for those held back by caches
    /// and deferred reclamation.
    ///
    /// # Errors
    /// [`BuildError::Capacity`] where that is zero or over [`MAX_SLOTS`].
    pub fn new(max_connections: usize, slack: usize) -> Result<Self, BuildError> {
        let slots = max_connections.saturating_add(slack);
        if max_connections == 0 || slots > MAX_SLOTS {
            return Err(BuildError::Capacity {
                asked: max_connections,
                limit: MAX_SLOTS.saturating_sub(slack),
            });
        }
        Ok(Self {
            entries: empty_entries(slots),
            max_connections,
            live: AtomicUsize::new(0),
            unused: AtomicU32::new(0),
            free: Mutex::new(Vec::new()),
        })
    }

    /// Counts one more connection, unless the limit is reached.
    #[inline]
    pub fn reserve(&self) -> bool {
        // A compare-and-swap, not an add that is taken back: the add would let two racing newcomers refuse each other
        // with one place left.
        let mut live = self.len();
        while live < self.max_connections {
            // Relaxed: only the count matters; slots are handed over by the free list and the table's own publication.
            let counted =
                self.live
                    .compare_exchange_weak(live, live + 1, Ordering::Relaxed, Ordering::Relaxed);
            match counted {
                Ok(_) => return true,
                Err(now) => live = now,
            }
        }
        false
    }

    /// Counts one connection less.
    #[inline]
    pub fn unreserve(&self) {
        // Relaxed: see reserve().
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections counted.
    #[must_use]
    pub fn len(&self) -> usize {
        // Relaxed: exact when no operation runs, which is all that is promised.
        self.live.load(Ordering::Relaxed)
    }

    /// Whether no connection is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A free slot, or `None` where caches and deferred reclamation hold back more than the slack.
    #[inline]
    pub fn allocate(&self, cache: &mut SlotCache) -> Option<u32> {
        cache.0.pop().or_else(|| self.refill(cache))
    }

    #[cold]
    fn refill(&self, cache: &mut SlotCache) -> Option<u32> {
        {
            let mut free = self.free.lock();
            let keep = free.len().saturating_sub(CACHE_BATCH);
            cache.0.extend(free.drain(keep..));
        }
        if cache.0.is_empty() {
            let batch = u32::try_from(CACHE_BATCH).unwrap_or(u32::MAX);
            // Relaxed: a number range is claimed, nothing is published.
            let first = self.unused.fetch_add(batch, Ordering::Relaxed);
            let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            if first >= end {
                // Relaxed: as above; keeps the counter from creeping towards overflow.
                self.unused.fetch_sub(batch, Ordering::Relaxed);
                return None;
            }
            // Backwards, so that pop() hands them out in address order.
            cache.0.extend((first..end.min(first + batch)).rev());
        }
        cache.0.pop()
    }

    /// Gives a slot back. The caller owns it, and no reader can still reach it.
    #[inline]
    pub fn free(&self, slot: u32, cache: &mut SlotCache) {
        cache.0.push(slot);
        if cache.0.len() > 2 * CACHE_BATCH {
            self.spill(cache);
        }
    }

    #[cold]
    fn spill(&self, cache: &mut SlotCache) {
        let keep = cache.0.len().saturating_sub(CACHE_BATCH);
        self.free.lock().extend(cache.0.drain(keep..));
    }

    /// Returns all of a handle's slots to the shared list; handles call it when dropped.
    pub fn return_cache(&self, cache: &mut SlotCache) {
        self.free.lock().append(&mut cache.0);
    }

    /// The entry in `slot`.
    ///
    /// # Panics
    /// Where `slot` is not one of this slab's.
    #[inline]
    #[must_use]
    pub fn entry(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize]
    }

    /// Slots that were ever used: sweeps and dumps need to look no further.
    #[must_use]
    pub fn used_slots(&self) -> u32 {
        // Relaxed: a slot that is handed out meanwhile need not be seen.
        let used = self.unused.load(Ordering::Relaxed);
        used.min(u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    /// Bytes allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.entries) + self.free.lock().capacity() * size_of::<u32>()
    }

    /// Asks the processor to fetch both lines of `slot`.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        if let Some(entry) = self.entries.get(slot as usize) {
            prefetch_read(entry);
        }
    }
}

/// Asks the processor to fetch the cache line at `place` (its first byte).
#[inline]
pub fn prefetch_read<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address has no effect but on caches, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    let _ = place;
}

#[cfg(not(loom))]
fn empty_entries(slots: usize) -> Box<[Entry]> {
    let zeroed = Box::<[Entry]>::new_zeroed_slice(slots);
    // SAFETY: all-zero bytes are a valid Entry: tuples of bytes, atomics of zero. Zeroed memory comes untouched from
    // the operating system, so that unused slots cost no page.
    let entries = unsafe { zeroed.assume_init() };
    debug_assert!(entries.first().is_none_or(|e| e.id() == Entry::empty().id()));
    entries
}

#[cfg(loom)]
fn empty_entries(slots: usize) -> Box<[Entry]> {
    (0..slots).map(|_| Entry::empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u32) -> PacketMeta {
        PacketMeta {
            tuple: Tuple::v4(17, [10, 0, 0, 1].into(), 1, [10, 0, 0, 2].into(), 2),
            now: VirtualTime(5),
            timeout_ms: 10,
            id: ConnectionId(id),
            user: 0,
            set_status: Status::NEW,
            action: 0,
        }
    }

    #[test]
    fn s1_the_limit_holds() {
        let slab = Slab::new(2, 0).unwrap();
        assert!(slab.reserve() && slab.reserve() && !slab.reserve());
        slab.unreserve();
        assert_eq!(slab.len(), 1);
        assert!(slab.reserve());
    }

    #[test]
    fn s2_each_slot_once_and_again_after_free() {
        let slab = Slab::new(100, 0).unwrap();
        let mut cache = SlotCache::default();
        let mut slots: Vec<u32> = std::iter::from_fn(|| slab.allocate(&mut cache)).collect();
        assert_eq!(slots, (0..100).collect::<Vec<_>>(), "in address order, each once");
        for slot in slots.drain(..) {
            slab.free(slot, &mut cache);
        }
        slab.return_cache(&mut cache);
        let mut again: Vec<u32> = std::iter::from_fn(|| slab.allocate(&mut cache)).collect();
        again.sort_unstable();
        assert_eq!(again, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_touch_moves_expiry_and_adds_status() {
        let slab = Slab::new(1, 0).unwrap();
        let entry = slab.entry(0);
        let first = packet(7);
        // SAFETY: the test is the only user of the slot.
        unsafe { entry.fill(&first, &first.tuple.mirrored()) };
        assert!(!entry.is_live());
        entry.set_live();
        assert_eq!((entry.id(), entry.expires()), (ConnectionId(7), VirtualTime(15)));
        entry.touch(&PacketMeta {
            now: VirtualTime(9),
            set_status: Status::ASSURED,
            ..first
        });
        assert_eq!(
            (entry.last_seen(), entry.expires()),
            (VirtualTime(9), VirtualTime(19))
        );
        assert!(!entry.status().is_evictable() && entry.is_live());
        assert!(entry.is_expired(VirtualTime(19)) && !entry.is_expired(VirtualTime(18)));
        assert!(entry.clear_live() && !entry.clear_live());
    }

    #[test]
    fn zero_and_huge_capacities_are_refused() {
        assert!(matches!(
            Slab::new(0, 0),
            Err(BuildError::Capacity { asked: 0, .. })
        ));
        assert!(Slab::new(MAX_SLOTS, 1).is_err());
    }
}
