//! One word per operation: what the table answered. Written in the timed span, read by the check after it.

use structures::{Classified, ConnectionId, Direction, Found, Insert, PolicyId};

/// The answer to one operation.
///
/// Lookups: `id << 1 | direction`, [`Outcome::NOTHING`] for a miss. Classifications: the same, or a policy with bit 31 set.
/// Opens: one of the `OPEN_*` words. Closes: `id`, or nothing. Sweeps: how many they gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome(pub u32);

/// Marks a policy in the answer to a classification.
const POLICY: u32 = 1 << 31;

impl Outcome {
    /// A miss; a close that removed nothing; a classification that found nothing.
    pub const NOTHING: Self = Self(u32::MAX);
    /// The opening packet missed, and its connection was inserted.
    pub const OPENED: Self = Self(0);
    /// The opening packet missed, and the insert was refused as a duplicate.
    pub const OPEN_DUPLICATE: Self = Self(1);
    /// The opening packet missed, and the insert was refused because the table is full.
    pub const OPEN_FULL: Self = Self(2);
    /// The opening packet's lookup hit, so nothing was inserted.
    pub const OPEN_HIT: Self = Self(3);

    /// A lookup's answer.
    #[inline]
    #[must_use]
    pub fn of_lookup(found: Option<Found>) -> Self {
        found.map_or(Self::NOTHING, |f| Self::hit(f.id, f.direction))
    }

    /// The word for a hit.
    #[inline]
    #[must_use]
    pub const fn hit(id: ConnectionId, direction: Direction) -> Self {
        Self(id.0 << 1 | direction as u32)
    }

    /// The word for a policy.
    #[inline]
    #[must_use]
    pub const fn policy(policy: PolicyId) -> Self {
        Self(POLICY | policy.0)
    }

    /// A classification's answer.
    #[inline]
    #[must_use]
    pub fn of_classified(classified: Classified) -> Self {
        match classified {
            Classified::Connection(found) => Self::hit(found.id, found.direction),
            Classified::Prefix(policy) => Self::policy(policy),
            Classified::Nothing => Self::NOTHING,
        }
    }

    /// An insert's answer.
    #[inline]
    #[must_use]
    pub const fn of_insert(insert: Insert) -> Self {
        match insert {
            Insert::Inserted => Self::OPENED,
            Insert::Duplicate => Self::OPEN_DUPLICATE,
            Insert::Full => Self::OPEN_FULL,
        }
    }

    /// A removal's answer.
    #[inline]
    #[must_use]
    pub fn of_remove(removed: Option<ConnectionId>) -> Self {
        removed.map_or(Self::NOTHING, |id| Self(id.0))
    }

    /// For messages: the answer to a lookup or classification.
    #[must_use]
    pub fn describe_lookup(self) -> String {
        if self == Self::NOTHING {
            "nothing".to_owned()
        } else if self.0 & POLICY != 0 {
            format!("policy {}", self.0 & !POLICY)
        } else {
            let direction = if self.0 & 1 == 0 { "original" } else { "reply" };
            format!("connection {} ({direction})", self.0 >> 1)
        }
    }

    /// For messages: the answer to an open.
    #[must_use]
    pub const fn describe_open(self) -> &'static str {
        match self {
            Self::OPENED => "inserted",
            Self::OPEN_DUPLICATE => "refused as duplicate",
            Self::OPEN_FULL => "refused as full",
            _ => "found before it was opened",
        }
    }
}
