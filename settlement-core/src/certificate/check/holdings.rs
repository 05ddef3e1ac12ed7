//! What accounts hold while a trace is replayed, and how many tests of each key fail.
//!
//! Values that span accounts are integers, in units of `10^-(12 + 4 + d)` of the base asset (decimals of
//! rates, of haircuts, and the most of any asset). They are counted in 128 bits where [`fits_i128`] proves
//! that nothing leaves them, else in 256.

use std::ops::{Add, Mul, Sub};

use fx::{I256, ValuationRate};

use crate::run::{AssetValue, FLOOR_NONE, HAIRCUT_SCALE, Leg, Problem};

/// Of an account that no span covers.
const ASSET_NONE: u32 = u32::MAX;

/// An integer: `i128` or `I256`.
pub(super) trait Integer:
    Copy + Default + Ord + From<i128> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
}

impl Integer for i128 {}
impl Integer for I256 {}

#[derive(Clone, Copy)]
struct Account {
    /// Minor units, if the present units settle.
    balance: i128,
    floor: i64,
    key: u32,
    asset: u32,
    /// Of the key's tests, where the account stands for a key.
    failing_tests: u32,
    /// Where the account stands for a key that a span covers.
    span: u32,
}

impl Account {
    fn count(&mut self, was_failing: u32, is_failing: u32) {
        self.failing_tests = self.failing_tests + is_failing - was_failing;
    }

    fn is_below_floor(&self) -> bool {
        self.floor != FLOOR_NONE && self.balance < i128::from(self.floor)
    }
}

/// What a minor unit of an asset is worth.
struct Weights<N> {
    short: N,
    long_after_haircut: N,
    short_after_haircut: N,
}

impl<N: Integer> Weights<N> {
    fn new(asset: &AssetValue, decimals: u32) -> Self {
        let unit = N::from(asset.rate.scaled()) * ten_to::<N>(decimals - u32::from(asset.decimals));
        let (whole, haircut) = (i128::from(HAIRCUT_SCALE), i128::from(asset.haircut));
        Self {
            short: unit * N::from(whole),
            long_after_haircut: unit * N::from(whole - haircut),
            short_after_haircut: unit * N::from(whole + haircut),
        }
    }
}

/// What a span's accounts are worth together.
#[derive(Clone, Copy)]
struct Worth<N> {
    short: N,
    short_max: Option<N>,
    value: N,
    value_is_tested: bool,
}

impl<N: Integer> Worth<N> {
    fn failing_tests(&self) -> u32 {
        let short = self.short_max.is_some_and(|most| self.short > most);
        let value = self.value_is_tested && self.value < N::default();
        u32::from(short) + u32::from(value)
    }

    /// A balance of this asset becomes part of it.
    fn add(&mut self, balance: i128, weights: &Weights<N>) {
        if balance < 0 {
            let short = N::from(-balance);
            self.short = self.short + weights.short * short;
            self.value = self.value - weights.short_after_haircut * short;
        } else {
            self.value = self.value + weights.long_after_haircut * N::from(balance);
        }
    }

    /// A balance of this asset is no longer part of it.
    fn take(&mut self, balance: i128, weights: &Weights<N>) {
        if balance < 0 {
            let short = N::from(-balance);
            self.short = self.short - weights.short * short;
            self.value = self.value + weights.short_after_haircut * short;
        } else {
            self.value = self.value - weights.long_after_haircut * N::from(balance);
        }
    }
}

/// All balances, and what their tests say.
pub(super) struct Holdings<'a, N> {
    problem: &'a Problem,
    accounts: Vec<Account>,
    /// By asset.
    weights: Vec<Weights<N>>,
    /// By span.
    worths: Vec<Worth<N>>,
    /// By cap: what was paid less what came back, minor units.
    paid: Vec<i128>,
}

impl<'a, N: Integer> Holdings<'a, N> {
    /// As if all units settled that are present.
    pub(super) fn new(problem: &'a Problem, is_present: impl Fn(u32) -> bool) -> Self {
        let decimals = most_decimals(problem);
        let assets = problem.assets().iter();
        let mut holdings = Self {
            problem,
            accounts: (0..problem.account_count())
                .map(|account| opening(problem, account))
                .collect(),
            weights: assets.map(|asset| Weights::new(asset, decimals)).collect(),
            worths: worths(problem, decimals),
            paid: vec![0; problem.caps().len()],
        };
        for (number, span) in (0..).zip(problem.spans()) {
            for &(account, asset) in &span.accounts {
                holdings.accounts[account as usize].asset = asset;
                holdings.accounts[account as usize].key = span.accounts[0].0;
            }
            holdings.accounts[span.accounts[0].0 as usize].span = number;
        }
        let units = problem.units().filter(|&(unit, _)| is_present(unit));
        holdings.settle(units.flat_map(|(_, legs)| legs));
        holdings
    }

    fn settle(&mut self, legs: impl Iterator<Item = &'a Leg>) {
        for leg in legs {
            self.accounts[leg.debtor as usize].balance -= i128::from(leg.amount);
            self.accounts[leg.creditor as usize].balance += i128::from(leg.amount);
            self.pay(leg, i128::from(leg.amount));
        }
        for index in 0..self.accounts.len() {
            let account = self.accounts[index];
            let key = &mut self.accounts[account.key as usize];
            key.count(0, account.is_below_floor().into());
            if account.asset != ASSET_NONE {
                let worth = &mut self.worths[key.span as usize];
                worth.add(account.balance, &self.weights[account.asset as usize]);
            }
        }
        for (span, worth) in self.problem.spans().iter().zip(&self.worths) {
            self.accounts[span.accounts[0].0 as usize].count(0, worth.failing_tests());
        }
    }

    /// The queue key of an account.
    #[inline]
    pub(super) fn key(&self, account: u32) -> u32 {
        self.accounts[account as usize].key
    }

    /// Whether a test of the key fails, members or not.
    #[inline]
    pub(super) fn fails(&self, key: u32) -> bool {
        self.accounts[key as usize].failing_tests > 0
    }

    /// The leg does not settle after all.
    pub(super) fn undo(&mut self, leg: &Leg) {
        let amount = i128::from(leg.amount);
        self.change(leg.debtor, amount);
        self.change(leg.creditor, -amount);
        self.pay(leg, -amount);
    }

    #[inline]
    fn change(&mut self, account: u32, change: i128) {
        let account = &mut self.accounts[account as usize];
        let (before, was_below) = (account.balance, account.is_below_floor());
        account.balance += change;
        let Account {
            balance,
            asset,
            key,
            ..
        } = *account;
        let is_below = account.is_below_floor();
        if asset == ASSET_NONE {
            account.count(was_below.into(), is_below.into());
            return;
        }
        let key = &mut self.accounts[key as usize];
        let (weights, worth) = (
            &self.weights[asset as usize],
            &mut self.worths[key.span as usize],
        );
        let was_failing = worth.failing_tests() + u32::from(was_below);
        worth.take(before, weights);
        worth.add(balance, weights);
        key.count(was_failing, worth.failing_tests() + u32::from(is_below));
    }

    #[inline]
    fn pay(&mut self, leg: &Leg, amount: i128) {
        if !self.paid.is_empty() {
            self.pay_one_way(leg.debtor, leg.creditor, amount);
            self.pay_one_way(leg.creditor, leg.debtor, -amount);
        }
    }

    fn pay_one_way(&mut self, debtor: u32, creditor: u32, amount: i128) {
        let caps = self.problem.caps();
        let found =
            caps.binary_search_by_key(&(debtor, creditor), |cap| (cap.debtor, cap.creditor));
        let Ok(index) = found else {
            return;
        };
        let exceeds = |paid: i128| u32::from(paid > i128::from(caps[index].amount));
        let was_exceeded = exceeds(self.paid[index]);
        self.paid[index] += amount;
        let key = self.accounts[debtor as usize].key;
        self.accounts[key as usize].count(was_exceeded, exceeds(self.paid[index]));
    }
}

fn opening(problem: &Problem, account: u32) -> Account {
    Account {
        balance: problem.balances()[account as usize].into(),
        floor: problem.floors()[account as usize],
        key: account,
        asset: ASSET_NONE,
        failing_tests: 0,
        span: 0,
    }
}

fn worths<N: Integer>(problem: &Problem, decimals: u32) -> Vec<Worth<N>> {
    let base_unit = base_unit::<N>(problem, decimals);
    let spans = problem.spans().iter();
    let worth = spans.map(|span| Worth {
        short: N::default(),
        short_max: span
            .aggregate_short_max
            .map(|limit| base_unit * N::from(limit.into())),
        value: N::default(),
        value_is_tested: span.account_value,
    });
    worth.collect()
}

/// A minor unit of the base asset, as a value.
fn base_unit<N: Integer>(problem: &Problem, decimals: u32) -> N {
    ten_to::<N>(decimals - u32::from(problem.base_decimals()))
        * N::from(ValuationRate::ONE.scaled())
        * N::from(HAIRCUT_SCALE.into())
}

fn most_decimals(problem: &Problem) -> u32 {
    let decimals = problem.assets().iter().map(|asset| asset.decimals);
    decimals.fold(problem.base_decimals(), u8::max).into()
}

fn ten_to<N: Integer>(exponent: u32) -> N {
    N::from(10_i128.pow(exponent))
}

/// Whether all that all accounts ever hold, at the weight of the heaviest asset, and every limit fit 126
/// bits.
pub(super) fn fits_i128(problem: &Problem) -> bool {
    let openings = problem
        .balances()
        .iter()
        .map(|&balance| i128::from(balance).abs());
    let amounts = problem.legs().iter().map(|leg| i128::from(leg.amount));
    let held = openings.sum::<i128>() + 2 * amounts.sum::<i128>();
    let decimals = most_decimals(problem);
    let limits = problem
        .spans()
        .iter()
        .filter_map(|span| span.aggregate_short_max);
    let limit = limits
        .map(|limit| i128::from(limit).abs())
        .max()
        .unwrap_or(0);
    let weights = problem
        .assets()
        .iter()
        .map(|asset| Weights::<I256>::new(asset, decimals));
    let heaviest = weights
        .map(|weights| weights.short_after_haircut)
        .max()
        .unwrap_or_default();
    let bound = I256::ONE << 126_u32;
    heaviest * I256::from(held.max(1)) < bound
        && base_unit::<I256>(problem, decimals) * I256::from(limit) < bound
}
