//! The gross lane: entry, order, release, gridlock, deadlines, batches.

use super::*;

/// Runs lines and checks each answer; then checks what stands at the end, by line.
fn check(deposits: &[&str], lines: &[(&str, &str)], end: &[&str]) {
    let mut world = World::new();
    for deposit in deposits {
        assert_eq!(world.money(&format!("deposit {deposit}")), "done");
    }
    let mut sequences = Vec::new();
    for (line, expected) in lines {
        if let Some(movement) = line.strip_prefix("! ") {
            assert_eq!(world.money(movement), *expected, "{movement}");
            sequences.push(None);
            continue;
        }
        let answer = world.submit(line);
        assert_eq!(words(&answer), *expected, "{line}");
        sequences.push(Some(answer.sequence));
    }
    for ((line, _), (sequence, expected)) in lines.iter().zip(sequences.iter().zip(end)) {
        if let Some(sequence) = sequence {
            assert_eq!(world.status(*sequence), *expected, "at the end: {line}");
        }
    }
    world.finish();
}

#[test]
fn settles_what_can_pay_and_overtakes_nobody() {
    check(
        &["A 100.00 USD"],
        &[("A -> B 100.00 USD", "settled 1")],
        &["settled 1"],
    );
    check(
        &["A 100.00 USD"],
        &[
            ("A -> B 100.01 USD", "liquidity"),
            ("A -> B 1.00 USD", "order"),
            ("A -> B 1.00 USD, urgent", "settled 1"),
            ("A -> B 100.00 USD, high", "liquidity"),
            // The urgent one is now first; the others still wait, in order.
            ("A -> B 1.00 USD, high", "order"),
            ("A -> B 1.00 EUR", "liquidity"),
        ],
        &[
            "order",
            "order",
            "settled 1",
            "liquidity",
            "order",
            "liquidity",
        ],
    );
}

#[test]
fn new_liquidity_releases_heads_in_order() {
    check(
        &[],
        &[
            ("A -> B 50.00 USD", "liquidity"),
            ("A -> C 30.00 USD", "order"),
            ("B -> C 50.00 USD", "liquidity"),
            ("A -> D 10.00 USD, high", "liquidity"),
            // 60 lets the high one go, then the first; B can then pay on, and A's second waits.
            ("! deposit A 60.00 USD", "done"),
            ("C -> A 30.00 USD", "settled 1"),
        ],
        &[
            "settled 1",
            "settled 1",
            "settled 1",
            "settled 1",
            "",
            "settled 1",
        ],
    );
    // A unit is released only when it is first in every queue that it stands in.
    check(
        &["A 10.00 USD"],
        &[
            ("B -> C 5.00 EUR", "liquidity"),
            ("B -> D 1.00 EUR + B -> D 1.00 USD", "order"),
            ("! deposit B 9.00 USD", "done"),
            ("B -> C 1.00 USD", "order"),
            ("! deposit B 5.00 EUR", "done"),
        ],
        &["settled 1", "liquidity", "", "order"],
    );
}

#[test]
fn legs_settle_together_or_not_at_all() {
    check(
        &["A 10.00 USD"],
        &[
            ("A -> B 6.00 USD + A -> C 6.00 USD", "liquidity"),
            ("A -> B 6.00 USD, urgent", "settled 1"),
            ("! deposit A 8.00 USD", "done"),
        ],
        &["settled 1", "settled 1"],
    );
}

#[test]
fn a_tick_clears_gridlock_and_closes_the_batch() {
    let mut world = World::new();
    let ring = [
        "A -> B 5.00 USD",
        "B -> C 5.00 USD",
        "C -> A 5.00 USD",
        "C -> A 1.00 USD",
    ];
    let answers = ring.map(|line| world.submit(line));
    assert_eq!(
        answers.map(|answer| words(&answer)),
        ["liquidity", "liquidity", "liquidity", "order"]
    );
    let events = world.tick();
    let statuses = answers.map(|answer| world.status(answer.sequence));
    assert_eq!(
        statuses,
        ["settled 1", "settled 1", "settled 1", "liquidity"]
    );
    let Some(Event::GrossBatchClosed(batch)) = events.last() else {
        panic!("{events:?}");
    };
    assert!(batch.certificate_hash.is_some());
    assert_eq!(batch.member_count, 3);
    // Touched, and net zero.
    assert!(batch.postings.iter().all(|posting| posting.amount == 0) && batch.postings.len() == 3);
    assert_eq!(world.tick(), [], "nothing is due");
    world.finish();
}

#[test]
fn a_tick_rejects_what_is_past_its_value_date() {
    let mut world = World::new();
    let waits = world.submit("A -> B 5.00 USD").sequence;
    world.at(14).tick();
    assert_eq!(world.status(waits), "liquidity");
    // Midnight: a deposit that comes before the tick does not settle yesterday's payment.
    world.at(15);
    world.money("deposit A 5.00 USD");
    assert_eq!(world.status(waits), "liquidity");
    world.tick();
    assert_eq!(world.status(waits), "AB03 ExpiredInQueue");
    assert_eq!(world.balance("A", "USD"), (500, 0));
    world.finish();
}

#[test]
fn cancelling_the_first_lets_the_next_go() {
    let mut world = World::new();
    world.money("deposit A 5.00 USD");
    let first = world.submit("A -> B 6.00 USD, id=1");
    let second = world.submit("A -> B 5.00 USD");
    assert_eq!(words(&second), "order");
    let cancel = |by: &str, kind| {
        (
            Caller::Participant(bic(by)),
            Action::Cancel {
                uetr: uetr(1_000_001),
                kind,
            },
        )
    };
    for (by, kind, expected) in [
        (
            "B",
            Kind::Payment,
            "uetr: no such instruction of the caller",
        ),
        ("A", Kind::Return, "uetr: no such instruction of the caller"),
    ] {
        let (caller, action) = cancel(by, kind);
        assert_eq!(
            world.command(caller, action).unwrap_err().to_string(),
            expected
        );
    }
    let (caller, action) = cancel("A", Kind::Payment);
    assert_eq!(world.command(caller, action.clone()).unwrap().changes, 2);
    assert_eq!(world.status(first.sequence), "cancelled");
    assert_eq!(world.status(second.sequence), "settled 1");
    assert_eq!(world.command(caller, action).unwrap().changes, 0, "already");
    world.finish();
}

#[test]
fn a_blocked_account_settles_nothing_that_waits() {
    let mut world = World::new();
    let set = |world: &mut World, state| {
        let line = AccountLine {
            participant: bic("B"),
            asset: code("USD"),
            state,
        };
        world.operate(Action::SetAccountState(line)).unwrap();
    };
    let (one, two) = (
        world.submit("A -> B 5.00 USD").sequence,
        world.submit("A -> C 5.00 USD").sequence,
    );
    set(&mut world, AccountState::Blocked);
    world.money("deposit A 20.00 USD");
    world.tick();
    assert_eq!(
        [world.status(one), world.status(two)],
        ["liquidity", "order"]
    );
    assert_eq!(world.send("A -> B 1.00 USD"), "AC06 AccountBlocked");
    set(&mut world, AccountState::Open);
    assert_eq!(
        [world.status(one), world.status(two)],
        ["settled 2", "settled 2"]
    );
    world.finish();
}

#[test]
fn a_batch_number_given_is_kept() {
    let mut world = World::with_cycle();
    world.money("deposit A 9.00 USD");
    world.money("pay-in A 5.00 USD 1");
    world.send("A -> B 5.00 USD, net");
    for action in [Action::CloseCycle(cycle(1)), Action::NetCycle(cycle(1))] {
        world.at(3).operate(action).unwrap();
    }
    let gross = world.submit("A -> B 1.00 USD");
    assert_eq!(words(&gross), "settled 1");
    assert_eq!(world.run(), 1);
    // The run closed the gross batch before its own, which is the next.
    assert_eq!(world.view(cycle(1)).batches, [2]);
    assert_eq!(world.send("A -> B 1.00 USD"), "settled 3");
    assert_eq!(world.status(gross.sequence), "settled 1");
    world.tick();
    world.finish();
}

#[test]
fn what_one_input_releases_settles_in_order() {
    let mut world = World::new();
    let lines = [
        "B -> D 1.00 USD",
        "C -> D 1.00 USD, urgent",
        "D -> B 1.00 EUR, high",
    ];
    let waits = lines.map(|line| world.submit(line).sequence);
    world.money("deposit A 9.00 USD");
    world.money("deposit A 9.00 EUR");
    world.send("A -> B 1.00 USD + A -> C 1.00 USD + A -> D 1.00 EUR");
    let (_, _, events) = world.journal.last().unwrap();
    let settled: Vec<Sequence> = events
        .iter()
        .filter_map(|event| match event {
            Event::Settled { unit } => Some(*unit),
            _ => None,
        })
        .collect();
    assert_eq!(settled, [waits[1], waits[2], waits[0]]);
    world.finish();
}
