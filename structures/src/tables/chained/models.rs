//! Models of two threads, run through their interleavings by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p structures --lib models`. Bounded to four preemptions: three are
//! needed to catch a writer that takes only the lower of its two locks. A second in all.

// Only the model checker can run them.
#![cfg(loom)]

use loom::sync::Arc;

use super::*;
use crate::sync::thread;
use crate::table::{IgnoreEvictions, Status};
use crate::tuple::protocol::UDP;

/// Spreads ports over the two buckets (and, under loom, two locks) by their lowest bit.
#[derive(Debug, Clone)]
struct ByPort;

impl TupleHasher for ByPort {
    const NAME: &'static str = "port";

    fn with_seed(_: u64) -> Self {
        Self
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        u64::from(tuple.src_port()) << 63 | u64::from(tuple.src_port())
    }
}

type Table<L> = Chained<ByPort, L>;

fn table<L: LockScheme>(max_connections: usize) -> Arc<Table<L>> {
    let sizing = Sizing {
        max_connections,
        evict_when_full: false,
        seed: 1,
    };
    let options = Options {
        buckets: Buckets::Exactly(2),
        ..Options::default()
    };
    Arc::new(Chained::new(&sizing, &options).unwrap())
}

fn tuple(port: u16) -> Tuple {
    Tuple::v4(UDP, [10, 0, 0, 1].into(), port, [10, 0, 0, 2].into(), 53)
}

fn packet(port: u16, id: u32) -> PacketMeta {
    PacketMeta {
        tuple: tuple(port),
        now: VirtualTime(1),
        timeout_ms: 100,
        id: ConnectionId(id),
        user: 0,
        set_status: Status::NEW,
        action: 0,
    }
}

fn open<L: LockScheme>(handle: &mut ChainedHandle<'_, ByPort, L>, id: u32, port: u16, reply: u16) -> Insert {
    let packet = packet(port, id);
    let hash = handle.hash(&packet.tuple);
    handle.insert(&packet, &tuple(reply), hash, &mut IgnoreEvictions)
}

fn find<L: LockScheme>(handle: &mut ChainedHandle<'_, ByPort, L>, port: u16) -> Option<(u32, Direction)> {
    let packet = packet(port, 0);
    let hash = handle.hash(&packet.tuple);
    handle
        .lookup(&packet, hash)
        .map(|found| (found.id.0, found.direction))
}

fn close<L: LockScheme>(handle: &mut ChainedHandle<'_, ByPort, L>, port: u16) -> Option<u32> {
    let tuple = tuple(port);
    let hash = handle.hash(&tuple);
    handle.remove(&tuple, hash, VirtualTime(1)).map(|id| id.0)
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(run);
}

/// G1. A connection is removed and its slot used again by another that is in the same chains, while a lookup runs: it finds
/// the one it asked for, whole, or nothing.
fn lookup_beside_reuse<L: LockScheme>(asked: u16, answer: (u32, Direction)) {
    model(move || {
        let table = table::<L>(1);
        open(&mut table.handle(), 1, 2, 3);
        let other = Arc::clone(&table);
        let writer = thread::spawn(move || {
            let mut handle = other.handle();
            assert_eq!(close(&mut handle, 3), Some(1));
            assert_eq!(open(&mut handle, 2, 4, 5), Insert::Inserted);
        });
        let got = find(&mut table.handle(), asked);
        assert!([None, Some(answer)].contains(&got), "{got:?}");
        writer.join().unwrap();
        let mut handle = table.handle();
        assert_eq!(
            (find(&mut handle, 2), find(&mut handle, 5)),
            (None, Some((2, Direction::Reply)))
        );
    });
}

#[test]
fn a_lookup_beside_a_remove_and_a_reuse() {
    // From either side: one tuple is behind the lower lock, one behind the higher.
    for (asked, answer) in [(2, (1, Direction::Original)), (3, (1, Direction::Reply))] {
        lookup_beside_reuse::<HashedLocks>(asked, answer);
        lookup_beside_reuse::<GlobalLock>(asked, answer);
    }
}

/// G1, G2. The same two tuples, turned around, so that each thread names the locks in the other order.
#[test]
fn one_of_two_crossing_inserts_wins() {
    model(|| {
        let table = table::<HashedLocks>(2);
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || open(&mut other.handle(), 1, 2, 3));
        let mine = open(&mut table.handle(), 2, 3, 2);
        let theirs = thread.join().unwrap();
        assert_ne!(mine, theirs);
        let winner = if mine == Insert::Inserted {
            (2, Direction::Reply)
        } else {
            (1, Direction::Original)
        };
        assert_eq!((find(&mut table.handle(), 2), table.len()), (Some(winner), 1));
    });
}

/// Two threads remove one connection by different tuples: one gets it, and its slot is free once.
#[test]
fn one_of_two_removes_wins() {
    model(|| {
        let table = table::<HashedLocks>(1);
        open(&mut table.handle(), 1, 2, 3);
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || close(&mut other.handle(), 2));
        let mine = close(&mut table.handle(), 3);
        let theirs = thread.join().unwrap();
        assert_eq!(mine.or(theirs), Some(1));
        assert!(mine.is_none() || theirs.is_none());
        assert_eq!(table.len(), 0);
    });
}
