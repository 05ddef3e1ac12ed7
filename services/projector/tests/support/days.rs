//! Days as journals.

use super::random::Random;
use super::script::{Script, batch_of, bic, cycle, leg};
use settlement_core::event::{Entry, Event};
use settlement_core::rejection::Rejection;
use valuta_journal::MemoryJournal;

/// Members that a record of a large day brings.
pub const LARGE_DAY_RECORD: u64 = 2_000;

/// A day of everything, some inputs in each record.
pub fn day(seed: u64, instructions: u64) -> MemoryJournal {
    let mut random = Random(seed);
    let mut script = Script::new();
    let (mut queued, mut members, mut batch, mut open) = (Vec::new(), 0, 1, 0);
    script.open_cycle(1);
    for _ in 0..instructions {
        let bank = u16::try_from(random.below(4)).unwrap();
        let to = (bank + 1 + u16::try_from(random.below(3)).unwrap()) % 4;
        let legs = [leg(bank, to, 0, 100)];
        match random.below(6) {
            0 => queued.push(script.accepted(bank, &legs, Entry::Queued)),
            1 | 2 => {
                script.accepted(bank, &legs, Entry::Member(cycle(1)));
                members += 1;
            }
            3 => {
                script.refused(bic(bank), Rejection::PastCutOff);
            }
            _ => {
                script.accepted(bank, &legs, Entry::Settled);
                open += 1;
            }
        }
        if random.one_in(9) && !queued.is_empty() {
            let released: Vec<Event> = queued
                .drain(..)
                .map(|unit| Event::Settled { unit })
                .collect();
            open += released.len() + 1;
            script.deposit(bank, &released);
        }
        if random.one_in(11) && open > 0 {
            script.tick(&[Event::GrossBatchClosed(batch_of(batch, open))]);
            (batch, open) = (batch + 1, 0);
        }
        if random.one_in(4) {
            script.record();
        }
    }
    script.close_and_net(1);
    script.record();
    if open > 0 {
        script.tick(&[Event::GrossBatchClosed(batch_of(batch, open))]);
        batch += 1;
    }
    let settled: Vec<bool> = (0..members).map(|_| !random.one_in(5)).collect();
    script.run(1, &settled, batch, &[]);
    script.record();
    script.journal
}

/// A day whose end is large: records of so many members, then a close and a run with many rows for each, then some
/// small records.
pub fn large_day(members: u64) -> Script {
    let mut script = Script::new();
    script.open_cycle(1);
    for at in 1..=members {
        let bank = u16::try_from(at % 4).unwrap();
        script.accepted(
            bank,
            &[leg(bank, (bank + 1) % 4, 0, 100)],
            Entry::Member(cycle(1)),
        );
        if at % LARGE_DAY_RECORD == 0 {
            script.record();
        }
    }
    script.record();
    script.close_and_net(1);
    script.record();
    script.run(1, &vec![true; usize::try_from(members).unwrap()], 1, &[]);
    script.record();
    for bank in 0..4 {
        script.accepted(bank, &[leg(bank, 3 - bank, 0, 1)], Entry::Queued);
        script.record();
    }
    script
}
