//! What a table at its limit does to those who use it.
//!
//! A table that cannot evict refuses newcomers once it is full. Refusing is little work, so by packets per second alone
//! such a table beats every one that does what was asked. Hence the rule, applied per group: **where some table's rounds
//! show an eviction or a refusal, only tables that evict are ranked.**

use serde::Serialize;

use crate::record::{AnswerTotals, Measurement};
use crate::stats::median;

/// Evictions, refusals and what they cost, medians over rounds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Harm {
    /// Whether any round evicted anything.
    pub evicts: bool,
    /// Whether any round refused a newcomer because the table was full.
    pub refuses: bool,
    /// Newcomers refused.
    pub refused: f64,
    /// Newcomers refused over those that asked: refused and inserted.
    pub refused_share: f64,
    /// Evicted connections that were not attack traffic.
    pub evicted_legitimate: f64,
    /// Evicted connections of the attack.
    pub evicted_attack: f64,
    /// Packets of legitimate connections that missed because theirs had been evicted or refused.
    pub orphaned: f64,
    /// Of all packets.
    pub orphaned_share: f64,
}

/// What a table does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// Evicts for a newcomer; now and then it may refuse one too.
    Evicts,
    /// Only refuses.
    Refuses,
    /// Neither: it was never full, so it did not do what the others did.
    Unlimited,
}

impl Harm {
    /// Of the rounds of one cell; all zero of none.
    #[must_use]
    pub fn of(rounds: &[&Measurement]) -> Self {
        let over = |value: fn(&Measurement) -> f64| {
            median(&rounds.iter().map(|m| value(m)).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        Self {
            evicts: rounds.iter().any(|m| evicted(&m.answers)),
            refuses: rounds.iter().any(|m| m.answers.full > 0),
            refused: over(|m| m.answers.full as f64),
            refused_share: over(|m| share(m.answers.full, m.answers.full as f64 + m.answers.inserts as f64)),
            evicted_legitimate: over(|m| m.answers.evicted_new as f64 + m.answers.evicted_replied as f64),
            evicted_attack: over(|m| m.answers.evicted_attack as f64),
            orphaned: over(|m| m.answers.orphaned_packets as f64),
            orphaned_share: over(|m| share(m.answers.orphaned_packets, m.packets as f64)),
        }
    }

    /// Whether the table met its limit.
    #[must_use]
    pub const fn at_limit(&self) -> bool {
        self.evicts || self.refuses
    }

    /// What the table does where others met theirs.
    #[must_use]
    pub const fn conduct(&self) -> AtLimit {
        match (self.evicts, self.refuses) {
            (true, _) => AtLimit::Evicts,
            (false, true) => AtLimit::Refuses,
            (false, false) => AtLimit::Unlimited,
        }
    }
}

const fn evicted(answers: &AnswerTotals) -> bool {
    answers.evicted_attack > 0 || answers.evicted_new > 0 || answers.evicted_replied > 0
}

/// Zero of nothing.
fn share(part: u64, whole: f64) -> f64 {
    if whole > 0.0 { part as f64 / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;
    use crate::support::RunBuilder;

    fn rounds(answers: &[AnswerTotals]) -> Vec<Measurement> {
        let count = u32::try_from(answers.len()).unwrap();
        let records = RunBuilder::new()
            .tables(&["rcu"])
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
            .rounds(count)
            .build();
        records
            .into_iter()
            .zip(answers)
            .filter_map(|(record, answers)| match record.outcome {
                Outcome::Ok(mut measurement) => {
                    measurement.packets = 1000;
                    measurement.answers = *answers;
                    Some(*measurement)
                }
                Outcome::Error { .. } => None,
            })
            .collect()
    }

    fn harm(answers: &[AnswerTotals]) -> Harm {
        Harm::of(&rounds(answers).iter().collect::<Vec<_>>())
    }

    #[test]
    fn shares_are_of_opens_and_of_packets() {
        let answers = AnswerTotals {
            inserts: 75,
            full: 25,
            evicted_new: 3,
            evicted_replied: 4,
            evicted_attack: 9,
            orphaned_packets: 100,
            ..AnswerTotals::default()
        };
        let harm = harm(&[answers]);
        assert_eq!((harm.refused, harm.refused_share), (25.0, 0.25));
        assert_eq!((harm.evicted_legitimate, harm.evicted_attack), (7.0, 9.0));
        assert_eq!((harm.orphaned, harm.orphaned_share), (100.0, 0.1));
        assert_eq!(harm.conduct(), AtLimit::Evicts);
    }

    #[test]
    fn one_round_is_enough_to_show_conduct_and_the_median_is_the_figure() {
        let refusing = AnswerTotals {
            full: 9,
            ..AnswerTotals::default()
        };
        let calm = AnswerTotals::default();
        let harm = harm(&[calm, refusing, calm]);
        assert_eq!((harm.conduct(), harm.refused), (AtLimit::Refuses, 0.0));
        for evicting in [
            AnswerTotals {
                evicted_attack: 1,
                ..calm
            },
            AnswerTotals {
                evicted_new: 1,
                ..calm
            },
            AnswerTotals {
                evicted_replied: 1,
                ..calm
            },
        ] {
            assert_eq!(self::harm(&[refusing, evicting]).conduct(), AtLimit::Evicts);
        }
    }

    #[test]
    fn nothing_and_the_ends_of_the_numbers_stay_finite() {
        assert_eq!(Harm::of(&[]), Harm::default());
        assert_eq!(harm(&[AnswerTotals::default()]).conduct(), AtLimit::Unlimited);
        let most = AnswerTotals {
            inserts: u64::MAX,
            full: u64::MAX,
            evicted_new: u64::MAX,
            evicted_replied: u64::MAX,
            orphaned_packets: u64::MAX,
            ..AnswerTotals::default()
        };
        let harm = harm(&[most]);
        assert_eq!(harm.refused_share, 0.5);
        assert!(harm.evicted_legitimate.is_finite() && harm.orphaned_share.is_finite());
    }
}
