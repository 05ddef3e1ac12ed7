//! What is said of instructions that are in no queue yet, and of parts of groups.

use super::*;
use crate::state::RunScope;

/// `test: who has approved / who has not / how many must; hash; not before; until; group missing`, in hours
/// after the morning.
fn awaited(view: &ExplanationView) -> String {
    let hours = |at: Timestamp| format!("{}h", (at.0 - MORNING.0) / HOUR_MS);
    let Some(awaited) = &view.awaited else {
        return view.test.name().to_owned();
    };
    let letters = |bics: &[Bic]| -> String {
        let first = |bic: &Bic| bic.to_string().chars().next();
        bics.iter().filter_map(first).collect()
    };
    let progress = &awaited.progress;
    let mut words = vec![format!("{}:", view.test.name())];
    if !progress.approvals_missing.is_empty() {
        let (approved, missing) = (&progress.approved_by, &progress.approvals_missing);
        words.push(format!(
            "{}/{}/{}",
            letters(approved),
            letters(missing),
            progress.approvals_outstanding
        ));
    }
    words.extend(
        awaited
            .hash_lock
            .map(|hash| format!("{hash:?}")[..4].to_owned()),
    );
    words.extend(awaited.not_before.map(|at| format!("after {}", hours(at))));
    words.extend(awaited.until.map(|at| format!("until {}", hours(at))));
    if let Some(group) = awaited.group {
        words.push(format!("{} of {}", awaited.group_missing, group.members));
    }
    words.join(" ")
}

fn explained(world: &World, sequence: Sequence) -> String {
    let view = world.frozen().explain(sequence);
    view.as_ref().map_or("-".to_owned(), awaited)
}

#[test]
fn what_waits_for_a_condition_says_for_what() {
    // Today ends 15 hours after the morning; the cycle cuts off after two.
    for (line, expected) in [
        (
            "A -> B 1.00 USD, approvers=2/B/C/D",
            "approval: /BCD/2 until 15h",
        ),
        (
            "A -> B 1.00 USD, approvers=1/B, until=3h, net",
            "approval: /B/1 until 2h",
        ),
        ("A -> B 1.00 USD, lock=word", "preimage: 98c1 until 15h"),
        (
            "A -> B 1.00 USD, after=1h, net",
            "not_before: after 1h until 2h",
        ),
        (
            "A -> B 1.00 USD, after=1h, lock=word, until=2h",
            "preimage: 98c1 after 1h until 2h",
        ),
        (
            "A -> B 1.00 USD, group=g/3",
            "group_incomplete: until 15h 2 of 3",
        ),
        (
            "A -> B 1.00 USD, group=g/3, approvers=1/C",
            "approval: /C/1 until 15h 3 of 3",
        ),
        (
            "A -> B 1.00 USD + B -> A 1.00 EUR, trade=T",
            "unmatched: until 15h",
        ),
        (
            "A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, net",
            "unmatched: until 2h",
        ),
        ("A -> B 1.00 USD", "floor"),
        ("A -> B 0.00 USD", "-"),
    ] {
        let mut world = World::with_cycle();
        let sent = world.submit(line);
        assert_eq!(explained(&world, sent.sequence), expected, "{line}");
        let scope = match line.contains("net") {
            true => RunScope::Cycle(cycle(1)),
            false => RunScope::Gross,
        };
        let listed = world.frozen().explain_all(scope, None, 0, 9, false);
        let listed: Vec<_> = listed.unwrap().iter().map(awaited).collect();
        let waits = (expected != "-").then(|| expected.to_owned());
        assert_eq!(listed, Vec::from_iter(waits), "{line}");
        world.finish();
    }
}

#[test]
fn approvals_that_came_are_told() {
    let mut world = World::new();
    let sent = world.submit("A -> B 1.00 USD, approvers=2/B/C/D, id=1");
    let identity = sent.identity;
    let approve = Action::Approve(identity);
    world
        .command(Caller::Participant(bic("C")), approve)
        .unwrap();
    assert_eq!(
        explained(&world, sent.sequence),
        "approval: C/BD/1 until 15h"
    );
    world
        .operate(Action::SetParticipantState {
            bic: bic("B"),
            state: ParticipantState::Suspended,
            reason: "test".to_owned(),
        })
        .unwrap();
    let view = world.frozen().explain(sent.sequence).unwrap();
    assert_eq!((view.test, view.participant), (BindingTest::Held, bic("B")));
    world.finish();
}

/// Who may ask: the sender, whom it debits or credits, and who may approve it.
#[test]
fn those_who_are_asked_may_ask() {
    let mut world = World::new();
    world.submit("A -> B 1.00 USD, approvers=1/C, id=1");
    let asked = |by: &str| {
        let frozen = world.frozen();
        frozen
            .explain_uetr(uetr(1_000_001), Some(bic(by)))
            .is_some()
    };
    assert_eq!(["A", "B", "C", "D"].map(asked), [true, true, true, false]);
    let listed = |by: &str| {
        let frozen = world.frozen();
        let listed = frozen.explain_all(RunScope::Gross, Some(bic(by)), 0, 9, false);
        listed.unwrap().len()
    };
    assert_eq!(["A", "B", "C", "D"].map(listed), [1, 1, 1, 0]);
    world.finish();
}

/// `test [group] [behind]` of each that waits.
fn listed(world: &World, scope: RunScope, of: Option<&str>) -> Vec<String> {
    let frozen = world.frozen();
    let views = frozen.explain_all(scope, of.map(bic), 0, 99, true).unwrap();
    let line = |view: &ExplanationView| {
        let test = match view.behind {
            Some(behind) if view.by_group => format!("group {}", behind.0),
            Some(behind) => format!("order {}", behind.0),
            None => view.test.name().to_owned(),
        };
        format!("{} {test}", view.answer.sequence.0)
    };
    views.iter().map(line).collect()
}

#[test]
fn a_part_of_a_group_says_which_other_part_holds_it() {
    for lane in ["", ", net"] {
        let mut world = World::with_cycle();
        let scope = match lane {
            "" => RunScope::Gross,
            _ => RunScope::Cycle(cycle(1)),
        };
        let money = ["deposit B 5.00 EUR", "pay-in B 5.00 EUR 1"][lane.len().min(1)];
        world.money(money);
        let mut send = |line: &str| world.submit(&format!("{line}{lane}")).sequence.0;
        let one = send("A -> B 25.00 USD, group=g/2");
        let two = send("B -> C 5.00 EUR, group=g/2");
        let three = send("B -> A 1.00 EUR");
        let four = send("A -> D 1.00 USD");
        let all = [
            format!("{one} floor"),
            format!("{two} group {one}"),
            format!("{three} order {two}"),
            format!("{four} floor"),
        ];
        assert_eq!(listed(&world, scope, None), all, "{lane}");
        // Each bank hears of its own parts.
        assert_eq!(listed(&world, scope, Some("C")), [all[1].clone()], "{lane}");
        let frozen = world.frozen();
        let page = frozen.explain_all(scope, None, 1, 2, true).unwrap();
        let page: Vec<u64> = page.iter().map(|view| view.answer.sequence.0).collect();
        assert_eq!(page, [two, three], "{lane}");
        let parted = frozen.explain(Sequence(two)).unwrap();
        assert!(parted.by_group && parted.smallest_pay_in.is_some());
        world.finish();
    }
}
