//! Conditions as data: what waits for what, who makes it true, which place it takes, and how it ends.

use super::*;

impl World {
    pub(super) fn identity(&self, bank: &str, id: u64) -> Identity {
        Identity {
            uetr: uetr(1_000_000 + id),
            instructing: bic(bank),
            kind: Kind::Payment,
        }
    }

    pub(super) fn approve(
        &mut self,
        by: &str,
        bank: &str,
        id: u64,
    ) -> Result<CommandAnswer, Refusal> {
        let identity = self.identity(bank, id);
        self.command(Caller::Participant(bic(by)), Action::Approve(identity))
    }

    pub(super) fn show(
        &mut self,
        bank: &str,
        id: u64,
        word: &str,
    ) -> Result<CommandAnswer, Refusal> {
        let action = Action::ShowPreimage {
            identity: self.identity(bank, id),
            preimage: word.as_bytes().to_vec(),
        };
        self.command(Caller::Participant(bic("E")), action)
    }

    pub(super) fn cancel(&mut self, bank: &str, id: u64) -> Result<CommandAnswer, Refusal> {
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
