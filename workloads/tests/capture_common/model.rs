//! A trace replayed one operation after the other against a plain map: the answers it promises must be the answers given.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

use std::collections::HashMap;

use structures::{Direction, Tuple};
use workloads::{Expected, Op, OpKind, Trace};

#[derive(Default)]
struct Model {
    places: HashMap<Tuple, (u32, Direction)>,
    expires: HashMap<u32, u64>,
    expired: u64,
}

impl Model {
    fn find(&self, tuple: &Tuple, now: u64) -> Option<(u32, Direction)> {
        self.places
            .get(tuple)
            .copied()
            .filter(|found| self.expires[&found.0] > now)
    }

    fn remove(&mut self, trace: &Trace, connection: u32) {
        let known = &trace.connections[connection as usize];
        self.expires.remove(&connection).expect("present");
        self.places.remove(&known.original);
        self.places.remove(&known.reply);
    }

    /// Removes what has expired (C2: `expires <= now`); how many.
    fn expire(&mut self, trace: &Trace, now: u64) -> u64 {
        let over: Vec<u32> = self
            .expires
            .iter()
            .filter(|e| *e.1 <= now)
            .map(|e| *e.0)
            .collect();
        for connection in &over {
            self.remove(trace, *connection);
        }
        self.expired += over.len() as u64;
        over.len() as u64
    }
}

/// Checks every operation and the totals; returns the most connections present at once.
pub fn check(trace: &Trace) -> u64 {
    let mut model = Model::default();
    let mut totals = Expected::default();
    let (mut last_time, mut last_expire, mut peak) = (0, None::<u64>, 0);
    assert!(trace.prefill.is_empty() && !trace.evict_when_full);
    for (n, op) in trace.ops.iter().enumerate() {
        let now = op.time.0;
        assert!(now >= last_time, "op {n}: time goes back");
        last_time = now;
        if op.kind == OpKind::Expire {
            assert!(model.expire(trace, now) > 0, "op {n}: nothing to expire");
            assert!(
                last_expire.is_none_or(|then| now >= then + 1000),
                "op {n}: too often"
            );
            last_expire = Some(now);
        } else {
            model.apply(trace, op, &mut totals);
        }
        peak = peak.max(model.expires.len());
    }
    model.expire(trace, trace.end_time().0);
    totals.expired = model.expired;
    totals.final_len = model.expires.len() as u64;
    assert_eq!(trace.expected, totals);
    assert_eq!(
        totals.inserts,
        totals.removes + totals.expired + totals.final_len,
        "C6"
    );
    let room = trace.max_connections * 4 >= peak * 5;
    assert!(trace.max_connections >= 1024 && room, "room for a quarter more");
    peak as u64
}

impl Model {
    /// An operation on one connection.
    fn apply(&mut self, trace: &Trace, op: &Op, totals: &mut Expected) {
        let now = op.time.0;
        let connection = &trace.connections[op.connection as usize];
        assert_ne!(connection.original, connection.reply, "{op:?}");
        let found = self.find(connection.tuple(op.direction), now);
        let here = Some((op.connection, op.direction));
        let expires = now + u64::from(op.timeout_ms);
        match op.kind {
            OpKind::Hit => {
                assert_eq!(found, here, "{op:?}");
                self.expires.insert(op.connection, expires);
                totals.hits += 1;
            }
            OpKind::Miss => {
                assert_eq!(found, None, "{op:?}");
                totals.misses += 1;
            }
            OpKind::Open => {
                assert_eq!((found, op.direction), (None, Direction::Original), "{op:?}");
                self.open(trace, op, expires);
                totals.misses += 1;
                totals.inserts += 1;
            }
            OpKind::Close => {
                assert_eq!(found, here, "{op:?}");
                self.remove(trace, op.connection);
                totals.removes += 1;
            }
            other => panic!("{other:?} in a tracked trace"),
        }
    }

    fn open(&mut self, trace: &Trace, op: &Op, expires: u64) {
        let connection = &trace.connections[op.connection as usize];
        for tuple in [connection.original, connection.reply] {
            assert_eq!(self.find(&tuple, op.time.0), None, "{op:?}: {tuple} is taken");
            if let Some(&(stale, _)) = self.places.get(&tuple) {
                self.remove(trace, stale);
                self.expired += 1;
            }
        }
        self.places
            .insert(connection.original, (op.connection, Direction::Original));
        self.places
            .insert(connection.reply, (op.connection, Direction::Reply));
        assert_eq!(self.expires.insert(op.connection, expires), None, "{op:?}");
    }
}
