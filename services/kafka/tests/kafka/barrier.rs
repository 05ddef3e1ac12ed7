//! Delivery reports that are lost, late or wrong: the barrier decides, and nothing is lost or doubled.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use valuta_journal::{AppendError, Journal, RECORD_BYTES_MAX, Source};
use valuta_kafka::{Delivery, KafkaJournal, KafkaLog, Kind, Link, Outgoing, RawRecord, Term};

use crate::support::{Random, SOON, append, drain, journal, open};

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Delivered,
    /// It is in the topic, and the report is lost.
    ReportLost,
    /// It never gets there.
    MessageLost,
    /// The report is lost, and the message lands after the next one.
    LandsAfterNext,
    /// It is there, and its report names another offset.
    ReportWrong,
    /// The report names the first offset of all.
    TakenBefore,
    /// It is there twice, as no idempotent producer would have it.
    Doubled,
}

use Fate::{Delivered, Doubled, LandsAfterNext, MessageLost, ReportLost, ReportWrong, TakenBefore};

#[derive(Clone)]
struct Kept {
    kind: Kind,
    raw: (valuta_journal::JournalId, valuta_journal::RecordHeader),
    payload: Vec<u8>,
}

struct Faulty {
    link: Box<dyn Link>,
    fates: Planned,
    late: Vec<Kept>,
    sent: Sent,
}

impl Faulty {
    fn send(&mut self, raw: &RawRecord<'_>) -> u64 {
        let sent = self.link.deliver(&Outgoing { raw, address: "a" });
        let Delivery::At(offset) = sent else {
            panic!("{sent:?}")
        };
        offset
    }
}

impl Link for Faulty {
    fn deliver(&mut self, message: &Outgoing<'_>) -> Delivery {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Delivered);
        self.sent.lock().unwrap().push((message.raw.kind, fate));
        let lost = Delivery::Unknown("injected".into());
        let late = std::mem::take(&mut self.late);
        let delivery = match fate {
            MessageLost => lost,
            LandsAfterNext => {
                let RawRecord {
                    kind,
                    journal,
                    header,
                    payload,
                } = message.raw.clone();
                self.late.push(Kept {
                    kind,
                    raw: (journal, header),
                    payload: payload.to_vec(),
                });
                lost
            }
            ReportLost => {
                self.send(message.raw);
                lost
            }
            ReportWrong => Delivery::At(self.send(message.raw) + 7),
            TakenBefore => Delivery::At(0),
            Delivered => Delivery::At(self.send(message.raw)),
            Doubled => {
                self.send(message.raw);
                Delivery::At(self.send(message.raw))
            }
        };
        for Kept {
            kind,
            raw: (journal, header),
            payload,
        } in late
        {
            self.send(&RawRecord {
                kind,
                journal,
                header,
                payload: &payload,
            });
        }
        delivery
    }
}

/// What will become of the next messages, and what became of those that were sent.
type Planned = Arc<Mutex<VecDeque<Fate>>>;
type Sent = Arc<Mutex<Vec<(Kind, Fate)>>>;

/// Leads over a link to which messages' fates can be told.
fn lead_faulty(log: &KafkaLog) -> (KafkaJournal, Planned, Sent) {
    let (fates, sent) = (Planned::default(), Sent::default());
    let faulty = Faulty {
        link: log.link().unwrap(),
        fates: Arc::clone(&fates),
        late: Vec::new(),
        sent: Arc::clone(&sent),
    };
    let writer = log.lead_over([1; 16], "a", Box::new(faulty));
    (writer.unwrap(), fates, sent)
}

/// Leads with the messages after the first having these fates; appends a record, then two more.
/// The journal ends in one of these epochs: a late message may be read before the next one is sent.
fn check(fates: &[Fate], epochs: std::ops::RangeInclusive<u64>) {
    let config = journal();
    let log = open(&config);
    let (mut writer, planned, sent) = lead_faulty(&log);
    planned.lock().unwrap().extend(fates);
    (0..3).for_each(|_| {
        append(&mut writer, 2, 100);
    });
    let Term { epoch, id } = writer.term();
    let sent = sent.lock().unwrap();
    assert_eq!(id, [1; 16]);
    assert!(
        epochs.contains(&epoch),
        "{fates:?}, epoch {epoch}: {sent:?}"
    );
    assert_eq!(*writer.health().borrow(), None);
    let fresh = open(&config);
    fresh.wait_caught_up(SOON).unwrap();
    assert_eq!(fresh.watch().durable(), writer.tail(), "{fates:?}");
    let all = drain(&mut *fresh.reader(None).unwrap());
    assert_eq!(all, drain(&mut *log.reader(None).unwrap()), "{fates:?}");
    let sequences: Vec<_> = all
        .iter()
        .map(|record| record.header.first_sequence)
        .collect();
    assert_eq!(sequences, [1, 3, 5], "{fates:?}");
}

#[test]
fn the_barrier_settles_every_fate() {
    check(&[], 1..=1);
    // Accepted before the barrier: confirmed, and not sent again.
    check(&[ReportLost], 2..=2);
    check(&[ReportWrong], 2..=2);
    // Never there: sent again under the new epoch.
    check(&[MessageLost], 2..=2);
    // Lands behind the barrier: skipped there, and sent again, which finds it in its place.
    check(&[LandsAfterNext], 2..=4);
    // The second of them does not continue the chain; the first is confirmed.
    check(&[Doubled], 2..=3);
}

#[test]
fn the_barrier_itself_may_be_lost_late_or_doubled() {
    check(&[ReportLost, MessageLost, MessageLost], 2..=2);
    check(&[ReportLost, ReportLost], 2..=2);
    check(&[MessageLost, ReportLost], 2..=2);
    check(&[MessageLost, Doubled], 2..=3);
    check(&[MessageLost, LandsAfterNext], 2..=4);
    check(&[LandsAfterNext, LandsAfterNext], 2..=5);
    check(&[LandsAfterNext, MessageLost, ReportLost], 2..=3);
    check(&[MessageLost, Delivered, MessageLost, Delivered], 3..=3);
    check(
        &[
            LandsAfterNext,
            Delivered,
            LandsAfterNext,
            ReportLost,
            Delivered,
            Doubled,
        ],
        2..=7,
    );
}

/// A topic that was recreated and is short takes messages where this process has read others.
#[test]
fn a_report_of_a_place_that_was_read_before_stops_everything() {
    for fates in [vec![TakenBefore], vec![ReportLost, TakenBefore]] {
        let config = journal();
        let log = open(&config);
        let (mut writer, planned, _) = lead_faulty(&log);
        append(&mut writer, 1, 10);
        planned.lock().unwrap().extend(fates);
        let refused = writer.append(2, 2, 0, &[]).unwrap_err();
        assert!(matches!(refused, AppendError::Lost { .. }), "{refused}");
        assert!(
            log.failure()
                .unwrap()
                .contains("took a message at offset 0")
        );
        assert!(log.watch().is_closed());
    }
}

#[test]
fn any_run_of_fates_is_settled() {
    const ALL: [Fate; 5] = [Delivered, ReportLost, MessageLost, LandsAfterNext, Doubled];
    let config = journal();
    let log = open(&config);
    let (mut writer, planned, _) = lead_faulty(&log);
    let mut random = Random(4);
    for _ in 0..150 {
        let fates = (0..random.below(4)).map(|_| ALL[random.below(5) as usize]);
        planned.lock().unwrap().extend(fates.collect::<Vec<_>>());
        append(
            &mut writer,
            1 + random.below(3),
            random.below(2_000) as usize,
        );
    }
    let fresh = open(&config);
    fresh.wait_caught_up(SOON).unwrap();
    assert_eq!(fresh.watch().durable(), writer.tail());
    let all = drain(&mut *fresh.reader(None).unwrap());
    assert_eq!(
        (all.len(), &all),
        (150, &drain(&mut *log.reader(None).unwrap()))
    );
    assert!(writer.append(1, 1, 0, &vec![0; RECORD_BYTES_MAX]).is_err());
}

#[test]
fn a_leader_that_was_overtaken_while_it_waited_is_fenced() {
    let config = journal();
    let (one, two) = (open(&config), open(&config));
    let (mut first, planned, _) = lead_faulty(&one);
    append(&mut first, 1, 10);
    let second = two.lead([2; 16], "b").unwrap();
    planned
        .lock()
        .unwrap()
        .extend([MessageLost, MessageLost, Delivered]);
    let refused = first.append(2, 2, 0, &[]).unwrap_err();
    assert!(
        refused.is_fatal() && refused.to_string().contains("(b)"),
        "{refused}"
    );
    assert!(second.leads() && second.tail().sequence == 1);
}
