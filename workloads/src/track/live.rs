//! The tracker's own table: which connections are present, and when each expires.
//!
//! A plain `HashMap` over both tuples, and a heap of expiries. The heap is lazy: an entry is looked at when its time has
//! come, and put back where the connection has been seen since; only an expiry that moves *earlier* adds one. A
//! connection is absent from `expires <= now` on (contract clause C2), but kept until it is swept or its tuple is opened
//! again, as a table may: so [`Connections::len`] is the most a table can hold at that point.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use structures::{Direction, Status, Tuple};

use super::tcp::TcpState;

/// A present connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    /// Its number in the trace.
    pub(super) connection: u32,
    /// First millisecond at which it is absent.
    pub(super) expires: u64,
    /// When its first packet came, milliseconds.
    pub(super) opened: u64,
    /// Where TCP stands.
    pub(super) tcp: TcpState,
    /// Direction of the TCP machine's first side.
    pub(super) first: Direction,
    /// Status bits so far.
    pub(super) status: Status,
    /// Whether a synthetic packet opened it.
    pub(super) attack: bool,
    /// Time of its valid entry in the heap.
    alarm: u64,
}

/// All present connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: HashMap<Tuple, (u32, Direction)>,
    slots: Vec<Option<(Live, Tuple, Tuple)>>,
    free: Vec<u32>,
    alarms: BinaryHeap<Reverse<(u64, u32, u32)>>,
}

/// Where a connection lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Connections {
    /// Connections present, those that have expired and were not swept included.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The connection that `tuple` belongs to at `now`.
    pub(super) fn find(&self, tuple: &Tuple, now: u64) -> Option<(Slot, Direction, &Live)> {
        let &(slot, direction) = self.places.get(tuple)?;
        let (live, ..) = self.slots[slot as usize].as_ref()?;
        (live.expires > now).then_some((Slot(slot), direction, live))
    }

    /// Inserts a connection that is not present; returns how many expired ones had to go for it.
    pub(super) fn insert(&mut self, mut live: Live, original: Tuple, reply: Tuple) -> u64 {
        let expired = [original, reply]
            .iter()
            .filter(|tuple| {
                let stale = self.places.get(*tuple).map(|&(slot, _)| Slot(slot));
                stale.map(|slot| self.remove(slot)).is_some()
            })
            .count() as u64;
        live.alarm = live.expires;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // The tracker opens at most `MAX_CONNECTIONS`, which fits.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.places.insert(original, (slot, Direction::Original));
        self.places.insert(reply, (slot, Direction::Reply));
        self.alarms.push(Reverse((live.alarm, slot, live.connection)));
        self.slots[slot as usize] = Some((live, original, reply));
        expired
    }

    /// Changes a connection.
    pub(super) fn update(&mut self, slot: Slot, change: impl FnOnce(&mut Live)) {
        let Some((live, ..)) = self.slots[slot.index()].as_mut() else {
            return;
        };
        change(live);
        if live.expires < live.alarm {
            live.alarm = live.expires;
            self.alarms.push(Reverse((live.alarm, slot.0, live.connection)));
        }
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some((_, original, reply)) = self.slots[slot.index()].take() {
            self.places.remove(&original);
            self.places.remove(&reply);
            self.free.push(slot.0);
        }
    }

    /// A connection that has expired at `now`, if there is one.
    pub(super) fn first_expired(&mut self, now: u64) -> Option<Slot> {
        while let Some(&Reverse((at, slot, connection))) = self.alarms.peek() {
            if at > now {
                return None;
            }
            let live = self.slots[slot as usize].as_mut().map(|(live, ..)| live);
            match live.filter(|live| live.connection == connection && live.alarm == at) {
                Some(live) if live.expires <= now => return Some(Slot(slot)),
                Some(live) => {
                    live.alarm = live.expires;
                    let again = Reverse((live.alarm, slot, connection));
                    self.alarms.pop();
                    self.alarms.push(again);
                }
                None => {
                    self.alarms.pop();
                }
            }
        }
        None
    }

    /// Removes everything that has expired at `now`; returns how many that were.
    pub(super) fn sweep(&mut self, now: u64) -> u64 {
        let mut swept = 0;
        while let Some(slot) = self.first_expired(now) {
            self.remove(slot);
            swept += 1;
        }
        swept
    }
}

impl Live {
    pub(super) const fn new(connection: u32, now: u64, timeout_ms: u32, tcp: TcpState, attack: bool) -> Self {
        let expires = now.saturating_add(timeout_ms as u64);
        Self {
            connection,
            expires,
            opened: now,
            tcp,
            first: Direction::Original,
            status: Status::NEW,
            attack,
            alarm: expires,
        }
    }
}
