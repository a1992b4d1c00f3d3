//! The suite passes a plain correct table and catches each fault planted in it.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sync::Mutex;
use crate::table::*;
use crate::tuple::{Direction, Prefix, Tuple};

/// Where the plain table goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LosesOneInsertInTenThousand,
    FindsRemoved,
    FindsExpired,
    RemovesExpired,
    ExpiredBlocksInsert,
    WrongDirection,
    ForgetsReplyOnInsert,
    ForgetsReplyOnRemove,
    DuplicateReplyGetsIn,
    DuplicateEvicts,
    EvictsAssured,
    EvictsTwice,
    EvictsSilently,
    EvictsBelowLimit,
    NeverEvicts,
    VictimStays,
    OneTooMany,
    OneTooFew,
    NoTouch,
    NoTouchOfStatus,
    NoTouchFromReply,
    TouchNeverShortens,
    ExpireMiscounts,
    ExpireForgetsOne,
    DumpShowsOneTwice,
    DumpSkipsOne,
    DumpOverBudget,
    BatchReadsLast,
    BatchLeavesMissesUnwritten,
    BatchDoesNotTouch,
    ThreadsMix,
    InsertNotAtomic,
    PrefixShortest,
    PrefixIgnoresZone,
    PrefixFirst,
    PrefixKeepsRemoved,
}

use Fault as F;

#[derive(Debug, Clone, Copy)]
struct Line {
    packet: PacketMeta,
    reply: Tuple,
    status: Status,
}

/// One mutex around std maps; slots by id in order, so that a dump is a walk in id order.
#[derive(Debug, Default)]
struct Inside {
    by_tuple: HashMap<Tuple, Found>,
    lines: BTreeMap<u32, Line>,
    prefixes: HashMap<Prefix, PolicyId>,
    inserts: u64,
    stale: Option<(Tuple, Found)>,
}

#[derive(Debug)]
struct Plain {
    sizing: Sizing,
    fault: Fault,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct PlainHandle<'t>(&'t Plain);

impl FlowTable for Plain {
    type Options = Fault;
    type Handle<'t> = PlainHandle<'t>;

    const INFO: TableInfo = TableInfo {
        summary: "one mutex around std maps, faults to order",
        locking: "mutex",
        sharing: Sharing::Shared,
        evicts: true,
        answers: true,
    };

    fn new(sizing: &Sizing, fault: &Fault) -> Result<Self, BuildError> {
        Ok(Self {
            sizing: *sizing,
            fault: *fault,
            inside: Mutex::new(Inside::default()),
        })
    }

    fn handle(&self) -> PlainHandle<'_> {
        PlainHandle(self)
    }

    fn len(&self) -> usize {
        self.inside.lock().lines.len()
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

impl Inside {
    fn expires(&self, id: ConnectionId) -> Option<VirtualTime> {
        self.lines.get(&id.0).map(|line| line.packet.expires())
    }

    fn find(&self, tuple: &Tuple, now: VirtualTime, fault: Fault) -> Option<Found> {
        let mut found = *self.by_tuple.get(tuple)?;
        match self.expires(found.id) {
            None if fault != F::ForgetsReplyOnRemove => return None,
            Some(expires) if expires <= now && fault != F::FindsExpired => return None,
            _ => {}
        }
        if fault == F::WrongDirection && found.id.0 % 16 == 3 {
            found.direction = found.direction.opposite();
        }
        Some(found)
    }

    fn touch(&mut self, found: Found, packet: &PacketMeta, fault: Fault) {
        let Some(line) = self.lines.get_mut(&found.id.0) else {
            return;
        };
        if fault != F::NoTouchOfStatus {
            line.status = line.status.with(packet.set_status);
        }
        let skip = fault == F::NoTouch
            || fault == F::NoTouchFromReply && found.direction == Direction::Reply
            || fault == F::TouchNeverShortens && packet.expires() < line.packet.expires();
        if !skip {
            line.packet.now = packet.now;
            line.packet.timeout_ms = packet.timeout_ms;
        }
    }

    fn forget(&mut self, id: ConnectionId, fault: Fault) {
        let Some(line) = self.lines.remove(&id.0) else {
            return;
        };
        if fault == F::FindsRemoved && id.0 % 16 == 5 {
            let direction = Direction::Reply;
            self.stale = Some((line.reply, Found { id, direction }));
        }
        self.by_tuple.remove(&line.packet.tuple);
        if fault != F::ForgetsReplyOnRemove {
            self.by_tuple.remove(&line.reply);
        }
    }

    /// Evicts the oldest evictable connection.
    fn evict(&mut self, fault: Fault, sink: &mut impl EvictionSink) -> bool {
        let spared = |line: &Line| fault != F::EvictsAssured && !line.status.is_evictable();
        let Some((id, line)) = self.lines.iter().find(|(_, line)| !spared(line)) else {
            return false;
        };
        let (id, status, last_seen) = (ConnectionId(*id), line.status, line.packet.now);
        if fault != F::VictimStays {
            self.forget(id, fault);
        }
        let victim = Evicted {
            id,
            status,
            last_seen,
        };
        if fault != F::EvictsSilently {
            sink.evicted(victim);
        }
        if fault == F::EvictsTwice {
            sink.evicted(victim);
        }
        true
    }

    fn give_back_expired(&mut self, now: VirtualTime, fault: Fault) -> usize {
        let due = |line: &Line| line.packet.expires() <= now;
        let mut gone: Vec<u32> = (self.lines.iter().filter(|(_, line)| due(line)))
            .map(|(id, _)| *id)
            .collect();
        if fault == F::ExpireForgetsOne && gone.len() > 1 {
            gone.pop();
        }
        gone.iter().for_each(|id| self.forget(ConnectionId(*id), fault));
        gone.len()
    }
}

impl FlowHandle for PlainHandle<'_> {
    fn hash(&self, _: &Tuple) -> u64 {
        0
    }

    fn lookup(&mut self, packet: &PacketMeta, _: u64) -> Option<Found> {
        let fault = self.0.fault;
        let mut inside = self.0.inside.lock();
        let Some(found) = inside.find(&packet.tuple, packet.now, fault) else {
            return inside
                .stale
                .filter(|(tuple, _)| *tuple == packet.tuple)
                .map(|(_, found)| found);
        };
        inside.touch(found, packet, fault);
        Some(found)
    }

    fn lookup_batch(&mut self, packets: &[PacketMeta], found: &mut [Option<Found>]) {
        let fault = self.0.fault;
        for i in 0..packets.len() {
            let packet = match fault {
                F::BatchReadsLast if i > 16 => &packets[packets.len() - 1],
                _ => &packets[i],
            };
            let answer = if fault == F::BatchDoesNotTouch {
                self.0.inside.lock().find(&packet.tuple, packet.now, fault)
            } else {
                self.lookup(packet, 0)
            };
            if answer.is_some() || fault != F::BatchLeavesMissesUnwritten {
                found[i] = answer;
            }
        }
    }

    fn insert(&mut self, packet: &PacketMeta, reply: &Tuple, _: u64, sink: &mut impl EvictionSink) -> Insert {
        let fault = self.0.fault;
        let mut inside = self.0.inside.lock();
        let mut max = self.0.sizing.max_connections;
        match fault {
            F::OneTooMany => max += 1,
            F::OneTooFew if max > 1 => max -= 1,
            _ => {}
        }
        if fault == F::DuplicateEvicts && inside.lines.len() >= max && self.0.sizing.evict_when_full {
            inside.evict(fault, sink);
        }
        for tuple in [&packet.tuple, reply] {
            let now = if fault == F::ExpiredBlocksInsert {
                VirtualTime(0)
            } else {
                packet.now
            };
            if inside.find(tuple, now, fault).is_some() {
                if fault == F::DuplicateReplyGetsIn && tuple == reply {
                    continue;
                }
                return Insert::Duplicate;
            }
        }
        if fault == F::InsertNotAtomic {
            drop(inside);
            crate::sync::thread::yield_now();
            inside = self.0.inside.lock();
        }
        for tuple in [&packet.tuple, reply] {
            // Nothing live is there: what is met has expired.
            if fault != F::DuplicateReplyGetsIn
                && let Some(found) = inside.by_tuple.get(tuple).copied()
            {
                inside.forget(found.id, fault);
            }
        }
        if inside.lines.len() >= max {
            inside.give_back_expired(packet.now, F::None);
        }
        let full = inside.lines.len() >= max;
        let may_evict = self.0.sizing.evict_when_full && fault != F::NeverEvicts;
        if full {
            if !may_evict || !inside.evict(fault, sink) {
                return Insert::Full;
            }
        } else if fault == F::EvictsBelowLimit && max > 1 && inside.lines.len() + 1 == max {
            inside.evict(fault, sink);
        }
        inside.inserts += 1;
        if fault == F::LosesOneInsertInTenThousand && inside.inserts.is_multiple_of(10_000) {
            return Insert::Inserted;
        }
        inside.put(packet, reply, fault);
        Insert::Inserted
    }

    fn remove(&mut self, tuple: &Tuple, _: u64, now: VirtualTime) -> Option<ConnectionId> {
        let fault = self.0.fault;
        let mut inside = self.0.inside.lock();
        let now = if fault == F::RemovesExpired {
            VirtualTime(0)
        } else {
            now
        };
        let found = inside.find(tuple, now, fault)?;
        inside.forget(found.id, fault);
        if fault == F::ThreadsMix && found.id.0 >> 24 == 2 {
            // A neighbour of another thread goes with it.
            if let Some(other) = inside.lines.keys().copied().find(|id| id >> 24 == 1) {
                inside.forget(ConnectionId(other), fault);
            }
        }
        Some(found.id)
    }

    fn expire(&mut self, now: VirtualTime) -> usize {
        let fault = self.0.fault;
        let gone = self.0.inside.lock().give_back_expired(now, fault);
        if fault == F::ExpireMiscounts && gone > 0 {
            gone - 1
        } else {
            gone
        }
    }

    fn dump(&mut self, cursor: &mut DumpCursor, budget: usize, sink: &mut dyn FnMut(Dumped)) -> bool {
        let fault = self.0.fault;
        let inside = self.0.inside.lock();
        let from = u32::try_from(cursor.position).unwrap();
        let budget = if fault == F::DumpOverBudget {
            budget + 1
        } else {
            budget
        };
        for (id, line) in inside.lines.range(from..).take(budget) {
            cursor.position = u64::from(*id) + 1;
            if fault == F::DumpSkipsOne && id % 64 == 40 {
                continue;
            }
            if fault == F::DumpShowsOneTwice && id % 64 == 50 && budget > 20 {
                sink(line.dumped(*id));
            }
            sink(line.dumped(*id));
        }
        inside
            .lines
            .range(u32::try_from(cursor.position).unwrap()..)
            .next()
            .is_none()
    }
}

impl Inside {
    fn put(&mut self, packet: &PacketMeta, reply: &Tuple, fault: Fault) {
        let id = packet.id;
        let direction = Direction::Original;
        self.by_tuple.insert(packet.tuple, Found { id, direction });
        if fault != F::ForgetsReplyOnInsert || id.0 % 16 != 7 {
            let direction = Direction::Reply;
            self.by_tuple.insert(*reply, Found { id, direction });
        }
        let (packet, reply, status) = (*packet, *reply, packet.set_status);
        self.lines.insert(
            id.0,
            Line {
                packet,
                reply,
                status,
            },
        );
    }
}

impl Line {
    fn dumped(&self, id: u32) -> Dumped {
        Dumped {
            id: ConnectionId(id),
            original: self.packet.tuple,
            reply: self.reply,
            status: self.status,
            expires: self.packet.expires(),
        }
    }
}

impl PrefixHandle for PlainHandle<'_> {
    fn insert_prefix(&mut self, prefix: &Prefix, policy: PolicyId) -> Option<PolicyId> {
        self.0.inside.lock().prefixes.insert(*prefix, policy)
    }

    fn remove_prefix(&mut self, prefix: &Prefix) -> Option<PolicyId> {
        let mut inside = self.0.inside.lock();
        match self.0.fault {
            F::PrefixKeepsRemoved if prefix.length() == 31 => inside.prefixes.get(prefix).copied(),
            _ => inside.prefixes.remove(prefix),
        }
    }

    fn classify(&mut self, packet: &PacketMeta, hash: u64) -> Classified {
        let fault = self.0.fault;
        if fault != F::PrefixFirst
            && let Some(found) = self.lookup(packet, hash)
        {
            return Classified::Connection(found);
        }
        let inside = self.0.inside.lock();
        let covers = |prefix: &Prefix| match fault {
            F::PrefixIgnoresZone => prefix.covers(&packet.tuple.in_zone(prefix.zone())),
            _ => prefix.covers(&packet.tuple),
        };
        let length = |prefix: &Prefix| match fault {
            F::PrefixShortest => 128 - prefix.length(),
            _ => prefix.length(),
        };
        let longest = inside
            .prefixes
            .iter()
            .filter(|(p, _)| covers(p))
            .max_by_key(|(p, _)| length(p));
        longest.map_or(Classified::Nothing, |(_, policy)| Classified::Prefix(*policy))
    }
}

/// The message of the panic that `check` ends in, if it does.
fn complaint(check: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(check)).err()?;
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| Some("no message".into()))
}

#[test]
fn a_correct_table_passes() {
    super::check::<Plain>(&F::None);
    super::prefix::check::<Plain>(&F::None);
}

#[test]
fn each_planted_fault_is_caught_with_a_useful_message() {
    let faults = [
        F::LosesOneInsertInTenThousand,
        F::FindsRemoved,
        F::FindsExpired,
        F::RemovesExpired,
        F::ExpiredBlocksInsert,
        F::WrongDirection,
        F::ForgetsReplyOnInsert,
        F::ForgetsReplyOnRemove,
        F::DuplicateReplyGetsIn,
        F::DuplicateEvicts,
        F::EvictsAssured,
        F::EvictsTwice,
        F::EvictsSilently,
        F::EvictsBelowLimit,
        F::NeverEvicts,
        F::VictimStays,
        F::OneTooMany,
        F::OneTooFew,
        F::NoTouch,
        F::NoTouchOfStatus,
        F::NoTouchFromReply,
        F::TouchNeverShortens,
        F::ExpireMiscounts,
        F::ExpireForgetsOne,
        F::DumpShowsOneTwice,
        F::DumpSkipsOne,
        F::DumpOverBudget,
        F::BatchReadsLast,
        F::BatchLeavesMissesUnwritten,
        F::BatchDoesNotTouch,
        F::ThreadsMix,
        F::InsertNotAtomic,
    ];
    for fault in faults {
        let Some(message) = complaint(|| super::check::<Plain>(&fault)) else {
            panic!("{fault:?} was not caught");
        };
        for word in ["seed", "step", "expected", "got"] {
            assert!(message.contains(word), "{fault:?}: no {word} in {message}");
        }
    }
}

#[test]
fn each_planted_prefix_fault_is_caught() {
    for fault in [
        F::PrefixShortest,
        F::PrefixIgnoresZone,
        F::PrefixFirst,
        F::PrefixKeepsRemoved,
    ] {
        let message = complaint(|| super::prefix::check::<Plain>(&fault));
        assert!(message.is_some(), "{fault:?} was not caught");
    }
}

/// Random operations alone, without the directed parts, catch what a trace would meet.
#[test]
fn random_operations_alone_catch_faults_of_single_threads() {
    for fault in [
        F::LosesOneInsertInTenThousand,
        F::FindsRemoved,
        F::FindsExpired,
        F::WrongDirection,
        F::ForgetsReplyOnInsert,
        F::ForgetsReplyOnRemove,
        F::DuplicateReplyGetsIn,
        F::EvictsAssured,
        F::VictimStays,
        F::NoTouch,
        F::DumpShowsOneTwice,
    ] {
        let message = complaint(|| super::c1_random_operations::<Plain>(&fault));
        assert!(message.is_some(), "{fault:?} was not caught");
    }
}

#[test]
#[should_panic(expected = "its answers mean nothing")]
fn the_null_table_is_refused() {
    super::check::<crate::tables::null::Null>(&());
}
