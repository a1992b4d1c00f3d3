//! The timed loop.
//!
//! A burst of [`BURST`] operations is timed as one, with one clock reading: its end is the next burst's beginning. What the loop
//! itself costs (reading the script, writing outcomes, the clock) is what the `null` table measures.

use structures::{Evicted, EvictionSink, FlowHandle, FlowTable, Found, PacketMeta, Tuple};

use super::clock;
use super::outcome::Outcome;
use super::unroll::{ThreadScript, action};
use super::{BURST, BURST_U32};
use crate::registry::PrefixAccess;

/// How lookups are handed to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupMode {
    /// One by one, as the kernel does.
    Single,
    /// Consecutive lookups of a burst at once, as a polling dataplane does.
    Batched,
}

/// An eviction, with the operation (of this thread) that caused it.
#[derive(Debug, Clone, Copy)]
pub struct LoggedEviction {
    /// Place in the thread's script.
    pub step: u32,
    /// The victim.
    pub victim: Evicted,
}

/// Collects evictions without allocating in the timed span, as long as the reserve suffices.
#[derive(Debug, Default)]
pub struct EvictionLog {
    step: u32,
    entries: Vec<LoggedEviction>,
}

impl EvictionLog {
    /// A log with room for `reserve` evictions.
    #[must_use]
    pub fn with_reserve(reserve: usize) -> Self {
        let nothing = LoggedEviction {
            step: 0,
            victim: Evicted {
                id: id(0),
                status: structures::Status::NEW,
                last_seen: at(0),
            },
        };
        let mut entries = vec![nothing; reserve];
        entries.clear();
        Self { step: 0, entries }
    }

    /// What was evicted, in order.
    #[must_use]
    pub fn entries(&self) -> &[LoggedEviction] {
        &self.entries
    }
}

const fn id(number: u32) -> structures::ConnectionId {
    structures::ConnectionId(number)
}

const fn at(milliseconds: u64) -> structures::VirtualTime {
    structures::VirtualTime(milliseconds)
}

impl EvictionSink for EvictionLog {
    #[inline]
    fn evicted(&mut self, victim: Evicted) {
        self.entries.push(LoggedEviction {
            step: self.step,
            victim,
        });
    }
}

/// What a thread brings back.
#[derive(Debug)]
pub struct ThreadLog {
    /// One word per operation.
    pub outcomes: Vec<Outcome>,
    /// One duration per burst, nanoseconds.
    pub burst_ns: Vec<u32>,
    /// Evictions.
    pub evictions: EvictionLog,
    /// First clock reading.
    pub start: clock::Moment,
    /// Last clock reading.
    pub end: clock::Moment,
}

impl ThreadLog {
    /// Room for the whole script, its pages touched, so that the timed span takes no page fault for it.
    #[must_use]
    pub fn for_script(script: &ThreadScript, evicting: bool) -> Self {
        let now = clock::now();
        let steps = script.packets.len();
        Self {
            outcomes: vec![Outcome(1); steps],
            burst_ns: vec![1; steps.div_ceil(BURST)],
            evictions: EvictionLog::with_reserve(if evicting { 2 * script.replies.len() } else { 0 }),
            start: now,
            end: now,
        }
    }
}

/// Runs a script burst by burst.
pub fn run<T: FlowTable, P: PrefixAccess<T>>(
    handle: &mut T::Handle<'_>,
    script: &ThreadScript,
    mode: LookupMode,
    log: &mut ThreadLog,
) {
    // Decided here, once: the loop is compiled for each mode.
    match mode {
        LookupMode::Single => bursts::<T, P, false>(handle, script, log),
        LookupMode::Batched => bursts::<T, P, true>(handle, script, log),
    }
}

fn bursts<T: FlowTable, P: PrefixAccess<T>, const BATCHED: bool>(
    handle: &mut T::Handle<'_>,
    script: &ThreadScript,
    log: &mut ThreadLog,
) {
    let mut replies = script.replies.iter();
    let mut step = 0;
    log.start = clock::now();
    let mut last = log.start;
    let bursts = script.packets.chunks(BURST).zip(log.outcomes.chunks_mut(BURST));
    for ((packets, outcomes), burst_ns) in bursts.zip(&mut log.burst_ns) {
        log.evictions.step = step;
        if BATCHED {
            batched::<T, P>(handle, packets, &mut replies, outcomes, &mut log.evictions);
        } else {
            for (packet, outcome) in packets.iter().zip(outcomes) {
                *outcome = one::<T, P>(handle, packet, &mut replies, &mut log.evictions);
                log.evictions.step += 1;
            }
        }
        handle.quiescent();
        step += BURST_U32;
        let end = clock::now();
        *burst_ns = u32::try_from(end.nanoseconds_since(last)).unwrap_or(u32::MAX);
        last = end;
    }
    log.end = last;
}

/// Lookups that follow one another go to the table at once; everything else in its place, so that answers are those of
/// one operation after the other.
#[inline]
fn batched<T: FlowTable, P: PrefixAccess<T>>(
    handle: &mut T::Handle<'_>,
    packets: &[PacketMeta],
    replies: &mut std::slice::Iter<'_, Tuple>,
    outcomes: &mut [Outcome],
    evictions: &mut EvictionLog,
) {
    let mut found: [Option<Found>; BURST] = [None; BURST];
    let first = evictions.step;
    let mut from = 0;
    while from < packets.len() {
        let run = packets[from..]
            .iter()
            .take_while(|p| p.action == action::LOOKUP)
            .count();
        if run > 1 {
            handle.lookup_batch(&packets[from..from + run], &mut found[..run]);
            for (outcome, found) in outcomes[from..from + run].iter_mut().zip(&found) {
                *outcome = Outcome::of_lookup(*found);
            }
            from += run;
        } else {
            // Within a burst, so the sum cannot overflow; lookups evict nothing and need no step.
            evictions.step = first + u32::try_from(from).unwrap_or(0);
            outcomes[from] = one::<T, P>(handle, &packets[from], replies, evictions);
            from += 1;
        }
    }
}

#[inline]
fn one<T: FlowTable, P: PrefixAccess<T>>(
    handle: &mut T::Handle<'_>,
    packet: &PacketMeta,
    replies: &mut std::slice::Iter<'_, Tuple>,
    evictions: &mut EvictionLog,
) -> Outcome {
    match packet.action {
        action::LOOKUP => {
            let hash = handle.hash(&packet.tuple);
            Outcome::of_lookup(handle.lookup(packet, hash))
        }
        action::OPEN => open(handle, packet, replies, evictions),
        action::CLOSE => {
            let hash = handle.hash(&packet.tuple);
            Outcome::of_remove(handle.remove(&packet.tuple, hash, packet.now))
        }
        action::EXPIRE => Outcome(u32::try_from(handle.expire(packet.now)).unwrap_or(u32::MAX)),
        _ => {
            let hash = handle.hash(&packet.tuple);
            Outcome::of_classified(P::classify(handle, packet, hash))
        }
    }
}

/// A first packet's path: a lookup that misses, and an insert that reuses its hash.
#[inline]
fn open<H: FlowHandle>(
    handle: &mut H,
    packet: &PacketMeta,
    replies: &mut std::slice::Iter<'_, Tuple>,
    evictions: &mut EvictionLog,
) -> Outcome {
    let Some(reply) = replies.next() else {
        return Outcome::OPEN_FULL;
    };
    let hash = handle.hash(&packet.tuple);
    if handle.lookup(packet, hash).is_some() {
        return Outcome::OPEN_HIT;
    }
    Outcome::of_insert(handle.insert(packet, reply, hash, evictions))
}
