//! The worked example: three banks, three currencies, five trades, prefunded and continuous (under the
//! three tests); each settled set was found by brute force as the unique largest that keeps order.

use crate::support::*;
use fx::ValuationRate;
use settlement_core::certificate::{Certificate, check};
use settlement_core::netting::{
    BilateralNet, MultilateralNets, Owner, Owners, Valuation, bilateral, multilateral,
};
use settlement_core::run::{
    AssetValue, Cause, Explainer, FLOOR_NONE, Leg, Problem, Reason, Span, Test, settle,
    smallest_pay_ins,
};

const ASSETS: u32 = 3;
/// Participants AAAAUS33, BBBBDEFF and CCCCJPJT.
const A: u32 = 0;
const B: u32 = 1;
const C: u32 = 2;
/// Assets; dollars and euros in cents, yen whole.
const USD: u32 = 0;
const EUR: u32 = 1;
const JPY: u32 = 2;

fn pay(from: u32, to: u32, asset: u32, amount: i64) -> Leg {
    leg(from * ASSETS + asset, to * ASSETS + asset, amount)
}

fn trades() -> Vec<Vec<Leg>> {
    vec![
        vec![pay(A, B, USD, 99_000_000_00), pay(B, A, EUR, 90_000_000_00)],
        vec![pay(B, A, USD, 88_000_000_00), pay(A, B, EUR, 80_000_000_00)],
        vec![pay(A, C, USD, 66_000_000_00), pay(C, A, JPY, 8_250_000_000)],
        vec![pay(A, B, USD, 11_000_000_00), pay(B, A, EUR, 10_000_000_00)],
        vec![pay(C, B, USD, 22_000_000_00), pay(B, C, EUR, 20_000_000_00)],
    ]
}

/// Participant, asset, minor units.
type Amount = (u32, u32, i64);

/// Three by three, row by participant.
fn table(amounts: &[Amount]) -> [i64; 9] {
    let mut table = [0; 9];
    for &(participant, asset, amount) in amounts {
        table[(participant * ASSETS + asset) as usize] = amount;
    }
    table
}

/// `queue` and `settled` name trades from 1.
fn check_scenario(
    name: &str,
    fund: &[Amount],
    queue: &[usize],
    settled: &[usize],
    closing: &[Amount],
) {
    let all = trades();
    let units: Vec<Vec<Leg>> = queue.iter().map(|&trade| all[trade - 1].clone()).collect();
    let problem = problem(&table(fund), &units);
    check_run(name, &problem, queue, settled, closing);
}

fn check_run(
    name: &str,
    problem: &Problem,
    queue: &[usize],
    settled: &[usize],
    closing: &[Amount],
) {
    let outcome = settle(problem);
    let found: Vec<usize> = outcome
        .settled
        .iter_set()
        .map(|unit| queue[unit as usize])
        .collect();
    assert_eq!(found, settled, "{name}");
    assert_eq!(outcome.closing, table(closing).map(i128::from), "{name}");
    let certificate = Certificate::new(problem, outcome.removals);
    assert_eq!(
        check(problem, &certificate, &outcome.settled),
        Ok(()),
        "{name}"
    );
}

const A_PAID: Amount = (A, USD, 88_000_000_00);
const B_PAID: Amount = (B, EUR, 40_000_000_00);
const C_PAID: Amount = (C, JPY, 8_250_000_000);
const ALL: &[usize] = &[1, 2, 3, 4, 5];

#[test]
fn settles_all_that_is_funded() {
    check_scenario(
        "all paid in",
        &[A_PAID, B_PAID, C_PAID],
        ALL,
        ALL,
        &[
            (A, EUR, 20_000_000_00),
            (A, JPY, 8_250_000_000),
            (B, USD, 44_000_000_00),
            (C, USD, 44_000_000_00),
            (C, EUR, 20_000_000_00),
        ],
    );
}

#[test]
fn who_does_not_pay_leaves_behind_only_what_must_be() {
    let first_two = [
        (A, USD, 77_000_000_00),
        (A, EUR, 10_000_000_00),
        (B, USD, 11_000_000_00),
        (B, EUR, 30_000_000_00),
    ];
    let with = |extra: Amount| [&first_two[..], &[extra]].concat();
    // T3 goes, and with it T4 and T5 that wait behind it.
    check_scenario(
        "C pays nothing",
        &[A_PAID, B_PAID],
        ALL,
        &[1, 2],
        &first_two,
    );
    let one_yen_short = (C, JPY, 8_249_999_999);
    let fund = [A_PAID, B_PAID, one_yen_short];
    check_scenario("C one yen short", &fund, ALL, &[1, 2], &with(one_yen_short));
    // A removal that is not transitive would settle T5 ahead of T4.
    let dollars = (C, USD, 22_000_000_00);
    let fund = [A_PAID, B_PAID, dollars];
    check_scenario(
        "C pays dollars instead of yen",
        &fund,
        ALL,
        &[1, 2],
        &with(dollars),
    );
    // T5 is between B and C, and stuck behind A's T1 and T4.
    check_scenario(
        "A pays nothing",
        &[B_PAID, C_PAID],
        ALL,
        &[],
        &[B_PAID, C_PAID],
    );
}

#[test]
fn an_extra_call_settles_what_a_held_bank_left_only_when_it_is_whole() {
    let cent_short = [B_PAID, (C, USD, 21_999_999_99), C_PAID];
    check_scenario("A held, a cent short", &cent_short, &[5], &[], &cent_short);
    check_scenario(
        "A held, paid",
        &[B_PAID, (C, USD, 22_000_000_00), C_PAID],
        &[5],
        &[5],
        &[
            (B, USD, 22_000_000_00),
            (B, EUR, 20_000_000_00),
            (C, EUR, 20_000_000_00),
            C_PAID,
        ],
    );
}

const AGGREGATE_SHORT_MAX: i64 = 60_000_000_00;
/// One participant's accounts, each with its asset; the first stands for its key.
fn accounts(participant: u32) -> Vec<(u32, u32)> {
    (0..ASSETS)
        .map(|asset| (participant * ASSETS + asset, asset))
        .collect()
}

/// Base dollar; EUR/USD 1.10; USD/JPY 125, so a yen is 0.008 dollars. No short limits.
fn continuous(fund: &[Amount]) -> Problem {
    let asset = |rate_scaled, haircut, decimals| AssetValue {
        rate: ValuationRate::from_scaled(rate_scaled).unwrap(),
        haircut,
        decimals,
    };
    let assets = vec![
        asset(1_000_000_000_000, 0, 2),
        asset(1_100_000_000_000, 500, 2),
        asset(8_000_000_000, 1_000, 0),
    ];
    let span = |participant| Span {
        accounts: accounts(participant),
        aggregate_short_max: Some(AGGREGATE_SHORT_MAX),
        account_value: true,
    };
    let problem = Problem::new(table(fund).to_vec(), vec![FLOOR_NONE; 9]).unwrap();
    let spans = [A, B, C].map(span).to_vec();
    let mut problem = problem.with_spans(2, assets, spans).unwrap();
    for legs in trades() {
        problem.push_unit(&legs).unwrap();
    }
    problem
}

/// Why a trade waits, in cents missing, and what the smallest pay-in of C's yen is that frees it.
type Waiting = (Cause, Test, i128, i64);

/// Every step of these starts with C, whose largest short is yen; `waiting` is of the trades that do not
/// settle, in queue order.
fn check_continuous(yen: i64, settled: &[usize], closing: &[Amount], waiting: &[Waiting]) {
    let name = format!("three tests, C paid {yen} JPY");
    let paid = [
        (A, USD, 44_000_000_00),
        (B, EUR, 20_000_000_00),
        (C, JPY, yen),
    ];
    let problem = continuous(&paid);
    check_run(&name, &problem, ALL, settled, closing);
    let outcome = settle(&problem);
    let explainer = Explainer::new(&problem, &outcome);
    let (key, account) = (C * ASSETS, C * ASSETS + JPY);
    let reason = |&(cause, test, missing, _): &Waiting| Reason {
        cause,
        key,
        test,
        missing,
        account,
    };
    let found: Vec<Reason> = (0..5).filter_map(|unit| explainer.reason(unit)).collect();
    assert_eq!(
        found,
        waiting.iter().map(reason).collect::<Vec<_>>(),
        "{name}"
    );
    let pay_ins = waiting.iter().map(|&(_, _, _, pay_in)| pay_in);
    let pay_ins: Vec<Option<i64>> = settled.iter().map(|_| 0).chain(pay_ins).map(Some).collect();
    assert_eq!(smallest_pay_ins(&problem, account), pay_ins, "{name}");
}

#[test]
fn the_three_tests_settle_up_to_their_limits_and_say_what_is_missing() {
    let c_fails = Cause::Test { key: C * ASSETS };
    let behind_t3 = Cause::Order {
        key: A * ASSETS,
        behind: 2,
    };
    let first_two = [
        (A, USD, 33_000_000_00),
        (A, EUR, 10_000_000_00),
        (B, USD, 11_000_000_00),
        (B, EUR, 10_000_000_00),
    ];
    // With everything, and without T5, C is 66 million dollars short in yen.
    let short = |missing, pay_in, pay_in_t5| {
        [
            (c_fails, Test::AggregateShort, missing, pay_in),
            (behind_t3, Test::AggregateShort, missing, pay_in),
            (c_fails, Test::AggregateShort, missing, pay_in_t5),
        ]
    };
    let waiting = short(6_000_000_00, 750_000_000, 875_000_000);
    check_continuous(0, &[1, 2], &first_two, &waiting);
    // A yen too little is 0.8 cents: rounded up.
    let closing = [&first_two[..], &[(C, JPY, 749_999_999)]].concat();
    check_continuous(749_999_999, &[1, 2], &closing, &short(1, 1, 125_000_001));

    // Aggregate short and account value both exactly at the boundary; with T5 the value lacks 1.1 million.
    let four = |yen| {
        [
            (A, USD, -44_000_000_00),
            (A, EUR, 20_000_000_00),
            (A, JPY, 8_250_000_000),
            (B, USD, 22_000_000_00),
            (C, USD, 66_000_000_00),
            (C, JPY, yen),
        ]
    };
    let t5 = |missing, pay_in| [(c_fails, Test::AccountValue, missing, pay_in)];
    let first_four = [1, 2, 3, 4];
    let waiting = t5(1_100_000_00, 125_000_000);
    check_continuous(750_000_000, &first_four, &four(-7_500_000_000), &waiting);
    // The value with T5 is -22/25 cents: truncation would pass.
    check_continuous(874_999_999, &first_four, &four(-7_375_000_001), &t5(1, 1));
    // The value of C is exactly 0.
    let five = [
        (A, USD, -44_000_000_00),
        (A, EUR, 20_000_000_00),
        (A, JPY, 8_250_000_000),
        (B, USD, 44_000_000_00),
        (B, EUR, -20_000_000_00),
        (C, USD, 44_000_000_00),
        (C, EUR, 20_000_000_00),
        (C, JPY, -7_375_000_000),
    ];
    check_continuous(875_000_000, ALL, &five, &[]);
}

#[test]
fn prefunded_reasons_name_the_account_that_lacks_money() {
    let paid = [A_PAID, B_PAID, (C, JPY, 8_249_999_999)];
    let problem = problem(&table(&paid), &trades());
    let outcome = settle(&problem);
    let explainer = Explainer::new(&problem, &outcome);
    let account = C * ASSETS + JPY;
    let behind = |key, behind| Cause::Order { key, behind };
    let reason = |cause| Reason {
        cause,
        key: account,
        test: Test::Floor { account },
        missing: 1,
        account,
    };
    let expected = [
        None,
        None,
        Some(reason(Cause::Test { key: account })),
        Some(reason(behind(A * ASSETS + USD, 2))),
        Some(reason(behind(B * ASSETS + EUR, 3))),
    ];
    assert_eq!([0, 1, 2, 3, 4].map(|unit| explainer.reason(unit)), expected);
    let pay_ins = [0, 0, 1, 1, 1].map(Some);
    assert_eq!(smallest_pay_ins(&problem, account), pay_ins);
}

fn owners() -> Owners {
    let owner = |key| Owner {
        participant: key / ASSETS,
        asset: key % ASSETS,
    };
    Owners::new((0..3 * ASSETS).map(owner).collect(), 3, ASSETS).unwrap()
}

fn nets() -> MultilateralNets {
    multilateral(trades().into_iter().flatten(), &owners()).unwrap()
}

#[test]
fn bilateral_nets() {
    let net = |(participant, against, asset, net)| BilateralNet {
        participant,
        against,
        asset,
        net,
    };
    let expected = [
        (A, B, USD, -22_000_000_00),
        (A, B, EUR, 20_000_000_00),
        (A, C, USD, -66_000_000_00),
        (A, C, JPY, 8_250_000_000),
        (B, C, USD, 22_000_000_00),
        (B, C, EUR, -20_000_000_00),
    ];
    let found = bilateral(trades().into_iter().flatten(), &owners()).unwrap();
    assert_eq!(found, expected.map(net));
}

#[test]
fn multilateral_nets() {
    let expected = table(&[
        (A, USD, -88_000_000_00),
        (A, EUR, 20_000_000_00),
        (A, JPY, 8_250_000_000),
        (B, USD, 44_000_000_00),
        (B, EUR, -40_000_000_00),
        (C, USD, 44_000_000_00),
        (C, EUR, 20_000_000_00),
        (C, JPY, -8_250_000_000),
    ]);
    let found: Vec<i128> = nets().iter().map(|(_, _, net)| net).collect();
    assert_eq!(found, expected.map(i128::from));
}

#[test]
fn pay_ins_and_pay_outs() {
    let funding: Vec<_> = nets().funding(|_, _| 0).collect();
    let pick =
        |amount: i128, participant, asset| (amount != 0).then_some((participant, asset, amount));
    let ins = funding
        .iter()
        .filter_map(|f| pick(f.pay_in, f.participant, f.asset));
    let outs = funding
        .iter()
        .filter_map(|f| pick(f.pay_out, f.participant, f.asset));
    let expected_ins = [A_PAID, B_PAID, C_PAID].map(|(p, asset, amount)| (p, asset, amount.into()));
    assert_eq!(ins.collect::<Vec<_>>(), expected_ins);
    let expected_outs = [
        (A, EUR, 20_000_000_00),
        (A, JPY, 8_250_000_000),
        (B, USD, 44_000_000_00),
        (C, USD, 44_000_000_00),
        (C, EUR, 20_000_000_00),
    ];
    assert_eq!(outs.collect::<Vec<_>>(), expected_outs);
}

#[test]
fn efficiency() {
    let nets = nets();
    let told = |asset| nets.efficiency(asset).unwrap().to_string();
    assert_eq!([told(USD), told(EUR), told(JPY)], ["9/13", "4/5", "0"]);
    // Base dollar; EUR/USD 1.10; USD/JPY 125, so a yen is 0.008 dollars.
    let valuations = [
        (1_000_000_000_000, 2),
        (1_100_000_000_000, 2),
        (8_000_000_000, 0),
    ]
    .map(|(rate_scaled, decimals)| Valuation {
        rate_scaled,
        decimals,
    });
    let total = nets.efficiency_total(&valuations).unwrap().unwrap();
    assert_eq!(total.to_string(), "17/26");
    assert_eq!(total.parts_of(10_000), Some(6_538));
}
