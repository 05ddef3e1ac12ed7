//! Conditions as data: what waits for what, who makes it true, which place it takes, and how it ends.

use super::*;

impl World {
    fn identity(&self, bank: &str, id: u64) -> Identity {
        Identity {
            uetr: uetr(1_000_000 + id),
            instructing: bic(bank),
            kind: Kind::Payment,
        }
    }

    fn approve(&mut self, by: &str, bank: &str, id: u64) -> Result<CommandAnswer, Refusal> {
        let identity = self.identity(bank, id);
        self.command(Caller::Participant(bic(by)), Action::Approve(identity))
    }

    fn show(&mut self, bank: &str, id: u64, word: &str) -> Result<CommandAnswer, Refusal> {
        let action = Action::ShowPreimage {
            identity: self.identity(bank, id),
            preimage: word.as_bytes().to_vec(),
        };
        self.command(Caller::Participant(bic("E")), action)
    }

    fn cancel(&mut self, bank: &str, id: u64) -> Result<CommandAnswer, Refusal> {
        let action = Action::Cancel {
            uetr: uetr(1_000_000 + id),
            kind: Kind::Payment,
        };
        self.command(Caller::Participant(bic(bank)), action)
    }
}

/// What an instruction on entry says, and what after the hours are over and a tick has come.
fn check(line: &str, on_entry: &str, later: &[(i64, &str)]) {
    let mut world = World::with_cycle();
    world.money("deposit A 100.00 EUR");
    let answer = world.submit(line);
    let plain = |status: String| {
        status
            .trim_end_matches(" 2")
            .trim_end_matches(" 1")
            .to_owned()
    };
    assert_eq!(plain(words(&answer)), on_entry, "{line}");
    for (hours, expected) in later {
        world.at(*hours).tick();
        let status = plain(world.status(answer.sequence));
        assert_eq!(&status, expected, "{line} after {hours} h");
    }
    world.finish();
}

#[test]
fn each_condition_holds_an_instruction_and_ends_it_with_its_own_reason() {
    let settled = "settled";
    for (conditions, on_entry, later) in [
        ("after=2h", "not before", [(1, "not before"), (2, settled)]),
        // It is true already.
        ("after=0h", settled, [(1, settled), (2, settled)]),
        (
            "approvers=1/B",
            "approval",
            [(14, "approval"), (15, "DS24 ApprovalsMissing")],
        ),
        (
            "approvers=1/B, until=2h",
            "approval",
            [(1, "approval"), (2, "DS24 ApprovalsMissing")],
        ),
        (
            "lock=x, until=2h",
            "preimage",
            [(1, "preimage"), (2, "NARR PreimageMissing")],
        ),
        (
            "group=g/2, until=2h",
            "group",
            [(1, "group"), (2, "NARR GroupIncomplete")],
        ),
        (
            "lock=x, approvers=1/B, after=1h, until=2h",
            "approval",
            [(1, "approval"), (2, "DS24 ApprovalsMissing")],
        ),
        ("document=x", settled, [(1, settled), (2, settled)]),
        (
            "until=0h",
            "NARR ConditionsNeverTrue",
            [(1, "NARR ConditionsNeverTrue"); 2],
        ),
        (
            "after=2h, until=2h",
            "NARR ConditionsNeverTrue",
            [(1, "NARR ConditionsNeverTrue"); 2],
        ),
        (
            "after=15h",
            "NARR ConditionsNeverTrue",
            [(1, "NARR ConditionsNeverTrue"); 2],
        ),
        (
            "approvers=1/B/XXXXUS33",
            "NARR ApproverUnknown",
            [(1, "NARR ApproverUnknown"); 2],
        ),
        // Net: a member only when its last condition is true; then it is late, or in time.
        (
            "net, after=1h",
            "not before",
            [(1, "member"), (2, "member")],
        ),
        (
            "net, after=2h",
            "not before",
            [(1, "not before"), (2, "TM01 PastCutOff")],
        ),
        (
            "net, approvers=1/B",
            "approval",
            [(1, "approval"), (2, "DS24 ApprovalsMissing")],
        ),
        (
            "net, group=g/2",
            "group",
            [(1, "group"), (2, "NARR GroupIncomplete")],
        ),
        ("net, until=1h", "member", [(1, "AB03 ExpiredInQueue"); 2]),
        (
            "net, until=3h",
            "member",
            [(1, "member"), (3, "AB03 ExpiredInQueue")],
        ),
    ] {
        check(&format!("A -> B 1.00 EUR, {conditions}"), on_entry, &later);
    }
}

#[test]
fn approvals_count_each_named_participant_once() {
    let mut world = World::new();
    world.money("deposit A 1.00 EUR");
    let sent = world.submit("A -> B 1.00 EUR, id=1, approvers=2/B/C/D");
    assert_eq!(words(&sent), "approval");
    let refused = world.approve("E", "A", 1).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the instruction does not name the caller as approver"
    );
    assert_eq!(world.approve("B", "A", 1).unwrap().changes, 1);
    assert_eq!(world.approve("B", "A", 1).unwrap().changes, 0);
    assert_eq!(world.status(sent.sequence), "approval");
    world.suspend("C");
    let refused = world.approve("C", "A", 1).unwrap_err().to_string();
    assert_eq!(refused, "the caller is suspended");
    // The second of three: the approval, the release and its entry.
    assert_eq!(world.approve("D", "A", 1).unwrap().changes, 2);
    assert_eq!(world.status(sent.sequence), "settled 1");
    let refused = world.approve("D", "A", 1).unwrap_err().to_string();
    assert_eq!(refused, "the instruction waits for no such condition");
    world.finish();
}

#[test]
fn a_hash_lock_opens_by_its_preimage_alone() {
    let mut world = World::new();
    world.money("deposit A 1.00 EUR");
    let sent = world.submit("A -> B 1.00 EUR, id=1, lock=secret");
    for (word, refused) in [
        (
            "wrong",
            "preimage: its SHA-256 is not the instruction's hash lock",
        ),
        ("", "preimage: is not of 1 to 256 bytes"),
    ] {
        assert_eq!(world.show("A", 1, word).unwrap_err().to_string(), refused);
    }
    assert_eq!(world.show("A", 1, "secret").unwrap().changes, 2);
    assert_eq!(world.status(sent.sequence), "settled 1");
    world.finish();
}

#[test]
fn what_waits_for_a_condition_blocks_nobody_and_comes_after_all_that_did_not() {
    let mut world = World::new();
    let first = world.submit("A -> B 1.00 EUR, id=1, approvers=1/B");
    let second = world.submit("A -> C 1.00 EUR");
    let third = world.submit("A -> D 1.00 EUR, id=3, approvers=1/B");
    assert_eq!(words(&second), "liquidity");
    // The third is ready before the first.
    world.approve("B", "A", 3).unwrap();
    world.approve("B", "A", 1).unwrap();
    let fifth = world.submit("A -> B 1.00 EUR");
    for next in [&second, &third, &first, &fifth] {
        assert_eq!(world.status(next.sequence), "liquidity");
        world.money("deposit A 1.00 EUR");
        assert_eq!(world.status(next.sequence), "settled 1");
    }
    world.finish();
}

#[test]
fn the_same_place_holds_in_a_cycle() {
    let mut world = World::with_cycle();
    let first = world.submit("A -> B 1.00 EUR, id=1, net, approvers=1/B");
    let second = world.submit("A -> C 1.00 EUR, net");
    world.approve("B", "A", 1).unwrap();
    let third = world.submit("A -> D 1.00 EUR, id=3, net");
    assert_eq!(world.status(first.sequence), "member 1");
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    world.money("pay-in A 2.00 EUR 1");
    world.at(3).run();
    for (sent, expected) in [
        (&second, "settled 2"),
        (&first, "settled 2"),
        (&third, "irrevocable 1"),
    ] {
        assert_eq!(world.status(sent.sequence), expected);
    }
    world.finish();
}

#[test]
fn a_member_that_took_its_place_late_is_found_again() {
    let mut world = World::with_cycle();
    world.send("A -> B 1.00 EUR, id=1, net, approvers=1/B");
    world.send("A -> C 1.00 EUR, id=2, net");
    world.approve("B", "A", 1).unwrap();
    world.send("A -> C 1.00 EUR, id=3, net");
    for id in [1, 2, 3] {
        assert_eq!(world.cancel("A", id).unwrap().changes, 1);
    }
    assert_eq!(world.view(cycle(1)).members, 0);
    world.finish();
}

#[test]
fn a_document_is_taken_until_its_instruction_is_rejected_or_cancelled() {
    let mut world = World::new();
    world.money("deposit A 9.00 EUR");
    let taken = "NARR DocumentHashTaken";
    let line = "A -> B 1.00 EUR, document=invoice";
    assert_eq!(
        world.send(&format!("{line}, id=1, approvers=1/B")),
        "approval"
    );
    assert_eq!(world.send(&format!("{line}, by=A")), taken);
    world.cancel("A", 1).unwrap();
    assert_eq!(world.send(&format!("{line}, until=1h, lock=x")), "preimage");
    assert_eq!(world.send(line), taken);
    world.at(1).tick();
    assert_eq!(world.send(line), "settled 2");
    world.at(30).tick();
    assert_eq!(
        world.send("C -> B 1.00 EUR, document=invoice"),
        "DT03 NoBusinessDay"
    );
    world.at(72).tick();
    // For good.
    assert_eq!(world.send("C -> B 1.00 EUR, document=invoice"), taken);
    world.finish();
}

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

#[test]
fn a_trade_waits_for_both_sides_conditions_then_for_its_group() {
    let mut world = World::new();
    world.money("deposit A 1.00 USD");
    world.money("deposit B 9.00 EUR");
    let trade = "A -> B 1.00 USD + B -> A 2.00 EUR, trade=T";
    let first = world.submit(&format!("{trade}, lock=x"));
    let second = world.submit(&format!("{trade}, by=B, after=1h"));
    assert_eq!(
        (words(&first).as_str(), words(&second).as_str()),
        ("preimage", "not before")
    );
    let show = Action::ShowPreimage {
        identity: first.identity,
        preimage: b"x".to_vec(),
    };
    world.operate(show).unwrap();
    assert_eq!(world.status(first.sequence), "unmatched");
    world.at(1).tick();
    assert_eq!(world.status(first.sequence), "settled 1");
    assert_eq!(world.status(second.sequence), "settled 1");
    // In a group each side counts; sides of different groups do not match.
    let trade = "A -> B 1.00 USD + B -> A 2.00 EUR, trade=U, group=g/3";
    let first = world.submit(trade);
    let other = world.submit(&trade.replace("g/3", "g/4, by=B"));
    assert_eq!(words(&other), "unmatched");
    let second = world.submit(&format!("{trade}, by=B"));
    assert_eq!(words(&second), "group");
    assert_eq!(world.status(first.sequence), "group");
    let third = world.submit("B -> A 1.00 USD, group=g/3");
    assert_eq!(words(&third), "settled 2");
    assert_eq!(world.status(first.sequence), "settled 2");
    world.finish();
}

#[test]
fn a_later_value_date_is_a_condition_of_the_gross_lane() {
    let mut world = World::new();
    world.money("deposit A 1.00 EUR");
    let line = "A -> B 1.00 EUR, date=2026-11-23";
    assert_eq!(world.send(line), "DT04 ValueDateTooFarAhead");
    assert_eq!(
        world.send(&format!("{line}, after=1h")),
        "DT04 ValueDateTooFarAhead"
    );
    let sent = world.submit(&format!("{line}, after=63h"));
    assert_eq!(words(&sent), "not before");
    world.at(62).tick();
    assert_eq!(world.status(sent.sequence), "not before");
    world.at(63).tick();
    assert_eq!(world.status(sent.sequence), "settled 2");
    world.finish();
}

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
