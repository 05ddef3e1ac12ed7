//! The last records that a lookup read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::record::Record;

/// What they may hold in memory: two of the largest.
const BYTES_MAX: usize = 32 << 20;

/// Found by any of their sequences; whoever shares them puts them under a lock.
#[derive(Debug, Default)]
pub struct RecentRecords {
    /// By first sequence.
    records: BTreeMap<u64, Arc<Record>>,
    /// Their first sequences, newest last.
    order: VecDeque<u64>,
    bytes: usize,
}

impl RecentRecords {
    /// The record that holds `sequence`.
    pub fn find(&self, sequence: u64) -> Option<Arc<Record>> {
        let (_, record) = self.records.range(..=sequence).next_back()?;
        record.contains(sequence).then(|| Arc::clone(record))
    }

    /// Keeps the newest; the one just read always, however large.
    pub fn keep(&mut self, record: Arc<Record>) {
        let (first, bytes) = (record.header.first_sequence, held_bytes(&record));
        // Two threads may have read the same one.
        if self.records.insert(first, record).is_some() {
            return;
        }
        self.order.push_back(first);
        self.bytes += bytes;
        while self.bytes > BYTES_MAX && self.order.len() > 1 {
            let oldest = self.order.pop_front().expect("more than one");
            let dropped = self.records.remove(&oldest).expect("kept with its order");
            self.bytes -= held_bytes(&dropped);
        }
    }
}

fn held_bytes(record: &Record) -> usize {
    size_of::<Record>() + record.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CANONICAL_BYTES, RecordHeader};

    fn record(first: u64, last: u64, payload_bytes: usize) -> Arc<Record> {
        let mut header = RecordHeader::from_canonical(&[0; CANONICAL_BYTES]);
        (header.first_sequence, header.last_sequence) = (first, last);
        Arc::new(Record {
            header,
            payload: vec![0; payload_bytes],
            offset: first,
            chain_after: [0; 32],
        })
    }

    /// Which of the sequences up to `last` are found, as runs of records' offsets.
    fn found(recent: &RecentRecords, last: u64) -> Vec<u64> {
        let records = (0..=last).filter_map(|sequence| recent.find(sequence));
        let mut offsets: Vec<u64> = records.map(|record| record.offset).collect();
        offsets.dedup();
        offsets
    }

    #[test]
    fn finds_by_any_sequence_and_drops_the_oldest() {
        let mut recent = RecentRecords::default();
        assert_eq!(found(&recent, 10), []);
        recent.keep(record(5, 7, 1));
        recent.keep(record(1, 3, 1));
        recent.keep(record(5, 7, 1));
        assert_eq!(found(&recent, 10), [1, 5]);
        assert!(recent.find(4).is_none() && recent.find(8).is_none());
        recent.keep(record(8, 9, BYTES_MAX - held_bytes(&record(1, 3, 1))));
        assert_eq!(found(&recent, 10), [8]);
        recent.keep(record(4, 4, BYTES_MAX + 1));
        assert_eq!(found(&recent, 10), [4]);
        assert_eq!(recent.bytes, held_bytes(&record(4, 4, BYTES_MAX + 1)));
    }
}
