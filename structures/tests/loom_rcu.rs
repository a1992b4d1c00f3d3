//! Models of the `rcu` table under loom: the table itself, with lines of two places, batches of one and one
//! slot of slack.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" timeout 300 cargo test -p structures --release --test loom_rcu
//! ```
//! All of them take about 2 s on one core of 2.5 GHz (`LOOM_MAX_PREEMPTIONS=20`, which is all executions: the
//! publication and chain models 2 s, the others minutes).
//!
//! Each model looks at every execution with up to `PREEMPTIONS` forced switches, all stale reads that the
//! orderings allow included. loom fails a model where a tuple can be written while it is read
//! ([`structures::entry`] tells it of both). The models are also run with the ordering or the rule they are
//! about broken, and must then fail.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a model fails by panicking")]

use std::net::Ipv4Addr;

use loom::sync::Arc;
use loom::thread;
use structures::tables::rcu::fault::{Fault, plant};
use structures::tables::rcu::{Rcu, RcuHandle, RcuOptions};
use structures::{
    ConnectionId, FlowHandle, FlowTable, Found, IgnoreEvictions, Insert, PacketMeta, Sizing, Status, Tuple,
    TupleHasher, VirtualTime,
};

/// Forced switches per execution.
const PREEMPTIONS: usize = 4;

/// Steps of one execution: building a table and filling it takes most.
const MAX_STEPS: usize = 20_000;

/// Gives all tuples the same bucket and the same tag, so that every link is followed by every lookup.
#[derive(Debug, Clone)]
struct AllAlike;

impl TupleHasher for AllAlike {
    const NAME: &'static str = "all-alike";

    fn with_seed(_: u64) -> Self {
        Self
    }

    fn hash(&self, _: &Tuple) -> u64 {
        1
    }
}

type Table = Rcu<AllAlike>;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // The environment variable LOOM_MAX_PREEMPTIONS asks for more or fewer.
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.max_branches = MAX_STEPS;
    builder.check(run);
}

fn table(max_connections: usize) -> Arc<Table> {
    let sizing = Sizing {
        max_connections,
        evict_when_full: false,
        seed: 1,
    };
    Arc::new(Table::new(&sizing, &RcuOptions::default()).unwrap())
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const NAT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn original(id: u16) -> Tuple {
    Tuple::v4(17, CLIENT, id, SERVER, 53)
}

fn reply(id: u16) -> Tuple {
    Tuple::v4(17, SERVER, 53, NAT, id)
}

fn packet(tuple: Tuple, id: u16) -> PacketMeta {
    PacketMeta {
        tuple,
        now: VirtualTime(1),
        timeout_ms: 1000,
        id: ConnectionId(id.into()),
        user: 0,
        set_status: Status::NEW,
        action: 0,
    }
}

fn insert(handle: &mut RcuHandle<'_, AllAlike>, id: u16) {
    let outcome = handle.insert(&packet(original(id), id), &reply(id), 1, &mut IgnoreEvictions);
    assert_eq!(outcome, Insert::Inserted);
}

fn remove(handle: &mut RcuHandle<'_, AllAlike>, id: u16) {
    let removed = handle.remove(&reply(id), 1, VirtualTime(1));
    assert_eq!(removed, Some(ConnectionId(id.into())));
}

/// Looks `tuple` up; what is found must be connection `id`.
fn lookup(handle: &mut RcuHandle<'_, AllAlike>, tuple: Tuple, id: u16) -> Option<Found> {
    let found = handle.lookup(&packet(tuple, 0), 1);
    assert!(
        found.is_none_or(|found| found.id == ConnectionId(id.into())),
        "foreign connection {found:?}"
    );
    found
}

/// R1, R2: a reader beside an insert finds nothing or the whole entry, by either tuple.
fn publication() {
    model(|| {
        let table = table(2);
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut handle = table.handle();
                lookup(&mut handle, original(1), 1);
                lookup(&mut handle, reply(1), 1);
            })
        };
        insert(&mut table.handle(), 1);
        reader.join().unwrap();
        let mut handle = table.handle();
        assert!(lookup(&mut handle, original(1), 1).is_some());
        assert!(lookup(&mut handle, reply(1), 1).is_some());
    });
}

#[test]
fn publication_is_whole() {
    publication();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn publication_needs_release() {
    plant(Fault::RelaxedPublish);
    publication();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn publication_needs_the_entry_first() {
    plant(Fault::FillAfterPublish);
    publication();
}

/// R1: two inserts into places that still hold old links, the second into the slot that the first one's place
/// links to.
fn publication_over_old_links() {
    model(|| {
        let table = table(2);
        let mut handle = table.handle();
        for id in [1, 2] {
            insert(&mut handle, id);
        }
        for id in [1, 2] {
            remove(&mut handle, id);
        }
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                lookup(&mut table.handle(), original(3), 3);
            })
        };
        insert(&mut handle, 3);
        insert(&mut handle, 4);
        reader.join().unwrap();
    });
}

#[test]
fn publication_over_old_links_is_whole() {
    publication_over_old_links();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn publication_needs_the_link_before_the_tag() {
    plant(Fault::TagBeforeLink);
    publication_over_old_links();
}

/// R4: connection 1 goes, and 2 takes its slot as soon as it may, while a reader looks for 1.
fn reclamation() {
    model(|| {
        let table = table(1);
        let mut handle = table.handle();
        insert(&mut handle, 1);
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut handle = table.handle();
                lookup(&mut handle, original(1), 1);
                lookup(&mut handle, original(2), 2);
            })
        };
        remove(&mut handle, 1);
        insert(&mut handle, 2);
        reader.join().unwrap();
    });
}

#[test]
fn reclamation_waits_for_readers() {
    reclamation();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn reclamation_needs_the_grace_period() {
    plant(Fault::NoGracePeriod);
    reclamation();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn reclamation_needs_the_readers_barrier() {
    plant(Fault::NoReaderBarrier);
    reclamation();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn reclamation_needs_release_on_leaving() {
    plant(Fault::RelaxedLeave);
    reclamation();
}

/// R3: three connections fill a home line and two overflow lines; the middle one goes, a fourth comes, and
/// the third is found throughout, by the tuple at the end of the chain.
fn shrinking_chain() {
    model(|| {
        let table = table(4);
        let mut handle = table.handle();
        for id in [1, 2, 3] {
            insert(&mut handle, id);
        }
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                assert!(lookup(&mut table.handle(), reply(3), 3).is_some(), "false miss");
            })
        };
        remove(&mut handle, 2);
        insert(&mut handle, 4);
        reader.join().unwrap();
    });
}

#[test]
fn a_chain_that_shrinks_loses_nothing() {
    shrinking_chain();
}

#[test]
#[should_panic(expected = "false miss")]
fn a_chain_that_shrinks_needs_the_old_way_on() {
    plant(Fault::LineForgetsNext);
    shrinking_chain();
}

#[test]
#[should_panic(expected = "false miss")]
fn a_chain_that_shrinks_needs_the_grace_period() {
    plant(Fault::LineWithoutGracePeriod);
    shrinking_chain();
}

/// R5: two writers and three slots, all of which one of them takes into its cache: none waits for ever, none
/// gets another's slot.
#[test]
fn slots_are_found_wherever_they_are_kept() {
    model(|| {
        let table = table(2);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut handle = table.handle();
                insert(&mut handle, 1);
                remove(&mut handle, 1);
            })
        };
        let mut handle = table.handle();
        insert(&mut handle, 2);
        writer.join().unwrap();
        assert!(lookup(&mut handle, original(2), 2).is_some());
        assert_eq!(table.len(), 1);
    });
}
