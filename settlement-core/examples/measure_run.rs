//! Measures the run, its certificate, an explanation and netting: `cargo run --release -p settlement-core
//! --example measure_run [units]`. Prints figures, judges nothing.

use std::hint::black_box;
use std::time::Instant;

use fx::ValuationRate;
use settlement_core::certificate::{Certificate, check};
use settlement_core::netting::{Owner, Owners, bilateral, multilateral};
use settlement_core::run::{
    AssetValue, FLOOR_NONE, Leg, Problem, Span, settle, settle_explained, smallest_pay_in,
    smallest_pay_ins,
};

const PARTICIPANTS: u32 = 200;
const ASSETS: u32 = 50;
const KEYS: u32 = PARTICIPANTS * ASSETS;
const UNITS_DEFAULT: u32 = 1_000_000;
const NETTED_LEGS: u32 = 10_000_000;
const EXPLAINED_UNITS: u32 = 100_000;
const AMOUNT_MAX: u64 = 1_000_000;
const REPEATS: u32 = 7;
/// More than all units together move, and little enough that values fit 128 bits.
const PLENTY: i64 = 10_000_000_000_000;

fn main() {
    let units = std::env::args()
        .nth(1)
        .map_or(UNITS_DEFAULT, |text| text.parse().expect("a number"));
    println!(
        "{units} two-leg units, {PARTICIPANTS} participants x {ASSETS} assets; best of {REPEATS}, ms"
    );
    println!(
        "{:<28}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "case", "settled", "steps", "settle", "input", "trace", "total", "check"
    );
    for (name, case) in cases() {
        measure(name, &case.problem(units));
    }
    measure_explanation();
    measure_netting();
}

/// How a problem is made.
#[derive(Clone, Copy)]
struct Case {
    tests: Tests,
    fund: fn(u32) -> i64,
    unit_legs: fn(&mut Random, u32) -> [Leg; 2],
}

#[derive(Clone, Copy)]
enum Tests {
    Floors,
    /// No floors; aggregate shorts limited to so much, minor units, and account values tested.
    Spanning(i64),
}

fn cases() -> [(&'static str, Case); 13] {
    let case = |tests, fund, unit_legs| Case {
        tests,
        fund,
        unit_legs,
    };
    let floors = |fund, unit_legs| case(Tests::Floors, fund, unit_legs);
    let spanning = |limit, fund, unit_legs| case(Tests::Spanning(limit), fund, unit_legs);
    let half = |key| if key % 2 == 0 { PLENTY } else { 0 };
    let first_fails = |key| if key == 0 { -PLENTY } else { PLENTY };
    let first_short = |key| if key == 0 { -1 } else { 0 };
    let buyer = |key| if key < ASSETS { 12_500_000 } else { 3_000_000 };
    [
        ("all settle", floors(|_| PLENTY, trade)),
        ("all but just", floors(|_| 60_000_000, trade)),
        ("nothing funded", floors(|_| 0, trade)),
        ("half funded", floors(half, trade)),
        ("one bank fails", floors(first_fails, trade)),
        ("nothing, one by one", floors(|_| -1, alone)),
        ("nothing, domino", floors(first_short, domino)),
        (
            "three tests, all settle",
            spanning(PLENTY, |_| PLENTY, trade),
        ),
        (
            "three tests, all but just",
            spanning(PLENTY, |_| 3_000_000, even_trade),
        ),
        ("three tests, nothing", spanning(0, |_| -1, trade)),
        ("three tests, half", spanning(PLENTY, buyer, overpaid)),
        ("three tests, one by one", spanning(0, |_| -1, alone)),
        ("three tests, domino", spanning(0, first_short, domino)),
    ]
}

impl Case {
    fn problem(&self, units: u32) -> Problem {
        let balances: Vec<i64> = (0..KEYS).map(self.fund).collect();
        let floor = match self.tests {
            Tests::Floors => 0,
            Tests::Spanning(_) => FLOOR_NONE,
        };
        let problem = Problem::new(balances, vec![floor; KEYS as usize]).expect("as many");
        let mut problem = match self.tests {
            Tests::Floors => problem,
            Tests::Spanning(limit) => problem
                .with_spans(2, assets(), spans(limit))
                .expect("in range"),
        };
        problem.reserve(units as usize, 2 * units as usize);
        let mut random = Random(1);
        for unit in 0..units {
            let legs = (self.unit_legs)(&mut random, unit);
            problem.push_unit(&legs).expect("valid legs");
        }
        problem
    }
}

/// All with two decimals, worth from 0.50 to 1.50, with haircuts up to 9.8%.
fn assets() -> Vec<AssetValue> {
    let asset = |asset: u32| AssetValue {
        rate: ValuationRate::from_scaled(500_000_000_001 + i128::from(asset) * 20_000_000_000)
            .expect("above zero"),
        haircut: u16::try_from(20 * asset).expect("small"),
        decimals: 2,
    };
    (0..ASSETS).map(asset).collect()
}

fn spans(limit: i64) -> Vec<Span> {
    let span = |participant| Span {
        accounts: (0..ASSETS)
            .map(|asset| (key(participant, asset), asset))
            .collect(),
        aggregate_short_max: Some(limit),
        account_value: true,
    };
    (0..PARTICIPANTS).map(span).collect()
}

fn measure(name: &str, problem: &Problem) {
    let (mut settle_ms, mut input_ms, mut trace_ms, mut check_ms) =
        (u128::MAX, u128::MAX, u128::MAX, u128::MAX);
    let (mut settled, mut steps) = (0, 0);
    for _ in 0..REPEATS {
        let (outcome, micros) = timed(|| settle(problem));
        settle_ms = settle_ms.min(micros);
        settled = outcome.settled.set_count();
        steps = outcome
            .removals
            .last()
            .map_or(0, |removal| removal.step + 1);
        let (certificate, micros) = timed(|| Certificate::new(problem, outcome.removals));
        input_ms = input_ms.min(micros);
        trace_ms = trace_ms.min(timed(|| black_box(certificate.hash())).1);
        let (verdict, micros) = timed(|| check(problem, &certificate, &outcome.settled));
        check_ms = check_ms.min(micros);
        verdict.expect("the certificate of a run holds");
    }
    let total = settle_ms + input_ms + trace_ms;
    println!(
        "{name:<28}{settled:>9}{steps:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
        ms(settle_ms),
        ms(input_ms),
        ms(trace_ms),
        ms(total),
        ms(check_ms)
    );
}

fn ms(micros: u128) -> String {
    format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
}

/// One of the units that wait: its reason, and the smallest pay-in to its binding account.
fn measure_explanation() {
    println!("{EXPLAINED_UNITS} units, one explained");
    for (name, case) in cases() {
        let problem = case.problem(EXPLAINED_UNITS);
        let outcome = settle(&problem);
        let Some(unit) = outcome.removals.get(outcome.removals.len() / 2) else {
            continue;
        };
        let (mut run_ms, mut explained_ms) = (u128::MAX, u128::MAX);
        let (mut one_ms, mut all_ms) = (u128::MAX, u128::MAX);
        let mut found = None;
        for _ in 0..REPEATS {
            run_ms = run_ms.min(timed(|| black_box(settle(&problem))).1);
            let ((_, explainer), micros) = timed(|| settle_explained(&problem));
            explained_ms = explained_ms.min(micros);
            let account = explainer.reason(unit.unit).expect("it waits").account;
            let (pay_in, micros) = timed(|| smallest_pay_in(&problem, account, unit.unit));
            (one_ms, found) = (one_ms.min(micros), pay_in);
            let (_, micros) = timed(|| black_box(smallest_pay_ins(&problem, account)));
            all_ms = all_ms.min(micros);
        }
        let [run, explained, one, all] = [run_ms, explained_ms, one_ms, all_ms].map(ms);
        println!(
            "{name:<28}run {run:>6} with reasons {explained:>6} pay-in of one {one:>6} of all {all:>6} ({found:?})"
        );
    }
}

/// Two participants exchange two assets.
fn trade(random: &mut Random, _unit: u32) -> [Leg; 2] {
    let (first, second) = different(random, PARTICIPANTS);
    let (sold, bought) = different(random, ASSETS);
    [
        leg(key(first, sold), key(second, sold), amount(random)),
        leg(key(second, bought), key(first, bought), amount(random)),
    ]
}

/// Both sides are worth about the same.
fn even_trade(random: &mut Random, unit: u32) -> [Leg; 2] {
    let mut legs = trade(random, unit);
    let rate = |account: u32| i64::from(50 + 2 * (account % ASSETS));
    legs[1].amount = 1 + legs[0].amount * rate(legs[0].debtor) / rate(legs[1].debtor);
    legs
}

/// The first bank pays twice what it gets: half way through, its money is gone.
fn overpaid(random: &mut Random, unit: u32) -> [Leg; 2] {
    let mut legs = even_trade(random, unit);
    if legs[0].debtor < ASSETS {
        legs[0].amount *= 2;
    }
    legs
}

/// Both legs leave one account of the assets' lower half for the upper half, from which nobody pays: no
/// removal has followers.
fn alone(random: &mut Random, _unit: u32) -> [Leg; 2] {
    let (first, second) = different(random, PARTICIPANTS);
    let (sold, bought) = different(random, ASSETS / 2);
    let bought = ASSETS / 2 + bought;
    [
        leg(key(first, sold), key(second, bought), amount(random)),
        leg(key(first, sold), key(first, bought), amount(random)),
    ]
}

/// Each account in turn pays the next, all with what they get: one that is short fells them all, a unit
/// at a time, each time in another queue.
fn domino(_random: &mut Random, unit: u32) -> [Leg; 2] {
    [leg(unit % KEYS, (unit + 1) % KEYS, 1); 2]
}

fn leg(debtor: u32, creditor: u32, amount: i64) -> Leg {
    Leg {
        debtor,
        creditor,
        amount,
    }
}

fn key(participant: u32, asset: u32) -> u32 {
    participant * ASSETS + asset
}

fn amount(random: &mut Random) -> i64 {
    i64::try_from(1 + random.below(AMOUNT_MAX)).expect("small")
}

fn different(random: &mut Random, below: u32) -> (u32, u32) {
    let first = random.below(below.into()) as u32;
    let other = random.below((below - 1).into()) as u32;
    (first, if other >= first { other + 1 } else { other })
}

fn measure_netting() {
    let owner = |key| Owner {
        participant: key / ASSETS,
        asset: key % ASSETS,
    };
    let owners = (0..KEYS).map(owner).collect();
    let owners = Owners::new(owners, PARTICIPANTS, ASSETS).expect("in range");
    let mut random = Random(2);
    let legs: Vec<Leg> = (0..NETTED_LEGS).map(|_| trade(&mut random, 0)[0]).collect();
    for _ in 0..2 {
        let nets = timed(|| multilateral(legs.iter().copied(), &owners).expect("valid legs"));
        let pairs = timed(|| bilateral(legs.iter().copied(), &owners).expect("valid legs"));
        let efficiency = nets.0.efficiency(0).expect("asset 0 has legs");
        println!(
            "netting {NETTED_LEGS} instructions in {ASSETS} assets: multilateral {} ms, bilateral {} ms ({} pairs), efficiency of asset 0: {} per mille",
            nets.1 / 1_000,
            pairs.1 / 1_000,
            pairs.0.len(),
            efficiency.parts_of(1_000).expect("small"),
        );
    }
}

/// What it answers and the microseconds that it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, u128) {
    let start = Instant::now();
    let answer = work();
    (answer, start.elapsed().as_micros())
}

/// splitmix64: the same figures on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
