//! The reader's rule over a real topic: hostile messages by a raw producer are skipped by all alike.

use valuta_journal::{Cursor, Journal, RecordHeader};
use valuta_kafka::{Delivery, Kind, LeadError, Link, Outgoing, RawRecord, Term};

use crate::support::{SOON, append, drain, journal, lead, open};

/// Sends whatever it is told.
struct Hostile {
    link: Box<dyn Link>,
    cursor: Cursor,
}

impl Hostile {
    fn send(&mut self, raw: &RawRecord<'_>) -> u64 {
        let sent = self.link.deliver(&Outgoing {
            raw,
            address: "hostile",
        });
        let Delivery::At(offset) = sent else {
            panic!("{sent:?}")
        };
        offset
    }

    fn record(&mut self, change: impl FnOnce(&mut RecordHeader), term: Term) -> u64 {
        let mut header = RecordHeader {
            epoch: term.epoch,
            leader_id: term.id,
            first_sequence: self.cursor.sequence + 1,
            last_sequence: self.cursor.sequence + 1,
            chain_before: self.cursor.chain,
            time_ms: 0,
        };
        change(&mut header);
        let (journal, payload) = (self.cursor.journal, &b"hostile"[..]);
        self.send(&RawRecord {
            kind: Kind::Record,
            journal,
            header,
            payload,
        })
    }
}

#[test]
fn hostile_messages_are_skipped_and_the_leader_goes_on() {
    let config = journal();
    let (log, follower) = (open(&config), open(&config));
    let mut writer = lead(&log, 1);
    let cursor = append(&mut writer, 1, 10);
    let term = writer.term();
    let mut hostile = Hostile {
        link: log.link().unwrap(),
        cursor,
    };
    type Change = fn(&mut RecordHeader);
    let table: [(&str, Change); 7] = [
        ("stale epoch", |h| h.epoch -= 1),
        ("newer epoch, never started", |h| h.epoch += 1),
        ("right epoch, wrong leader", |h| h.leader_id = [9; 16]),
        ("gap", |h| (h.first_sequence, h.last_sequence) = (3, 3)),
        ("no inputs", |h| h.last_sequence -= 1),
        ("again", |h| (h.first_sequence, h.last_sequence) = (1, 1)),
        ("wrong chain", |h| h.chain_before = [9; 32]),
    ];
    for (what, change) in table {
        hostile.record(change, term);
        // The offset is not the expected one: the barrier settles it, and nothing is lost or doubled.
        let before = writer.tail().sequence;
        let tail = append(&mut writer, 1, 10);
        assert_eq!(tail.sequence, before + 1, "{what}");
        hostile.cursor = tail;
    }
    hostile.send(&RawRecord::genesis(
        valuta_journal::JournalId([3; 16]),
        None,
    ));
    hostile.send(&RawRecord::epoch_started(
        log.id(),
        Term {
            epoch: 1,
            id: [9; 16],
        },
        0,
        "stale",
    ));
    append(&mut writer, 1, 10);
    follower.wait_caught_up(SOON).unwrap();
    let all = drain(&mut *follower.reader(None).unwrap());
    let sequences: Vec<_> = all
        .iter()
        .map(|record| record.header.first_sequence)
        .collect();
    assert_eq!(sequences, (1..=9).collect::<Vec<_>>());
    assert!(all.iter().all(|record| record.payload != b"hostile"));
    assert_eq!(all, drain(&mut *log.reader(None).unwrap()));
    assert_eq!(follower.watch().durable(), writer.tail());
}

#[test]
fn a_zombies_late_records_are_skipped() {
    let config = journal();
    let (one, two) = (open(&config), open(&config));
    let mut first = lead(&one, 1);
    let cursor = append(&mut first, 1, 10);
    let mut zombie = Hostile {
        link: one.link().unwrap(),
        cursor,
    };
    let mut second = lead(&two, 2);
    // Right in everything but that another leads now.
    zombie.record(|_| {}, first.term());
    let tail = append(&mut second, 1, 10);
    zombie.record(|_| {}, first.term());
    zombie.cursor = tail;
    zombie.record(|_| {}, first.term());
    append(&mut second, 1, 10);
    let fresh = open(&config);
    fresh.wait_caught_up(SOON).unwrap();
    assert_eq!(fresh.watch().durable(), second.tail());
    assert_eq!(fresh.watch().durable().sequence, 3);
    // The zombie's own append finds out, whether or not it has read the other's epoch.
    assert!(first.append(2, 2, 0, &[]).unwrap_err().is_fatal());
    assert!(first.append(2, 2, 0, &[]).unwrap_err().is_fatal());
}

#[test]
fn of_candidates_at_once_each_epoch_has_one() {
    let config = journal();
    let logs: Vec<_> = (0..4).map(|_| open(&config)).collect();
    for round in 0..5 {
        let won: Vec<_> = std::thread::scope(|scope| {
            let lead = |(at, log): (usize, &valuta_kafka::KafkaLog)| match log
                .lead([at as u8 + 1; 16], "x")
            {
                Ok(journal) => Some(journal.term()),
                Err(LeadError::Overtaken { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            let threads: Vec<_> = logs
                .iter()
                .enumerate()
                .map(|one| scope.spawn(move || lead(one)))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut epochs: Vec<_> = won.iter().map(|term| term.epoch).collect();
        epochs.sort_unstable();
        epochs.dedup();
        assert!(
            !won.is_empty() && epochs.len() == won.len(),
            "round {round}: {won:?}"
        );
        let newest = won.iter().max().unwrap();
        for log in &logs {
            log.wait_caught_up(SOON).unwrap();
            let leader = log.leader().borrow().clone().unwrap();
            assert_eq!(
                (leader.epoch, leader.id),
                (newest.epoch, newest.id),
                "round {round}"
            );
        }
    }
}

#[test]
fn a_delayed_epoch_does_not_take_the_lead_back() {
    let config = journal();
    let log = open(&config);
    // A candidate's EpochStarted, sent while nobody led, arrives after another has led on.
    let delayed = Term {
        epoch: 1,
        id: [9; 16],
    };
    let mut writer = lead(&log, 1);
    let cursor = append(&mut writer, 1, 10);
    let mut late = Hostile {
        link: log.link().unwrap(),
        cursor,
    };
    late.send(&RawRecord::epoch_started(log.id(), delayed, 0, "late"));
    append(&mut writer, 1, 10);
    assert_eq!(log.leader().borrow().clone().unwrap().address, "address-1");
    // One whose epoch is newer does, and the leader finds out at once.
    let newer = Term {
        epoch: writer.term().epoch + 1,
        id: [9; 16],
    };
    late.send(&RawRecord::epoch_started(log.id(), newer, 0, "late"));
    log.wait_caught_up(SOON).unwrap();
    assert!(!writer.leads());
    assert!(
        writer
            .append(3, 3, 0, &[])
            .unwrap_err()
            .to_string()
            .contains("late")
    );
}
