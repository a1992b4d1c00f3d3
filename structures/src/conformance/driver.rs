//! Random operations on a table, each compared with the model.

use super::model::Model;
use super::pool::Pool;
use super::{At, Mixer, dump_all, insert, lookup, packet, remove};
use crate::table::{
    ConnectionId, Evicted, FlowHandle, FlowTable, Insert, MAX_BATCH, PacketMeta, Sizing, Status, VirtualTime,
};
use crate::tuple::Tuple;

/// Timeouts drawn, in milliseconds. Zero makes a connection that is absent at once.
const TIMEOUTS_MS: [u32; 8] = [1, 10, 50, 200, 1000, 1000, 5000, 100_000];
const STATUSES: [Status; 4] = [
    Status::NEW,
    Status::NEW,
    Status::SEEN_REPLY,
    Status(Status::SEEN_REPLY.0 | Status::ASSURED.0),
];
/// Steps between two looks at the whole table.
const FULL_CHECK_EVERY: usize = 1500;

/// Who else uses the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody: counts can be checked, and the clock is the driver's own.
    Alone,
    /// Other threads with other connections; the clock stands still between calls of [`Driver::set_clock`].
    Others,
}

/// One sequence of random operations and what should come of them.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) at: At,
    pub(super) model: Model,
    rng: Mixer,
    pool: Pool,
    company: Company,
    sizing: Sizing,
    now: u64,
    next_id: u32,
}

impl Driver {
    /// A driver over its own pool of tuples; `realm` keeps the pools and ids of several drivers apart.
    pub(super) fn new(at: At, sizing: Sizing, pool_size: usize, realm: u8, company: Company) -> Self {
        let mut rng = Mixer::new(sizing.seed ^ (u64::from(realm) << 56));
        Self {
            at,
            model: Model::default(),
            pool: Pool::new(pool_size, realm, &mut rng),
            rng,
            company,
            sizing,
            now: 1,
            next_id: u32::from(realm) << 24,
        }
    }

    pub(super) fn set_clock(&mut self, now: u64) {
        self.now = now;
        self.model.advance(VirtualTime(now));
    }

    pub(super) fn run<T: FlowTable>(&mut self, table: &T, handle: &mut T::Handle<'_>, steps: usize) {
        for _ in 0..steps {
            self.at.step += 1;
            match self.rng.below(100) {
                0..=39 => self.open(table, handle),
                40..=64 => self.hit_or_miss(handle),
                65..=74 => self.batch(handle),
                75..=91 => self.close(handle),
                92..=93 => self.expire(table, handle),
                _ if self.company == Company::Alone => {
                    let ahead = self.rng.below(20) as u64;
                    self.set_clock(self.now + ahead);
                }
                _ => handle.quiescent(),
            }
            if self.at.step.is_multiple_of(32) {
                handle.quiescent();
            }
            if self.company == Company::Alone && self.at.step.is_multiple_of(FULL_CHECK_EVERY) {
                self.check_whole(table, handle);
            }
        }
    }

    /// Gives back all that expired and compares length and dump; the table must be the driver's alone.
    pub(super) fn finish<T: FlowTable>(&mut self, table: &T, handle: &mut T::Handle<'_>) {
        self.expire(table, handle);
        self.check_whole(table, handle);
    }

    fn packet(&mut self, tuple: Tuple) -> PacketMeta {
        let timeout_ms = if self.rng.percent(1) {
            0
        } else {
            *self.rng.pick(&TIMEOUTS_MS)
        };
        self.next_id += 1;
        let status = *self.rng.pick(&STATUSES);
        packet(tuple, self.next_id, self.now, timeout_ms, status)
    }

    fn open<T: FlowTable>(&mut self, table: &T, handle: &mut T::Handle<'_>) {
        let (original, reply) = self.pool.connection(&mut self.rng);
        let packet = self.packet(original);
        let (before, now) = (table.len(), self.now);
        let mut victims: Vec<Evicted> = Vec::new();
        let got = insert(handle, &packet, &reply, &mut victims);
        let full = self.company == Company::Alone && before >= self.sizing.max_connections;
        let op = format_args!(
            "insert #{} {original} / {reply} at {} with {before} present, evicting {:?}",
            packet.id.0, now, victims
        );
        if self.model.collides(&original, &reply) {
            self.at.same(op, (Insert::Duplicate, 0), (got, victims.len()));
            return;
        }
        match got {
            Insert::Inserted => {
                let may_evict = full && self.sizing.evict_when_full && T::INFO.evicts;
                let fits = may_evict || victims.is_empty();
                self.at
                    .holds(op, fits, "no eviction below the limit or unasked for", &victims);
                for victim in &victims {
                    if let Err(expected) = self.model.evict(victim) {
                        self.at.fail(op, &expected, victim);
                    }
                }
                self.model.insert(&packet, &reply);
                let live = self.model.live();
                self.at.holds(
                    op,
                    live <= self.sizing.max_connections,
                    "Full: that many are live",
                    &live,
                );
            }
            Insert::Full => {
                self.at
                    .holds(op, full, "Inserted: the limit is not reached", &got);
                self.at.holds(
                    op,
                    victims.is_empty(),
                    "no eviction where Full is returned",
                    &victims,
                );
            }
            Insert::Duplicate => self
                .at
                .fail(op, &"Inserted or Full: neither tuple is there", &got),
        }
        self.check_len(table);
    }

    fn hit_or_miss<H: FlowHandle>(&mut self, handle: &mut H) {
        let tuple = self.pool.tuple(&mut self.rng);
        let packet = self.packet(tuple);
        let expected = self.model.lookup(&packet);
        let got = lookup(handle, &packet);
        self.at
            .same(format_args!("lookup {tuple} at {}", self.now), expected, got);
    }

    fn batch<H: FlowHandle>(&mut self, handle: &mut H) {
        let size = self.rng.below(MAX_BATCH + 1);
        let packets: Vec<_> = (0..size)
            .map(|_| {
                let tuple = self.pool.tuple(&mut self.rng);
                self.packet(tuple)
            })
            .collect();
        // Stale garbage in the answers: each one has to be written.
        let mut got = vec![Some(NEVER); size];
        handle.lookup_batch(&packets, &mut got);
        for (i, packet) in packets.iter().enumerate() {
            let expected = self.model.lookup(packet);
            let tuple = packet.tuple;
            let op = format_args!("packet {i} of a batch of {size}: {tuple} at {}", self.now);
            self.at.same(op, expected, got[i]);
        }
    }

    fn close<H: FlowHandle>(&mut self, handle: &mut H) {
        let tuple = self.pool.tuple(&mut self.rng);
        let expected = self.model.remove(&tuple);
        let got = remove(handle, &tuple, self.now);
        self.at
            .same(format_args!("remove {tuple} at {}", self.now), expected, got);
    }

    fn expire<T: FlowTable>(&mut self, table: &T, handle: &mut T::Handle<'_>) {
        let before = table.len();
        let gone = handle.expire(VirtualTime(self.now));
        if self.company == Company::Alone {
            let op = format_args!(
                "expire at {}: {before} before, {gone} said to be given back",
                self.now
            );
            self.at.same(op, self.model.live(), table.len());
            self.at.same(op, before - self.model.live(), gone);
            self.model.forget_expired();
        }
    }

    fn check_len<T: FlowTable>(&self, table: &T) {
        if self.company == Company::Alone {
            let (live, expired, len) = (self.model.live(), self.model.expired(), table.len());
            let fits = live <= len && len <= live + expired && len <= self.sizing.max_connections;
            let op = format_args!("len with {live} live and {expired} expired since the last expire()");
            self.at.holds(
                op,
                fits,
                "the live, at most the expired more, within the limit",
                &len,
            );
            self.at.same(op, len == 0, table.is_empty());
        }
    }

    fn check_whole<T: FlowTable>(&mut self, table: &T, handle: &mut T::Handle<'_>) {
        self.check_len(table);
        let budget = 1 + self.rng.below(64);
        let shown = dump_all(&self.at, handle, budget, |_| ());
        if let Err(problem) = self.model.check_dump(&shown) {
            let op = format_args!("whole dump at {} in steps of {budget}", self.now);
            self.at.fail(op, &problem, &format_args!("{} lines", shown.len()));
        }
    }
}

/// An answer no lookup gives.
const NEVER: crate::table::Found = crate::table::Found {
    id: ConnectionId(u32::MAX),
    direction: crate::tuple::Direction::Reply,
};
