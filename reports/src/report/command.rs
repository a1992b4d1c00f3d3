//! The command that reproduces a plot.

use std::collections::{BTreeMap, BTreeSet};

use crate::summary::Group;
use crate::units::clean;

/// What a run was told that a repetition must be told too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Options with their values, as words.
    kept: Vec<String>,
}

/// Options with one value that change what is measured, beside those the plot itself decides.
const KEPT: [&str; 2] = ["--profile", "--rounds"];

impl Invocation {
    /// Takes from a command line what must be repeated.
    pub(super) fn of(argv: &[String]) -> Self {
        let mut kept = Vec::new();
        let mut words = argv.iter().peekable();
        while let Some(word) = words.next() {
            let (option, inline) = word
                .split_once('=')
                .map_or((word.as_str(), None), |(o, v)| (o, Some(v)));
            if option == "--strict" {
                kept.push(word.clone());
            } else if KEPT.contains(&option) || option == "--capture" {
                let mut values: Vec<String> = inline.into_iter().map(str::to_owned).collect();
                while inline.is_none()
                    && (option == "--capture" || values.is_empty())
                    && let Some(value) = words.next_if(|next| !next.starts_with('-'))
                {
                    values.push(value.clone());
                }
                kept.extend(values.into_iter().flat_map(|value| [option.to_owned(), value]));
            }
        }
        Self { kept }
    }

    /// Commands that run the cells of `groups` again, and no others of the same workloads, sizes and threads: one per seed.
    pub(super) fn reproduce<'a>(&self, groups: impl IntoIterator<Item = &'a Group>) -> Vec<String> {
        let mut by_seed = BTreeMap::<u64, Vec<&Group>>::new();
        for group in groups {
            by_seed.entry(group.scene.seed).or_default().push(group);
        }
        by_seed
            .into_iter()
            .map(|(seed, groups)| self.one(seed, &groups))
            .collect()
    }

    fn one(&self, seed: u64, groups: &[&Group]) -> String {
        let tables: BTreeSet<&str> = groups
            .iter()
            .flat_map(|group| &group.rows)
            .map(|row| row.table.as_str())
            .collect();
        let workloads: BTreeSet<&str> = groups.iter().map(|group| group.scene.workload.as_str()).collect();
        let threads: BTreeSet<u32> = groups.iter().map(|group| group.threads).collect();
        // Workloads made from captures decide their number of connections themselves.
        let flows: BTreeSet<u64> = groups
            .iter()
            .filter(|group| !group.scene.workload.contains(':'))
            .map(|group| group.connections)
            .collect();
        let mut words = vec!["ctbench".to_owned(), "bench".to_owned()];
        words.extend(self.kept.iter().cloned());
        let mut list = |option: &str, values: Vec<String>| {
            if !values.is_empty() {
                words.extend([option.to_owned(), values.join(",")]);
            }
        };
        list("--tables", tables.into_iter().map(str::to_owned).collect());
        let filter = filter(&workloads, groups);
        if workloads.iter().all(|workload| !workload.contains(',')) {
            list("--workloads", workloads.into_iter().map(str::to_owned).collect());
        }
        list("--flows", flows.into_iter().map(size_word).collect());
        list("--threads", threads.iter().map(u32::to_string).collect());
        list("--filter", filter.into_iter().collect());
        list("--seed", vec![seed.to_string()]);
        quoted(&words)
    }
}

/// What lists cannot say, as a regular expression over `table/workload/2^17/t1/b32`: lookups one by one or so many at once
/// where the figure has one of them, and workloads whose name (of a file) has the comma that would split a list.
fn filter(workloads: &BTreeSet<&str>, groups: &[&Group]) -> Option<String> {
    let batches: BTreeSet<u32> = groups.iter().map(|group| group.scene.batch).collect();
    let batch = batches.first().filter(|_| batches.len() == 1);
    let end = batch.map_or_else(String::new, |batch| format!("/b{batch}$"));
    if workloads.iter().any(|workload| workload.contains(',')) {
        let names: Vec<String> = workloads.iter().map(|workload| literal(workload)).collect();
        let rest = if end.is_empty() {
            "/".to_owned()
        } else {
            format!("/.*{end}")
        };
        return Some(format!("^[^/]*/({}){rest}", names.join("|")));
    }
    Some(end).filter(|end| !end.is_empty())
}

/// A regular expression of only this text.
fn literal(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A command line for people to copy.
pub(super) fn quoted(words: &[String]) -> String {
    words
        .iter()
        .map(|word| shell_word(&clean(word)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn size_word(connections: u64) -> String {
    if connections.is_power_of_two() {
        format!("2^{}", connections.trailing_zeros())
    } else {
        connections.to_string()
    }
}

/// Single quotes where a POSIX shell would read more than the word.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,+^@%-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::RunSummary;
    use crate::support::RunBuilder;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_changes_the_measurement_is_kept_and_the_rest_is_not() {
        let argv = words(
            "ctbench bench --profile full --out x --capture a.pcap b.pcap --strict --tables rcu --rounds=9",
        );
        let expected = words("--profile full --capture a.pcap --capture b.pcap --strict --rounds 9");
        assert_eq!(Invocation::of(&argv).kept, expected);
        assert_eq!(
            Invocation::of(&words("ctbench bench --capture")).kept,
            Vec::<String>::new()
        );
        assert_eq!(Invocation::of(&[]), Invocation::default());
    }

    #[test]
    fn a_command_names_its_cells() {
        let records = RunBuilder::new()
            .tables(&["rcu", "null"])
            .workloads(&["steady"])
            .sizes(&[1024, 3000])
            .threads(&[1])
            .build();
        let summary = RunSummary::from_records(&records);
        let commands = Invocation::of(&words("ctbench bench --profile quick")).reproduce(&summary.groups);
        assert_eq!(
            commands,
            [
                "ctbench bench --profile quick --tables null,rcu --workloads steady --flows 2^10,3000 --threads 1 --filter '/b1$' --seed 1"
            ]
        );
    }

    #[test]
    fn lookups_at_once_are_told_apart() {
        let records = RunBuilder::new()
            .tables(&["rcu"])
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
            .with_batch_cells()
            .build();
        let groups = RunSummary::from_records(&records).groups;
        let of = |groups: &[Group]| Invocation::default().reproduce(groups).join("\n");
        assert!(!of(&groups).contains("--filter"), "{}", of(&groups));
        for group in groups {
            let expected = format!("--filter '/b{}$' --seed 1", group.scene.batch);
            let command = of(&[group]);
            assert!(command.ends_with(&expected), "{command}");
        }
    }

    #[test]
    fn a_comma_in_a_file_name_does_not_split_it() {
        let records = RunBuilder::new()
            .tables(&["rcu"])
            .workloads(&["replay:a,b.c"])
            .threads(&[1])
            .build();
        let command = Invocation::of(&words("ctbench bench --capture a,b.c.pcap"))
            .reproduce(&RunSummary::from_records(&records).groups)
            .join("\n");
        assert_eq!(
            command,
            r"ctbench bench --capture a,b.c.pcap --tables rcu --threads 1 --filter '^[^/]*/(replay:a,b\.c)/.*/b1$' --seed 1"
        );
    }

    #[test]
    fn captures_decide_their_own_size() {
        let records = RunBuilder::new()
            .workloads(&["replay:everyday"])
            .threads(&[1])
            .build();
        let summary = RunSummary::from_records(&records);
        assert!(!Invocation::default().reproduce(&summary.groups)[0].contains("--flows"));
    }

    #[test]
    fn hostile_words_are_quoted() {
        assert_eq!(shell_word("a;rm -rf '$HOME'"), r"'a;rm -rf '\''$HOME'\'''");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("replay:x~2"), "'replay:x~2'");
    }
}
