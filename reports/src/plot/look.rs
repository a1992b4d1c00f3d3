//! How a table looks: colour, dash pattern and marker, the same in every plot and every report.
//!
//! Colour alone would not do: one man in twelve sees fewer of them, and paper has none. So each table has a marker and a
//! dash pattern too. The palette is Okabe and Ito's (Color Universal Design, 2008); the page darkens or lightens its
//! colours until each has a contrast of 3:1 against the background (WCAG 2.2, 1.4.11).

use std::collections::BTreeMap;

use super::ink::COLORS;

/// Shape of a data point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marker {
    /// ●
    Circle,
    /// ■
    Square,
    /// ▲
    Up,
    /// ▼
    Down,
    /// ◆
    Diamond,
    /// ▶
    Right,
    /// +
    Plus,
    /// ×
    Cross,
}

const MARKERS: [Marker; 8] = [
    Marker::Circle,
    Marker::Square,
    Marker::Up,
    Marker::Down,
    Marker::Diamond,
    Marker::Right,
    Marker::Plus,
    Marker::Cross,
];

/// Colour, dash pattern and marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Index into the palette.
    pub color: u8,
    /// Index into [`super::ink::DASHES`].
    pub dash: u8,
    /// Marker.
    pub marker: Marker,
}

/// Looks of well-known names, chosen to differ at a glance: a colour is shared only within a family, and then dash and marker
/// differ. Index 7 of the palette is grey.
const KNOWN: [(&str, Look); 10] = [
    (
        "chained",
        Look {
            color: 1,
            dash: 0,
            marker: Marker::Circle,
        },
    ),
    (
        "chained-2005",
        Look {
            color: 6,
            dash: 1,
            marker: Marker::Plus,
        },
    ),
    (
        "chained-siphash",
        Look {
            color: 1,
            dash: 2,
            marker: Marker::Cross,
        },
    ),
    (
        "hashtrie",
        Look {
            color: 2,
            dash: 0,
            marker: Marker::Up,
        },
    ),
    (
        "hashtrie-lpm",
        Look {
            color: 4,
            dash: 3,
            marker: Marker::Diamond,
        },
    ),
    (
        "rcu",
        Look {
            color: 0,
            dash: 0,
            marker: Marker::Square,
        },
    ),
    (
        "std",
        Look {
            color: 5,
            dash: 1,
            marker: Marker::Down,
        },
    ),
    (
        "hashbrown",
        Look {
            color: 3,
            dash: 1,
            marker: Marker::Right,
        },
    ),
    (
        "hashbrown-prefix",
        Look {
            color: 3,
            dash: 3,
            marker: Marker::Cross,
        },
    ),
    (
        "null",
        Look {
            color: 7,
            dash: 2,
            marker: Marker::Cross,
        },
    ),
];

/// The looks of the tables of a run. A known name looks the same everywhere; any other name gets its look from its own
/// hash, and gives way to the next free one only where two names of the same run would look alike.
#[must_use]
pub fn looks<S: AsRef<str>>(tables: &[S]) -> BTreeMap<String, Look> {
    let mut names: Vec<&str> = tables.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names.dedup();
    let known: BTreeMap<&str, Look> = KNOWN.into_iter().collect();
    let mut given: BTreeMap<String, Look> = names
        .iter()
        .filter_map(|name| known.get(name).map(|look| ((*name).to_owned(), *look)))
        .collect();
    for name in names {
        if !known.contains_key(name) {
            let look = free_look(name, &given);
            given.insert(name.to_owned(), look);
        }
    }
    given
}

fn free_look(name: &str, given: &BTreeMap<String, Look>) -> Look {
    let hash = fnv(name);
    let look = |step: u64| {
        let mixed = hash.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let part = |shift: u32, count: u64| u8::try_from((mixed >> shift) % count).unwrap_or(0);
        Look {
            // Grey stays with the harness.
            color: part(40, u64::from(COLORS) - 1),
            dash: part(20, 4),
            marker: MARKERS[usize::from(part(8, 8))],
        }
    };
    // Colour first: a name whose colour is free is told apart at a glance. With more tables than colours, marker and dash.
    let steps = || (0..64).map(look);
    steps()
        .find(|candidate| {
            given
                .values()
                .all(|other| other.color != candidate.color && other.marker != candidate.marker)
        })
        .or_else(|| steps().find(|candidate| given.values().all(|other| other.marker != candidate.marker)))
        .or_else(|| steps().find(|candidate| given.values().all(|other| other != candidate)))
        .unwrap_or_else(|| look(0))
}

/// FNV-1a: short, stable across versions and platforms, which std's hasher does not promise.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn known_tables_look_the_same_in_any_company() {
        let alone = looks(&["rcu"]);
        let company = looks(&["std", "rcu", "zebra", "aardvark"]);
        assert_eq!(alone["rcu"], company["rcu"]);
    }

    #[test]
    fn unknown_names_look_the_same_in_every_run_of_the_same_tables() {
        assert_eq!(looks(&["b", "a", "c"]), looks(&["c", "a", "b", "a"]));
    }

    #[test]
    fn no_two_tables_of_a_large_run_look_alike() {
        let names: Vec<String> = (0..30)
            .map(|i| format!("table-{i}"))
            .chain(KNOWN.map(|(name, _)| name.to_owned()))
            .collect();
        let given = looks(&names);
        assert_eq!(given.values().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn known_looks_share_a_colour_only_within_a_family() {
        let family = |name: &'static str| name.split('-').next();
        for (index, (name, look)) in KNOWN.iter().enumerate() {
            for (other, another) in &KNOWN[index + 1..] {
                let apart = (look.color, look.marker) != (another.color, another.marker) && look != another;
                assert!(apart, "{name} {other}");
                if look.color == another.color {
                    assert_eq!(family(name), family(other));
                    assert!(look.dash != another.dash, "{name} {other}");
                }
            }
        }
    }

    #[test]
    fn hundreds_of_tables_do_not_panic() {
        let names: Vec<String> = (0..500).map(|i| i.to_string()).collect();
        assert_eq!(looks(&names).len(), 500);
    }
}
