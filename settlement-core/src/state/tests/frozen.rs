//! Explanations, what-if and projected funding over a frozen view.

use super::*;
use crate::state::{Change, RunScope};

/// `instruction: test, behind, binding account, missing, smallest pay-in`.
fn explained(world: &World, sequence: Sequence) -> String {
    let Some(view) = world.frozen().explain(sequence) else {
        return "-".to_owned();
    };
    let behind = view
        .behind
        .map_or(String::new(), |behind| format!(" behind {}", behind.0));
    let pay_in = view
        .smallest_pay_in
        .map_or("-".to_owned(), |amount| amount.to_string());
    format!(
        "{}{behind} {} {} {} {pay_in}",
        view.test.name(),
        view.participant,
        view.asset.code,
        view.missing
    )
}

fn queued(world: &mut World, line: &str) -> Sequence {
    world.submit(line).sequence
}

#[test]
fn a_waiting_payment_says_what_frees_it() {
    let mut world = World::new();
    world.money("deposit A 10.00 USD");
    let first = queued(&mut world, "A -> B 25.00 USD");
    let second = queued(&mut world, "A -> C 1.00 USD");
    let third = queued(&mut world, "B -> C 20.00 USD");
    let settled = queued(&mut world, "A -> B 0.00 USD");
    assert_eq!(explained(&world, first), "floor AAAAUS33 USD 1500 1500");
    // The step that removes it starts with A's last member, itself; then the first still fails.
    assert_eq!(explained(&world, second), "floor AAAAUS33 USD 1600 1600");
    assert_eq!(explained(&world, third), "floor BBBBDEFF USD 2000 2000");
    assert_eq!(
        explained(&world, settled),
        "-",
        "it is refused: it waits for nothing"
    );
    assert_eq!(explained(&world, Sequence(99)), "-");
    // As said, so it is: one cent less does not do.
    world.money("deposit A 14.99 USD");
    assert_eq!(explained(&world, first), "floor AAAAUS33 USD 1 1");
    world.money("deposit A 0.01 USD");
    assert_eq!(world.status(first), "settled 1");
    world.finish();
}

#[test]
fn who_stands_behind_says_whom_it_waits_for() {
    let mut world = World::new();
    world.money("deposit B 5.00 EUR");
    let dollars = queued(&mut world, "A -> B 7.00 USD + A -> B 3.00 EUR");
    let euros = queued(&mut world, "A -> B 2.00 EUR");
    let behind = queued(&mut world, "B -> A 9.00 EUR");
    assert_eq!(explained(&world, dollars), "floor AAAAUS33 USD 700 700");
    // With the dollars all three settle: what B returns covers A's euros.
    let expected = format!("floor behind {} AAAAUS33 USD 700 700", dollars.0);
    assert_eq!(explained(&world, euros), expected);
    assert_eq!(explained(&world, behind), "floor BBBBDEFF EUR 400 400");
    let page = |offset, limit| {
        let frozen = world.frozen();
        let views = frozen
            .explain_all(RunScope::Gross, None, offset, limit, true)
            .unwrap();
        views
            .iter()
            .map(|view| view.answer.sequence)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(0, 9), [dollars, euros, behind]);
    assert_eq!(page(1, 1), [euros]);
    let of_c = world
        .frozen()
        .explain_all(RunScope::Gross, Some(bic("C")), 0, 9, true);
    assert_eq!(of_c, Some(Vec::new()));
    assert_eq!(
        world
            .frozen()
            .explain_all(RunScope::Cycle(cycle(7)), None, 0, 9, true),
        None
    );
    world.finish();
}

#[test]
fn what_is_held_or_blocked_is_said_so() {
    let mut world = World::new();
    let held = queued(&mut world, "A -> B 7.00 USD");
    let blocked = queued(&mut world, "C -> D 1.00 USD");
    let behind = queued(&mut world, "C -> A 1.00 USD");
    let state = AccountLine {
        participant: bic("D"),
        asset: code("USD"),
        state: AccountState::Blocked,
    };
    world.operate(Action::SetAccountState(state)).unwrap();
    world
        .operate(Action::SetParticipantState {
            bic: bic("B"),
            state: ParticipantState::Suspended,
            reason: "test".to_owned(),
        })
        .unwrap();
    assert_eq!(explained(&world, held), "held BBBBDEFF USD 0 -");
    assert_eq!(explained(&world, blocked), "blocked DDDDGB22 USD 0 -");
    assert_eq!(explained(&world, behind), "not_run CCCCJPJT USD 0 -");
    world.finish();
}

fn supposed(world: &World, changes: &[Change]) -> String {
    let view = world.frozen().what_if(RunScope::Gross, changes);
    let view = match view {
        Ok(view) => view.unwrap(),
        Err(error) => return error.to_string(),
    };
    let numbers = |answers: &[InstructionAnswer]| {
        let numbers = answers.iter().map(|answer| answer.sequence.0.to_string());
        numbers.collect::<Vec<_>>().join(",")
    };
    let closing: Vec<String> = view
        .closing
        .iter()
        .map(|change| format!("{}={}", change.participant, change.after))
        .collect();
    format!(
        "{}/{} settles {} waits {} added {:?} {}",
        view.before.settled,
        view.after.settled,
        numbers(&view.settles),
        numbers(&view.waits),
        view.added,
        closing.join(" ")
    )
}

#[test]
fn what_if_answers_without_touching_anything() {
    let mut world = World::new();
    world.money("deposit A 10.00 USD");
    let big = queued(&mut world, "A -> B 25.00 USD");
    let small = queued(&mut world, "A -> C 4.00 USD");
    let digest = world.state.digest();
    let usd = code("USD");
    let pay_in = |name: &str, amount| Change::PayIn {
        participant: bic(name),
        asset: usd,
        amount,
    };
    let check = |changes: &[Change], expected: &str| {
        assert_eq!(supposed(&world, changes), expected, "{changes:?}");
    };
    let (b, s) = (big.0, small.0);
    check(&[], "0/0 settles  waits  added [] ");
    check(
        &[pay_in("A", 15_00)],
        &format!("0/1 settles {b} waits  added [] AAAAUS33=0 BBBBDEFF=2500"),
    );
    check(
        &[pay_in("A", 19_00)],
        &format!("0/2 settles {b},{s} waits  added [] AAAAUS33=0 BBBBDEFF=2500 CCCCJPJT=400"),
    );
    let after_small = format!("0/1 settles {s} waits  added [] AAAAUS33=600 CCCCJPJT=400");
    check(&[Change::Cancel { instruction: big }], &after_small);
    let urgent = Change::Reprioritise {
        instruction: small,
        priority: Priority::Urgent,
    };
    check(&[urgent], &after_small);
    check(
        &[Change::Suspend {
            participant: bic("B"),
        }],
        &after_small,
    );
    let short = |amount| Change::ShortLimit {
        participant: bic("A"),
        asset: usd,
        amount,
    };
    check(
        &[short(Some(15_00))],
        &format!("0/1 settles {b} waits  added [] AAAAUS33=-1500 BBBBDEFF=2500"),
    );
    check(
        &[
            short(None),
            Change::BilateralCap {
                participant: bic("A"),
                counterparty: bic("B"),
                asset: usd,
                amount: Some(24_99),
            },
        ],
        "0/0 settles  waits  added [] ",
    );
    let back = Change::Add {
        priority: Priority::Normal,
        legs: vec![(bic("B"), bic("A"), usd, 19_00)],
    };
    check(
        &[back],
        &format!("0/3 settles {b},{s} waits  added [true] AAAAUS33=0 BBBBDEFF=600 CCCCJPJT=400"),
    );
    let wrong = |change: Change, expected: &str| check(&[pay_in("A", 1), change], expected);
    wrong(
        pay_in("A", 0),
        "changes[1].amount: must be above zero, and fit",
    );
    wrong(
        pay_in("XXXXUS33", 1),
        "changes[1].participant: XXXXUS33 is no participant",
    );
    wrong(
        Change::Cancel {
            instruction: Sequence(1),
        },
        "changes[1].instruction: instruction 1 does not wait for this run",
    );
    wrong(
        Change::Add {
            priority: Priority::Normal,
            legs: Vec::new(),
        },
        "changes[1].legs: there are none",
    );
    assert_eq!(world.state.digest(), digest);
    assert_eq!(
        world.frozen().what_if(RunScope::Cycle(cycle(7)), &[]),
        Ok(None)
    );
    world.finish();
}

#[test]
fn funding_is_projected_per_value_date() {
    let mut world = World::with_cycle();
    world.money("deposit A 10.00 USD");
    queued(&mut world, "A -> B 25.00 USD");
    queued(&mut world, "B -> A 3.00 EUR, net");
    let view = world.frozen().funding(None, 2);
    let rows: Vec<String> = view
        .rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {} needs {} base {:?}",
                row.participant,
                row.asset.code,
                row.held,
                row.incoming,
                row.outgoing,
                row.needed,
                row.needed_in_base
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "AAAAUS33 EUR 0 300 0 needs 0 base None",
            "AAAAUS33 USD 1000 0 2500 needs 1500 base Some(1500)",
            "BBBBDEFF EUR 0 0 300 needs 300 base None",
            "BBBBDEFF USD 0 2500 0 needs 0 base Some(0)",
        ]
    );
    assert_eq!(world.frozen().funding(Some(bic("C")), 2).rows, []);
    world.finish();
}
