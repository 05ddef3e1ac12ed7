//! What the tests share: a generator, journals made by rule, and a naive model of one.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use valuta_journal::{
    FileJournal, FileJournalOptions, FileReader, Journal, JournalId, JournalReader, OpenError,
    ReadError, Record, Recovery, Source,
};

pub const ID: JournalId = JournalId([7; 16]);
/// Three small records fit beside the header.
pub const SMALL_SEGMENT_BYTES: u64 = 16 << 10;
pub const PAGE: u64 = 4096;

/// How many seeds a test walks: `few`, or a hundred times that with `VALUTA_LONG=1`.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    let long = std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1");
    0..if long { few * 100 } else { few }
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A directory in memory where there is one: most tests open a journal thousands of times.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
    .unwrap()
}

pub fn options(segment_bytes: u64) -> FileJournalOptions {
    FileJournalOptions {
        segment_bytes,
        id: Some(ID),
        epoch: 3,
        leader_id: [4; 16],
    }
}

pub fn open(dir: &Path, segment_bytes: u64) -> Result<(FileJournal, Recovery), OpenError> {
    FileJournal::create_or_open(dir, options(segment_bytes))
}

/// The payload that these tests give to the record that starts with this sequence.
pub fn payload(first_sequence: u64, bytes: usize) -> Vec<u8> {
    Random(first_sequence).bytes(bytes)
}

/// Appends a record of one sequence.
pub fn append_one(journal: &mut dyn Journal, bytes: usize) {
    let sequence = journal.tail().sequence + 1;
    let content = payload(sequence, bytes);
    journal
        .append(sequence, sequence, 1_000 + sequence as i64, &content)
        .unwrap();
}

/// A closed journal with a record of each payload length. The first `marked` are marked.
pub fn journal_of(dir: &Path, payload_bytes: &[usize], marked: usize) {
    let (mut journal, _) = open(dir, SMALL_SEGMENT_BYTES).unwrap();
    for (at, &bytes) in payload_bytes.iter().enumerate() {
        append_one(&mut journal, bytes);
        if at + 1 == marked {
            journal.mark().unwrap();
        }
    }
}

/// All that follows, or the first error.
pub fn drain(reader: &mut dyn JournalReader) -> Result<Vec<Record>, ReadError> {
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

/// Opens for writing and replays everything.
pub fn open_and_replay(dir: &Path) -> Result<(Vec<Record>, Recovery), OpenError> {
    let (journal, recovery) = open(dir, SMALL_SEGMENT_BYTES)?;
    let records = drain(&mut *journal.reader(None)?)?;
    Ok((records, recovery))
}

/// Reads everything without repair.
pub fn read_offline(dir: &Path) -> Result<(Vec<Record>, Recovery), OpenError> {
    let (mut reader, recovery) = FileReader::open_offline(dir, None)?;
    Ok((drain(&mut reader)?, recovery))
}

/// Segment files, ascending.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "segment"))
        .collect();
    paths.sort();
    paths
}

/// Every file's name and content.
pub type Image = Vec<(PathBuf, Vec<u8>)>;

pub fn image(dir: &Path) -> Image {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

/// Makes the directory what the image says.
pub fn restore(dir: &Path, image: &Image) {
    for path in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        fs::remove_file(path).unwrap();
    }
    image
        .iter()
        .for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}
