//! The worked example: three banks, three currencies, five trades, prefunded; each settled set was
//! found by brute force as the unique largest that keeps order.

use crate::support::*;
use settlement_core::certificate::{Certificate, check};
use settlement_core::netting::{
    BilateralNet, MultilateralNets, Owner, Owners, Valuation, bilateral, multilateral,
};
use settlement_core::run::{Leg, settle};

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
    let outcome = settle(&problem);
    let found: Vec<usize> = outcome
        .settled
        .iter_set()
        .map(|unit| queue[unit as usize])
        .collect();
    assert_eq!(found, settled, "{name}");
    assert_eq!(outcome.closing, table(closing).map(i128::from), "{name}");
    let certificate = Certificate::new(&problem, outcome.removals);
    assert_eq!(
        check(&problem, &certificate, &outcome.settled),
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
