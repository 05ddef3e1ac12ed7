//! Measures the run, its certificate and netting: `cargo run --release -p settlement-core --example
//! measure_run [units]`. Prints figures, judges nothing.

use std::hint::black_box;
use std::time::Instant;

use settlement_core::certificate::{Certificate, check};
use settlement_core::netting::{Owner, Owners, bilateral, multilateral};
use settlement_core::run::{Leg, Problem, settle};

const PARTICIPANTS: u32 = 200;
const ASSETS: u32 = 50;
const KEYS: u32 = PARTICIPANTS * ASSETS;
const UNITS_DEFAULT: u32 = 1_000_000;
const NETTED_LEGS: u32 = 10_000_000;
const AMOUNT_MAX: u64 = 1_000_000;
const REPEATS: u32 = 5;

fn main() {
    let units = std::env::args()
        .nth(1)
        .map_or(UNITS_DEFAULT, |text| text.parse().expect("a number"));
    println!(
        "{units} two-leg units, {PARTICIPANTS} participants x {ASSETS} assets; best of {REPEATS}, ms"
    );
    println!(
        "{:<24}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "case", "settled", "steps", "settle", "input", "trace", "total", "check"
    );
    let plenty = i64::MAX / 4;
    let half = |key| if key % 2 == 0 { plenty } else { 0 };
    let first_fails = |key| if key == 0 { i64::MIN / 2 } else { plenty };
    let first_short = |key| if key == 0 { -1 } else { 0 };
    measure("all settle", units, |_| plenty, trade);
    measure("all but just", units, |_| 60_000_000, trade);
    measure("nothing funded", units, |_| 0, trade);
    measure("half funded", units, half, trade);
    measure("one bank fails", units, first_fails, trade);
    measure("nothing, one by one", units, |_| -1, alone);
    measure("nothing, domino", units, first_short, domino);
    measure_netting();
}

fn measure(
    name: &str,
    units: u32,
    fund: impl Fn(u32) -> i64,
    unit_legs: impl Fn(&mut Random, u32) -> [Leg; 2],
) {
    let balances: Vec<i64> = (0..KEYS).map(fund).collect();
    let floors = vec![0; balances.len()];
    let mut problem = Problem::new(balances, floors).expect("as many");
    problem.reserve(units as usize, 2 * units as usize);
    let mut random = Random(1);
    for unit in 0..units {
        problem
            .push_unit(&unit_legs(&mut random, unit))
            .expect("valid legs");
    }
    let (mut settle_ms, mut input_ms, mut trace_ms, mut check_ms) =
        (u128::MAX, u128::MAX, u128::MAX, u128::MAX);
    let (mut settled, mut steps) = (0, 0);
    for _ in 0..REPEATS {
        let (outcome, micros) = timed(|| settle(&problem));
        settle_ms = settle_ms.min(micros);
        settled = outcome.settled.set_count();
        steps = outcome
            .removals
            .last()
            .map_or(0, |removal| removal.step + 1);
        let (certificate, micros) = timed(|| Certificate::new(&problem, outcome.removals));
        input_ms = input_ms.min(micros);
        trace_ms = trace_ms.min(timed(|| black_box(certificate.hash())).1);
        let (verdict, micros) = timed(|| check(&problem, &certificate, &outcome.settled));
        check_ms = check_ms.min(micros);
        verdict.expect("the certificate of a run holds");
    }
    let total = settle_ms + input_ms + trace_ms;
    let ms = |micros: u128| format!("{}.{}", micros / 1_000, micros % 1_000 / 100);
    println!(
        "{name:<24}{settled:>9}{steps:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
        ms(settle_ms),
        ms(input_ms),
        ms(trace_ms),
        ms(total),
        ms(check_ms)
    );
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
