//! Random problems by seed, and two slow ways to the same answer.

use settlement_core::run::{Cause, Leg, Problem};

/// How many times the seeds of a test, if `VALUTA_LONG=1` asks for a long run.
const LONG_FACTOR: u64 = 50;

pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let long = std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1");
    0..if long { count * LONG_FACTOR } else { count }
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

/// What each key holds if exactly the units of `set` settle.
pub fn closing(problem: &Problem, set: &[bool]) -> Vec<i128> {
    let mut closing: Vec<i128> = problem.balances().iter().map(|&b| i128::from(b)).collect();
    for (_, legs) in problem.units().filter(|&(unit, _)| set[unit as usize]) {
        for leg in legs {
            closing[leg.debtor as usize] -= i128::from(leg.amount);
            closing[leg.creditor as usize] += i128::from(leg.amount);
        }
    }
    closing
}

fn members(problem: &Problem, key: u32) -> impl DoubleEndedIterator<Item = u32> {
    (0..problem.unit_count()).filter(move |&unit| debits(problem, unit, key))
}

/// Whether every key with a member in the set ends at or above its floor.
pub fn is_feasible(problem: &Problem, set: &[bool]) -> bool {
    let closing = closing(problem, set);
    (0..problem.account_count()).all(|key| {
        let tested = members(problem, key).any(|unit| set[unit as usize]);
        !tested || closing[key as usize] >= i128::from(problem.floors()[key as usize])
    })
}

/// Whether every key's members in the set are a prefix of its queue.
pub fn keeps_order(problem: &Problem, set: &[bool]) -> bool {
    (0..problem.account_count()).all(|key| {
        let inside: Vec<bool> = members(problem, key)
            .map(|unit| set[unit as usize])
            .collect();
        inside.is_sorted_by(|ahead, behind| ahead >= behind)
    })
}

/// One step as the definition has it: the failing key, its last member, and all who leave with it.
#[derive(Debug, PartialEq, Eq)]
pub struct NaiveStep {
    pub key: u32,
    pub unit: u32,
    pub removed: Vec<u32>,
}

/// The definition, word for word; cubic.
pub fn settle_naively(problem: &Problem) -> (Vec<bool>, Vec<NaiveStep>) {
    let mut set = vec![true; problem.unit_count() as usize];
    let mut steps = Vec::new();
    while let Some(key) = first_failing(problem, &set) {
        let unit = members(problem, key)
            .rev()
            .find(|&unit| set[unit as usize])
            .unwrap();
        let before = set.clone();
        set[unit as usize] = false;
        while let Some(behind) = behind_a_removed_one(problem, &set) {
            set[behind as usize] = false;
        }
        let left = |unit: &u32| before[*unit as usize] && !set[*unit as usize];
        let removed = (0..problem.unit_count()).filter(left).collect();
        steps.push(NaiveStep { key, unit, removed });
    }
    (set, steps)
}

fn first_failing(problem: &Problem, set: &[bool]) -> Option<u32> {
    let closing = closing(problem, set);
    let debtors = problem.legs().iter().map(|leg| leg.debtor);
    let fails = |&key: &u32| {
        let tested = members(problem, key).any(|unit| set[unit as usize]);
        tested && closing[key as usize] < i128::from(problem.floors()[key as usize])
    };
    let mut debtors = debtors;
    debtors.find(fails)
}

fn behind_a_removed_one(problem: &Problem, set: &[bool]) -> Option<u32> {
    let shares = |ahead: u32, unit: u32| {
        problem
            .unit(ahead)
            .iter()
            .any(|leg| debits(problem, unit, leg.debtor))
    };
    (0..problem.unit_count())
        .filter(|&unit| set[unit as usize])
        .find(|&unit| (0..unit).any(|ahead| !set[ahead as usize] && shares(ahead, unit)))
}

/// Every subset: the feasible, order-keeping one that holds all the others.
pub fn settle_by_brute_force(problem: &Problem) -> Vec<bool> {
    let unit_count = problem.unit_count();
    let subset = |bits: u32| -> Vec<bool> { (0..unit_count).map(|i| bits >> i & 1 == 1).collect() };
    let good: Vec<u32> = (0..1_u32 << unit_count)
        .filter(|&bits| keeps_order(problem, &subset(bits)) && is_feasible(problem, &subset(bits)))
        .collect();
    let largest = good
        .iter()
        .copied()
        .max_by_key(|bits| bits.count_ones())
        .unwrap();
    assert!(
        good.iter().all(|bits| bits & !largest == 0),
        "one holds all the others"
    );
    subset(largest)
}

/// The steps that a trace tells, in the naive run's form.
pub fn steps_of(removals: &[settlement_core::run::Removal]) -> Vec<NaiveStep> {
    let mut steps: Vec<NaiveStep> = Vec::new();
    for removal in removals {
        if let Cause::Test { key } = removal.cause {
            steps.push(NaiveStep {
                key,
                unit: removal.unit,
                removed: Vec::new(),
            });
        }
        assert_eq!(
            removal.step as usize + 1,
            steps.len(),
            "steps are numbered from 0"
        );
        steps.last_mut().unwrap().removed.push(removal.unit);
    }
    steps
        .iter_mut()
        .for_each(|step| step.removed.sort_unstable());
    steps
}
