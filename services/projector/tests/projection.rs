//! Journals into answers: what each kind of event shows to whom, and where it stands.
#![allow(clippy::unwrap_used)]

mod support;

use settlement_core::command::Position;
use settlement_core::event::{Entry, Event};
use settlement_core::ids::{Bic, Sequence};
use settlement_core::rejection::Rejection;
use settlement_core::view::{InstructionAnswer, Status, Waiting};
use support::database::{Database, for_every_database};
use support::follow::project;
use support::script::{ASSETS, BANKS, Script, batch_of, bic, cycle, leg};
use valuta_projector::{ListFilter, ReadModel};

fn projected<D: Database>(mut script: Script) -> (D, D::Reads) {
    script.record();
    let database = D::new();
    project(&script.journal, database.store()).unwrap();
    let reads = database.reads();
    (database, reads)
}

fn answer(answer: &InstructionAnswer) -> String {
    let status = match answer.status {
        Status::Member(cycle) => format!("ACTC {cycle}"),
        Status::Waiting(waiting) => format!("PDNG {waiting:?}"),
        Status::Irrevocable(cycle) => format!("ACSP {cycle}"),
        Status::Settled { batch } => format!("ACSC b{batch}"),
        Status::Rejected(rejection) => format!("RJCT {}", rejection.code()),
        Status::Cancelled => "CANC".to_owned(),
    };
    let matched = answer
        .matched_with
        .map(|other| format!(" with #{}", other.0));
    format!(
        "#{} {status}{}",
        answer.sequence.0,
        matched.unwrap_or_default()
    )
}

fn changes(reads: &impl ReadModel, of: Option<Bic>) -> Vec<String> {
    let rows = reads.changes(of, Position::default(), 1_000).unwrap();
    rows.iter()
        .map(|row| {
            let Position { sequence, index } = row.position;
            format!("{}.{index} {}", sequence.0, answer(&row.answer))
        })
        .collect()
}

fn received(reads: &impl ReadModel, bank: u16) -> Vec<String> {
    let rows = reads
        .received(bic(bank), Position::default(), 1_000)
        .unwrap();
    rows.iter()
        .map(|row| {
            let Position { sequence, index } = row.position;
            let content = String::from_utf8_lossy(&row.row.content);
            let number = row.row.answer.sequence.0;
            assert!(
                content.starts_with(&format!("instruction {number} ")),
                "{content}"
            );
            format!("{}.{index} #{number}", sequence.0)
        })
        .collect()
}

fn list(reads: &impl ReadModel, bank: u16) -> Vec<String> {
    let filter = ListFilter {
        participant: Some(bic(bank)),
        limit: 1_000,
        ..ListFilter::default()
    };
    let rows = reads.list(&filter).unwrap().rows;
    rows.iter().map(|row| answer(&row.answer)).collect()
}

fn gross_payments_settle_at_once_or_later<D: Database>() {
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Settled);
    script.accepted(0, &[leg(0, 2, 0, 900)], Entry::Queued);
    script.accepted(0, &[leg(0, 2, 1, 900)], Entry::Queued);
    script.refused(bic(1), Rejection::CreditorUnknown { leg: 0 });
    let released = Event::Settled { unit: Sequence(3) };
    script.deposit(0, &[released]);
    script.command(&[Event::Cancelled {
        sequence: Sequence(4),
    }]);
    script.tick(&[Event::GrossBatchClosed(batch_of(1, 3))]);
    script.accepted(1, &[leg(1, 0, 0, 7)], Entry::Settled);
    let (_database, reads) = projected::<D>(script);

    let mine = [
        "2.0 #2 ACSC b1",
        "3.0 #3 PDNG Liquidity",
        "4.0 #4 PDNG Liquidity",
    ];
    let later = ["6.0 #3 ACSC b1", "7.0 #4 CANC", "9.0 #9 ACSC b2"];
    assert_eq!(changes(&reads, Some(bic(0))), [mine, later].concat());
    assert_eq!(
        changes(&reads, Some(bic(1))),
        ["2.0 #2 ACSC b1", "5.0 #5 RJCT CNOR", "9.0 #9 ACSC b2"]
    );
    let third = ["3.0 #3 PDNG Liquidity", "4.0 #4 PDNG Liquidity"];
    assert_eq!(
        changes(&reads, Some(bic(2))),
        [&third[..], &later[..2]].concat()
    );
    assert!(changes(&reads, Some(bic(3))).is_empty());
    assert_eq!(changes(&reads, None).len(), 7);

    assert_eq!(received(&reads, 0), ["9.0 #9"]);
    assert_eq!(received(&reads, 1), ["2.0 #2"]);
    assert_eq!(received(&reads, 2), ["6.0 #3"]);
    assert_eq!(list(&reads, 2), ["#4 CANC", "#3 ACSC b1"]);

    let batch = reads.batch(1).unwrap().unwrap();
    assert_eq!((batch.members, batch.sequence), (3, Sequence(8)));
    let postings: Vec<String> = batch
        .postings
        .iter()
        .map(|row| format!("{row:?}"))
        .collect();
    assert_eq!(postings.len(), 2);
    assert_eq!(batch.postings[0].participant, bic(1));
    assert_eq!(
        (batch.postings[0].amount, batch.postings[0].balance),
        (500, 1_500)
    );
    assert_eq!(batch.postings[1].participant.to_string(), "AGNTBEBB");
    assert_eq!(
        (batch.postings[1].mirror, batch.postings[1].balance),
        (true, -(1 << 70))
    );
    assert_eq!(reads.batch(2).unwrap(), None, "open");
    let leaves = [
        (2, Some((1, 0))),
        (3, Some((1, 2))),
        (4, None),
        (9, Some((2, 0))),
    ];
    for (sequence, leaf) in leaves {
        let unit = reads.unit(Sequence(sequence)).unwrap();
        let found = unit.map(|unit| (unit.batch, unit.member_index));
        assert_eq!(found, leaf, "#{sequence}");
    }
}

fn trades_are_one_unit_and_each_bank_receives_the_other_side<D: Database>() {
    let mut script = Script::new();
    let legs = [leg(0, 1, 0, 100), leg(1, 0, 1, 120)];
    script.accepted(0, &legs, Entry::Unmatched);
    script.accepted(2, &[leg(2, 3, 0, 1)], Entry::Settled);
    let matched = Event::Matched {
        first: Sequence(2),
        second: Sequence(4),
        entry: Entry::Settled,
    };
    script.accepted_then(1, &legs, Entry::Unmatched, &[matched]);
    script.tick(&[Event::GrossBatchClosed(batch_of(1, 2))]);
    let (_database, reads) = projected::<D>(script);

    let seen = [
        "2.0 #2 PDNG Unmatched",
        "4.0 #4 PDNG Unmatched",
        "4.1 #2 ACSC b1 with #4",
        "4.2 #4 ACSC b1 with #2",
    ];
    for bank in [0, 1] {
        assert_eq!(changes(&reads, Some(bic(bank))), seen, "bank {bank}");
    }
    assert_eq!(received(&reads, 0), ["4.0 #4"]);
    assert_eq!(received(&reads, 1), ["4.0 #2"]);
    for (side, other) in [(2, 4), (4, 2)] {
        let unit = reads.unit(Sequence(side)).unwrap().unwrap();
        assert_eq!(unit.matched_with, Some(Sequence(other)));
        assert_eq!((unit.batch, unit.member_index), (1, 1));
    }
    let members = |bank| reads.members(bank, 1, Sequence(0), 10).unwrap().len();
    assert_eq!(
        (members(None), members(Some(bic(0))), members(Some(bic(3)))),
        (3, 2, 1)
    );
}

fn net_payments_follow_their_cycle<D: Database>() {
    let mut script = Script::new();
    script.open_cycle(1);
    script.open_cycle(2);
    for bank in [0, 1, 2] {
        script.accepted(bank, &[leg(bank, bank + 1, 0, 50)], Entry::Member(cycle(1)));
    }
    script.close_and_net(1);
    script.run(1, &[true, true, false], 1, &[]);
    let into = Some(cycle(2));
    script.command(&[Event::CycleCompleted {
        cycle: cycle(1),
        into,
    }]);
    script.close_and_net(2);
    script.run(2, &[true], 2, &[]);
    let (_database, reads) = projected::<D>(script);

    assert_eq!(
        changes(&reads, Some(bic(3))),
        [
            "6.0 #6 ACTC 2026-11-20/1",
            "7.2 #6 ACSP 2026-11-20/1",
            "10.0 #6 ACTC 2026-11-20/2",
            "11.0 #6 ACSP 2026-11-20/2",
            "13.0 #6 ACSC b2",
        ]
    );
    assert_eq!(changes(&reads, None).len(), 3 + 3 + 2 + 1 + 1 + 1);
    assert_eq!(received(&reads, 2), ["9.1 #5"]);
    let of = |number| ListFilter {
        cycle: Some(cycle(number)),
        limit: 10,
        ..ListFilter::default()
    };
    assert_eq!(reads.list(&of(1)).unwrap().rows.len(), 2);
    assert_eq!(reads.list(&of(2)).unwrap().rows.len(), 1);
    let batch = reads.batch(1).unwrap().unwrap();
    assert_eq!((batch.cycle, batch.members), (Some(cycle(1)), 2));
    assert_eq!(batch.certificate_hash, Some([8; 32]));
}

fn holds_and_later_rejections_show<D: Database>() {
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Queued);
    let unit = Sequence(2);
    script.command(&[Event::Held { unit, held: true }]);
    script.command(&[Event::Held { unit, held: false }]);
    let rejection = Rejection::ExpiredInQueue;
    let sequence = unit;
    script.tick(&[Event::Rejected {
        sequence,
        rejection,
    }]);
    let unknown = Bic::parse(b"XXXXFRPP").unwrap();
    script.refused(unknown, Rejection::DebtorUnknown { leg: 0 });
    script.refused(bic(3), Rejection::DuplicateWithOtherContent);
    let (_database, reads) = projected::<D>(script);

    let held = Status::Waiting(Waiting::Held);
    assert_eq!(
        reads.changes(None, Position::default(), 2).unwrap()[1]
            .answer
            .status,
        held
    );
    assert_eq!(
        changes(&reads, Some(bic(1))),
        [
            "2.0 #2 PDNG Liquidity",
            "3.0 #2 PDNG Held",
            "4.0 #2 PDNG Liquidity",
            "5.0 #2 RJCT AB03"
        ]
    );
    assert_eq!(list(&reads, 3), ["#7 RJCT AM05"]);
    let row = reads.instruction(Sequence(6)).unwrap().unwrap();
    assert_eq!(answer(&row.answer), "#6 RJCT DNOR");
    assert_eq!(row.answer.identity.instructing, unknown);
    assert!(changes(&reads, Some(unknown)).is_empty());
}

fn lists_know_every_asset_of_an_instruction<D: Database>() {
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Settled);
    script.accepted(0, &[leg(0, 1, 1, 100), leg(1, 2, 0, 9)], Entry::Settled);
    let (_database, reads) = projected::<D>(script);
    for (at, expected) in [(0, vec![3, 2]), (1, vec![3])] {
        let filter = ListFilter {
            asset: fx::AssetCode::parse(ASSETS[at].0.as_bytes()),
            limit: 10,
            ..ListFilter::default()
        };
        let rows = reads.list(&filter).unwrap().rows;
        let found: Vec<u64> = rows.iter().map(|row| row.answer.sequence.0).collect();
        assert_eq!(found, expected, "{}", ASSETS[at].0);
    }
    assert_eq!(BANKS.len(), 4);
}

for_every_database!(
    gross_payments_settle_at_once_or_later,
    trades_are_one_unit_and_each_bank_receives_the_other_side,
    net_payments_follow_their_cycle,
    holds_and_later_rejections_show,
    lists_know_every_asset_of_an_instruction,
);
