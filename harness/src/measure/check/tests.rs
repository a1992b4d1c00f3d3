//! The check itself: right runs pass, and each way of being wrong is found and named.

use structures::{ConnectionId, Evicted, EvictionSink};
use workloads::{Connection, Expected};

use super::super::unroll::unroll;
use super::*;

fn op(kind: OpKind, connection: u32, set_status: Status) -> Op {
    Op {
        time: VirtualTime(1),
        connection,
        timeout_ms: 1_000_000,
        kind,
        direction: Direction::Original,
        set_status,
        attack: false,
    }
}

/// Connection 0 may be evicted, 1 is ASSURED, 2 is the newcomer; then a packet of 0 and of 1.
fn at_the_limit(max_connections: usize) -> Trace {
    Trace {
        name: "made by hand".into(),
        seed: 0,
        max_connections,
        evict_when_full: true,
        answers: Answers::GivenEvictions,
        connections: (0..4).map(Connection::from).collect(),
        prefixes: Vec::new(),
        policies: Vec::new(),
        prefill: vec![
            op(OpKind::Open, 0, Status::NEW),
            op(OpKind::Open, 1, Status::ASSURED),
        ],
        ops: vec![
            op(OpKind::Open, 2, Status::NEW),
            op(OpKind::Hit, 0, Status::NEW),
            op(OpKind::Hit, 1, Status::NEW),
        ],
        expected: Expected::default(),
    }
}

/// Checks a run that answered `outcomes` and evicted `victims` for the newcomer.
fn check(
    trace: &Trace,
    outcomes: [Outcome; 3],
    victims: &[u32],
    final_len: u64,
) -> Result<Verdict, WrongAnswer> {
    let scripts = unroll(trace, &trace.ops, 1);
    let mut log = ThreadLog::for_script(&scripts[0], true);
    log.outcomes = outcomes.to_vec();
    for &victim in victims {
        let id = ConnectionId(victim);
        log.evictions.evicted(Evicted {
            id,
            status: Status::NEW,
            last_seen: VirtualTime(1),
        });
    }
    answers(trace, &scripts, &[log], 0, final_len)
}

const fn hit(connection: u32) -> Outcome {
    Outcome::hit(ConnectionId(connection), Direction::Original)
}

#[test]
fn a_right_eviction_passes_and_its_harm_is_counted() {
    let verdict = check(
        &at_the_limit(2),
        [Outcome::OPENED, Outcome::NOTHING, hit(1)],
        &[0],
        2,
    )
    .unwrap();
    let totals = verdict.totals;
    assert_eq!(
        (
            totals.evicted_new,
            totals.orphaned_packets,
            totals.inserts,
            totals.hits
        ),
        (1, 1, 1, 1)
    );
    assert!(!verdict.timeline.is_empty());
}

#[test]
fn a_right_refusal_passes_and_its_harm_is_counted() {
    let verdict = check(&at_the_limit(2), [Outcome::OPEN_FULL, hit(0), hit(1)], &[], 2).unwrap();
    assert_eq!((verdict.totals.full, verdict.totals.orphaned_packets), (1, 0));
}

#[test]
fn a_wrong_eviction_is_named() {
    let cases = [
        (2, 1, "was ASSURED"),
        (2, 3, "was not in the table"),
        (2, 99, "does not exist"),
        (3, 0, "was evicted although there was room"),
    ];
    for (max_connections, victim, expected) in cases {
        let run = [Outcome::OPENED, Outcome::NOTHING, hit(1)];
        let wrong = check(&at_the_limit(max_connections), run, &[victim], 2).unwrap_err();
        assert!(wrong.to_string().contains(expected), "{wrong}");
    }
}

#[test]
fn a_connection_evicted_twice_is_named() {
    let run = [Outcome::OPENED, Outcome::NOTHING, hit(1)];
    let wrong = check(&at_the_limit(2), run, &[0, 0], 2).unwrap_err();
    assert!(wrong.to_string().contains("was not in the table"), "{wrong}");
}

#[test]
fn answers_that_do_not_follow_from_the_evictions_are_named() {
    let cases: [([Outcome; 3], &[u32], &str); 5] = [
        (
            [Outcome::OPENED, hit(0), hit(1)],
            &[0],
            "expected nothing, got connection 0",
        ),
        (
            [Outcome::OPENED, Outcome::NOTHING, Outcome::NOTHING],
            &[0],
            "expected connection 1",
        ),
        (
            [Outcome::OPENED, Outcome::NOTHING, hit(0)],
            &[0],
            "expected connection 1",
        ),
        (
            [Outcome::OPENED, hit(0), hit(1)],
            &[],
            "live connections after an insert is 3",
        ),
        (
            [Outcome::OPEN_DUPLICATE, hit(0), hit(1)],
            &[],
            "refused as duplicate",
        ),
    ];
    for (run, victims, expected) in cases {
        let wrong = check(&at_the_limit(2), run, victims, 2).unwrap_err();
        assert!(wrong.to_string().contains(expected), "{wrong}");
    }
}

#[test]
fn a_refusal_with_room_and_a_wrong_length_are_named() {
    let wrong = check(&at_the_limit(3), [Outcome::OPEN_FULL, hit(0), hit(1)], &[], 2).unwrap_err();
    assert!(wrong.to_string().contains("refused as full"), "{wrong}");
    let wrong = check(
        &at_the_limit(2),
        [Outcome::OPENED, Outcome::NOTHING, hit(1)],
        &[0],
        1,
    )
    .unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("number of connections is 1 at the end, expected 2"),
        "{wrong}"
    );
}

#[test]
fn a_prefill_that_evicts_is_named() {
    let trace = at_the_limit(2);
    let script = unroll(&trace, &trace.prefill, 1).remove(0);
    let mut log = ThreadLog::for_script(&script, true);
    log.outcomes = vec![Outcome::OPENED; 2];
    assert_eq!(prefill(&trace, &script, &log), Ok(()));
    log.evictions.evicted(Evicted {
        id: ConnectionId(0),
        status: Status::NEW,
        last_seen: VirtualTime(1),
    });
    assert!(prefill(&trace, &script, &log).is_err());
}
