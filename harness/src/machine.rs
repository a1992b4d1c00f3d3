//! The machine passport: what the numbers were measured on. Read from `/proc` and `/sys`; what is not there is unknown.

use std::fs;
use std::path::Path;

use reports::Machine;

/// Reads the passport of this machine.
#[must_use]
pub fn passport() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Machine {
        cpu: field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        microcode: field(&cpuinfo, "microcode"),
        cpus: online_cpus(),
        l1d_bytes: cache_bytes(1),
        l2_bytes: cache_bytes(2),
        l3_bytes: cache_bytes(3),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        smt: line("/sys/devices/system/cpu/smt/active").map(|active| active == "1"),
        numa_nodes: numa_nodes(),
        memory_bytes: memory_bytes(),
        kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(|| std::env::consts::OS.to_owned()),
        hypervisor: hypervisor(&cpuinfo),
        mitigations: mitigations(),
        thp: line("/sys/kernel/mm/transparent_hugepage/enabled").map(|modes| bracketed(&modes)),
    }
}

/// Logical CPUs this process may use.
#[must_use]
pub fn online_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// First line of a file, trimmed.
#[must_use]
pub fn line(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// `name : value` of a `/proc` file.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The choice in brackets of `always [madvise] never`.
#[must_use]
pub fn bracketed(modes: &str) -> String {
    modes
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or(modes, |(mode, _)| mode)
        .to_owned()
}

/// Size of CPU 0's data or unified cache of a level.
fn cache_bytes(level: u32) -> Option<u64> {
    (0..8).find_map(|index| {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let folder = Path::new(&folder);
        let data = line(folder.join("type")).is_some_and(|kind| kind != "Instruction");
        let right = line(folder.join("level"))? == level.to_string();
        if data && right {
            size(&line(folder.join("size"))?)
        } else {
            None
        }
    })
}

/// `48K`, `2M` or plain bytes.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok().map(|n| n * unit)
}

fn numa_nodes() -> Option<u32> {
    let entries = fs::read_dir("/sys/devices/system/node").ok()?;
    let nodes = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.strip_prefix("node")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    u32::try_from(nodes.count()).ok()
}

fn memory_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        field(&meminfo, "MemTotal").and_then(|kib| kib.split_whitespace().next()?.parse::<u64>().ok());
    total.unwrap_or(0) * 1024
}

fn hypervisor(cpuinfo: &str) -> Option<String> {
    let flags = field(cpuinfo, "flags")?;
    if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
        return None;
    }
    Some(line("/sys/class/dmi/id/sys_vendor").unwrap_or_else(|| "an unnamed hypervisor".to_owned()))
}

fn mitigations() -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Vec::new();
    };
    let mut states: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_string_lossy().into_owned(),
                line(entry.path())?,
            ))
        })
        .filter(|(_, state)| state != "Not affected")
        .collect();
    states.sort();
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_choices_are_read() {
        assert_eq!(
            (size("48K"), size("260M"), size("64"), size("x")),
            (Some(49152), Some(272_629_760), Some(64), None)
        );
        assert_eq!(bracketed("always [madvise] never"), "madvise");
        assert_eq!(
            field("a : 1\nmodel name\t: X Y\n", "model name").as_deref(),
            Some("X Y")
        );
    }

    #[test]
    fn the_passport_of_this_machine_has_cpus_and_a_kernel() {
        let machine = passport();
        assert!(machine.cpus >= 1 && !machine.kernel.is_empty() && !machine.cpu.is_empty());
    }
}
