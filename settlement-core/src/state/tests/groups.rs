//! Groups: several instructions, of one bank or more, that settle together or not at all.

use super::*;

#[test]
fn a_group_settles_whole_or_not_at_all() {
    let mut world = World::new();
    world.money("deposit A 5.00 EUR");
    world.money("deposit B 5.00 USD");
    let one = world.submit("A -> B 5.00 EUR, id=1, group=g/3");
    let two = world.submit("B -> C 5.00 USD, id=2, group=g/3");
    // Of another group, though its name is the same.
    assert_eq!(world.send("B -> C 5.00 USD, id=9, group=g/2"), "group");
    assert_eq!(
        (words(&one).as_str(), words(&two).as_str()),
        ("group", "group")
    );
    // C's payment uses what the group brings it: together they can pay.
    let three = world.submit("C -> A 2.00 USD, id=3, group=g/3");
    assert_eq!(words(&three), "settled 1");
    for sent in [&one, &two] {
        assert_eq!(world.status(sent.sequence), "settled 1");
    }
    assert_eq!(world.balance("C", "USD"), (3_00, 0));
    // Two deposits and three leaves.
    world.tick();
    assert_eq!(world.leaves[&1], 5);
    world.finish();
}

#[test]
fn a_group_is_one_unit_at_its_last_members_place() {
    let mut world = World::new();
    let one = world.submit("A -> B 5.00 EUR, id=1, group=g/2, high");
    let before = world.submit("A -> C 1.00 EUR");
    let two = world.submit("A -> D 5.00 EUR, id=2, group=g/2");
    // The group ranks as its lowest member does.
    assert_eq!(world.status(one.sequence), "order");
    assert_eq!(words(&two), "order");
    world.money("deposit A 10.99 EUR");
    assert_eq!(world.status(before.sequence), "settled 1");
    assert_eq!(world.status(one.sequence), "liquidity");
    world.money("deposit A 0.01 EUR");
    for sent in [&one, &two] {
        assert_eq!(world.status(sent.sequence), "settled 1");
    }
    assert_eq!(world.balance("A", "EUR"), (0, 0));
    world.finish();
}

#[test]
fn a_group_that_expires_takes_all_its_members_along() {
    for (second, expected) in [
        ("B -> A 1.00 EUR, group=g/3", "NARR GroupIncomplete"),
        (
            "B -> A 1.00 EUR, group=g/3, approvers=1/C",
            "NARR GroupIncomplete",
        ),
    ] {
        let mut world = World::new();
        let first = world.submit("A -> B 1.00 EUR, group=g/3, until=2h");
        let second = world.submit(second);
        world.at(2).tick();
        assert_eq!(world.status(first.sequence), "NARR GroupIncomplete");
        assert_eq!(world.status(second.sequence), expected);
        world.finish();
    }
    // Complete, it expires as a whole in the queue.
    let mut world = World::new();
    let first = world.submit("A -> B 1.00 EUR, group=g/2, until=2h");
    let second = world.submit("B -> C 1.00 EUR, group=g/2");
    assert_eq!(world.status(first.sequence), "liquidity");
    world.at(2).tick();
    for sent in [&first, &second] {
        assert_eq!(world.status(sent.sequence), "AB03 ExpiredInQueue");
    }
    world.finish();
}

#[test]
fn a_complete_group_is_cancelled_by_its_only_bank_alone() {
    let mut world = World::new();
    world.send("A -> B 1.00 EUR, id=1, group=g/2");
    // Incomplete, a member leaves; another takes its place.
    assert_eq!(world.cancel("A", 1).unwrap().changes, 1);
    world.send("A -> B 1.00 EUR, id=2, group=g/2");
    world.send("B -> A 2.00 EUR, id=3, group=g/2");
    let refused = world.cancel("A", 2).unwrap_err().to_string();
    let expected = "the group is complete: one of its banks alone cannot cancel it";
    assert_eq!(refused, expected);
    world.send("A -> B 1.00 EUR, id=4, group=h/2");
    world.send("A -> C 1.00 EUR, id=5, group=h/2");
    assert_eq!(world.cancel("A", 4).unwrap().changes, 1);
    assert_eq!(world.cancel("A", 5).unwrap().changes, 0);
    world.finish();
}

#[test]
fn suspension_holds_the_whole_group() {
    let mut world = World::new();
    let one = world.submit("A -> B 1.00 EUR, id=1, group=g/2");
    let two = world.submit("C -> D 1.00 EUR, id=2, group=g/2");
    // One that has not formed: its member is held, and it forms when both are free again.
    let three = world.submit("A -> B 1.00 EUR, id=3, group=h/2");
    world.suspend("A");
    for sent in [&one, &two, &three] {
        assert_eq!(world.status(sent.sequence), "held");
    }
    let four = world.submit("C -> D 1.00 EUR, id=4, group=h/2");
    assert_eq!(words(&four), "group");
    world.money("deposit C 9.00 EUR");
    world.reinstate("A");
    for sent in [&one, &three, &four] {
        let status = world.status(sent.sequence);
        assert!(
            ["liquidity", "order"].contains(&status.as_str()),
            "{status}"
        );
    }
    world.money("deposit A 2.00 EUR");
    for sent in [&one, &two, &three, &four] {
        assert_eq!(world.status(sent.sequence), "settled 1");
    }
    world.finish();
}

#[test]
fn a_group_in_a_cycle_settles_in_one_run_with_a_leaf_for_each_member() {
    for (paid, expected) in [("1.99", "irrevocable 1"), ("2.00", "settled 2")] {
        let mut world = World::with_cycle();
        let one = world.submit("A -> B 1.00 EUR, net, group=g/2");
        let two = world.submit("A -> C 1.00 EUR, net, group=g/2");
        assert_eq!(world.status(one.sequence), "member 1");
        assert_eq!(world.view(cycle(1)).members, 2);
        world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
        world.operate(Action::NetCycle(cycle(1))).unwrap();
        world.money(&format!("pay-in A {paid} EUR 1"));
        world.at(3).run();
        for sent in [&one, &two] {
            assert_eq!(world.status(sent.sequence), expected);
        }
        world.at(4).operate(Action::SettleCycle(cycle(1))).unwrap();
        let last = if paid == "2.00" {
            "settled 2"
        } else {
            "AB03 ExpiredInQueue"
        };
        assert_eq!(world.status(two.sequence), last);
        world.finish();
    }
}
