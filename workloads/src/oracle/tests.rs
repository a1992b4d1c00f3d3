//! The oracle accepts right traces (see the generators' tests too) and names what is wrong in others.

use structures::Status;

use super::*;
use crate::catalog;

fn op(time: u64, kind: OpKind, connection: u32, direction: Direction) -> Op {
    Op {
        time: VirtualTime(time),
        connection,
        timeout_ms: 1000,
        kind,
        direction,
        set_status: Status::NEW,
        attack: false,
    }
}

use Direction::{Original, Reply};

/// Three connections, a limit of two, and those operations.
fn trace(ops: Vec<Op>, expected: Expected) -> Trace {
    Trace {
        name: "test".to_owned(),
        seed: 0,
        max_connections: 2,
        evict_when_full: false,
        answers: Answers::Exact,
        connections: (0..3).map(Connection::from).collect(),
        prefixes: Vec::new(),
        policies: Vec::new(),
        prefill: Vec::new(),
        ops,
        expected,
    }
}

/// A life of each kind: hit in both directions, closed, expired and met, expired and swept, expired at the end.
fn a_right_trace() -> Trace {
    let ops = vec![
        op(0, OpKind::Miss, 0, Original),
        op(0, OpKind::Open, 0, Original),
        op(1, OpKind::Hit, 0, Reply),
        op(1, OpKind::Open, 1, Original),
        op(2, OpKind::Close, 1, Reply),
        op(3, OpKind::Miss, 1, Original),
        // 0 was touched at 1 and expires at 1001: exactly then it is gone.
        op(1000, OpKind::Hit, 0, Original),
        op(2000, OpKind::Miss, 0, Reply),
        op(2000, OpKind::Open, 0, Original),
        op(2500, OpKind::Open, 2, Original),
        op(3100, OpKind::Expire, 0, Original),
        op(3200, OpKind::Open, 1, Original),
        op(3600, OpKind::Hit, 1, Original),
    ];
    let expected = Expected {
        hits: 3,
        misses: 8,
        inserts: 5,
        removes: 1,
        expired: 3,
        final_len: 1,
    };
    Trace {
        connections: (0..3).map(Connection::from).collect(),
        ..trace(ops, expected)
    }
}

#[test]
fn a_right_trace_passes_and_its_peak_is_found() {
    let trace = a_right_trace();
    let outcome = replay(&trace).unwrap();
    assert_eq!(outcome.expected, trace.expected);
    assert_eq!(outcome.peak, 2);
}

/// C2: at `expires` itself a connection is gone, a millisecond before it is there.
#[test]
fn expiry_is_exact_to_the_millisecond() {
    let alive = trace(
        vec![
            op(0, OpKind::Open, 0, Original),
            op(999, OpKind::Hit, 0, Original),
        ],
        Expected {
            hits: 1,
            misses: 1,
            inserts: 1,
            final_len: 1,
            ..Expected::default()
        },
    );
    assert_eq!(check(&alive), Ok(alive.expected));
    let late = trace(
        vec![
            op(0, OpKind::Open, 0, Original),
            op(1000, OpKind::Hit, 0, Original),
        ],
        alive.expected,
    );
    assert_eq!(
        check(&late).unwrap_err().to_string(),
        "operation 1 (Hit of connection 0, Original, proto=17 src=10.0.0.0 dst=192.0.2.1 sport=1024 dport=53): \
         the trace says connection 0 (Original), the reference no connection"
    );
}

/// A packet may shorten the life of its connection (a FIN does): the sweep must not wait for the older, later time.
#[test]
fn a_shortened_timeout_counts_at_the_next_sweep() {
    let mut ops = vec![
        op(0, OpKind::Open, 0, Original),
        op(1, OpKind::Hit, 0, Original),
        op(20, OpKind::Expire, 0, Original),
        op(20, OpKind::Open, 1, Original),
        op(20, OpKind::Open, 2, Original),
    ];
    ops[1].timeout_ms = 10;
    let expected = Expected {
        hits: 1,
        misses: 3,
        inserts: 3,
        removes: 0,
        expired: 1,
        final_len: 2,
    };
    let trace = trace(ops, expected);
    assert_eq!(check(&trace), Ok(expected));
}

/// C4: expired connections that nobody gave back count; the limit of two is reached at the third.
#[test]
fn an_exact_trace_may_not_fill_the_table() {
    let ops = vec![
        op(0, OpKind::Open, 0, Original),
        op(1, OpKind::Open, 1, Original),
        op(5000, OpKind::Open, 2, Original),
    ];
    let mut trace = trace(ops, Expected::default());
    let error = check(&trace).unwrap_err();
    assert_eq!(
        error.to_string(),
        "operation 2 (Open of connection 2): it is connection 3 of a table limited to 2"
    );
    trace.answers = Answers::GivenEvictions;
    assert!(matches!(
        check(&trace),
        Err(OracleError::Total { field: "misses", .. })
    ));
}

/// C3: a newcomer whose reply is somebody's original is a duplicate though its own original is new.
#[test]
fn a_duplicate_by_its_reply_is_found() {
    let ops = vec![op(0, OpKind::Open, 0, Original), op(0, OpKind::Open, 1, Original)];
    let mut trace = trace(ops, Expected::default());
    trace.connections[1].reply = trace.connections[0].original;
    let error = check(&trace).unwrap_err();
    assert!(matches!(
        error,
        OracleError::Answer {
            number: 1,
            got: Answer::Duplicate(0),
            ..
        }
    ));
}

type Fault = fn(&mut Op);

/// What may be wrong with one operation of a right trace.
const FAULTS: [(&str, Fault); 6] = [
    ("hit to miss, other to hit", |op| {
        let hits = matches!(op.kind, OpKind::Hit | OpKind::ClassifyHit);
        op.kind = if hits { OpKind::Miss } else { OpKind::Hit };
    }),
    ("kind to Open", |op| {
        op.kind = if op.kind == OpKind::Open {
            OpKind::Close
        } else {
            OpKind::Open
        };
    }),
    ("connection out of range", |op| op.connection = u32::MAX),
    ("time", |op| op.time = VirtualTime(0)),
    ("classify", |op| op.kind = OpKind::ClassifyMiss),
    ("kind to Close", |op| op.kind = OpKind::Close),
];

fn place(error: &OracleError) -> Option<(Span, usize)> {
    match error {
        OracleError::Answer { span, number, .. } | OracleError::Form { span, number, .. } => {
            Some((*span, *number))
        }
        OracleError::Total { .. } | OracleError::List { .. } => None,
    }
}

/// Each fault in each of some operations of each workload is found at that operation, or, where the change makes another
/// right trace up to there (a miss that became an open), at a later one or in the totals: never accepted.
#[test]
fn planted_faults_are_found_and_named() {
    for workload in catalog::WORKLOADS {
        let right = catalog::build(workload.name, 200, 2000, 1).unwrap();
        let mut exact = 0;
        let mut planted = 0;
        for at in (3..2000).step_by(97) {
            for (name, fault) in FAULTS {
                let mut wrong = right.clone();
                fault(&mut wrong.ops[at]);
                if wrong.ops[at] == right.ops[at] {
                    continue;
                }
                let error = check(&wrong).expect_err(name);
                planted += 1;
                exact += u32::from(place(&error) == Some((Span::Timed, at)));
                assert!(
                    place(&error).is_none_or(|(_, number)| number >= at),
                    "{name} at {at}: {error}"
                );
            }
        }
        assert!(exact * 3 > planted * 2, "{}: {exact} of {planted}", workload.name);
    }
}

#[test]
fn each_kind_of_fault_is_named_at_its_operation() {
    let right = catalog::build("steady", 200, 2000, 1).unwrap();
    let at = 1234;
    let named = |fault: fn(&mut Op)| {
        let mut wrong = right.clone();
        fault(&mut wrong.ops[at]);
        let error = check(&wrong).unwrap_err();
        assert_eq!(place(&error), Some((Span::Timed, at)), "{error}");
        error.to_string()
    };
    assert!(
        named(|op| op.kind = OpKind::Miss).contains("the trace says no connection, the reference connection")
    );
    assert!(named(|op| op.kind = OpKind::Open).starts_with("operation 1234 (Open of connection"));
    assert!(named(|op| op.connection = 200).contains("the trace has 200 connections"));
    assert!(named(|op| op.time = VirtualTime(3)).contains("it is at 3 ms, the one before at 1001 ms"));
    assert!(named(|op| op.kind = OpKind::ClassifyMiss).contains("the trace has no prefixes"));
    assert!(named(|op| op.kind = OpKind::ClassifyHit).contains("the trace has no prefixes"));
}

/// A direction or a connection that is flipped in the operation alone is another right operation (that tuple, too, is
/// there); it is wrong where the packet's tuple no longer is that of the connection and direction.
#[test]
fn a_tuple_of_another_connection_or_direction_is_found() {
    let mut swapped = catalog::build("steady", 200, 2000, 1).unwrap();
    let hit = swapped.ops[1000];
    let connection = &mut swapped.connections[hit.connection as usize];
    // Found in the reply direction now: opened with the tuples the other way round, which only the map can tell.
    std::mem::swap(&mut connection.original, &mut connection.reply);
    assert_eq!(
        check(&swapped),
        Ok(swapped.expected),
        "swapped throughout is another right trace"
    );

    let mut stolen = catalog::build("steady", 200, 2000, 1).unwrap();
    let victim = (hit.connection + 1) % 200;
    stolen.connections[hit.connection as usize].original = stolen.connections[victim as usize].original;
    let later = hit.connection.max(victim) as usize;
    assert_eq!(place(&check(&stolen).unwrap_err()), Some((Span::Prefill, later)));

    let mut closed = a_right_trace();
    closed.ops[4].connection = 0;
    let error = check(&closed).unwrap_err();
    // Closing 0 in place of 1 is right in itself; then 1 is still there.
    assert_eq!(place(&error), Some((Span::Timed, 5)), "{error}");

    let mut opened = a_right_trace();
    opened.ops[1].direction = Reply;
    let error = check(&opened).unwrap_err().to_string();
    assert_eq!(
        error,
        "operation 1 (Open of connection 0): a first packet is of the original direction"
    );
}

#[test]
fn each_total_is_compared() {
    type Fault = fn(&mut Expected);
    let fields: [(&str, Fault); 6] = [
        ("hits", |e| e.hits += 1),
        ("misses", |e| e.misses += 1),
        ("inserts", |e| e.inserts += 1),
        ("removes", |e| e.removes += 1),
        ("expired", |e| e.expired += 1),
        ("final_len", |e| e.final_len += 1),
    ];
    for (name, fault) in fields {
        let mut wrong = a_right_trace();
        fault(&mut wrong.expected);
        match check(&wrong).unwrap_err() {
            OracleError::Total { field, expected, got } => {
                assert_eq!((field, expected), (name, got + 1));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn lists_are_checked() {
    let mut same = a_right_trace();
    same.connections[2].reply = same.connections[2].original;
    assert!(
        check(&same)
            .unwrap_err()
            .to_string()
            .contains("number 2: original and reply are the same")
    );

    let mut short = catalog::build("prefix", 100, 100, 1).unwrap();
    short.policies.pop();
    assert!(
        check(&short)
            .unwrap_err()
            .to_string()
            .contains("one per connection")
    );
}

/// Every policy that an operation relies on is compared with the longest prefix.
#[test]
fn a_wrong_policy_is_found_at_its_first_use() {
    let right = catalog::build("prefix", 100, 1000, 1).unwrap();
    let at = right
        .ops
        .iter()
        .position(|op| op.kind == OpKind::ClassifyMiss)
        .unwrap();
    let number = right.ops[at].connection as usize;
    for wrong_policy in [None, Some(PolicyId(u32::MAX))] {
        if right.policies[number] == wrong_policy {
            continue;
        }
        let mut wrong = right.clone();
        wrong.policies[number] = wrong_policy;
        let error = check(&wrong).unwrap_err();
        assert_eq!(place(&error), Some((Span::Timed, at)), "{error}");
        assert!(
            matches!(error, OracleError::Answer { expected: Answer::Policy(p), .. } if p == wrong_policy)
        );
    }
}

#[test]
fn longest_prefix_agrees_with_trying_every_prefix() {
    let trace = catalog::build("prefix", 4000, 10, 2).unwrap();
    let prefixes = Prefixes::new(&trace.prefixes);
    for connection in trace.connections.iter().take(2000) {
        for tuple in [&connection.original, &connection.reply] {
            let covering = trace.prefixes.iter().filter(|(prefix, _)| prefix.covers(tuple));
            let slow = covering
                .max_by_key(|(prefix, _)| prefix.length())
                .map(|&(_, policy)| policy);
            assert_eq!(prefixes.longest(tuple), slow, "{tuple}");
        }
    }
}
