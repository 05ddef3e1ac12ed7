//! The double behaves as the file does, and fails as told.

use valuta_journal::{
    AppendError, Cursor, Fault, FaultPoint, Journal, MemoryJournal, ReadError, Record, Source,
};

use crate::support::{ID, append_one, directory, drain, open};

/// The same calls give the same answers, offsets and leader apart.
#[test]
fn the_double_reads_as_the_file_does() {
    let dir = directory();
    let (mut file, _) = open(dir.path(), 1 << 20).unwrap();
    let mut memory = MemoryJournal::new(ID);
    for bytes in [0, 10, 4000, 5000, 1] {
        append_one(&mut file, bytes);
        append_one(&mut memory, bytes);
        assert_eq!(file.tail().offset, memory.tail().offset);
        assert_eq!(file.tail().sequence, memory.tail().sequence);
    }
    let plain = |journal: &dyn Journal| -> Vec<(u64, u64, i64, Vec<u8>)> {
        let records = drain(&mut *journal.reader(None).unwrap()).unwrap();
        let plain = |r: Record| {
            (
                r.offset,
                r.header.first_sequence,
                r.header.time_ms,
                r.payload,
            )
        };
        records.into_iter().map(plain).collect()
    };
    assert_eq!(plain(&file), plain(&memory));
    for journal in [&file as &dyn Journal, &memory] {
        let tail = journal.tail();
        let wrong = [
            Cursor {
                chain: [0; 32],
                ..tail
            },
            Cursor {
                sequence: 4,
                ..tail
            },
            Cursor {
                offset: tail.offset - 1,
                ..tail
            },
            Cursor {
                offset: tail.offset + 1,
                ..tail
            },
            Cursor {
                chain: [0; 32],
                ..Cursor::start(ID)
            },
        ];
        for cursor in wrong {
            let refused = journal.reader(Some(cursor));
            assert!(
                matches!(refused, Err(ReadError::Contradicted { .. })),
                "{cursor:?}"
            );
        }
        assert_eq!(journal.lookup().cursor_after(5).unwrap(), Some(tail));
        assert_eq!(
            journal.lookup().record_containing(3).unwrap().payload.len(),
            4000
        );
        let beyond = journal.lookup().record_containing(6);
        assert!(matches!(
            beyond,
            Err(ReadError::NotDurable {
                sequence: 6,
                durable: 5
            })
        ));
    }
}

#[test]
fn a_failed_append_is_there_after_the_crash_or_not() {
    for (at, persisted) in [
        (FaultPoint::Write, false),
        (FaultPoint::Write, true),
        (FaultPoint::Sync, false),
        (FaultPoint::Sync, true),
    ] {
        let mut journal = MemoryJournal::with_faults(
            ID,
            vec![Fault {
                at,
                after: 2,
                persisted,
            }],
        );
        let tail = journal.watch();
        (0..2).for_each(|_| append_one(&mut journal, 10));
        let mut reader = journal.reader(None).unwrap();
        let failed = journal.append(3, 3, 0, b"third").unwrap_err();
        assert!(failed.is_fatal() && tail.is_closed(), "{at:?}");
        for again in [
            journal.append(3, 3, 0, b"third").map(|_| ()),
            journal.mark(),
            journal.reserve(1),
        ] {
            assert!(matches!(again, Err(AppendError::Poisoned)), "{at:?}");
        }
        assert_eq!(
            drain(&mut *reader).unwrap().len(),
            2,
            "nothing above the watermark leaves"
        );
        assert!(journal.lookup().record_containing(3).is_err());
        let journal = journal.crash();
        let records = drain(&mut *journal.reader(None).unwrap()).unwrap();
        assert_eq!(
            records.len(),
            if persisted { 3 } else { 2 },
            "{at:?} {persisted}"
        );
        assert_eq!(journal.tail().sequence, records.len() as u64);
    }
}

#[test]
fn a_full_disk_passes() {
    let fault = Fault {
        at: FaultPoint::Reserve,
        after: 1,
        persisted: false,
    };
    let mut journal = MemoryJournal::with_faults(ID, vec![fault]);
    journal.reserve(1).unwrap();
    append_one(&mut journal, 1);
    assert!(matches!(journal.reserve(1), Err(AppendError::Full(_))));
    journal.reserve(1).unwrap();
    append_one(&mut journal, 1);
    assert_eq!(journal.crash().tail().sequence, 2);
}

#[test]
fn a_failed_mark_poisons() {
    let mut journal = MemoryJournal::new(ID);
    journal.fail(Fault {
        at: FaultPoint::Mark,
        after: 0,
        persisted: false,
    });
    append_one(&mut journal, 1);
    assert!(matches!(journal.mark(), Err(AppendError::Sync(_))));
    assert!(matches!(
        journal.append(2, 2, 0, b""),
        Err(AppendError::Poisoned)
    ));
}
