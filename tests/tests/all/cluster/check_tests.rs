//! The checker finds what it is there for: a history that is right, spoilt in one way each.

use super::check;
use super::facts::{Balances, Closed, Commanded, Facts, Instruction, Outcome};
use super::seen::Seen;
use prost::Message as _;
use std::collections::BTreeMap;
use valuta_proto::v1::{self, CycleState, Status};
use valuta_tests::scheme::payment;

const CYCLE: &str = "2026-11-20/1";

fn content(number: u128, amount: &str) -> Vec<u8> {
    payment(number, "AAAAUS33", "BBBBDEFF", amount, "USD").encode_to_vec()
}

fn journaled(number: u128, amount: &str, outcome: Outcome, statuses: &[Status]) -> Instruction {
    Instruction {
        uetr: valuta_tests::scheme::uetr_text(number),
        content: content(number, amount),
        outcome,
        code: match outcome {
            Outcome::First => String::new(),
            Outcome::OtherContent => "AM05".to_owned(),
        },
        statuses: statuses.to_vec(),
    }
}

/// A deposit of 100.00 USD at 1; a payment of 10.00 that waits at 2 and settles; other content under its
/// UETR at 3; one that waits at 4; a cycle that is closed.
fn right() -> (Seen, Facts, Balances, Vec<(u64, u64)>) {
    let mut facts = Facts::default();
    facts.commands.push(Commanded {
        caller: "FRNYUS33".into(),
        request_id: "deposit".into(),
        sequence: 1,
    });
    let usd = |bic: &str| (bic.to_owned(), "USD".to_owned());
    facts.moved.insert(usd("AAAAUS33"), 10_000);
    use Status::{Acsc, Pdng};
    let all = [
        (2, journaled(1, "10.00", Outcome::First, &[Pdng, Acsc])),
        (3, journaled(1, "11.00", Outcome::OtherContent, &[])),
        (4, journaled(2, "5.00", Outcome::First, &[Pdng])),
    ];
    facts.instructions.extend(all);
    facts.batches = vec![Closed {
        number: 1,
        sums: BTreeMap::from([("USD".to_owned(), 0)]),
    }];
    let books = Balances::from([(usd("AAAAUS33"), 9_000), (usd("BBBBDEFF"), 1_000)]);
    let mut seen = Seen::default();
    seen.done("FRNYUS33", "deposit", 1);
    tell(&mut seen, 1, "10.00", 2, Pdng);
    tell(&mut seen, 1, "11.00", 3, Status::Rjct);
    tell(&mut seen, 1, "10.00", 2, Acsc);
    facts.cycles.insert(CYCLE.to_owned(), CycleState::Closed);
    seen.told_cycle(cycle(CycleState::Closed));
    (seen, facts, books, vec![(1, 0)])
}

fn cycle(state: CycleState) -> v1::Cycle {
    v1::Cycle {
        name: CYCLE.to_owned(),
        state: state.into(),
        ..v1::Cycle::default()
    }
}

fn tell(seen: &mut Seen, number: u128, amount: &str, sequence: u64, status: Status) {
    let asked = seen.instant();
    let rejection = (status == Status::Rjct).then(|| v1::Rejection {
        code: "AM05".to_owned(),
        ..Default::default()
    });
    let answer = v1::InstructionStatus {
        uetr: valuta_tests::scheme::uetr_text(number),
        sequence,
        status: status.into(),
        rejection,
        ..Default::default()
    };
    seen.told(content(number, amount), &answer, asked);
}

type Spoil = fn(&mut Seen, &mut Facts, &mut Balances, &mut Vec<(u64, u64)>);

fn check(spoil: Spoil, expected: &str) {
    let (mut seen, mut facts, mut books, mut anchored) = right();
    spoil(&mut seen, &mut facts, &mut books, &mut anchored);
    let mut complaints = check::clients(&seen, &facts);
    complaints.extend(check::conserved(&facts, &books));
    complaints.extend(check::batches(&facts, &anchored));
    let found = complaints.iter().any(|said| said.starts_with(expected));
    assert_eq!(found, !expected.is_empty(), "{expected:?}: {complaints:?}");
    assert_eq!(complaints.is_empty(), expected.is_empty(), "{complaints:?}");
}

#[test]
fn what_is_right_passes() {
    check(|_, _, _, _| {}, "");
}

#[test]
fn a_lost_answer_is_found() {
    check(
        |seen, _, _, _| tell(seen, 9, "1.00", 9, Status::Acsc),
        "lost",
    );
    check(|seen, _, _, _| seen.done("FRNYUS33", "never", 9), "lost");
    check(|_, facts, _, _| drop(facts.instructions.remove(&3)), "lost");
    check(|_, facts, _, _| facts.commands.clear(), "lost");
}

#[test]
fn a_doubled_record_is_found() {
    check(
        |_, facts, _, _| {
            let again = facts.instructions[&4].clone();
            facts.instructions.insert(5, again);
        },
        "doubled",
    );
    check(
        |_, facts, _, _| {
            let again = facts.commands[0].clone();
            facts.commands.push(again);
        },
        "doubled",
    );
}

#[test]
fn a_contradiction_is_found() {
    let no = "contradicted";
    check(|seen, _, _, _| tell(seen, 1, "10.01", 2, Status::Acsc), no);
    check(|seen, _, _, _| tell(seen, 2, "5.00", 4, Status::Canc), no);
    check(|seen, _, _, _| tell(seen, 1, "11.00", 3, Status::Acsc), no);
    check(|seen, _, _, _| tell(seen, 1, "10.00", 3, Status::Acsc), no);
    check(|seen, _, _, _| seen.done("FRNYUS33", "deposit", 2), no);
    check(|seen, _, _, _| tell(seen, 1, "10.00", 2, Status::Rjct), no);
    check(
        |seen, _, _, _| seen.told_cycle(cycle(CycleState::Completed)),
        no,
    );
}

#[test]
fn an_answer_that_goes_back_is_found() {
    check(
        |seen, _, _, _| tell(seen, 1, "10.00", 2, Status::Pdng),
        "went back",
    );
    check(
        |seen, _, _, _| seen.told_cycle(cycle(CycleState::Open)),
        "went back",
    );
    // Asked before the other was told, it may be the older one.
    check(
        |seen, _, _, _| {
            tell(seen, 1, "10.00", 2, Status::Pdng);
            seen.answers.last_mut().unwrap().asked = 1;
        },
        "",
    );
}

#[test]
fn what_is_not_conserved_is_found() {
    let no = "not conserved";
    check(
        |_, facts, _, _| *facts.batches[0].sums.get_mut("USD").unwrap() += 1,
        no,
    );
    check(
        |_, _, books, _| *books.values_mut().next().unwrap() += 1,
        no,
    );
    check(|_, _, books, _| drop(books.pop_last()), no);
}

#[test]
fn a_batch_that_is_missing_twice_or_misplaced_is_found() {
    check(|_, _, _, anchored| anchored.clear(), "batches");
    check(|_, _, _, anchored| anchored.push((1, 0)), "batches");
    check(|_, _, _, anchored| anchored[0].1 = 1, "batches");
    check(|_, _, _, anchored| anchored.push((3, 2)), "batches");
    check(|_, facts, _, _| facts.batches[0].number = 2, "batches");
}
