//! Measures order bypassed: `cargo run --release -p settlement-core --example measure_bypass [units]`.
//! Prints figures, judges nothing.

use std::time::Instant;

use fx::I256;
use settlement_core::run::{Leg, Problem, bypass, settle};

const ACCOUNTS: u64 = 2_000;
const UNITS_DEFAULT: u64 = 100_000;
const AMOUNT_MAX: u64 = 1_000_000;
const BUDGETS: [u64; 4] = [0, 10_000, 100_000, 1_000_000];

fn main() {
    let units = std::env::args().nth(1);
    let units = units.map_or(UNITS_DEFAULT, |text| text.parse().expect("a number"));
    println!("{units} one-leg units, {ACCOUNTS} accounts");
    println!(
        "{:<16}{:>10}{:>10}{:>10}{:>12}{:>12}{:>8}{:>10}",
        "case", "budget", "kept", "settled", "components", "proven", "steps", "ms"
    );
    // Few who know each other, or everybody with everybody.
    measure("pairs", units, |random| {
        let pair = random.next() % (ACCOUNTS / 2) * 2;
        let side = random.next() % 2;
        (pair + side, pair + 1 - side)
    });
    measure("everybody", units, |random| {
        let from = random.next() % ACCOUNTS;
        (from, (from + 1 + random.next() % (ACCOUNTS - 1)) % ACCOUNTS)
    });
}

fn measure(name: &str, units: u64, parties: impl Fn(&mut Random) -> (u64, u64)) {
    let mut random = Random(1);
    let wealth = |_| (random.next() % (4 * AMOUNT_MAX)) as i64;
    let balances: Vec<i64> = (0..ACCOUNTS).map(wealth).collect();
    let floors = vec![0; balances.len()];
    let mut problem = Problem::new(balances, floors).expect("as many");
    let mut weights = Vec::new();
    for _ in 0..units {
        let (debtor, creditor) = parties(&mut random);
        let amount = (1 + random.next() % AMOUNT_MAX) as i64;
        let leg = Leg {
            debtor: debtor as u32,
            creditor: creditor as u32,
            amount,
        };
        problem.push_unit(&[leg]).expect("a valid leg");
        weights.push(I256::from(amount));
    }
    let kept = settle(&problem).settled;
    for budget in BUDGETS {
        let start = Instant::now();
        let found = bypass(&problem, &kept, &weights, budget);
        let proven = found
            .components
            .iter()
            .filter(|component| component.optimal);
        println!(
            "{name:<16}{budget:>10}{:>10}{:>10}{:>12}{:>12}{:>8}{:>10}",
            kept.set_count(),
            found.settled.set_count(),
            found.components.len(),
            proven.count(),
            found.steps,
            start.elapsed().as_millis()
        );
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
