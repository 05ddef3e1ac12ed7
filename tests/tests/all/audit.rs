//! Whatever an operator forges in the journal, an audit finds it, at its sequence.
//!
//! A real server makes the journal; one input or its events are changed, and all records are written again,
//! so that chain and sequences are as good as before.
#![expect(clippy::ptr_arg, reason = "one signature for every forgery")]

use crate::crash::directory;
use crate::refeed::{make_journal, open, records};
use settlement_core::event::{Batch, Event, Legs};
use settlement_core::instruction::Submissions;
use settlement_core::record::{self, Input};
use valuta_engine::{AuditError, Audited};
use valuta_journal::{Journal, JournalId, MemoryJournal, Record, Source as _};

/// Changes an input and its events, if they are what it changes; whether they were.
type Forge = fn(&mut Input<'_>, &mut Vec<Event>) -> bool;

/// The same journal after one change, and the sequence of what was changed.
fn forged(records: &[Record], forge: Forge) -> (MemoryJournal, Option<u64>) {
    let mut journal = MemoryJournal::new(JournalId([3; 16]));
    let at = forge_into(&mut journal, records, forge);
    (journal, at)
}

/// Appends the records after one change; the sequence of what was changed.
pub fn forge_into(
    journal: &mut dyn Journal,
    records: &[Record],
    mut forge: impl FnMut(&mut Input<'_>, &mut Vec<Event>) -> bool,
) -> Option<u64> {
    let mut at = None;
    for record in records {
        let header = record.header;
        let mut entries = record::entries(&record.payload).unwrap();
        let (mut payload, mut events) = (Vec::new(), Vec::new());
        let mut sequence = header.first_sequence;
        while let Some(mut input) = entries.next_into(&mut events).unwrap() {
            if at.is_none() && forge(&mut input, &mut events) {
                at = Some(sequence);
            }
            record::push(&mut payload, &input, &events);
            sequence += 1;
        }
        let (first, last) = (header.first_sequence, header.last_sequence);
        journal
            .append(first, last, header.time_ms, &payload)
            .unwrap();
    }
    at
}

fn audit(journal: &MemoryJournal) -> Result<Audited, AuditError> {
    let decode = |bytes: &[u8], out: &mut Submissions| {
        let decoded = valuta_gateway::wire::decode_into(bytes, 0, out);
        decoded.map_err(|error| error.to_string())
    };
    valuta_engine::audit(&mut *journal.reader(None).unwrap(), true, &decode, |_| {})
}

fn check(records: &[Record], name: &str, forge: Forge, expected: &str) {
    let (journal, at) = forged(records, forge);
    let at = at.unwrap_or_else(|| panic!("{name}: the journal has none"));
    let error = audit(&journal).expect_err(name);
    let found = error.finding().unwrap_or_else(|| panic!("{name}: {error}"));
    assert_eq!(found.0, at, "{name}: {error}");
    assert!(found.1.contains(expected), "{name}: {error}");
}

/// The batch that an input's events close.
pub fn closed(events: &mut [Event]) -> Option<&mut Batch> {
    events.iter_mut().find_map(|event| match event {
        Event::GrossBatchClosed(batch) | Event::CycleRan { batch, .. } => Some(batch),
        _ => None,
    })
}

fn event_amount(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let Some(Event::Accepted { order, .. }) = events.first_mut() else {
        return false;
    };
    let mut legs = order.legs.to_vec();
    legs[0].amount += 1;
    order.legs = Legs::new(&legs);
    true
}

fn input_amount(input: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    use prost::Message as _;
    let (Input::Instruction(bytes), Some(Event::Accepted { .. })) = (&*input, events.first())
    else {
        return false;
    };
    let mut instruction = valuta_proto::v1::Instruction::decode(*bytes).unwrap();
    instruction.legs[0].amount = "1".to_owned();
    *input = Input::Instruction(instruction.encode_to_vec().leak());
    true
}

fn settled_left_out(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let settled = |event: &Event| matches!(event, Event::Settled { .. });
    let found = events.iter().position(settled);
    found.is_some_and(|at| {
        events.remove(at);
        true
    })
}

fn refusal_left_out(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let is_refused = matches!(events[..], [Event::Refused { .. }]);
    if is_refused {
        events.clear();
    }
    is_refused
}

/// In result and event alike, as who forges it would.
fn bitmap(input: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let Input::Ran(result) = input else {
        return false;
    };
    let Some(Event::CycleRan { settled, .. }) = events.first_mut() else {
        return false;
    };
    result.settled[0] ^= 1;
    settled[0] ^= 1;
    true
}

fn certificate_of_run(input: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let Input::Ran(result) = input else {
        return false;
    };
    let Some(Event::CycleRan { batch, .. }) = events.first_mut() else {
        return false;
    };
    result.certificate_hash[0] ^= 1;
    batch.certificate_hash = Some(result.certificate_hash);
    true
}

fn certificate_of_batch(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let hash = closed(events).and_then(|batch| batch.certificate_hash.as_mut());
    hash.is_some_and(|hash| {
        hash[0] ^= 1;
        true
    })
}

fn balance(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let balance = closed(events).and_then(|batch| batch.balances.first_mut());
    balance.is_some_and(|balance| {
        balance.amount += 1;
        true
    })
}

/// Per asset they may sum to zero as before.
fn postings_exchanged(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let Some(batch) = closed(events) else {
        return false;
    };
    let [first, second, ..] = &mut batch.postings[..] else {
        return false;
    };
    first.amount += 1;
    second.amount -= 1;
    true
}

fn mirror(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    let mirror = closed(events).and_then(|batch| batch.mirror_balances.first_mut());
    mirror.is_some_and(|mirror| {
        mirror.amount.0 -= 1;
        true
    })
}

fn seed(_: &mut Input<'_>, events: &mut Vec<Event>) -> bool {
    closed(events).is_some_and(|batch| {
        batch.seed[0] ^= 1;
        true
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forgery_is_found_at_its_sequence() {
    let dir = directory();
    let data = dir.path().join("data");
    make_journal(&data, 6).await;
    tokio::task::block_in_place(|| {
        let records = records(open(&data).reader(None).unwrap());
        let (same, _) = forged(&records, |_, _| false);
        let audited = audit(&same).unwrap();
        assert_eq!(
            audited.sequence,
            records.last().unwrap().header.last_sequence
        );
        assert!(audited.runs >= 2, "{audited:?}");

        let check = |name, forge, expected| check(&records, name, forge, expected);
        check("event's amount", event_amount, "event 0, Accepted");
        check("input's amount", input_amount, "Accepted");
        check("settled left out", settled_left_out, "Settled");
        check("refusal left out", refusal_left_out, "Refused");
        check("bitmap", bitmap, "set of settled");
        check("run's certificate", certificate_of_run, "certificate");
        check("batch's certificate", certificate_of_batch, "differs");
        check("balance", balance, "differs");
        check("postings", postings_exchanged, "differs");
        check("agent's mirror", mirror, "differs");
        check("seed", seed, "differs");
    });
}
