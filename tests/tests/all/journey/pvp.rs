//! The five trades of the published example, with every prefunded scenario: figures retyped.
//! EUR/USD 1.10, USD/JPY 125.

use super::{send, set_state, side, status};
use crate::support::{A, B, C, COMPLETION_MS, CUT_OFF_MS, CYCLE, PAY_IN_MS, Step, Town, minor};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, timestamp};

type Amounts = &'static [(&'static str, &'static str, &'static str)];

/// One bank, the other, what the first pays, and what it gets for it.
type Trade = (
    &'static str,
    &'static str,
    (&'static str, &'static str),
    (&'static str, &'static str),
);

const TRADES: [Trade; 5] = [
    (A, B, ("99000000.00", "USD"), ("90000000.00", "EUR")),
    (B, A, ("88000000.00", "USD"), ("80000000.00", "EUR")),
    (A, C, ("66000000.00", "USD"), ("8250000000", "JPY")),
    (A, B, ("11000000.00", "USD"), ("10000000.00", "EUR")),
    (C, B, ("22000000.00", "USD"), ("20000000.00", "EUR")),
];

/// A town in which the five trades have been matched, and the cycle is netted.
async fn scheduled() -> (Town, v1::Cycle) {
    let town = Town::start().await;
    let rate = |pair: &str, rate: &str| v1::Rate {
        pair: pair.to_owned(),
        bid: rate.to_owned(),
        ask: rate.to_owned(),
        time: Some(timestamp(MORNING_MS)),
        source: "example".to_owned(),
        ..Default::default()
    };
    let rates = v1::SetRatesRequest {
        request_id: town.request_id(),
        created: None,
        rates: vec![rate("EUR/USD", "1.10"), rate("USD/JPY", "125")],
    };
    town.operator().fx.set_rates(rates).await.unwrap();
    town.open_cycle(CYCLE).await;
    for (at, (from, to, (pays, asset), (gets, other))) in (1..).zip(TRADES) {
        let reference = format!("T{at}");
        let legs = [(from, to, pays, asset), (to, from, gets, other)];
        assert_eq!(
            send(&town, side(at * 10, from, &reference, legs)).await,
            "PDNG UNMATCHED"
        );
        assert_eq!(
            send(&town, side(at * 10 + 1, to, &reference, legs)).await,
            format!("ACTC {CYCLE}")
        );
    }
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    let cycle = town.step(Step::Net, CYCLE).await;
    (town, cycle)
}

/// The trades of which both sides are settled.
async fn settled(town: &Town) -> Vec<u128> {
    let mut settled = Vec::new();
    for (at, (from, to, ..)) in (1..).zip(TRADES) {
        let sides = [
            status(town, from, at * 10).await,
            status(town, to, at * 10 + 1).await,
        ];
        assert_eq!(sides[0], sides[1], "T{at}: both sides or none");
        settled.extend((sides[0] == "ACSC").then_some(at));
    }
    settled
}

async fn funds(town: &Town) -> Vec<(String, String, i128)> {
    let cycle = town.cycle(CYCLE).await;
    let funds = cycle.positions.iter().map(|position| {
        (
            position.participant.clone(),
            position.asset.clone(),
            minor(&position.fund),
        )
    });
    let mut funds: Vec<_> = funds.filter(|(_, _, fund)| *fund != 0).collect();
    funds.sort();
    funds
}

async fn check(name: &str, fund: Amounts, expected: &[u128], closing: Amounts) {
    let (town, _) = scheduled().await;
    for (bic, amount, asset) in fund {
        town.pay_in(bic, amount, asset, CYCLE).await;
    }
    town.set_time(PAY_IN_MS).await;
    let cycle = town.step(Step::Settle, CYCLE).await;
    assert_eq!(settled(&town).await, expected, "{name}");
    assert_eq!(cycle.settled, expected.len() as u64 * 2, "{name}");
    assert_eq!(cycle.settled + cycle.left_behind, 10, "{name}");
    let books = town.books().await;
    let mut expected: Vec<_> = closing
        .iter()
        .map(|(bic, amount, asset)| ((*bic).to_owned(), (*asset).to_owned(), minor(amount)))
        .collect();
    expected.sort();
    let balances: Vec<_> = books
        .balances()
        .into_iter()
        .map(|((bic, asset), balance)| (bic, asset, balance))
        .collect();
    assert_eq!(balances, expected, "{name}");
    if cycle.settled < 10 {
        assert_eq!(
            funds(&town).await,
            expected,
            "{name}: all of it is in the fund"
        );
    }
}

const A_USD: (&str, &str, &str) = (A, "88000000.00", "USD");
const B_EUR: (&str, &str, &str) = (B, "40000000.00", "EUR");
const C_JPY: (&str, &str, &str) = (C, "8250000000", "JPY");

#[tokio::test]
async fn all_paid_in() {
    let closing: Amounts = &[
        (A, "20000000.00", "EUR"),
        (A, "8250000000", "JPY"),
        (B, "44000000.00", "USD"),
        (C, "44000000.00", "USD"),
        (C, "20000000.00", "EUR"),
    ];
    check(
        "all paid in",
        &[A_USD, B_EUR, C_JPY],
        &[1, 2, 3, 4, 5],
        closing,
    )
    .await;
}

const T1_AND_T2: [(&str, &str, &str); 4] = [
    (A, "77000000.00", "USD"),
    (A, "10000000.00", "EUR"),
    (B, "11000000.00", "USD"),
    (B, "30000000.00", "EUR"),
];

#[tokio::test]
async fn c_does_not_pay_in_full() {
    check("C pays nothing", &[A_USD, B_EUR], &[1, 2], &T1_AND_T2).await;
    const SHORT: Amounts = &[A_USD, B_EUR, (C, "8249999999", "JPY")];
    const SHORT_CLOSING: Amounts = &[
        T1_AND_T2[0],
        T1_AND_T2[1],
        T1_AND_T2[2],
        T1_AND_T2[3],
        (C, "8249999999", "JPY"),
    ];
    check("C one yen short", SHORT, &[1, 2], SHORT_CLOSING).await;
    const DOLLARS: Amounts = &[A_USD, B_EUR, (C, "22000000.00", "USD")];
    const DOLLARS_CLOSING: Amounts = &[
        T1_AND_T2[0],
        T1_AND_T2[1],
        T1_AND_T2[2],
        T1_AND_T2[3],
        (C, "22000000.00", "USD"),
    ];
    check(
        "C pays dollars instead of yen",
        DOLLARS,
        &[1, 2],
        DOLLARS_CLOSING,
    )
    .await;
}

#[tokio::test]
async fn a_pays_nothing() {
    check("A pays nothing", &[B_EUR, C_JPY], &[], &[B_EUR, C_JPY]).await;
}

/// A is held: T5 alone is left, and version 2 of the schedule calls 22 million dollars from C.
#[tokio::test]
async fn a_is_held() {
    for (paid, expected) in [("21999999.99", &[][..]), ("22000000.00", &[5])] {
        let (town, _) = scheduled().await;
        set_state(&town, A, v1::ParticipantState::Suspended, "A has failed").await;
        let cycle = town.cycle(CYCLE).await;
        assert_eq!(
            (cycle.schedule_version, &*cycle.schedule_reason),
            (2, "A has failed")
        );
        assert_eq!(cycle.held, 8);
        let due: Vec<_> = cycle
            .positions
            .iter()
            .filter(|position| minor(&position.pay_in_due) != 0)
            .map(|position| {
                (
                    &*position.participant,
                    &*position.asset,
                    &*position.pay_in_due,
                )
            })
            .collect();
        assert_eq!(due, [(B, "EUR", "20000000.00"), (C, "USD", "22000000.00")]);
        for (bic, amount, asset) in [B_EUR, C_JPY, (C, paid, "USD")] {
            town.pay_in(bic, amount, asset, CYCLE).await;
        }
        town.set_time(PAY_IN_MS).await;
        town.step(Step::Settle, CYCLE).await;
        assert_eq!(settled(&town).await, expected, "{paid}");
        assert_eq!(status(&town, A, 10).await, "PDNG HELD");
        town.books().await;
    }
}

#[tokio::test]
async fn the_schedule_is_the_examples() {
    let (town, cycle) = scheduled().await;
    assert_eq!(cycle.members, 10);
    let shown: Vec<_> = cycle
        .positions
        .iter()
        .map(|position| {
            let [net, due, out] = [&position.net, &position.pay_in_due, &position.pay_out_due];
            format!(
                "{} {} {net} {due} {out}",
                &position.participant[..1],
                position.asset
            )
        })
        .collect();
    let expected = [
        "A USD -88000000.00 88000000.00 0.00",
        "A EUR 20000000.00 0.00 20000000.00",
        "A JPY 8250000000 0 8250000000",
        "B USD 44000000.00 0.00 44000000.00",
        "B EUR -40000000.00 40000000.00 0.00",
        "C USD 44000000.00 0.00 44000000.00",
        "C EUR 20000000.00 0.00 20000000.00",
        "C JPY -8250000000 8250000000 0",
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        (&*cycle.efficiency_numerator, &*cycle.efficiency_denominator),
        ("17", "26")
    );
    let totals: Vec<_> = cycle
        .totals
        .iter()
        .filter(|total| minor(&total.gross) != 0)
        .map(|total| {
            format!(
                "{} {}/{}",
                total.asset, total.efficiency_numerator, total.efficiency_denominator
            )
        })
        .collect();
    assert_eq!(totals, ["USD 9/13", "EUR 4/5", "JPY 0/1"]);
    let bilateral: Vec<_> = cycle
        .bilateral
        .iter()
        .map(|net| {
            format!(
                "{}{} {} {}",
                &net.participant[..1],
                &net.counterparty[..1],
                net.asset,
                net.net
            )
        })
        .collect();
    assert_eq!(
        bilateral,
        [
            "AB USD -22000000.00",
            "AB EUR 20000000.00",
            "AC USD -66000000.00",
            "AC JPY 8250000000",
            "BC USD 22000000.00",
            "BC EUR -20000000.00",
        ]
    );
    town.books().await;
}

/// C pays late: everybody's exceptions are told, nobody has lost principal, and then all settles.
#[tokio::test]
async fn c_pays_late_and_all_is_paid_out() {
    let (town, _) = scheduled().await;
    for (bic, amount, asset) in [A_USD, B_EUR] {
        town.pay_in(bic, amount, asset, CYCLE).await;
    }
    town.set_time(PAY_IN_MS).await;
    town.step(Step::Settle, CYCLE).await;
    let list = v1::ListUnsettledRequest {
        cycle: CYCLE.to_owned(),
        ..Default::default()
    };
    let rows = town
        .operator()
        .settlement
        .list_unsettled(list)
        .await
        .unwrap()
        .into_inner()
        .unsettled;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let status = row.status.as_ref().unwrap();
            assert!(
                row.behind != status.sequence && status.matched_with != 0,
                "{row:?}"
            );
            format!(
                "{} {} {} {}",
                row.test,
                &row.participant[..1],
                row.asset,
                row.missing
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "floor C JPY 8250000000",
            "order C JPY 8250000000",
            "order C JPY 8250000000"
        ],
        "T3, T4, T5"
    );
    let sides = |at: usize| {
        let status = rows[at].status.as_ref().unwrap();
        [status.sequence, status.matched_with]
    };
    assert!(
        sides(0).contains(&rows[1].behind) && sides(1).contains(&rows[2].behind),
        "{rows:#?}"
    );

    town.set_time(PAY_IN_MS + 60_000).await;
    town.pay_in(C, C_JPY.1, "JPY", CYCLE).await;
    let cycle = town.step(Step::Settle, CYCLE).await;
    assert_eq!(
        (cycle.state(), cycle.settled),
        (v1::CycleState::Completed, 10)
    );
    assert_eq!(settled(&town).await, [1, 2, 3, 4, 5]);
    assert_eq!(cycle.batches.len(), 2);
    let pay_out = v1::MovementKind::PayOut;
    for (bic, amount, asset) in [
        (A, "20000000.00", "EUR"),
        (A, "8250000000", "JPY"),
        (B, "44000000.00", "USD"),
        (C, "44000000.00", "USD"),
        (C, "20000000.00", "EUR"),
    ] {
        assert_eq!(
            town.movement(pay_out, bic, amount, asset, CYCLE).await,
            "ACSC"
        );
        let more = town.movement(pay_out, bic, "1", asset, CYCLE).await;
        assert_eq!(more, "RJCT AM04 BALANCE_INSUFFICIENT amount");
    }
    let books = town.books().await;
    assert!(books.balances().is_empty(), "{:?}", books.balances());
    let totals: Vec<_> = books
        .totals
        .iter()
        .map(|total| (&*total.r#in, &*total.out, &*total.closing))
        .collect();
    assert_eq!(totals[0], ("88000000.00", "88000000.00", "0.00"));
    town.set_time(COMPLETION_MS).await;
    town.step(Step::Settle, CYCLE).await;
}
