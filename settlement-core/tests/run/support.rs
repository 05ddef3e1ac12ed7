//! Random problems by seed.

use settlement_core::run::{Leg, Problem};

/// How many times the seeds of a test, if `VALUTA_LONG=1` asks for a long run.
const LONG_FACTOR: u64 = 50;

pub fn seeds(count: u64) -> std::ops::Range<u64> {
    0..if is_long() {
        count * LONG_FACTOR
    } else {
        count
    }
}

pub fn is_long() -> bool {
    std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1")
}

pub fn leg(debtor: u32, creditor: u32, amount: i64) -> Leg {
    Leg {
        debtor,
        creditor,
        amount,
    }
}

pub fn problem(balances: &[i64], units: &[Vec<Leg>]) -> Problem {
    with_floors(balances, &vec![0; balances.len()], units)
}

pub fn with_floors(balances: &[i64], floors: &[i64], units: &[Vec<Leg>]) -> Problem {
    let mut problem = Problem::new(balances.to_vec(), floors.to_vec()).unwrap();
    for legs in units {
        problem.push_unit(legs).unwrap();
    }
    problem
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }
}

/// What a random problem may look like; a key is `participant * assets + asset`.
#[derive(Clone, Copy)]
pub struct Shape {
    pub participants: u64,
    pub assets: u64,
    pub units_max: u64,
    pub legs_max: u64,
}

pub fn random_shape(random: &mut Random, units_max: u64) -> Shape {
    let participants = 2 + random.below(6);
    let assets = 1 + random.below(4);
    let legs_max = [1, 2, 2, 4, 16][random.below(5) as usize];
    Shape {
        participants,
        assets,
        units_max,
        legs_max,
    }
}

/// Openings from plenty to nothing, some below their floor; floors on both sides of zero; units in
/// order of priority, then sequence.
pub fn random_problem(random: &mut Random, shape: Shape) -> Problem {
    let keys = shape.participants * shape.assets;
    let wealth = [0, 5, 20, 60][random.below(4) as usize];
    let balances: Vec<i64> = (0..keys).map(|_| random.between(-2, wealth)).collect();
    let floors: Vec<i64> = (0..keys)
        .map(|_| {
            if random.below(3) == 0 {
                random.between(-20, 8)
            } else {
                0
            }
        })
        .collect();
    let unit_count = random.below(shape.units_max + 1);
    let mut queue: Vec<(u64, u64, Vec<Leg>)> = (0..unit_count)
        .map(|sequence| (random.below(3), sequence, random_unit(random, shape)))
        .collect();
    queue.sort_by_key(|&(priority, sequence, _)| (priority, sequence));
    let units: Vec<Vec<Leg>> = queue.into_iter().map(|(_, _, legs)| legs).collect();
    with_floors(&balances, &floors, &units)
}

fn random_unit(random: &mut Random, shape: Shape) -> Vec<Leg> {
    let leg_count = 1 + random.below(shape.legs_max);
    (0..leg_count).map(|_| random_leg(random, shape)).collect()
}

fn random_leg(random: &mut Random, shape: Shape) -> Leg {
    let debtor = random.below(shape.participants);
    let creditor = (debtor + 1 + random.below(shape.participants - 1)) % shape.participants;
    let asset = random.below(shape.assets);
    let key = |participant: u64| u32::try_from(participant * shape.assets + asset).unwrap();
    leg(key(debtor), key(creditor), random.between(1, 12))
}

pub fn debits(problem: &Problem, unit: u32, key: u32) -> bool {
    problem.unit(unit).iter().any(|leg| leg.debtor == key)
}
