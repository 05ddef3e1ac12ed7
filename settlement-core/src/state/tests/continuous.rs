//! Continuous cycles: shorts within the three tests, pay-outs under them, and order bypassed.

use super::*;
use crate::risk::{Funding, Model, RiskLine, SettlementOrder};
use fx::Pair;
use rust_decimal::Decimal;

const CENTS: i64 = 100_000_000;

/// The trades of the public example: instructing bank, legs.
const TRADES: [&str; 5] = [
    "A -> B 99000000.00 USD + B -> A 90000000.00 EUR",
    "B -> A 88000000.00 USD + A -> B 80000000.00 EUR",
    "A -> C 66000000.00 USD + C -> A 8250000000 JPY",
    "A -> B 11000000.00 USD + B -> A 10000000.00 EUR",
    "C -> B 22000000.00 USD + B -> C 20000000.00 EUR",
];

fn model(funding: Funding, order: SettlementOrder) -> RiskLine {
    RiskLine::Model(Model { funding, order })
}

fn rate(base: &str, quote: &str, text: &str) -> RateLine {
    let mid: Decimal = text.parse().unwrap();
    RateLine {
        pair: Pair {
            base: code(base),
            quote: code(quote),
        },
        bid: mid,
        ask: mid,
        time: MORNING,
        source: "test".to_owned(),
        size_max: None,
    }
}

/// The rules of the public example.
fn rules() -> Vec<RiskLine> {
    let mut lines = vec![model(Funding::Continuous, SettlementOrder::Kept)];
    for (asset, haircut) in [("EUR", 500), ("JPY", 1_000)] {
        let asset = code(asset);
        lines.push(RiskLine::Haircut { asset, haircut });
    }
    for bank in ["A", "B", "C"] {
        lines.push(RiskLine::Tests {
            participant: bic(bank),
            aggregate_short: Some(60 * CENTS),
            account_value: true,
        });
        for asset in ["USD", "EUR", "JPY"] {
            lines.push(RiskLine::ShortLimit {
                participant: bic(bank),
                asset: code(asset),
                amount: None,
            });
        }
    }
    lines
}

/// A scheme with the rules, its five trades members of a cycle that has closed.
fn closed(rules: Vec<RiskLine>) -> (World, Vec<Sequence>) {
    let mut world = World::new();
    let rates = vec![rate("EUR", "USD", "1.10"), rate("USD", "JPY", "125")];
    world.operate(Action::SetRates(rates)).unwrap();
    for line in rules {
        world.operate(Action::SetRisk(line)).unwrap();
    }
    world.open(1).unwrap();
    let mut sent = Vec::new();
    for (number, legs) in TRADES.iter().enumerate() {
        let first = world.send(&format!("{legs}, net, trade=T{number}"));
        assert_eq!(first, "unmatched");
        let other = &legs[5..6];
        let second = world.submit(&format!("{legs}, net, trade=T{number}, by={other}"));
        assert_eq!(words(&second), "member 1");
        sent.push(second.sequence);
    }
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    (world, sent)
}

impl World {
    fn settled(&self, sent: &[Sequence]) -> String {
        let settles =
            |&&(_, sequence): &&(usize, &Sequence)| self.status(*sequence).starts_with("settled");
        let numbered: Vec<(usize, &Sequence)> = (1..).zip(sent).collect();
        let names = numbered.iter().filter(settles);
        names
            .map(|(number, _)| format!("T{number}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn funds(&self) -> String {
        let positions = self.view(cycle(1)).positions;
        let held = positions.iter().filter(|position| position.fund != 0);
        let text = held.map(|position| {
            let bank = &position.participant.to_string()[..1];
            format!("{bank} {} {}", position.asset.code, position.fund)
        });
        text.collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn the_public_example_settles_as_far_as_the_three_tests_allow() {
    for (paid, settled, funds) in [
        (
            0,
            "T1 T2",
            "A USD 3300000000, A EUR 1000000000, B USD 1100000000, B EUR 1000000000",
        ),
        (
            749_999_999,
            "T1 T2",
            "A USD 3300000000, A EUR 1000000000, B USD 1100000000, B EUR 1000000000, C JPY 749999999",
        ),
        // Aggregate short and account value are both exactly at the boundary.
        (
            750_000_000,
            "T1 T2 T3 T4",
            "A USD -4400000000, A EUR 2000000000, A JPY 8250000000, B USD 2200000000, \
             C USD 6600000000, C JPY -7500000000",
        ),
        // The account value with T5 would be 22/25 of a cent below zero.
        (
            874_999_999,
            "T1 T2 T3 T4",
            "A USD -4400000000, A EUR 2000000000, A JPY 8250000000, B USD 2200000000, \
             C USD 6600000000, C JPY -7375000001",
        ),
        (
            875_000_000,
            "T1 T2 T3 T4 T5",
            "A USD -4400000000, A EUR 2000000000, A JPY 8250000000, B USD 4400000000, \
             B EUR -2000000000, C USD 4400000000, C EUR 2000000000, C JPY -7375000000",
        ),
    ] {
        let (mut world, sent) = closed(rules());
        world.run();
        assert_eq!(
            world.settled(&sent),
            "",
            "without a fund T1 is above B's limit"
        );
        world.money("pay-in A 44000000.00 USD 1");
        world.money("pay-in B 20000000.00 EUR 1");
        if paid > 0 {
            world.money(&format!("pay-in C {paid} JPY 1"));
        }
        // Before netting, from the close on; once more after each pay-in.
        assert_eq!(world.run(), 1);
        assert_eq!(
            (world.settled(&sent).as_str(), world.funds().as_str()),
            (settled, funds)
        );
        world.finish();
    }
}

#[test]
fn pay_ins_settle_more_and_the_cycle_completes_when_no_fund_is_short() {
    let (mut world, sent) = closed(rules());
    let mut settled = Vec::new();
    for line in [
        "pay-in A 44000000.00 USD 1",
        "pay-in B 20000000.00 EUR 1",
        "pay-in C 750000000 JPY 1",
        "pay-in C 125000000 JPY 1",
    ] {
        assert_eq!(world.money(line), "done");
        assert_eq!(world.run(), 1, "{line}");
        settled.push(world.settled(&sent));
    }
    assert_eq!(settled, ["", "T1 T2", "T1 T2 T3 T4", "T1 T2 T3 T4 T5"]);
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    let due = |world: &World| {
        let positions = world.view(cycle(1)).positions;
        let due = positions.iter().filter(|line| line.pay_in_due > 0);
        due.map(|line| line.pay_in_due).collect::<Vec<_>>()
    };
    assert_eq!(due(&world), [8_800_000_000, 4_000_000_000, 8_250_000_000]);
    world.at(5);
    let short = "cycle 2026-11-20/1 cannot complete: the fund of AAAAUS33 in USD is short";
    let settle = |world: &mut World| world.operate(Action::SettleCycle(cycle(1)));
    assert_eq!(settle(&mut world).unwrap_err().to_string(), short);
    for (line, expected) in [
        ("pay-out B 44000000.00 USD 1", "AM23 TestsFail"),
        ("pay-out A 20000000.01 EUR 1", "AM04 BalanceInsufficient"),
        ("pay-in B 20000000.00 EUR 1", "done"),
        ("pay-out B 44000000.00 USD 1", "done"),
        // C's dollars are there in its name; the pool lacks A's.
        ("pay-out C 44000000.00 USD 1", "AM04 PoolInsufficient"),
        ("pay-in A 44000000.00 USD 1", "done"),
        ("pay-out C 44000000.00 USD 1", "AM23 TestsFail"),
        ("pay-in C 7375000000 JPY 1", "done"),
        ("pay-out C 44000000.00 USD 1", "done"),
    ] {
        assert_eq!(world.money(line), expected, "{line}");
    }
    assert_eq!(settle(&mut world).unwrap().changes, 1);
    assert_eq!(world.view(cycle(1)).state, CycleState::Completed);
    assert_eq!(world.balance("A", "JPY"), (8_250_000_000, 0));
    world.finish();
}

#[test]
fn limits_are_read_as_they_are_and_values_as_they_were() {
    let (mut world, sent) = closed(rules());
    world.money("pay-in A 44000000.00 USD 1");
    world.money("pay-in B 20000000.00 EUR 1");
    // Neither other rates nor other haircuts move a value date that has closed.
    let rates = vec![rate("EUR", "USD", "1.00"), rate("USD", "JPY", "1000")];
    world.operate(Action::SetRates(rates)).unwrap();
    let haircut = RiskLine::Haircut {
        asset: code("EUR"),
        haircut: 9_000,
    };
    world.operate(Action::SetRisk(haircut)).unwrap();
    world.money("pay-in C 750000000 JPY 1");
    world.run();
    assert_eq!(world.settled(&sent), "T1 T2 T3 T4");
    // A limit that is raised asks for another run.
    let tests = RiskLine::Tests {
        participant: bic("C"),
        aggregate_short: None,
        account_value: false,
    };
    assert_eq!(world.operate(Action::SetRisk(tests)).unwrap().changes, 1);
    assert_eq!(world.operate(Action::SetRisk(tests)).unwrap().changes, 0);
    assert_eq!(world.run(), 1);
    assert_eq!(world.settled(&sent), "T1 T2 T3 T4 T5");
    world.finish();
}

#[test]
fn an_asset_without_a_rate_may_not_be_short_under_tests_that_span() {
    let mut world = World::new();
    for line in rules() {
        world.operate(Action::SetRisk(line)).unwrap();
    }
    world.open(1).unwrap();
    let euro = world.submit("A -> B 1.00 EUR, net");
    let dollar = world.submit("B -> A 1.00 USD, net");
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.run();
    assert_eq!(world.status(euro.sequence), "irrevocable 1");
    // Its base value alone is short too: the account value says no.
    assert_eq!(world.status(dollar.sequence), "irrevocable 1");
    world.money("pay-in A 1.00 EUR 1");
    world.run();
    assert!(world.status(euro.sequence).starts_with("settled"));
    assert_eq!(world.status(dollar.sequence), "irrevocable 1");
    world.finish();
}

#[test]
fn bad_rules_name_what_is_wrong() {
    let mut world = World::new();
    let usd = code("USD");
    for (line, expected) in [
        (
            RiskLine::Haircut {
                asset: code("EUR"),
                haircut: 10_000,
            },
            "risk: a haircut is below 1",
        ),
        (
            RiskLine::Haircut {
                asset: usd,
                haircut: 1,
            },
            "risk: the base asset has no haircut",
        ),
        (
            RiskLine::Haircut {
                asset: code("XXX"),
                haircut: 1,
            },
            "risk: names what is not there",
        ),
        (
            RiskLine::ShortLimit {
                participant: bic("E"),
                asset: code("EUR"),
                amount: None,
            },
            "risk: names what is not there",
        ),
        (
            RiskLine::ShortLimit {
                participant: bic("A"),
                asset: usd,
                amount: Some(-1),
            },
            "risk: an amount is below zero",
        ),
        (
            RiskLine::Tests {
                participant: bic("A"),
                aggregate_short: Some(-1),
                account_value: true,
            },
            "risk: an amount is below zero",
        ),
    ] {
        let refused = world.operate(Action::SetRisk(line)).unwrap_err();
        assert_eq!(refused.to_string(), expected, "{line:?}");
        let described = Scheme {
            risk: vec![line],
            ..scheme()
        };
        let refused = world.operate(Action::ApplyScheme(described)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            expected.replace("risk:", "scheme.risk[0]:")
        );
    }
    // A description sets all of them once.
    let described = Scheme {
        risk: rules(),
        ..scheme()
    };
    let changes = world
        .operate(Action::ApplyScheme(described.clone()))
        .unwrap()
        .changes;
    assert_eq!(changes as usize, rules().len());
    assert_eq!(
        world
            .operate(Action::ApplyScheme(described))
            .unwrap()
            .changes,
        0
    );
    let View::Scheme(view) = world.state.query(&Query::Scheme, world.now) else {
        panic!("a scheme");
    };
    assert_eq!(view.risk.len(), rules().len());
    world.finish();
}

#[test]
fn order_is_bypassed_where_the_scheme_says_so() {
    for (order, settled) in [
        (SettlementOrder::Kept, "T1 T2"),
        (SettlementOrder::BypassedByValue, "T1 T2 T4"),
        (SettlementOrder::BypassedByCount, "T1 T2 T4"),
    ] {
        let (mut world, sent) = closed(vec![model(Funding::Prefunded, order)]);
        world.operate(Action::NetCycle(cycle(1))).unwrap();
        world.money("pay-in A 88000000.00 USD 1");
        world.money("pay-in B 40000000.00 EUR 1");
        world.at(3).run();
        assert_eq!(world.settled(&sent), settled, "{order:?}");
        let bypassed = world.journal.iter().flat_map(|(.., events)| events);
        let bypassed = bypassed.filter_map(|event| match event {
            Event::CycleRan { batch, .. } => Some(batch.bypassed),
            _ => None,
        });
        let expected = (order != SettlementOrder::Kept).then_some(true);
        assert_eq!(bypassed.collect::<Vec<_>>(), [expected]);
        world.finish();
    }
}
