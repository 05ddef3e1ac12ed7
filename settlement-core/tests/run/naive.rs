//! The definition of a run, word for word, over sets of at most 64 units. Slow; values are counted in one
//! unit for all problems, and nothing is updated: every test is computed anew.

use fx::I256;
use settlement_core::run::{Cause, FLOOR_NONE, Problem, Removal, Span, Test};

/// One bit per unit.
pub type Set = u64;

/// Values count in 10^-24 of the base asset: 12 decimals of rates, 4 of haircuts, 8 of amounts.
const VALUE_DECIMALS: u32 = 24;

/// A test that fails: the first of its key.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub test: Test,
    /// As [`settlement_core::run::Reason`] tells it.
    pub missing: i128,
    pub account: u32,
}

pub struct Naive<'a> {
    problem: &'a Problem,
    /// Keys in order of first debit, each with its members.
    keys: Vec<(u32, Set)>,
}

impl<'a> Naive<'a> {
    pub fn new(problem: &'a Problem) -> Self {
        assert!(problem.unit_count() <= Set::BITS);
        let mut keys: Vec<(u32, Set)> = Vec::new();
        for (unit, legs) in problem.units() {
            for leg in legs {
                let key = key_of(problem, leg.debtor);
                match keys.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, members)) => *members |= 1 << unit,
                    None => keys.push((key, 1 << unit)),
                }
            }
        }
        Self { problem, keys }
    }

    pub fn all(&self) -> Set {
        Set::MAX
            .checked_shr(Set::BITS - self.problem.unit_count())
            .unwrap_or(0)
    }

    fn members(&self, key: u32) -> Set {
        let found = self.keys.iter().find(|(known, _)| *known == key);
        found.map_or(0, |&(_, members)| members)
    }

    /// What each account holds if exactly the units of `set` settle.
    pub fn closing(&self, set: Set) -> Vec<i128> {
        let openings = self.problem.balances().iter();
        let mut closing: Vec<i128> = openings.map(|&balance| i128::from(balance)).collect();
        for unit in units(set) {
            for leg in self.problem.unit(unit) {
                closing[leg.debtor as usize] -= i128::from(leg.amount);
                closing[leg.creditor as usize] += i128::from(leg.amount);
            }
        }
        closing
    }

    /// Whether every key's members in the set are a prefix of its queue.
    pub fn keeps_order(&self, set: Set) -> bool {
        self.keys.iter().all(|&(_, members)| {
            let (inside, outside) = (members & set, members & !set);
            inside == 0 || outside == 0 || inside.ilog2() < outside.trailing_zeros()
        })
    }

    /// Whether every key with a member in the set passes its tests.
    pub fn is_feasible(&self, set: Set) -> bool {
        let closing = self.closing(set);
        self.keys
            .iter()
            .all(|&(key, members)| members & set == 0 || self.failure(key, set, &closing).is_none())
    }

    /// The key's first failing test, members or not.
    pub fn failure(&self, key: u32, set: Set, closing: &[i128]) -> Option<Failure> {
        let span = span_of(self.problem, key);
        let accounts: Vec<u32> = match span {
            Some(span) => span.accounts.iter().map(|&(account, _)| account).collect(),
            None => vec![key],
        };
        let floor = accounts.iter().find_map(|&account| {
            let floor = self.problem.floors()[account as usize];
            let missing = i128::from(floor) - closing[account as usize];
            let test = Test::Floor { account };
            (floor != FLOOR_NONE && missing > 0).then_some(Failure {
                test,
                missing,
                account,
            })
        });
        floor
            .or_else(|| span.and_then(|span| self.aggregate_failure(span, closing)))
            .or_else(|| span.and_then(|span| self.value_failure(span, closing)))
            .or_else(|| self.cap_failure(&accounts, set))
    }

    fn aggregate_failure(&self, span: &Span, closing: &[i128]) -> Option<Failure> {
        let limit = I256::from(span.aggregate_short_max?) * self.base_minor();
        let shorts = span.accounts.iter();
        let shorts: I256 = shorts.map(|&held| self.short(held, closing)).sum();
        (shorts > limit).then(|| self.spanning(Test::AggregateShort, span, closing, shorts - limit))
    }

    fn value_failure(&self, span: &Span, closing: &[i128]) -> Option<Failure> {
        let values = span.accounts.iter();
        let value: I256 = values.map(|&held| self.value(held, closing)).sum();
        (span.account_value && value < 0)
            .then(|| self.spanning(Test::AccountValue, span, closing, -value))
    }

    /// The binding account has the largest short, the first of equal ones.
    fn spanning(&self, test: Test, span: &Span, closing: &[i128], missing: I256) -> Failure {
        let minor = self.base_minor();
        let whole = missing / minor;
        let rounded_up = whole + I256::from(u8::from(whole * minor < missing));
        let mut account = (span.accounts[0].0, I256::ZERO);
        for &held in &span.accounts {
            let short = self.short(held, closing);
            if short > account.1 {
                account = (held.0, short);
            }
        }
        Failure {
            test,
            missing: i128::try_from(rounded_up).unwrap_or(i128::MAX),
            account: account.0,
        }
    }

    fn cap_failure(&self, accounts: &[u32], set: Set) -> Option<Failure> {
        let caps = (0..).zip(self.problem.caps());
        let mut own = caps.filter(|(_, cap)| accounts.contains(&cap.debtor));
        own.find_map(|(number, cap)| {
            let legs = units(set).flat_map(|unit| self.problem.unit(unit));
            let paid: i128 = legs
                .map(|leg| match (leg.debtor, leg.creditor) {
                    pair if pair == (cap.debtor, cap.creditor) => i128::from(leg.amount),
                    pair if pair == (cap.creditor, cap.debtor) => -i128::from(leg.amount),
                    _ => 0,
                })
                .sum();
            let missing = paid - i128::from(cap.amount);
            let test = Test::BilateralCap { cap: number };
            (missing > 0).then_some(Failure {
                test,
                missing,
                account: cap.debtor,
            })
        })
    }

    /// A minor unit of the base asset.
    fn base_minor(&self) -> I256 {
        I256::new(10).pow(VALUE_DECIMALS - u32::from(self.problem.base_decimals()))
    }

    /// `r max(0,-b)`.
    fn short(&self, (account, asset): (u32, u32), closing: &[i128]) -> I256 {
        let short = (-closing[account as usize]).max(0);
        self.in_base(asset, short) * 10_000
    }

    /// `r [max(0,b)(1-h) - max(0,-b)(1+h)]`.
    fn value(&self, (account, asset): (u32, u32), closing: &[i128]) -> I256 {
        let (long, short) = (
            closing[account as usize].max(0),
            (-closing[account as usize]).max(0),
        );
        let haircut = i128::from(self.problem.assets()[asset as usize].haircut);
        self.in_base(asset, long) * (10_000 - haircut)
            - self.in_base(asset, short) * (10_000 + haircut)
    }

    /// In 10^-20 of the base asset.
    fn in_base(&self, asset: u32, minor: i128) -> I256 {
        let asset = &self.problem.assets()[asset as usize];
        let value = asset.rate.value(minor, asset.decimals);
        value.expect("fits 256 bits")
    }

    /// The canonical run: the trace, in its order, and what is left.
    pub fn settle(&self) -> (Set, Vec<Removal>) {
        let (mut set, mut trace) = (self.all(), Vec::new());
        for step in 0.. {
            let Some(key) = self.first_failing(set) else {
                break;
            };
            let unit = (self.members(key) & set).ilog2();
            let mut cursor = trace.len();
            let cause = Cause::Test { key };
            trace.push(Removal { unit, step, cause });
            set &= !(1 << unit);
            while cursor < trace.len() {
                let behind = trace[cursor].unit;
                for leg in self.problem.unit(behind) {
                    let key = key_of(self.problem, leg.debtor);
                    while let Some(unit) = (self.members(key) & set).checked_ilog2()
                        && unit > behind
                    {
                        let cause = Cause::Order { key, behind };
                        trace.push(Removal { unit, step, cause });
                        set &= !(1 << unit);
                    }
                }
                cursor += 1;
            }
        }
        (set, trace)
    }

    /// The first key, by first debit, that has a member in the set and fails.
    fn first_failing(&self, set: Set) -> Option<u32> {
        let closing = self.closing(set);
        let mut failing = self.keys.iter().filter(|&&(key, members)| {
            members & set != 0 && self.failure(key, set, &closing).is_some()
        });
        failing.next().map(|&(key, _)| key)
    }

    /// Every subset: the feasible, order-keeping one that holds all the others.
    pub fn settle_by_brute_force(&self) -> Set {
        let good: Vec<Set> = (0..=self.all())
            .filter(|&set| self.keeps_order(set) && self.is_feasible(set))
            .collect();
        let largest = good.iter().copied().max_by_key(|set| set.count_ones());
        let largest = largest.expect("the empty set is good");
        assert!(
            good.iter().all(|set| set & !largest == 0),
            "one holds all the others"
        );
        largest
    }
}

/// The units of a set, in queue order.
pub fn units(set: Set) -> impl Iterator<Item = u32> {
    (0..Set::BITS).filter(move |unit| set >> unit & 1 == 1)
}

/// The span that covers the account whose key it is.
fn span_of(problem: &Problem, key: u32) -> Option<&Span> {
    let mut spans = problem.spans().iter();
    spans.find(|span| span.accounts[0].0 == key)
}

/// The queue key of an account, from its span.
pub fn key_of(problem: &Problem, account: u32) -> u32 {
    let mut spans = problem.spans().iter();
    let span = spans.find(|span| span.accounts.iter().any(|&(own, _)| own == account));
    span.map_or(account, |span| span.accounts[0].0)
}
