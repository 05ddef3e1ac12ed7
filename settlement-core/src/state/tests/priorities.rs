//! Priorities set anew, and amounts that are kept for them.

use super::*;

#[test]
fn a_bank_ranks_what_waits_anew() {
    let mut world = World::new();
    let one = world.submit("A -> B 1.00 EUR, id=1");
    let two = world.submit("A -> C 1.00 EUR, id=2");
    let set = |world: &mut World, bank: &str, id: u64, priority| {
        let (uetr, kind) = (uetr(1_000_000 + id), Kind::Payment);
        let action = Action::SetPriority {
            uetr,
            kind,
            priority,
        };
        world.command(Caller::Participant(bic(bank)), action)
    };
    assert_eq!(
        set(&mut world, "A", 2, Priority::Urgent).unwrap().changes,
        1
    );
    assert_eq!(
        set(&mut world, "A", 2, Priority::Urgent).unwrap().changes,
        0
    );
    let refused = set(&mut world, "B", 2, Priority::Urgent).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "uetr: no such instruction of the caller"
    );
    assert_eq!(world.status(one.sequence), "order");
    world.money("deposit A 1.00 EUR");
    assert_eq!(world.status(two.sequence), "settled 1");
    let refused = set(&mut world, "A", 2, Priority::Normal).unwrap_err();
    let expected = "the instruction does not wait in the gross lane's queues";
    assert_eq!(refused.to_string(), expected);
    // It keeps its place in time among those of its new priority.
    let three = world.submit("A -> C 1.00 EUR, id=3, high");
    set(&mut world, "A", 1, Priority::High).unwrap();
    world.money("deposit A 1.00 EUR");
    assert_eq!(world.status(one.sequence), "settled 1");
    assert_eq!(world.status(three.sequence), "liquidity");
    world.finish();
}

fn keep(world: &mut World, bank: &str, priority: Priority, amount: i64) -> Result<u32, String> {
    let line = Reservation {
        participant: bic("A"),
        asset: code("EUR"),
        priority,
        amount,
    };
    let by = Caller::Participant(bic(bank));
    let answer = world.command(by, Action::SetReservation(line));
    answer
        .map(|answer| answer.changes)
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn what_is_kept_for_a_priority_serves_it_and_those_above() {
    let mut world = World::new();
    world.money("deposit A 10.00 EUR");
    assert_eq!(keep(&mut world, "A", Priority::Urgent, 3_00), Ok(1));
    assert_eq!(keep(&mut world, "A", Priority::Urgent, 3_00), Ok(0));
    assert_eq!(keep(&mut world, "A", Priority::High, 2_00), Ok(1));
    for (bank, priority, amount, refused) in [
        (
            "B",
            Priority::High,
            1,
            "only the account's participant keeps it",
        ),
        ("A", Priority::Normal, 1, "priority: is not high or urgent"),
        ("A", Priority::High, -1, "amount: is below zero"),
    ] {
        let answer = keep(&mut world, bank, priority, amount);
        assert_eq!(answer, Err(refused.to_owned()));
    }
    assert_eq!(world.send("A -> B 5.00 EUR"), "settled 1");
    let normal = world.submit("A -> B 0.01 EUR");
    assert_eq!(words(&normal), "liquidity");
    // One that brings more than it takes is never held back.
    world.money("deposit B 1.00 EUR");
    assert_eq!(world.send("A -> B 2.00 EUR, high"), "settled 1");
    assert_eq!(world.send("A -> B 0.01 EUR, high, id=1"), "liquidity");
    assert_eq!(world.send("A -> B 3.00 EUR, urgent"), "settled 1");
    assert_eq!(world.balance("A", "EUR"), (0, 0));
    world.money("deposit A 3.02 EUR");
    // The high one; the normal one would touch what is kept for it.
    assert_eq!(world.balance("A", "EUR"), (3_01, 0));
    assert_eq!(world.status(normal.sequence), "liquidity");
    keep(&mut world, "A", Priority::High, 0).unwrap();
    assert_eq!(world.status(normal.sequence), "settled 1");
    world.finish();
}

#[test]
fn gridlock_leaves_what_is_kept() {
    for (kept, expected) in [(0, "settled 1"), (1, "liquidity")] {
        let mut world = World::new();
        keep(&mut world, "A", Priority::Urgent, kept).unwrap();
        // Each waits for the other; together they need nothing, but would leave A nothing either.
        let one = world.submit("A -> B 5.00 EUR");
        let two = world.submit("B -> A 5.00 EUR");
        world.tick();
        for sent in [&one, &two] {
            assert_eq!(world.status(sent.sequence), expected);
        }
        // Urgent ones may use it, whatever waits behind them.
        let three = world.submit("A -> C 1.00 EUR, urgent");
        let four = world.submit("C -> A 1.00 EUR, urgent");
        world.tick();
        for sent in [&three, &four] {
            assert!(world.status(sent.sequence).starts_with("settled"));
        }
        world.finish();
    }
}
