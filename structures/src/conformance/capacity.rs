//! Parts about the limit, one thread.

use std::collections::HashSet;

use super::pool::numbered;
use super::{At, Demands, LONG_MS, build, dump_all, insert, lookup, packet, remove, sizing};
use crate::table::{ConnectionId, Evicted, FlowHandle, FlowTable, Insert, Status};

/// Capacity of the tables here: a few hundred buckets, so that a bounded search sees a small part of them.
const MAX: u32 = 1000;

/// Without eviction: exactly `max_connections` get in, the next is [`Insert::Full`], and each removal lets one in.
///
/// # Panics
/// Where the limit gives way, or an insert below it is refused.
pub fn c4_limit_holds<T: FlowTable>(options: &T::Options) {
    let sizing = sizing(MAX as usize, false, 0xc4);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("C4 limit holds", options, &sizing);
    let mut handle = table.handle();
    let mut try_insert = |handle: &mut T::Handle<'_>, n: u32, expected: Insert| {
        at.step += 1;
        let (original, reply) = numbered(0, n);
        let mut victims = Vec::new();
        let packet = packet(original, n, 0, LONG_MS, Status::NEW);
        let got = insert(handle, &packet, &reply, &mut victims);
        let op = format_args!("insert {n} with {} present", table.len());
        at.same(op, (expected, Vec::<Evicted>::new()), (got, victims));
        at.holds(
            op,
            table.len() <= MAX as usize,
            "len within the limit",
            &table.len(),
        );
    };
    for n in 0..MAX {
        try_insert(&mut handle, n, Insert::Inserted);
    }
    for n in MAX..2 * MAX {
        try_insert(&mut handle, n, Insert::Full);
    }
    for n in 0..MAX {
        let (original, reply) = numbered(0, n);
        remove(&mut handle, if n % 2 == 0 { &original } else { &reply }, 0);
        handle.quiescent();
        try_insert(&mut handle, MAX + n, Insert::Inserted);
        try_insert(&mut handle, 2 * MAX + n, Insert::Full);
    }
}

/// With eviction: victims are never ASSURED, each is reported once and gone by both tuples, everybody else stays, and
/// once all are ASSURED newcomers are refused.
///
/// # Panics
/// Where a victim should not have been one, or is still there.
pub fn c4_eviction_spares_assured<T: FlowTable>(options: &T::Options) {
    if !T::INFO.evicts {
        return;
    }
    let sizing = sizing(MAX as usize, true, 0xc4);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("C4 eviction spares ASSURED", options, &sizing);
    let mut handle = table.handle();
    let (mut present, mut victims) = (HashSet::new(), Vec::new());
    for n in 0..6 * MAX {
        at.step += 1;
        let (original, reply) = numbered(0, n);
        // Every other one is ASSURED: at the end none but those are left, and nobody gets in any more.
        let status = if n % 2 == 0 { Status::ASSURED } else { Status::NEW };
        victims.clear();
        let before = table.len();
        let packet = packet(original, n, u64::from(n), LONG_MS, status);
        let got = insert(&mut handle, &packet, &reply, &mut victims);
        let op = format_args!("insert {n} ({status:?}) with {before} present, evicting {victims:?}");
        let needed = before >= MAX as usize && got == Insert::Inserted;
        at.holds(
            op,
            needed || victims.is_empty(),
            "no eviction unless at the limit for a newcomer",
            &got,
        );
        at.holds(
            op,
            needed != victims.is_empty(),
            "an eviction where one got in at the limit",
            &victims,
        );
        at.holds(
            op,
            before >= MAX as usize || got == Insert::Inserted,
            "Inserted below the limit",
            &got,
        );
        for victim in &victims {
            check_victim(&at, &mut handle, &mut present, victim);
        }
        if got == Insert::Inserted {
            present.insert(n);
        }
        at.same(op, present.len(), table.len());
    }
    for n in &present {
        for tuple in <[_; 2]>::from(numbered(0, *n)) {
            let got =
                lookup(&mut handle, &packet(tuple, 0, 9, LONG_MS, Status::ASSURED)).map(|found| found.id);
            at.same(
                format_args!("lookup of {n}, never evicted: {tuple}"),
                Some(ConnectionId(*n)),
                got,
            );
        }
    }
    let mut newcomer = 7 * MAX;
    // All are ASSURED now. Evictions may have left room: it is used up first.
    while table.len() < MAX as usize {
        newcomer += 1;
        let (original, reply) = numbered(0, newcomer);
        let packet = packet(original, newcomer, 9, LONG_MS, Status::ASSURED);
        at.same(
            format_args!("insert below the limit"),
            Insert::Inserted,
            insert(&mut handle, &packet, &reply, &mut victims),
        );
    }
    for n in 8 * MAX..9 * MAX {
        let (original, reply) = numbered(0, n);
        victims.clear();
        let got = insert(
            &mut handle,
            &packet(original, n, 9, LONG_MS, Status::NEW),
            &reply,
            &mut victims,
        );
        let op = format_args!("insert {n}, all present being ASSURED");
        at.same(op, (Insert::Full, 0), (got, victims.len()));
    }
}

/// `victim` was present, evictable, and is gone.
fn check_victim<H: FlowHandle>(at: &At, handle: &mut H, present: &mut HashSet<u32>, victim: &Evicted) {
    let n = victim.id.0;
    let op = format_args!("eviction of {victim:?}");
    at.holds(
        op,
        present.remove(&n),
        "a victim that was present, reported once",
        &n,
    );
    at.holds(
        op,
        n % 2 == 1 && victim.status.is_evictable(),
        "no ASSURED victim",
        &victim.status,
    );
    at.same(op, u64::from(n), victim.last_seen.0);
    for tuple in <[_; 2]>::from(numbered(0, n)) {
        let got = lookup(handle, &packet(tuple, 0, u64::from(n), LONG_MS, Status::NEW));
        at.same(format_args!("lookup of the victim's {tuple}"), None, got);
    }
    at.same(op, None, remove(handle, &numbered(0, n).0, u64::from(n)));
}

/// A full table of evictable connections lets at least [`Demands::admission_percent`] of newcomers in, and shows them in
/// a dump.
///
/// # Panics
/// Where fewer get in.
pub fn c4_eviction_admits<T: FlowTable>(options: &T::Options, demands: &Demands) {
    if !T::INFO.evicts {
        return;
    }
    let sizing = sizing(MAX as usize, true, 0xc4);
    let table = build::<T>(options, &sizing);
    let mut at = At::new::<T>("C4 eviction admits", options, &sizing);
    let mut handle = table.handle();
    let mut victims = Vec::new();
    let (mut asked, mut admitted) = (0, 0);
    for n in 0..4 * MAX {
        at.step += 1;
        let (original, reply) = numbered(0, n);
        let at_limit = table.len() >= MAX as usize;
        let packet = packet(original, n, u64::from(n), LONG_MS, Status::SEEN_REPLY);
        let got = insert(&mut handle, &packet, &reply, &mut victims);
        asked += usize::from(at_limit);
        admitted += usize::from(at_limit && got == Insert::Inserted);
    }
    let shown = dump_all(&at, &mut handle, 10, |_| ());
    at.same(
        format_args!("lines of a dump after {} evictions", victims.len()),
        table.len(),
        shown.len(),
    );
    let least = asked * demands.admission_percent;
    at.holds(
        format_args!("of {asked} newcomers to a full table of evictable connections, how many get in"),
        100 * admitted >= least,
        &format!("at least {}", least / 100),
        &admitted,
    );
}
