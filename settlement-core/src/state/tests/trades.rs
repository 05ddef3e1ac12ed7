//! Trades: two sides under two UETRs become one unit.

use super::*;

#[test]
fn two_equal_sides_match_and_settle_together() {
    let mut world = World::new();
    world.money("deposit A 110.00 USD");
    world.money("deposit B 100.00 EUR");
    let first = world.submit("A -> B 110.00 USD + B -> A 100.00 EUR, trade=T1, id=1");
    assert_eq!(
        (words(&first).as_str(), first.matched_with),
        ("unmatched", None)
    );
    for other in [
        "A -> B 110.00 USD + B -> A 100.00 EUR, trade=T2, by=B",
        "A -> B 110.01 USD + B -> A 100.00 EUR, trade=T1, by=B",
        "A -> B 110.00 USD + B -> A 100 JPY, trade=T1, by=B",
        // The same bank's own twin is no counterparty.
        "A -> B 110.00 USD + B -> A 100.00 EUR, trade=T1",
    ] {
        assert_eq!(world.send(other), "unmatched", "{other}");
    }
    // Its legs may come the other way round.
    let second = world.submit("B -> A 100.00 EUR + A -> B 110.00 USD, trade=T1");
    assert_eq!(
        (words(&second).as_str(), second.matched_with),
        ("settled 1", Some(first.sequence))
    );
    let first = world.submit("A -> B 110.00 USD + B -> A 100.00 EUR, trade=T1, id=1");
    assert_eq!(
        (words(&first).as_str(), first.matched_with),
        ("settled 1 again", Some(second.sequence))
    );
    assert_eq!(
        (world.balance("A", "EUR"), world.balance("B", "USD")),
        ((100_00, 0), (110_00, 0))
    );
    // The twin is next in line, and waits for money as one unit.
    let third = world.submit("B -> A 100.00 EUR + A -> B 110.00 USD, trade=T1");
    assert_eq!(words(&third), "liquidity");
    // It takes its place when it matches: what came before it goes first.
    assert_eq!(world.send("B -> C 1.00 EUR"), "order");
    world.money("deposit B 100.00 EUR");
    assert_eq!(world.status(third.sequence), "liquidity");
    world.money("deposit A 110.00 USD");
    assert_eq!(world.status(third.sequence), "settled 1");
    world.finish();
}

#[test]
fn a_matched_trade_is_not_cancelled_by_one_side() {
    let mut world = World::with_cycle();
    let trade = "A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, net";
    assert_eq!(world.send(&format!("{trade}, id=1")), "unmatched");
    let cancel = Action::Cancel {
        uetr: uetr(1_000_001),
        kind: Kind::TradeSide,
    };
    let by = Caller::Participant(bic("A"));
    assert_eq!(world.command(by, cancel).unwrap().changes, 1);
    // A cancelled side matches nothing.
    assert_eq!(world.send(&format!("{trade}, by=B, id=2")), "unmatched");
    assert_eq!(world.send(&format!("{trade}, id=3")), "member 1");
    for (bank, id) in [("B", 2), ("A", 3)] {
        let cancel = Action::Cancel {
            uetr: uetr(1_000_000 + id),
            kind: Kind::TradeSide,
        };
        let refused = world
            .command(Caller::Participant(bic(bank)), cancel)
            .unwrap_err();
        let expected = "the trade is matched: one side alone cannot cancel it";
        assert_eq!(refused.to_string(), expected);
    }
    assert_eq!(world.view(cycle(1)).members, 2);
    world.finish();
}

#[test]
fn unmatched_sides_are_rejected_at_the_cut_off() {
    let mut world = World::with_cycle();
    let net = world
        .submit("A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, net")
        .sequence;
    let gross = world
        .submit("A -> B 1.00 USD + B -> A 1.00 EUR, trade=T")
        .sequence;
    world.now = Timestamp(MORNING.0 + 2 * HOUR_MS - 1);
    world.tick();
    assert_eq!(
        [world.status(net), world.status(gross)],
        ["unmatched", "unmatched"]
    );
    world.at(2).tick();
    assert_eq!(
        [world.status(net), world.status(gross)],
        ["NARR Unmatched", "unmatched"]
    );
    world.at(15).tick();
    assert_eq!(world.status(gross), "NARR Unmatched");
    world.finish();
}

#[test]
fn an_unmatched_side_waits_for_the_next_cycle() {
    let mut world = World::with_cycle();
    let later = Action::OpenCycle {
        cycle: cycle(2),
        cut_off: Some(Timestamp(MORNING.0 + 5 * HOUR_MS)),
        pay_in_deadline: Some(Timestamp(MORNING.0 + 6 * HOUR_MS)),
        completion_deadline: Some(Timestamp(MORNING.0 + 7 * HOUR_MS)),
    };
    world.operate(later).unwrap();
    let side = world
        .submit("A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, net")
        .sequence;
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    assert_eq!(world.status(side), "unmatched");
    assert_eq!(
        world.send("A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, net, by=B"),
        "member 2"
    );
    assert_eq!(world.status(side), "member 2");
    world.finish();
}

#[test]
fn each_side_counts_towards_its_own_cap() {
    let mut world = World::new();
    for (bank, other, asset) in [("A", "B", "USD"), ("B", "A", "EUR")] {
        let line = LimitLine {
            participant: bic(bank),
            asset: code(asset),
            counterparty: Some(bic(other)),
            amount: Some(10_00),
        };
        world.operate(Action::SetLimit(line)).unwrap();
    }
    let trade = "A -> B 10.00 USD + B -> A 11.00 EUR, trade=T";
    assert_eq!(world.send(trade), "unmatched");
    assert_eq!(
        world.send(&format!("{trade}, by=B")),
        "AM14 AboveBilateralCap"
    );
    assert_eq!(
        world.send(&format!("{trade}, id=9")),
        "AM14 AboveBilateralCap"
    );
    world.at(15).tick();
    world.now.0 = MORNING.0 + 72 * HOUR_MS;
    assert_eq!(world.send("A -> B 10.00 USD"), "liquidity");
    world.finish();
}

#[test]
fn a_side_uses_no_cap_of_the_other() {
    let mut world = World::new();
    for (bank, other, asset) in [("A", "B", "USD"), ("B", "A", "EUR")] {
        let line = LimitLine {
            participant: bic(bank),
            asset: code(asset),
            counterparty: Some(bic(other)),
            amount: Some(10_00),
        };
        world.operate(Action::SetLimit(line)).unwrap();
    }
    let trade = "A -> B 10.00 USD + B -> A 10.00 EUR, trade=T";
    assert_eq!(world.send(trade), "unmatched");
    assert_eq!(world.send(&format!("{trade}, by=B")), "liquidity");
    // Together they have used both.
    assert_eq!(world.send("A -> B 0.01 USD"), "AM14 AboveBilateralCap");
    assert_eq!(world.send("B -> A 0.01 EUR"), "AM14 AboveBilateralCap");
    world.finish();
}

#[test]
fn a_trade_has_the_lower_priority_of_its_sides() {
    let mut world = World::new();
    world.money("deposit A 5.00 USD");
    world.money("deposit B 5.00 EUR");
    assert_eq!(world.send("A -> C 6.00 USD"), "liquidity");
    let trade = "A -> B 1.00 USD + B -> A 1.00 EUR, trade=T";
    assert_eq!(world.send(&format!("{trade}, urgent")), "unmatched");
    // A's earlier payment is not overtaken by a trade that B ranks as it.
    assert_eq!(world.send(&format!("{trade}, by=B")), "order");
    assert_eq!(world.send(&format!("{trade}, urgent, id=5")), "unmatched");
    assert_eq!(
        world.send(&format!("{trade}, urgent, by=B, id=6")),
        "settled 1"
    );
    world.finish();
}
