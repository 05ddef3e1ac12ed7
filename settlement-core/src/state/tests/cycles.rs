//! Cycles: opening to completion, funding, runs, who is left behind, and a bank that fails.

use super::*;
use fx::Pair;
use rust_decimal::Decimal;

/// The five trades among A, B and C, whose prefunded outcomes are known by brute force.
const TRADES: [&str; 5] = [
    "A -> B 99000000.00 USD + B -> A 90000000.00 EUR, trade=T1",
    "B -> A 88000000.00 USD + A -> B 80000000.00 EUR, trade=T2",
    "A -> C 66000000.00 USD + C -> A 8250000000 JPY, trade=T3",
    "A -> B 11000000.00 USD + B -> A 10000000.00 EUR, trade=T4",
    "C -> B 22000000.00 USD + B -> C 20000000.00 EUR, trade=T5",
];

/// A cycle that is scheduled with the five trades: both sides sent, at the rates EUR/USD 1.10 and USD/JPY 125.
fn scheduled() -> (World, Vec<Sequence>) {
    let mut world = World::with_cycle();
    let rate = |pair: &str, rate: &str| RateLine {
        pair: Pair::parse(pair).unwrap(),
        bid: Decimal::from_str_exact(rate).unwrap(),
        ask: Decimal::from_str_exact(rate).unwrap(),
        time: MORNING,
        source: "test".to_owned(),
        size_max: None,
    };
    let rates = vec![rate("EUR/USD", "1.10"), rate("USD/JPY", "125")];
    world.operate(Action::SetRates(rates)).unwrap();
    let mut trades = Vec::new();
    for trade in TRADES {
        let other = trade
            .split(" + ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert_eq!(world.send(&format!("{trade}, net")), "unmatched");
        let second = world.submit(&format!("{trade}, net, by={other}"));
        assert_eq!(words(&second), "member 1");
        trades.push(second.sequence);
    }
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    (world, trades)
}

fn settle(world: &mut World) -> Result<CommandAnswer, Refusal> {
    world.operate(Action::SettleCycle(cycle(1)))
}

fn statuses(world: &World, trades: &[Sequence]) -> String {
    let letter = |sequence: &Sequence| match world.state.status_of(*sequence).unwrap() {
        Status::Settled { .. } => 'S',
        Status::Irrevocable(_) => 'I',
        Status::Member(_) => 'M',
        Status::Rejected(_) => 'R',
        Status::Waiting(Waiting::Held) => 'H',
        other => panic!("{other:?}"),
    };
    trades.iter().map(letter).collect()
}

fn funds(world: &World) -> Vec<String> {
    let view = world.view(cycle(1));
    let held = view.positions.iter().filter(|position| position.fund != 0);
    held.map(|position| {
        let bank = BANKS
            .iter()
            .find(|(_, name)| bic(name) == position.participant)
            .unwrap()
            .0;
        let amount = fx::format_minor_units(position.fund, position.asset.decimals);
        format!("{bank} {amount} {}", position.asset.code)
    })
    .collect()
}

#[test]
fn nets_pay_ins_and_efficiency() {
    let (world, _) = scheduled();
    let view = world.view(cycle(1));
    assert_eq!(
        (view.state, view.members, view.schedule_version),
        (CycleState::Settling, 10, 1)
    );
    let lines: Vec<(Bic, String, i128, i128, i128)> = view
        .positions
        .iter()
        .map(|position| {
            let asset = position.asset.code.to_string();
            (
                position.participant,
                asset,
                position.net,
                position.pay_in_due,
                position.pay_out_due,
            )
        })
        .collect();
    let line = |bank, asset: &str, net: i128| {
        (bic(bank), asset.to_owned(), net, (-net).max(0), net.max(0))
    };
    assert_eq!(
        lines,
        [
            line("A", "USD", -88_000_000_00),
            line("A", "EUR", 20_000_000_00),
            line("A", "JPY", 8_250_000_000),
            line("B", "USD", 44_000_000_00),
            line("B", "EUR", -40_000_000_00),
            line("C", "USD", 44_000_000_00),
            line("C", "EUR", 20_000_000_00),
            line("C", "JPY", -8_250_000_000),
        ]
    );
    let per_asset: Vec<(String, (i128, i128))> = view
        .totals
        .iter()
        .map(|total| (total.asset.code.to_string(), total.efficiency))
        .collect();
    let expected = [("USD", (9, 13)), ("EUR", (4, 5)), ("JPY", (0, 1))];
    assert_eq!(
        per_asset,
        expected.map(|(asset, share)| (asset.to_owned(), share))
    );
    assert_eq!(view.efficiency, (17, 26));
    let bilateral: Vec<(Bic, Bic, String, i128)> = view
        .bilateral
        .iter()
        .map(|net| {
            (
                net.participant,
                net.counterparty,
                net.asset.code.to_string(),
                net.net,
            )
        })
        .collect();
    let net = |of, against, asset: &str, net| (bic(of), bic(against), asset.to_owned(), net);
    assert_eq!(
        bilateral,
        [
            net("A", "B", "USD", -22_000_000_00),
            net("A", "B", "EUR", 20_000_000_00),
            net("A", "C", "USD", -66_000_000_00),
            net("A", "C", "JPY", 8_250_000_000),
            net("B", "C", "USD", 22_000_000_00),
            net("B", "C", "EUR", -20_000_000_00),
        ]
    );
    let View::Cycle(Some(own)) = world
        .state
        .query(&Query::Cycle(cycle(1), Some(bic("C"))), world.now)
    else {
        panic!("cycle");
    };
    assert_eq!((own.positions.len(), own.bilateral.len()), (3, 4));
    assert_eq!(own.bilateral[0].counterparty, bic("A"));
    assert_eq!(own.bilateral[0].net, 66_000_000_00);
}

/// Pays in, runs at the deadline, and checks what settled and what each fund then holds.
fn check(pay_ins: &[&str], settled: &str, closing: &[&str]) {
    let (mut world, trades) = scheduled();
    for pay_in in pay_ins {
        assert_eq!(world.money(&format!("pay-in {pay_in} 1")), "done");
    }
    world.at(3);
    world.run();
    assert_eq!(statuses(&world, &trades), settled, "{pay_ins:?}");
    assert_eq!(funds(&world), closing, "{pay_ins:?}");
    world.finish();
}

#[test]
fn prefunded_scenarios() {
    let (a, b) = ("A 88000000.00 USD", "B 40000000.00 EUR");
    let left = [
        "A 77000000.00 USD",
        "A 10000000.00 EUR",
        "B 11000000.00 USD",
        "B 30000000.00 EUR",
    ];
    check(&[a, b], "SSIII", &left);
    check(
        &[a, b, "C 8249999999 JPY"],
        "SSIII",
        &[&left[..], &["C 8249999999 JPY"]].concat(),
    );
    check(
        &[a, b, "C 22000000.00 USD"],
        "SSIII",
        &[&left[..], &["C 22000000.00 USD"]].concat(),
    );
    check(
        &[b, "C 8250000000 JPY"],
        "IIIII",
        &["B 40000000.00 EUR", "C 8250000000 JPY"],
    );
}

#[test]
fn settles_at_once_when_all_is_funded() {
    let (mut world, trades) = scheduled();
    for pay_in in ["A 88000000.00 USD", "B 40000000.00 EUR", "C 8249999999 JPY"] {
        world.money(&format!("pay-in {pay_in} 1"));
        assert_eq!(world.run(), 0, "not funded, and before the deadline");
    }
    let early = Refusal::TooEarly {
        what: "settle: pay-ins are outstanding".to_owned(),
        not_before: Timestamp(MORNING.0 + 3 * HOUR_MS),
    };
    assert_eq!(settle(&mut world), Err(early));
    world.money("pay-in C 1 JPY 1");
    assert_eq!(world.run(), 1);
    assert_eq!(statuses(&world, &trades), "SSSSS");
    // The last member settled: the cycle has completed, and its funds are free.
    let view = world.view(cycle(1));
    assert_eq!(
        (view.state, view.settled, view.bilateral.len()),
        (CycleState::Completed, 10, 6)
    );
    assert_eq!(world.balance("A", "JPY"), (8_250_000_000, 0));
    assert_eq!(world.balance("C", "EUR"), (20_000_000_00, 0));
    assert_eq!(settle(&mut world).unwrap().changes, 0);
    for (line, expected) in [
        ("pay-out A 8250000001 JPY 1", "AM04 BalanceInsufficient"),
        ("pay-out A 8000000000 JPY 1", "done"),
        ("deposit A 8250000000 JPY", "done"),
        ("pay-out A 250000001 JPY 1", "NARR AbovePayOutDue"),
        ("pay-out A 250000000 JPY 1", "done"),
        ("pay-out A 1 JPY 1", "NARR AbovePayOutDue"),
        ("pay-in A 1 JPY 1", "NARR CycleNotTaking"),
    ] {
        assert_eq!(world.money(line), expected, "{line}");
    }
    world.tick();
    world.finish();
}

#[test]
fn who_pays_late_settles_late() {
    let (mut world, trades) = scheduled();
    world.money("pay-in A 88000000.00 USD 1");
    world.money("pay-in B 40000000.00 EUR 1");
    world.at(3);
    assert_eq!(world.run(), 1);
    let view = world.view(cycle(1));
    assert_eq!((view.settled, view.left_behind), (4, 6));
    // Who is left behind, by which test, and what is missing.
    let left = world.frozen().unsettled(cycle(1), None, 0, 9);
    let found: Vec<_> = left
        .iter()
        .map(|view| (view.answer.sequence, view.behind, view.test, view.missing))
        .collect();
    // C lacks the yen of T3; T4 stands behind it in A's dollars; T5 in B's euros behind T4.
    let yen = (BindingTest::Floor, 8_250_000_000);
    let expected = [
        (trades[2], None, yen.0, yen.1),
        (trades[3], Some(trades[2]), yen.0, yen.1),
        (trades[4], Some(trades[3]), yen.0, yen.1),
    ];
    assert_eq!(found, expected);
    assert!(left.iter().all(|view| view.participant == bic("C")));
    assert_eq!(
        settle(&mut world).unwrap().changes,
        0,
        "before the completion deadline"
    );
    // One yen less changes nothing: the run proves it, and is not asked for again.
    world.money("pay-in C 8249999999 JPY 1");
    assert_eq!(world.run(), 1);
    assert_eq!(statuses(&world, &trades), "SSIII");
    world.money("pay-in C 1 JPY 1");
    assert_eq!(world.run(), 1);
    assert_eq!(statuses(&world, &trades), "SSSSS");
    assert_eq!(world.view(cycle(1)).batches, [2, 4]);
    world.finish();
}

#[test]
fn at_completion_the_rest_is_rejected_or_rolls_over() {
    for next in [false, true] {
        let (mut world, trades) = scheduled();
        if next {
            let later = Action::OpenCycle {
                cycle: cycle(2),
                cut_off: Some(Timestamp(MORNING.0 + 6 * HOUR_MS)),
                pay_in_deadline: Some(Timestamp(MORNING.0 + 7 * HOUR_MS)),
                completion_deadline: Some(Timestamp(MORNING.0 + 8 * HOUR_MS)),
            };
            world.operate(later).unwrap();
        }
        world.money("pay-in A 88000000.00 USD 1");
        world.money("pay-in B 40000000.00 EUR 1");
        world.at(3);
        world.run();
        world.at(4);
        world.money("pay-in C 1 JPY 1");
        assert!(
            matches!(settle(&mut world), Err(Refusal::RunUnderWay)),
            "a run is due first"
        );
        world.run();
        assert!(settle(&mut world).unwrap().changes > 0);
        let view = world.view(cycle(1));
        assert_eq!((view.state, view.settled), (CycleState::Completed, 4));
        assert_eq!(
            statuses(&world, &trades),
            if next { "SSMMM" } else { "SSRRR" }
        );
        assert_eq!(world.balance("A", "USD"), (77_000_000_00, 0));
        if next {
            assert_eq!(world.status(trades[2]), "member 2");
            // Its place is kept: what came later in the next cycle stands behind it.
            world.submit("A -> B 77000000.00 USD, net, high");
            world.submit("A -> B 1.00 USD, net");
            world.at(6).operate(Action::CloseCycle(cycle(2))).unwrap();
            world.operate(Action::NetCycle(cycle(2))).unwrap();
            assert_eq!(world.view(cycle(2)).members, 8);
            for bank in ["A 77000000.00 USD", "A 77000000.00 USD"] {
                world.money(&format!("pay-in {bank} 2"));
            }
            world.at(7);
            world.run();
            assert_eq!(statuses(&world, &trades), "SSIII");
        }
        world.tick();
        world.finish();
    }
}

#[test]
fn a_suspended_bank_is_held_and_the_rest_is_called_for_more() {
    for (paid, expected) in [("21999999.99", "HHHHI"), ("22000000.00", "HHHHS")] {
        let (mut world, trades) = scheduled();
        world.money("pay-in B 40000000.00 EUR 1");
        world.money("pay-in C 8250000000 JPY 1");
        world.suspend("A");
        assert_eq!(statuses(&world, &trades), "HHHHI");
        let view = world.view(cycle(1));
        assert_eq!((view.schedule_version, view.held), (2, 8));
        assert_eq!(view.schedule_reason, "A Suspended");
        let due = |bank, asset: &str| {
            let line = view.positions.iter().find(|position| {
                position.participant == bic(bank) && position.asset.code == code(asset)
            });
            line.map_or((0, 0), |line| (line.pay_in_due, line.pay_in_paid))
        };
        // The extra call on C; what was paid under the first version stays.
        assert_eq!(due("C", "USD"), (22_000_000_00, 0));
        assert_eq!(due("C", "JPY"), (0, 8_250_000_000));
        assert_eq!(due("B", "EUR"), (20_000_000_00, 40_000_000_00));
        assert_eq!(world.run(), 0);
        world.money(&format!("pay-in C {paid} USD 1"));
        world.at(3);
        world.run();
        assert_eq!(statuses(&world, &trades), expected, "{paid}");
        // Held members do not keep a cycle from completing, at its deadline.
        world.at(4);
        settle(&mut world).unwrap();
        assert_eq!(&statuses(&world, &trades)[..4], "RRRR");
        world.finish();
    }
}

#[test]
fn a_reinstated_bank_takes_its_place_again() {
    let (mut world, trades) = scheduled();
    let queued = world.submit("A -> B 1.00 USD").sequence;
    let behind = world.submit("A -> C 1.00 USD").sequence;
    let unmatched = world
        .submit("A -> B 1.00 USD + B -> A 1.00 EUR, trade=X")
        .sequence;
    world.suspend("B");
    // Held units block nobody.
    world.money("deposit A 1.00 USD");
    let now = [queued, behind, unmatched].map(|sequence| world.status(sequence));
    assert_eq!(now, ["held", "settled 1", "held"]);
    assert_eq!(statuses(&world, &trades), "HHIHH");
    world.suspend("C");
    world.reinstate("B");
    assert_eq!(statuses(&world, &trades), "IIHIH");
    world.reinstate("C");
    assert_eq!(statuses(&world, &trades), "IIIII");
    assert_eq!(world.view(cycle(1)).schedule_version, 5);
    world.money("deposit A 1.00 USD");
    assert_eq!(world.status(queued), "settled 1");
    assert_eq!(world.status(unmatched), "unmatched");
    assert_eq!(
        world.send("A -> B 1.00 USD + B -> A 1.00 EUR, trade=X, by=B"),
        "liquidity"
    );
    world.finish();
}

#[test]
fn each_step_is_idempotent_and_in_order() {
    let mut world = World::new();
    let refused = |world: &mut World, action| world.operate(action).unwrap_err().to_string();
    let name = cycle(1);
    for action in [
        Action::CloseCycle(name),
        Action::NetCycle(name),
        Action::SettleCycle(name),
    ] {
        assert_eq!(
            refused(&mut world, action),
            "cycle: no such cycle: 2026-11-20/1"
        );
    }
    let on = |text: &str, number| CycleName {
        value_date: date(text),
        number,
    };
    for (bad, expected) in [
        (cycle(2), "cycle: the next number is 1"),
        (
            on("2026-11-21", 1),
            "cycle: the value date is no business day of any enabled asset (USD: weekend; EUR: weekend; JPY: weekend)",
        ),
        (on("2026-11-19", 1), "cycle: the value date is in the past"),
    ] {
        assert_eq!(refused(&mut world, open_action(bad)), expected);
    }
    assert_eq!(world.open(1).unwrap().changes, 1);
    assert_eq!(world.open(1).unwrap().changes, 0);
    let other = Action::OpenCycle {
        cycle: name,
        cut_off: Some(MORNING),
        pay_in_deadline: None,
        completion_deadline: None,
    };
    assert!(matches!(world.operate(other), Err(Refusal::WrongState(_))));
    // Noon in Berlin is 11:00 UTC in winter.
    assert_eq!(world.view(name).cut_off, Timestamp(MORNING.0 + 2 * HOUR_MS));
    assert!(matches!(
        world.operate(Action::CloseCycle(name)),
        Err(Refusal::TooEarly { .. })
    ));
    assert!(matches!(
        world.operate(Action::NetCycle(name)),
        Err(Refusal::WrongState(_))
    ));
    world.at(2);
    for (action, changes) in [
        (Action::CloseCycle(name), 1),
        (Action::CloseCycle(name), 0),
        (Action::NetCycle(name), 1),
        (Action::NetCycle(name), 0),
        // Without members it completes at once.
        (Action::SettleCycle(name), 1),
        (Action::SettleCycle(name), 0),
        (Action::NetCycle(name), 0),
        (Action::CloseCycle(name), 0),
        (open_action(name), 0),
    ] {
        assert_eq!(
            world.operate(action.clone()).unwrap().changes,
            changes,
            "{action:?}"
        );
    }
    world.finish();
}

#[test]
fn settling_may_be_asked_again_under_one_request_id() {
    let (mut world, trades) = scheduled();
    world.at(3);
    let action = Action::SettleCycle(cycle(1));
    assert_eq!(world.run(), 1);
    let first = world
        .request(Caller::Operator, "S", action.clone())
        .unwrap();
    assert_eq!((first.changes, first.repeated), (0, false));
    let again = world
        .request(Caller::Operator, "S", action.clone())
        .unwrap();
    assert_eq!((again.sequence, again.repeated), (first.sequence, true));
    world.at(4);
    let last = world
        .request(Caller::Operator, "S", action.clone())
        .unwrap();
    assert_eq!((last.changes, last.repeated), (6, false));
    assert_eq!(statuses(&world, &trades), "RRRRR");
    let again = world.request(Caller::Operator, "S", action).unwrap();
    assert_eq!(
        (again.sequence, again.changes, again.repeated),
        (last.sequence, 6, true)
    );
    world.finish();
}

#[test]
fn a_stale_run_is_not_taken() {
    let (mut world, trades) = scheduled();
    world.money("pay-in A 88000000.00 USD 1");
    world.money("pay-in B 40000000.00 EUR 1");
    world.at(3);
    let result = world
        .state
        .take_run_request(world.now)
        .unwrap()
        .run([1; 32]);
    let mut broken = result.clone();
    broken.settled = vec![0b11111];
    let mut long = result.clone();
    long.settled.push(0);
    for bad in [broken, long] {
        let mut events = Vec::new();
        world
            .state
            .execute_ran(&bad, Sequence(world.next), world.now, &mut events);
        assert_eq!(events, [], "{bad:?}");
    }
    world.money("pay-in C 1 JPY 1");
    let mut events = Vec::new();
    world
        .state
        .execute_ran(&result, Sequence(world.next), world.now, &mut events);
    assert_eq!(events, [], "a fund changed meanwhile");
    world.run();
    assert_eq!(statuses(&world, &trades), "SSIII");
    world.finish();
}

#[test]
fn a_fund_is_for_its_cycle_alone() {
    let mut world = World::with_cycle();
    world.money("deposit A 10.00 USD");
    world.money("transfer A 6.00 USD 1");
    assert_eq!(world.send("A -> B 5.00 USD"), "liquidity");
    assert_eq!(world.send("A -> C 6.00 USD, net"), "member 1");
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    // All is funded by what it held at the close.
    assert_eq!(world.run(), 1);
    assert_eq!(world.balance("A", "USD"), (4_00, 0));
    assert_eq!(world.balance("C", "USD"), (6_00, 0));
    world.finish();
}

#[test]
fn what_a_fund_held_at_the_close_is_not_paid_twice() {
    let mut world = World::with_cycle();
    world.money("pay-in A 50.00 USD 1");
    world.send("A -> B 100.00 USD, net");
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    let line = &world.view(cycle(1)).positions[0];
    let found = (line.opening_fund, line.pay_in_due, line.pay_in_paid);
    assert_eq!(found, (50_00, 50_00, 0));
    world.money("pay-in A 49.99 USD 1");
    assert_eq!(world.run(), 0, "not funded");
    world.money("pay-in A 0.01 USD 1");
    assert_eq!(world.run(), 1);
    assert_eq!(world.balance("B", "USD"), (100_00, 0));
    world.finish();
}

#[test]
fn a_completed_cycle_frees_funds_for_those_who_wait() {
    let mut world = World::with_cycle();
    world.money("pay-in A 5.00 USD 1");
    let waits = world.submit("A -> B 5.00 USD").sequence;
    for action in [
        Action::CloseCycle(cycle(1)),
        Action::NetCycle(cycle(1)),
        Action::SettleCycle(cycle(1)),
    ] {
        assert_eq!(world.status(waits), "liquidity");
        world.at(2).operate(action).unwrap();
    }
    assert_eq!(world.status(waits), "settled 1");
    world.finish();
}

#[test]
fn what_does_not_fit_the_next_cycle_does_not_roll_over() {
    let mut world = World::with_cycle();
    let later = Action::OpenCycle {
        cycle: cycle(2),
        cut_off: Some(Timestamp(MORNING.0 + 6 * HOUR_MS)),
        pay_in_deadline: Some(Timestamp(MORNING.0 + 7 * HOUR_MS)),
        completion_deadline: Some(Timestamp(MORNING.0 + 8 * HOUR_MS)),
    };
    world.operate(later).unwrap();
    let pay = "A -> B 9999999999999999.99 USD, net";
    let rolled = [pay, pay, pay].map(|line| world.submit(line).sequence);
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    // Four of these are the most that a cycle's account may owe.
    for _ in 0..2 {
        assert_eq!(world.send(pay), "member 2");
    }
    world.at(4).run();
    settle(&mut world).unwrap();
    let statuses = rolled.map(|sequence| world.status(sequence));
    assert_eq!(statuses, ["member 2", "member 2", "AM12 BalanceTooLarge"]);
    world.finish();
}
