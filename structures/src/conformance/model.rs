//! The plain model that tables are compared with: two std maps and no cleverness.

use std::collections::{HashMap, HashSet};

use crate::table::{ConnectionId, Dumped, Evicted, Found, PacketMeta, Status, VirtualTime};
use crate::tuple::{Direction, Tuple};

/// A connection as the model knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) original: Tuple,
    pub(super) reply: Tuple,
    pub(super) status: Status,
    pub(super) expires: VirtualTime,
    pub(super) last_seen: VirtualTime,
}

/// All connections that are live, and those that expired since the last full expiry.
#[derive(Debug, Default)]
pub(super) struct Model {
    by_tuple: HashMap<Tuple, Found>,
    live: HashMap<ConnectionId, Known>,
    /// A table may have given these back, or not yet.
    expired: HashSet<ConnectionId>,
}

impl Model {
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    pub(super) fn expired(&self) -> usize {
        self.expired.len()
    }

    pub(super) fn known(&self, id: ConnectionId) -> Option<&Known> {
        self.live.get(&id)
    }

    /// Finds and touches.
    pub(super) fn lookup(&mut self, packet: &PacketMeta) -> Option<Found> {
        let found = *self.by_tuple.get(&packet.tuple)?;
        let known = self.live.get_mut(&found.id)?;
        known.status = known.status.with(packet.set_status);
        known.last_seen = packet.now;
        known.expires = packet.expires();
        if known.expires <= packet.now {
            self.retire(found.id);
        }
        Some(found)
    }

    pub(super) fn collides(&self, original: &Tuple, reply: &Tuple) -> bool {
        self.by_tuple.contains_key(original) || self.by_tuple.contains_key(reply)
    }

    pub(super) fn insert(&mut self, packet: &PacketMeta, reply: &Tuple) {
        let (id, original) = (packet.id, packet.tuple);
        let direction = Direction::Original;
        self.by_tuple.insert(original, Found { id, direction });
        let direction = Direction::Reply;
        self.by_tuple.insert(*reply, Found { id, direction });
        let known = Known {
            original,
            reply: *reply,
            status: packet.set_status,
            expires: packet.expires(),
            last_seen: packet.now,
        };
        self.live.insert(id, known);
        if known.expires <= packet.now {
            self.retire(id);
        }
    }

    pub(super) fn remove(&mut self, tuple: &Tuple) -> Option<ConnectionId> {
        let id = self.by_tuple.get(tuple)?.id;
        self.forget(id);
        Some(id)
    }

    /// Checks a reported eviction, and forgets the connection.
    pub(super) fn evict(&mut self, victim: &Evicted) -> Result<(), &'static str> {
        if self.expired.contains(&victim.id) {
            return Err("no eviction of an expired connection: those are given back, not evicted");
        }
        let Some(known) = self.live.get(&victim.id) else {
            return Err("an eviction of a connection that is present, reported once");
        };
        if !known.status.is_evictable() {
            return Err("no eviction of an ASSURED connection");
        }
        if (known.status, known.last_seen) != (victim.status, victim.last_seen) {
            return Err("status and last_seen of the last packet in the report");
        }
        self.forget(victim.id);
        Ok(())
    }

    /// The clock moved.
    pub(super) fn advance(&mut self, now: VirtualTime) {
        let due: Vec<_> = (self.live.iter())
            .filter(|(_, known)| known.expires <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.retire(id);
        }
    }

    /// The table gave back everything that had expired.
    pub(super) fn forget_expired(&mut self) {
        self.expired.clear();
    }

    /// Compares a whole dump, taken while nothing else ran.
    pub(super) fn check_dump(&self, shown: &[Dumped]) -> Result<(), String> {
        let mut seen = HashSet::new();
        for line in shown {
            if !seen.insert(line.id) {
                return Err(format!("each connection once, but {line:?} again"));
            }
            match self.live.get(&line.id) {
                Some(known) if same(known, line) => {}
                Some(known) => return Err(format!("{known:?}, but {line:?}")),
                None if self.expired.contains(&line.id) => {}
                None => return Err(format!("connections that are present, but {line:?}")),
            }
        }
        match self.live.iter().find(|(id, _)| !seen.contains(id)) {
            Some(missing) => Err(format!("all live connections, but not {missing:?}")),
            None => Ok(()),
        }
    }

    fn retire(&mut self, id: ConnectionId) {
        self.forget(id);
        self.expired.insert(id);
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(known) = self.live.remove(&id) {
            self.by_tuple.remove(&known.original);
            self.by_tuple.remove(&known.reply);
        }
    }
}

fn same(known: &Known, line: &Dumped) -> bool {
    (known.original, known.reply, known.status, known.expires)
        == (line.original, line.reply, line.status, line.expires)
}
