//! Random small problems over all mixes of tests, keys, priorities and groups.

use fx::ValuationRate;
use settlement_core::run::{
    AssetValue, Cap, FLOOR_NONE, HAIRCUT_SCALE, Leg, Problem, ProblemError, Span,
};

use crate::support::{Random, leg};

/// How many mixes there are.
pub const MIXES: u64 = 256;

/// What a problem is made of, one bit each.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub floors: bool,
    pub aggregate_shorts: bool,
    pub account_values: bool,
    pub haircuts: bool,
    pub caps: bool,
    /// Queue keys are participants (most of them), else accounts.
    pub participants: bool,
    pub priorities: bool,
    pub groups: bool,
}

impl Mix {
    pub fn numbered(number: u64) -> Self {
        let bit = |place: u32| number >> place & 1 == 1;
        Self {
            floors: bit(0),
            aggregate_shorts: bit(1),
            account_values: bit(2),
            haircuts: bit(3),
            caps: bit(4),
            participants: bit(5),
            priorities: bit(6),
            groups: bit(7),
        }
    }
}

/// All that a problem is made from, so that a test can change it and build it again.
#[derive(Clone, Debug)]
pub struct Parts {
    pub balances: Vec<i64>,
    pub floors: Vec<i64>,
    pub base_decimals: u8,
    pub assets: Vec<AssetValue>,
    pub spans: Vec<Span>,
    pub caps: Vec<Cap>,
    pub units: Vec<Vec<Leg>>,
}

impl Parts {
    pub fn build(&self) -> Problem {
        self.try_build().unwrap()
    }

    pub fn try_build(&self) -> Result<Problem, ProblemError> {
        let mut problem = Problem::new(self.balances.clone(), self.floors.clone())?
            .with_spans(self.base_decimals, self.assets.clone(), self.spans.clone())?
            .with_caps(self.caps.clone())?;
        for legs in &self.units {
            problem.push_unit(legs)?;
        }
        Ok(problem)
    }
}

/// A problem of this mix. An account is `participant * assets + asset`.
pub fn random_parts(random: &mut Random, mix: Mix, units_max: u64) -> Parts {
    let (participants, assets) = (2 + random.below(4), 1 + random.below(3));
    let account_count = participants * assets;
    let wealth = [0, 5, 20, 60][random.below(4) as usize];
    let balances = (0..account_count).map(|_| random.between(-2, wealth));
    let balances = balances.collect();
    let floors = (0..account_count).map(|_| random_floor(random, mix));
    let floors = floors.collect();
    let base_decimals = [0, 2, 2][random.below(3) as usize];
    Parts {
        balances,
        floors,
        base_decimals,
        assets: (0..assets)
            .map(|asset| random_asset(random, mix, base_decimals, asset))
            .collect(),
        spans: random_spans(random, mix, participants, assets),
        caps: random_caps(random, mix, participants, assets),
        units: random_units(random, mix, participants, assets, units_max),
    }
}

fn random_floor(random: &mut Random, mix: Mix) -> i64 {
    match random.below(4) {
        _ if !mix.floors => FLOOR_NONE,
        0 => FLOOR_NONE,
        1 => random.between(-20, 8),
        _ => 0,
    }
}

/// A minor unit is worth from a fifth to five minor units of the base asset, with odd digits.
fn random_asset(random: &mut Random, mix: Mix, base_decimals: u8, asset: u64) -> AssetValue {
    if asset == 0 {
        return AssetValue {
            rate: ValuationRate::ONE,
            haircut: 0,
            decimals: base_decimals,
        };
    }
    let decimals = [0, 2, 3, 8][random.below(4) as usize];
    let even = 10_i128.pow(12 + u32::from(decimals) - u32::from(base_decimals)) / 1_000;
    let scaled = even * i128::from(random.between(200, 5_000)) + i128::from(random.between(0, 999));
    let haircut = match random.below(3) {
        _ if !mix.haircuts => 0,
        0 => random.below(u64::from(HAIRCUT_SCALE)),
        _ => random.below(2_000),
    };
    AssetValue {
        rate: ValuationRate::from_scaled(scaled).unwrap(),
        haircut: haircut as u16,
        decimals,
    }
}

/// Over a participant's accounts, in an order of its own; or over single accounts, where keys are those.
fn random_spans(random: &mut Random, mix: Mix, participants: u64, assets: u64) -> Vec<Span> {
    let per_span = if mix.participants { assets } else { 1 };
    let spans = participants * assets / per_span;
    let covered: Vec<u64> = (0..spans).filter(|_| random.below(5) > 0).collect();
    let is_needed = mix.participants || mix.aggregate_shorts || mix.account_values;
    let span = |span: u64| {
        let turn = random.below(per_span);
        let account = |place: u64| {
            let account = span * per_span + (place + turn) % per_span;
            (account as u32, (account % assets) as u32)
        };
        Span {
            accounts: (0..per_span).map(account).collect(),
            aggregate_short_max: (mix.aggregate_shorts && random.below(4) > 0)
                .then(|| random.between(0, 30) * random.between(0, 1)),
            account_value: mix.account_values && random.below(4) > 0,
        }
    };
    if is_needed {
        covered.into_iter().map(span).collect()
    } else {
        Vec::new()
    }
}

fn random_caps(random: &mut Random, mix: Mix, participants: u64, assets: u64) -> Vec<Cap> {
    let mut caps: Vec<Cap> = Vec::new();
    for _ in 0..if mix.caps { 1 + random.below(5) } else { 0 } {
        let Leg {
            debtor, creditor, ..
        } = random_leg(random, participants, assets);
        let amount = random.between(0, 15);
        if caps
            .iter()
            .all(|cap| (cap.debtor, cap.creditor) != (debtor, creditor))
        {
            caps.push(Cap {
                debtor,
                creditor,
                amount,
            });
        }
    }
    caps
}

/// Instructions of one or two legs in order of priority, then sequence; a group is one unit in the place of
/// its last member.
fn random_units(
    random: &mut Random,
    mix: Mix,
    participants: u64,
    assets: u64,
    units_max: u64,
) -> Vec<Vec<Leg>> {
    let count = random.below(units_max + 1);
    let priorities = if mix.priorities { 3 } else { 1 };
    let mut queue: Vec<(u64, Vec<Leg>)> = Vec::new();
    for _ in 0..count {
        let legs = 1 + random.below(2);
        let legs = (0..legs).map(|_| random_leg(random, participants, assets));
        queue.push((0, legs.collect()));
    }
    queue
        .iter_mut()
        .for_each(|entry| entry.0 = random.below(priorities));
    queue.sort_by_key(|&(priority, _)| priority);
    let mut units: Vec<Vec<Leg>> = queue.into_iter().map(|(_, legs)| legs).collect();
    for _ in 0..if mix.groups { random.below(3) } else { 0 } {
        if units.len() > 2 {
            let ahead = random.below(units.len() as u64 - 1) as usize;
            let legs = units.remove(ahead);
            let last = ahead + random.below((units.len() - ahead) as u64) as usize;
            units[last].splice(0..0, legs);
        }
    }
    units
}

fn random_leg(random: &mut Random, participants: u64, assets: u64) -> Leg {
    let debtor = random.below(participants);
    let creditor = (debtor + 1 + random.below(participants - 1)) % participants;
    let asset = random.below(assets);
    let account = |participant: u64| (participant * assets + asset) as u32;
    leg(account(debtor), account(creditor), random.between(1, 12))
}
