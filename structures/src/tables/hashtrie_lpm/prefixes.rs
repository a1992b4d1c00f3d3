//! The prefix side: a multibit trie over raw bits, in the same arena as the nodes of the hash trie.
//!
//! ```text
//! key     | family 1 | zone 16 | destination 32 or 128 |
//! level   |  0: 5  | 1: 6 | 2: 6 | 3: 6 | 4: 6 | ...           bits that each level consumes
//! node    64 slots of 8 bytes: 8 lines of the arena, one of which a lookup reads
//! slot    | child run << 3 | length 3 bits | policy 32 |
//! ```
//! 5 + 6 + 6 bits end exactly where the destination begins, so zones need no table of their own, and 4 x 6 end at the /24 that
//! most IPv4 routes are: four destination levels there. A prefix that ends inside a node is written to all slots
//! it covers (controlled prefix expansion), each with the length it has in that node, 1 to 6, so that a longer one is
//! not overwritten. It is not pushed into children: a lookup remembers the last policy it passed instead. That keeps
//! an update to one node of 64 slots and the path to it, whatever lies below.
//!
//! The slots cannot tell which shorter prefix a removed one had covered, so the exact prefixes are also in a map that only
//! updates read: as a router keeps its RIB beside its FIB.
//!
//! # Guarantees
//! * **P1** A lookup returns the policy of the longest prefix that covers the tuple's zone, family and destination.
//! * **P2** A lookup sees each update whole or not at all.
//! * **P3** An update touches at most 64 slots and 25 nodes; nodes without slots in use are given back.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::quality::FixedState;

use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering, spin_or_yield};
use crate::table::PolicyId;
use crate::tables::hashtrie::{Arena, RUN_LINES};
use crate::tuple::{Family, Prefix, Tuple};

use super::version::Version;

/// Bits that a node below the top consumes.
const STRIDE: u32 = 6;

/// Slots of a node.
const SLOTS: usize = 1 << STRIDE;

/// Slots in one line of the arena: two words each.
const SLOTS_PER_LINE: usize = SLOTS / RUN_LINES as usize;

/// Links of the top level: family and the first four bits of the zone.
const TOP: usize = 32;

/// First level whose digit belongs to the destination.
const FIRST_ADDRESS_LEVEL: usize = 3;

/// Levels that a prefix of 128 bits takes.
const LEVELS: usize = FIRST_ADDRESS_LEVEL + 128usize.div_ceil(STRIDE as usize);

/// Bits of a slot's first word that hold the policy's length inside the node; zero where there is no policy.
const LENGTH_MASK: u32 = 7;

/// Reads disturbed by updates before a lookup waits for the updater.
const READ_ATTEMPTS: usize = 8;

/// The multibit trie.
#[derive(Debug)]
pub(crate) struct Prefixes {
    top: [AtomicU32; TOP],
    version: Version,
    routes: Mutex<Routes>,
}

/// What updates need and lookups do not.
#[derive(Debug)]
struct Routes {
    exact: HashMap<Prefix, PolicyId, FixedState>,
    nodes: usize,
}

/// Where a prefix is kept: the node at this level of its path, and its length there.
#[derive(Debug, Clone, Copy)]
struct Place {
    level: usize,
    length: u32,
}

/// The bits a path is made of.
#[derive(Debug, Clone, Copy)]
struct Key {
    family: Family,
    zone: u16,
    address: u128,
}

impl Key {
    /// The digit that chooses the slot at `level`.
    #[inline]
    fn digit(self, level: usize) -> usize {
        let zone = usize::from(self.zone);
        match level {
            0 => (usize::from(self.family == Family::V6) << 4) | zone >> (2 * STRIDE),
            1 => zone >> STRIDE & (SLOTS - 1),
            2 => zone & (SLOTS - 1),
            _ => {
                let consumed = (level - FIRST_ADDRESS_LEVEL) * STRIDE as usize;
                (self.address << consumed >> (128 - STRIDE)) as usize
            }
        }
    }
}

impl From<&Prefix> for Key {
    fn from(prefix: &Prefix) -> Self {
        Self {
            family: prefix.family(),
            zone: prefix.zone(),
            address: prefix.bits(),
        }
    }
}

impl From<&Prefix> for Place {
    fn from(prefix: &Prefix) -> Self {
        // Lengths 1 to 6 live in the first node of the address, 7 to 12 in the next. The empty prefix fills a slot of
        // the last node of the zone.
        let length = u32::from(prefix.length());
        match length.checked_sub(1) {
            None => Self {
                level: FIRST_ADDRESS_LEVEL - 1,
                length: STRIDE,
            },
            Some(bits) => Self {
                level: FIRST_ADDRESS_LEVEL + (bits / STRIDE) as usize,
                length: bits % STRIDE + 1,
            },
        }
    }
}

/// Both words of a slot: the child and length, and the policy.
#[inline]
fn slot(arena: &Arena, run: u32, digit: usize) -> [&AtomicU32; 2] {
    let in_line = u32::try_from(digit / SLOTS_PER_LINE).unwrap_or(0);
    let line = arena.line(run * RUN_LINES + in_line);
    let word = digit % SLOTS_PER_LINE * 2;
    [&line[word], &line[word + 1]]
}

#[inline]
fn read(word: &AtomicU32) -> u32 {
    // Relaxed: ordered by the version, or by the lock of the routes.
    word.load(Ordering::Relaxed)
}

fn write(word: &AtomicU32, value: u32) {
    // Relaxed: as in read().
    word.store(value, Ordering::Relaxed);
}

impl Prefixes {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            top: std::array::from_fn(|_| AtomicU32::new(0)),
            version: Version::new(),
            routes: Mutex::new(Routes {
                exact: HashMap::with_hasher(FixedState::with_seed(seed)),
                nodes: 0,
            }),
        }
    }

    /// The policy of the longest prefix that covers the destination of `tuple`.
    #[inline]
    pub(crate) fn lookup(&self, arena: &Arena, tuple: &Tuple) -> Option<PolicyId> {
        let key = Key {
            family: tuple.family(),
            zone: tuple.zone(),
            address: tuple.dst_bits(),
        };
        let mut turns = 0;
        for _ in 0..READ_ATTEMPTS {
            if let Some(policy) = self.version.read(|| self.walk(arena, key)) {
                return policy;
            }
            spin_or_yield(&mut turns);
        }
        let _updates_wait = self.routes.lock();
        self.walk(arena, key)
    }

    /// What an update may disturb: stale links lead to other runs at worst, and the levels are counted.
    #[inline]
    fn walk(&self, arena: &Arena, key: Key) -> Option<PolicyId> {
        let mut run = read(&self.top[key.digit(0)]);
        let mut policy = None;
        for level in 1..LEVELS {
            if run == 0 {
                break;
            }
            let [head, value] = slot(arena, run, key.digit(level));
            let head = read(head);
            if head & LENGTH_MASK != 0 {
                policy = Some(PolicyId(read(value)));
            }
            run = head / (LENGTH_MASK + 1);
        }
        policy
    }

    /// Sets the policy of `prefix`; returns the one it had.
    pub(crate) fn insert(&self, arena: &Arena, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId> {
        let mut update = Update::begin(self);
        let old = update.routes.exact.insert(*prefix, policy);
        let (key, place) = (Key::from(prefix), Place::from(prefix));
        let run = update.grow(arena, key, place.level);
        for digit in covered(key.digit(place.level), place.length) {
            let [head, value] = slot(arena, run, digit);
            let word = read(head);
            if word & LENGTH_MASK <= place.length {
                write(head, word & !LENGTH_MASK | place.length);
                write(value, policy.0);
            }
        }
        old
    }

    /// Forgets `prefix`; returns the policy it had.
    pub(crate) fn remove(&self, arena: &Arena, prefix: &Prefix) -> Option<PolicyId> {
        let mut update = Update::begin(self);
        let old = update.routes.exact.remove(prefix)?;
        let (key, place) = (Key::from(prefix), Place::from(prefix));
        let (length, policy) = update.routes.covering(prefix, place).unwrap_or((0, PolicyId(0)));
        let path = update.path(arena, key, place.level);
        for digit in covered(key.digit(place.level), place.length) {
            let [head, value] = slot(arena, path[place.level], digit);
            let word = read(head);
            if word & LENGTH_MASK == place.length {
                write(head, word & !LENGTH_MASK | length);
                write(value, policy.0);
            }
        }
        update.prune(arena, key, &path[..=place.level]);
        Some(old)
    }

    /// Prefixes present.
    pub(crate) fn len(&self) -> usize {
        self.routes.lock().exact.len()
    }

    /// Nodes in use.
    pub(crate) fn nodes(&self) -> usize {
        self.routes.lock().nodes
    }

    /// Bytes of the map, by the layout of a swiss table: an entry and a control byte for each of its capacity.
    pub(crate) fn map_bytes(&self) -> usize {
        self.routes.lock().exact.capacity() * (size_of::<(Prefix, PolicyId)>() + 1)
    }
}

/// The slots of a node that a prefix covers which has `length` bits in it.
fn covered(digit: usize, length: u32) -> std::ops::Range<usize> {
    let count = 1 << (STRIDE - length);
    let first = digit & !(count - 1);
    first..first + count
}

impl Routes {
    /// The longest prefix shorter than `prefix` that ends in the same node, as its length there and its policy.
    fn covering(&self, prefix: &Prefix, place: Place) -> Option<(u32, PolicyId)> {
        if place.level < FIRST_ADDRESS_LEVEL {
            return None;
        }
        (1..place.length).rev().find_map(|length| {
            let shorter = shortened(prefix, place.length - length)?;
            Some((length, *self.exact.get(&shorter)?))
        })
    }
}

/// `prefix` without its last `bits` bits.
fn shortened(prefix: &Prefix, bits: u32) -> Option<Prefix> {
    let length = prefix.length().checked_sub(u8::try_from(bits).ok()?)?;
    let address: IpAddr = match prefix.family() {
        Family::V4 => Ipv4Addr::from(u32::try_from(prefix.bits() >> 96).ok()?).into(),
        Family::V6 => Ipv6Addr::from(prefix.bits()).into(),
    };
    Prefix::new(prefix.zone(), address, length)
}

/// An update that is running: the only one, and lookups that overlap it are repeated.
struct Update<'p> {
    prefixes: &'p Prefixes,
    routes: MutexGuard<'p, Routes>,
}

impl<'p> Update<'p> {
    fn begin(prefixes: &'p Prefixes) -> Self {
        let routes = prefixes.routes.lock();
        prefixes.version.begin();
        Self { prefixes, routes }
    }

    /// The node at `level` of the path; nodes that are missing are made.
    fn grow(&mut self, arena: &Arena, key: Key, level: usize) -> u32 {
        let mut word = &self.prefixes.top[key.digit(0)];
        let mut scale = 1;
        for below in 1..=level {
            if read(word) / scale == 0 {
                let run = arena.take_run().expect("memory ends before 2^28 runs do") / RUN_LINES;
                write(word, read(word) | (run * scale));
                self.routes.nodes += 1;
            }
            let run = read(word) / scale;
            if below == level {
                return run;
            }
            [word, _] = slot(arena, run, key.digit(below));
            scale = LENGTH_MASK + 1;
        }
        0
    }

    /// The nodes of a path that exists; `[level]` is the one at that level.
    fn path(&self, arena: &Arena, key: Key, level: usize) -> [u32; LEVELS] {
        let mut path = [0; LEVELS];
        path[1] = read(&self.prefixes.top[key.digit(0)]);
        for at in 1..level {
            let [head, _] = slot(arena, path[at], key.digit(at));
            path[at + 1] = read(head) / (LENGTH_MASK + 1);
        }
        path
    }

    /// Gives back the nodes at the end of `path` none of whose slots is in use.
    fn prune(&mut self, arena: &Arena, key: Key, path: &[u32]) {
        for level in (1..path.len()).rev() {
            let run = path[level];
            let unused = |digit| read(slot(arena, run, digit)[0]) == 0;
            if !(0..SLOTS).all(unused) {
                return;
            }
            if level == 1 {
                write(&self.prefixes.top[key.digit(0)], 0);
            } else {
                let [head, _] = slot(arena, path[level - 1], key.digit(level - 1));
                write(head, read(head) & LENGTH_MASK);
            }
            arena.give_run(run * RUN_LINES);
            self.routes.nodes -= 1;
        }
    }
}

impl Drop for Update<'_> {
    fn drop(&mut self) {
        self.prefixes.version.end();
    }
}
