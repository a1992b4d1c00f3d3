//! Records on disk: one JSON object per line in a run folder's [`RECORDS`].
//!
//! # Guarantees
//!
//! * **S1** A record is appended with one write and flushed; a process killed at any moment loses at most the record it
//!   was writing, and what it leaves is at most one line without its end.
//! * **S2** Such a torn last line is skipped with a warning on reading, and cut off before the next append, so that it
//!   never ends up in the middle of the file.
//! * **S3** Any other line that cannot be read is an error naming file and line. Nothing is skipped silently.
//! * **S4** Records of another schema version are refused, never reinterpreted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::record::{Cell, Outcome, Record, SCHEMA_VERSION};

/// Name of the file inside a run folder.
pub const RECORDS: &str = "records.jsonl";

/// Why records could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A complete line that is not a record.
    #[error(
        "{}:{line}: not a record: {source}. Remove the line, or restore the file from where it came", path.display()
    )]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A record of another schema version.
    #[error(
        "{}:{line}: record has schema version {found}, this program reads {SCHEMA_VERSION}. \
         Run the benchmark again into a new folder, or use the ctbench that wrote it", path.display()
    )]
    Schema {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// The version found.
        found: u64,
    },
    /// A record that cannot be written as JSON.
    #[error("record {key} cannot be written as JSON: {source}")]
    Encode {
        /// Key of the record.
        key: String,
        /// What the encoder said.
        source: serde_json::Error,
    },
}

/// Something the reader of the records should know; not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornLine {
    /// Which file.
    pub path: PathBuf,
    /// Which line, from 1.
    pub line: u64,
    /// How many bytes of it there are.
    pub bytes: usize,
}

impl fmt::Display for TornLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, bytes } = self;
        write!(
            f,
            "{}:{line}: torn last line of {bytes} bytes skipped (the writer was killed)",
            path.display()
        )
    }
}

/// What a file of records holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest record of each key, in order of first appearance.
    pub records: Vec<Record>,
    /// How many older records of the same keys were left out.
    pub superseded: usize,
    /// The torn last line, if there is one.
    pub torn: Option<TornLine>,
}

/// Only enough of a record to see whether the rest can be understood.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

/// Reads the records of a run folder.
///
/// # Errors
/// A file that cannot be read, a broken line before the last, another schema version.
pub fn read_run(folder: &Path) -> Result<Loaded, StoreError> {
    read_file(&folder.join(RECORDS))
}

/// Reads a file of records.
///
/// # Errors
/// As [`read_run`].
pub fn read_file(path: &Path) -> Result<Loaded, StoreError> {
    let io_error = |action| {
        move |source| StoreError::Io {
            path: path.to_path_buf(),
            action,
            source,
        }
    };
    let mut reader = BufReader::new(File::open(path).map_err(io_error("open"))?);
    let mut loaded = Loaded::default();
    let mut places = BTreeMap::<String, usize>::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(io_error("read"))? == 0 {
            break;
        }
        let complete = bytes.last() == Some(&b'\n');
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match parse_line(path, line, &bytes) {
            Ok(record) => keep_newest(&mut loaded, &mut places, record),
            Err(StoreError::Broken { .. }) if !complete => {
                loaded.torn = Some(TornLine {
                    path: path.to_path_buf(),
                    line,
                    bytes: bytes.len(),
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

fn parse_line(path: &Path, line: u64, bytes: &[u8]) -> Result<Record, StoreError> {
    let broken = |source| StoreError::Broken {
        path: path.to_path_buf(),
        line,
        source,
    };
    let version: Version = serde_json::from_slice(bytes).map_err(broken)?;
    if version.schema != u64::from(SCHEMA_VERSION) {
        return Err(StoreError::Schema {
            path: path.to_path_buf(),
            line,
            found: version.schema,
        });
    }
    serde_json::from_slice(bytes).map_err(broken)
}

/// Later lines win: the file is in order of writing, and clocks may step back.
fn keep_newest(loaded: &mut Loaded, places: &mut BTreeMap<String, usize>, record: Record) {
    if let Some(&place) = places.get(&record.key) {
        loaded.records[place] = record;
        loaded.superseded += 1;
    } else {
        places.insert(record.key.clone(), loaded.records.len());
        loaded.records.push(record);
    }
}

/// Appends records to a file.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: File,
}

impl Appender {
    /// Opens the file of a run folder for appending, creating both where missing, and cuts off a torn last line.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open_run(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            path: folder.to_path_buf(),
            action: "create",
            source,
        })?;
        Self::open(&folder.join(RECORDS))
    }

    /// Opens a file for appending, creating it where missing, and cuts off a torn last line.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io_error = |action| {
            move |source| StoreError::Io {
                path: path.to_path_buf(),
                action,
                source,
            }
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io_error("open for appending"))?;
        mend_tail(&mut file).map_err(io_error("mend the end of"))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Appends one record and flushes it.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(record).map_err(|source| StoreError::Encode {
            key: record.key.clone(),
            source,
        })?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.flush());
        written.map_err(|source| StoreError::Io {
            path: self.path.clone(),
            action: "append to",
            source,
        })
    }
}

/// Makes the file end with a line end: a whole record that lacks only that gets it, anything else is cut off.
fn mend_tail(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let start = last_line_start(file, length)?;
    if start == length {
        return Ok(());
    }
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if serde_json::from_slice::<Record>(&tail).is_ok() {
        return file.write_all(b"\n");
    }
    file.set_len(start)
}

/// Where the bytes after the last line end begin; searched from the end, in blocks.
fn last_line_start(file: &mut File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Records by cell, each cell's in order of round.
#[must_use]
pub fn by_cell(records: &[Record]) -> BTreeMap<&Cell, Vec<&Record>> {
    let mut cells = BTreeMap::<&Cell, Vec<&Record>>::new();
    for record in records {
        cells.entry(&record.cell).or_default().push(record);
    }
    for group in cells.values_mut() {
        group.sort_by_key(|record| record.round);
    }
    cells
}

/// The records that describe the present: of each cell those made by the same program on the same trace as the cell's newest
/// record, and of each round the newest. Gives also how many were left out.
///
/// Without this, three rounds after a change of the code would be averaged with two rounds before it.
#[must_use]
pub fn current(records: &[Record]) -> (Vec<&Record>, usize) {
    let mut kept = Vec::new();
    for group in by_cell(records).into_values() {
        let Some(newest) = group.iter().copied().max_by_key(|record| record.finished_unix_s) else {
            continue;
        };
        let mut rounds = BTreeMap::<u32, &Record>::new();
        for record in group.into_iter().filter(|record| same_origin(record, newest)) {
            let held = rounds.entry(record.round).or_insert(record);
            if record.finished_unix_s >= held.finished_unix_s {
                *held = record;
            }
        }
        kept.extend(rounds.into_values());
    }
    let left_out = records.len() - kept.len();
    (kept, left_out)
}

/// Whether two records may be averaged: all of the program but its command line, the trace, and the machine's CPU.
fn same_origin(one: &Record, other: &Record) -> bool {
    let program = |record: &Record| {
        let p = &record.program;
        (
            p.version.clone(),
            p.commit.clone(),
            p.dirty,
            p.rustc.clone(),
            p.flags.clone(),
            p.features.clone(),
        )
    };
    // A failed record has no burst: it goes with any.
    let burst = |record: &Record| match &record.outcome {
        Outcome::Ok(measurement) => Some(measurement.burst),
        Outcome::Error { .. } => None,
    };
    let bursts_agree = burst(one)
        .zip(burst(other))
        .is_none_or(|(one, other)| one == other);
    program(one) == program(other)
        && one.trace.digest == other.trace.digest
        && bursts_agree
        && one.machine.cpu == other.machine.cpu
        && one.machine.cpus == other.machine.cpus
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::RunBuilder;

    fn records() -> Vec<Record> {
        RunBuilder::new()
            .tables(&["chained", "std"])
            .workloads(&["steady"])
            .sizes(&[1024])
            .threads(&[1])
            .rounds(2)
            .build()
    }

    fn write(path: &Path, records: &[Record]) {
        let mut appender = Appender::open(path).unwrap();
        for record in records {
            appender.append(record).unwrap();
        }
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let records = records();
        let mut appender = Appender::open_run(&folder.path().join("new/run")).unwrap();
        for record in &records {
            appender.append(record).unwrap();
        }
        let loaded = read_run(&folder.path().join("new/run")).unwrap();
        assert_eq!(loaded.records, records);
        assert_eq!((loaded.superseded, loaded.torn), (0, None));
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = read_run(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/records.jsonl"), "{error}");
    }

    #[test]
    fn an_empty_file_has_no_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        std::fs::write(&path, "").unwrap();
        assert!(read_file(&path).unwrap().records.is_empty());
    }

    #[test]
    fn the_newest_record_of_a_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let mut records = records();
        let mut newer = records[0].clone();
        newer.finished_unix_s += 100;
        records.push(newer.clone());
        write(&path, &records);
        let loaded = read_file(&path).unwrap();
        assert_eq!(loaded.records.len(), records.len() - 1);
        assert_eq!(loaded.records[0], newer);
        assert_eq!(loaded.superseded, 1);
    }

    /// S1, S2: every possible place to be killed at.
    #[test]
    fn a_file_cut_anywhere_is_read_up_to_the_last_whole_record_and_can_be_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let records = records();
        write(&path, &records[..2]);
        let whole = std::fs::read(&path).unwrap();
        let first_line = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for cut in first_line..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let loaded = read_file(&path).unwrap();
            let complete = cut == whole.len() - 1;
            assert_eq!(loaded.records.len(), if complete { 2 } else { 1 }, "cut at {cut}");
            let torn_line = (!complete && cut > first_line).then_some(2);
            assert_eq!(loaded.torn.map(|torn| torn.line), torn_line, "cut at {cut}");
            write(&path, &records[2..3]);
            let continued = read_file(&path).unwrap();
            assert_eq!(continued.torn, None);
            assert_eq!(continued.records.last(), Some(&records[2]), "cut at {cut}");
        }
    }

    #[test]
    fn a_torn_line_longer_than_a_block_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &records()[..1]);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&vec![b'{'; 200_000]).unwrap();
        write(&path, &records()[1..2]);
        assert_eq!(read_file(&path).unwrap().records, records()[..2]);
    }

    /// S3.
    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd name");
        write(&path, &records()[..1]);
        for rubbish in [
            &b"{\"schema\":1,\"key\":\n"[..],
            b"\xff\xfe\x00\n",
            b"[]\n",
            b"null\n",
            b"{}\n",
        ] {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend_from_slice(rubbish);
            let other = folder.path().join("broken");
            std::fs::write(&other, &bytes).unwrap();
            let error = read_file(&other).unwrap_err();
            assert!(matches!(error, StoreError::Broken { line: 2, .. }), "{error}");
            assert!(error.to_string().contains("broken:2: not a record"), "{error}");
        }
    }

    /// S4.
    #[test]
    fn another_schema_version_is_refused_even_on_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &records()[..1]);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"schema\":2,\"everything\":\"else\"}").unwrap();
        let error = read_file(&path).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Schema {
                    line: 2,
                    found: 2,
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("r:2: record has schema version 2, this program reads 1"),
            "{error}"
        );
    }

    #[test]
    fn cells_hold_their_rounds_in_order() {
        let mut records = records();
        records.reverse();
        let cells = by_cell(&records);
        assert_eq!(cells.len(), 2);
        for group in cells.values() {
            assert_eq!(
                group.iter().map(|record| record.round).collect::<Vec<_>>(),
                [0, 1]
            );
        }
    }

    #[test]
    fn rounds_of_an_older_commit_or_trace_are_left_out() {
        let mut records = records();
        let mut stale = records[1].clone();
        stale.round = 7;
        stale.finished_unix_s -= 1000;
        stale.program.commit = "older".into();
        let mut other_trace = records[1].clone();
        other_trace.round = 8;
        other_trace.finished_unix_s -= 1000;
        other_trace.trace.digest = "other".into();
        let mut again = records[0].clone();
        again.finished_unix_s -= 500;
        records.extend([stale, other_trace, again]);
        let (kept, left_out) = current(&records);
        assert_eq!((kept.len(), left_out), (4, 3));
        assert!(
            kept.iter()
                .all(|record| record.program.commit != "older" && record.round < 2)
        );
    }
}
