//! Which instructions enter, and the first reason why one does not.

use super::*;

/// One world for the table: each line is an instruction of its own.
fn check(world: &mut World, line: &str, expected: &str) {
    assert_eq!(world.send(line), expected, "{line}");
}

fn set_up() -> World {
    let mut world = World::with_cycle();
    world.money("deposit A 1000.00 USD");
    for (bank, asset, state) in [
        ("C", "EUR", AccountState::Blocked),
        ("D", "EUR", AccountState::Closed),
    ] {
        let line = AccountLine {
            participant: bic(bank),
            asset: code(asset),
            state,
        };
        world.operate(Action::SetAccountState(line)).unwrap();
    }
    world.suspend("D");
    for (counterparty, amount) in [(None, 500_00), (Some("B"), 300_00)] {
        let line = LimitLine {
            participant: bic("A"),
            asset: code("USD"),
            counterparty: counterparty.map(bic),
            amount: Some(amount),
        };
        world.operate(Action::SetLimit(line)).unwrap();
    }
    world
}

impl World {
    pub(super) fn suspend(&mut self, bank: &str) {
        self.set_state(bank, ParticipantState::Suspended);
    }

    pub(super) fn reinstate(&mut self, bank: &str) {
        self.set_state(bank, ParticipantState::Active);
    }

    fn set_state(&mut self, bank: &str, state: ParticipantState) {
        let reason = format!("{bank} {state:?}");
        self.operate(Action::SetParticipantState {
            bic: bic(bank),
            state,
            reason,
        })
        .unwrap();
    }
}

/// Each line has the fault that it is refused for, and some of those that come after.
#[test]
fn refuses_in_order_of_precedence() {
    let world = &mut set_up();
    check(world, "A -> B 1.00 USD, id=1, content=x", "settled 1");
    for (line, expected) in [
        // Identity before all else.
        (
            "A -> A 0.00 XXX, id=1, bad",
            "AM05 DuplicateWithOtherContent",
        ),
        ("A -> A 0.00 XXX, bad", "NARR Malformed"),
        ("A -> B 1.00 USD, legs=17", "NARR Malformed"),
        // Amount and currency, then the parties.
        ("A -> A 0.001 XXX", "AM11 AssetUnknown"),
        ("A -> A 0.001 usd", "AM11 AssetUnknown"),
        ("A -> A 0.001 GBP", "AM03 AssetNotEnabled"),
        ("A -> A -0.001 USD", "CH20 AmountHasTooManyDecimals"),
        ("A -> A 0.5 JPY", "CH20 AmountHasTooManyDecimals"),
        ("A -> A 1.0000 KWD", "CH20 AmountHasTooManyDecimals"),
        ("A -> A -1.00 USD", "AM12 AmountInvalid"),
        ("A -> A one USD", "AM12 AmountInvalid"),
        ("A -> A 99999999999999999.99 USD", "AM12 AmountInvalid"),
        ("A -> A 0.00 USD", "AM01 AmountMustNotBeZero"),
        ("A -> A 1.00 USD", "AG12 AccountsMustBeDifferent"),
        ("XXXXUS33 -> YYYYUS33 1.00 USD", "DNOR DebtorUnknown"),
        ("A -> YYYYUS33 1.00 USD, by=B", "CNOR CreditorUnknown"),
        ("E -> A 1.00 EUR, by=B", "NARR DebtorMustInstruct"),
        ("E -> D 1.00 EUR", "AC02 DebtorAccountUnknown"),
        ("D -> E 1.00 EUR", "AC03 CreditorAccountUnknown"),
        ("D -> C 1.00 EUR", "AC05 DebtorAccountClosed"),
        ("C -> D 1.00 EUR", "AC07 CreditorAccountClosed"),
        ("C -> B 1.00 EUR", "AC06 AccountBlocked"),
        ("B -> C 1.00 EUR", "AC06 AccountBlocked"),
        ("D -> B 1.00 USD", "AG10 DebtorSuspended"),
        ("A -> D 500.01 USD", "AG11 CreditorSuspended"),
        ("A -> B 500.01 USD", "AM13 AboveInstructionLimit"),
        (
            "A -> B 250.00 USD + A -> C 250.01 USD",
            "AM13 AboveInstructionLimit",
        ),
        ("A -> B 299.01 USD, net, date=2026-11-23", "TM01 PastCutOff"),
        ("A -> B 299.01 USD", "AM14 AboveBilateralCap"),
        (
            "A -> B 1.00 USD, net, date=2026-11-23, created=-34560000001",
            "TM01 PastCutOff",
        ),
        (
            "A -> B 1.00 USD, created=-34560000001, date=2026-11-21",
            "DT02 CreatedTooOld",
        ),
        (
            "A -> B 1.00 USD, created=300001, date=2026-11-21",
            "DT02 CreatedInFuture",
        ),
        ("A -> B 1.00 USD, date=2026-11-21", "DT03 NoBusinessDay"),
        (
            "A -> B 1.00 USD, net, date=2026-11-22",
            "DT03 NoBusinessDay",
        ),
        (
            "A -> B 1.00 USD, date=2026-11-23",
            "DT04 ValueDateTooFarAhead",
        ),
        (
            "A -> B 1.00 USD, net, date=2028-01-03",
            "DT04 ValueDateTooFarAhead",
        ),
        ("A -> B 1.00 USD, date=2026-11-19", "DT05 ValueDateInPast"),
        (
            "A -> B 1.00 USD, net, date=2026-11-19",
            "DT05 ValueDateInPast",
        ),
        ("A -> B 1.00 USD, quote=Q", "NARR QuoteUnknown"),
        ("A -> B 1.00 USD, trade=T", "NARR TradeMalformed"),
        (
            "A -> B 1.00 USD + B -> A 1.00 USD, trade=T",
            "NARR TradeMalformed",
        ),
        (
            "A -> B 1.00 USD + B -> C 1 JPY, trade=T",
            "NARR TradeMalformed",
        ),
        (
            "A -> B 1.00 USD + A -> B 1 JPY, trade=T",
            "NARR TradeMalformed",
        ),
        (
            "A -> B 1.00 USD + B -> A 1 JPY, trade=T, charge",
            "NARR TradeMalformed",
        ),
        (
            "A -> B 1.00 USD + B -> A 1 JPY, trade=T, by=C",
            "NARR DebtorMustInstruct",
        ),
    ] {
        check(world, line, expected);
    }
    world.finish();
}

#[test]
fn the_first_rule_wins_over_the_first_leg() {
    let world = &mut World::new();
    let answer = world.submit("A -> B 0.00 USD + A -> B 1.00 XXX");
    assert_eq!(
        answer.status,
        Status::Rejected(crate::rejection::Rejection::AssetUnknown { leg: 1 })
    );
    let answer = world.submit("A -> B 1.00 USD + A -> B 0.00 USD + A -> B 0.00 EUR");
    let zero = crate::rejection::Rejection::AmountMustNotBeZero { leg: 1 };
    assert_eq!(answer.status, Status::Rejected(zero));
    world.finish();
}

#[test]
fn what_is_on_a_boundary_is_taken() {
    let world = &mut World::with_cycle();
    world.money("deposit A 1000.00 USD");
    for line in [
        "A -> B 1.00 USD, created=300000",
        "A -> B 1.00 USD, created=-34560000000",
        "A -> B 1.00 USD + A -> C 1.00 USD, legs=16",
    ] {
        check(world, line, "settled 1");
    }
    world.now = Timestamp(MORNING.0 + 2 * HOUR_MS - 1);
    check(world, "A -> B 1.00 USD, net", "member 1");
    world.now.0 += 1;
    check(world, "A -> B 1.00 USD, net", "TM01 PastCutOff");
    world.finish();
}

#[test]
fn an_identity_is_taken_once() {
    let world = &mut World::new();
    check(world, "A -> B 5.00 USD, id=1", "liquidity");
    check(world, "A -> B 5.00 USD, id=1", "liquidity again");
    check(
        world,
        "A -> B 4.00 USD, id=1",
        "AM05 DuplicateWithOtherContent",
    );
    world.money("deposit A 50.00 USD");
    // Its current answer, whatever was asked meanwhile.
    check(world, "A -> B 5.00 USD, id=1", "settled 1 again");
    // Other kinds and senders are other instructions.
    check(world, "A -> B 5.00 USD, id=1, cover", "settled 1");
    check(world, "A -> B 5.00 USD, id=1, return", "settled 1");
    check(world, "B -> A 5.00 USD, id=1", "settled 1");
    // Refused stays refused, for the reason given.
    check(world, "A -> B 0.00 USD, id=2", "AM01 AmountMustNotBeZero");
    check(
        world,
        "A -> B 0.00 USD, id=2",
        "AM01 AmountMustNotBeZero again",
    );
    check(
        world,
        "A -> B 1.00 USD, id=2",
        "AM05 DuplicateWithOtherContent",
    );
    // So does that of a sender that nobody knows.
    check(world, "XXXXUS33 -> B 1.00 USD, id=1", "DNOR DebtorUnknown");
    check(
        world,
        "XXXXUS33 -> B 1.00 USD, id=1",
        "DNOR DebtorUnknown again",
    );
    let View::Instructions(answers) = world
        .state
        .query(&Query::Instructions(uetr(1_000_001)), world.now)
    else {
        panic!("instructions");
    };
    let found: Vec<String> = answers.iter().map(words).collect();
    assert_eq!(
        found,
        [
            "settled 1",
            "settled 1",
            "settled 1",
            "settled 1",
            "DNOR DebtorUnknown"
        ]
    );
    world.finish();
}

#[test]
fn caps_count_both_lanes_and_what_comes_back() {
    let world = &mut World::with_cycle();
    let cap = LimitLine {
        participant: bic("A"),
        asset: code("USD"),
        counterparty: Some(bic("B")),
        amount: Some(100_00),
    };
    world.money("deposit A 1000.00 USD");
    world.money("deposit B 1000.00 USD");
    // Counted before there was a cap.
    check(world, "A -> B 40.00 USD", "settled 1");
    world.operate(Action::SetLimit(cap)).unwrap();
    check(world, "A -> B 60.00 USD, net, id=1", "member 1");
    check(world, "A -> B 0.01 USD", "AM14 AboveBilateralCap");
    check(world, "A -> B 0.01 EUR", "liquidity");
    check(world, "B -> A 10.00 USD", "settled 1");
    check(world, "A -> B 10.01 USD", "AM14 AboveBilateralCap");
    check(
        world,
        "A -> B 20.00 USD + B -> A 10.00 USD",
        "NARR DebtorMustInstruct",
    );
    check(world, "A -> B 10.00 USD, net", "member 1");
    // Given back by a cancellation, and not by a refusal.
    let cancel = Action::Cancel {
        uetr: uetr(1_000_001),
        kind: Kind::Payment,
    };
    world
        .command(Caller::Participant(bic("A")), cancel)
        .unwrap();
    check(world, "A -> B 60.01 USD", "AM14 AboveBilateralCap");
    check(world, "A -> B 60.00 USD", "settled 1");
    // The same for one that waits in a queue, of the other asset's cap.
    let line = LimitLine {
        asset: code("EUR"),
        ..cap
    };
    world.operate(Action::SetLimit(line)).unwrap();
    check(world, "A -> B 99.99 EUR, id=2", "order");
    check(world, "A -> B 0.01 EUR", "AM14 AboveBilateralCap");
    let cancel = Action::Cancel {
        uetr: uetr(1_000_002),
        kind: Kind::Payment,
    };
    world
        .command(Caller::Participant(bic("A")), cancel)
        .unwrap();
    check(world, "A -> B 99.99 EUR", "order");
    world.finish();
}

#[test]
fn no_sum_overflows() {
    let world = &mut World::with_cycle();
    // Four of these are the most that an asset may hold, and a cycle's account may owe.
    let most = "9999999999999999.99";
    for _ in 0..4 {
        assert_eq!(world.money(&format!("deposit A {most} USD")), "done");
        check(world, &format!("A -> B {most} USD, net"), "member 1");
    }
    assert_eq!(
        world.money(&format!("deposit B {most} USD")),
        "AM12 BalanceTooLarge"
    );
    check(
        world,
        &format!("A -> C {most} USD, net"),
        "AM12 BalanceTooLarge",
    );
    check(
        world,
        &format!("D -> B {most} USD, net"),
        "AM12 BalanceTooLarge",
    );
    check(world, &format!("D -> C {most} USD, net"), "member 1");
    // Held members keep their room: they may come back.
    world.suspend("B");
    check(
        world,
        &format!("A -> C {most} USD, net"),
        "AM12 BalanceTooLarge",
    );
    world.reinstate("B");
    world.finish();
}
