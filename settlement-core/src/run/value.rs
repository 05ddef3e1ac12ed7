//! What amounts are worth in tests that span accounts, in integers.
//!
//! Values are in units of `10^-(12 + 4 + d)` of the base asset: rates have 12 decimals, haircuts 4, amounts
//! at most `d`. They are counted in 128 bits where [`fits_narrow`] proves that no sum leaves them, else in
//! 256, which [`RATE_SCALED_MAX`](super::RATE_SCALED_MAX) makes enough for any problem.

use std::ops::{Add, Mul, Sub};

use fx::{I256, VALUATION_DECIMALS};

use super::problem::{AssetValue, HAIRCUT_SCALE, Problem};

/// Haircuts have four decimals.
const HAIRCUT_DECIMALS: u8 = 4;

/// An integer that holds values.
pub(super) trait Value:
    Copy + Ord + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
    const ZERO: Self;
    fn from_wide(value: I256) -> Self;
    fn from_minor(value: i128) -> Self;
    fn widen(self) -> I256;
}

impl Value for i128 {
    const ZERO: Self = 0;

    fn from_wide(value: I256) -> Self {
        Self::try_from(value).expect("proven by fits_narrow")
    }

    fn from_minor(value: i128) -> Self {
        value
    }

    fn widen(self) -> I256 {
        I256::from(self)
    }
}

impl Value for I256 {
    const ZERO: Self = Self::ZERO;

    fn from_wide(value: I256) -> Self {
        value
    }

    fn from_minor(value: i128) -> Self {
        Self::from(value)
    }

    fn widen(self) -> I256 {
        self
    }
}

/// What one minor unit of an asset counts for.
#[derive(Clone, Copy)]
pub(super) struct Weights<V> {
    /// In the aggregate short.
    pub(super) short: V,
    /// In the account's value, when held.
    pub(super) long_value: V,
    /// In the account's value, when short.
    pub(super) short_value: V,
}

pub(super) fn weights(asset: &AssetValue, decimals: u8) -> Weights<I256> {
    let unit = I256::from(asset.rate.scaled()) * power(decimals - asset.decimals);
    let scaled = |haircut: i32| unit * I256::from(i32::from(HAIRCUT_SCALE) + haircut);
    let haircut = i32::from(asset.haircut);
    Weights {
        short: scaled(0),
        long_value: scaled(-haircut),
        short_value: scaled(haircut),
    }
}

fn power(exponent: u8) -> I256 {
    I256::new(10).pow(u32::from(exponent))
}

/// The decimals that every amount is brought to.
pub(super) fn common_decimals(problem: &Problem) -> u8 {
    let decimals = problem.assets().iter().map(|asset| asset.decimals);
    decimals.fold(problem.base_decimals(), u8::max)
}

/// Decimals of a value in the base asset.
fn value_decimals(problem: &Problem) -> u8 {
    VALUATION_DECIMALS + HAIRCUT_DECIMALS + common_decimals(problem)
}

/// An amount of the base asset, in minor units, as a value.
pub(super) fn base_value(problem: &Problem, minor: i64) -> I256 {
    I256::from(minor) * base_unit(problem)
}

/// A minor unit of the base asset, as a value.
pub(super) fn base_unit(problem: &Problem) -> I256 {
    power(value_decimals(problem) - problem.base_decimals())
}

/// Whether no value that any set of units leads to leaves 126 bits, with as much more on each account as
/// `pay_in` says, minor units.
pub(super) fn fits_narrow(problem: &Problem, pay_in: i64) -> bool {
    let mut reach: Vec<i128> = problem
        .balances()
        .iter()
        .map(|&balance| i128::from(balance).abs() + i128::from(pay_in))
        .collect();
    for leg in problem.legs() {
        reach[leg.debtor as usize] += i128::from(leg.amount);
        reach[leg.creditor as usize] += i128::from(leg.amount);
    }
    let decimals = common_decimals(problem);
    let heaviest: Vec<I256> = problem
        .assets()
        .iter()
        .map(|asset| weights(asset, decimals).short_value)
        .collect();
    let bound = I256::ONE << 126_u32;
    problem.spans().iter().all(|span| {
        let reached = |&(account, asset): &(u32, u32)| {
            // Of an account that nothing reaches, the weight itself must fit.
            I256::from(reach[account as usize].max(1)) * heaviest[asset as usize]
        };
        let values = span.accounts.iter().map(reached).sum::<I256>();
        let limit = span.aggregate_short_max.unwrap_or(0);
        values < bound && base_value(problem, limit).abs() < bound
    })
}
