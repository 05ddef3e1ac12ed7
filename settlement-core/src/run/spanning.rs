//! All tests at once: floors, what spans a participant's accounts, bilateral caps.

use fx::I256;

use super::floors::wide;
use super::problem::{Leg, Problem, Span};
use super::settle::{Failure, Tests};
use super::value::{Value, Weights, base_value, common_decimals, weights};

/// Of an account that no span covers.
const SPAN_NONE: u32 = u32::MAX;

struct Account<V> {
    balance: i128,
    floor: i128,
    span: u32,
    weights: Weights<V>,
}

impl<V: Value> Account<V> {
    /// What the balance adds to the aggregate short, and to the value.
    #[inline]
    fn values(&self) -> (V, V) {
        if self.balance >= 0 {
            let long = V::from_minor(self.balance);
            return (V::ZERO, self.weights.long_value * long);
        }
        let short = V::from_minor(-self.balance);
        (
            self.weights.short * short,
            V::ZERO - self.weights.short_value * short,
        )
    }
}

struct Sums<V> {
    aggregate_short: V,
    aggregate_short_max: Option<V>,
    value: V,
    value_tested: bool,
    /// How many of the accounts are below their floors.
    below_floor: u32,
}

/// One of a key's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The account is below its floor.
    Floor {
        /// Which.
        account: u32,
    },
    /// The participant's shorts are worth more than their limit.
    AggregateShort,
    /// The participant's accounts are worth less than nothing after haircuts.
    AccountValue,
    /// More was paid than the cap allows.
    BilateralCap {
        /// Its place among the problem's caps.
        cap: u32,
    },
}

/// All tests of a problem over the present set.
pub(super) struct Spanning<'a, V> {
    problem: &'a Problem,
    accounts: Vec<Account<V>>,
    /// By span.
    sums: Vec<Sums<V>>,
    /// By cap: what was paid, net of what came back, minor units.
    paid: Vec<i128>,
    /// By key: how many caps are exceeded. Empty if there are no caps.
    exceeded: Vec<u32>,
    /// By account: where its caps start. Empty if there are no caps.
    cap_starts: Vec<u32>,
}

impl<'a, V: Value> Spanning<'a, V> {
    /// Before anything settles.
    pub(super) fn new(problem: &'a Problem) -> Self {
        let zero = Weights {
            short: V::ZERO,
            long_value: V::ZERO,
            short_value: V::ZERO,
        };
        let pairs = problem.balances().iter().zip(problem.floors());
        let account = |(&balance, &floor): (&i64, &i64)| Account {
            balance: i128::from(balance),
            floor: wide(floor),
            span: SPAN_NONE,
            weights: zero,
        };
        let mut accounts: Vec<Account<V>> = pairs.map(account).collect();
        let decimals = common_decimals(problem);
        let by_asset: Vec<Weights<I256>> = problem
            .assets()
            .iter()
            .map(|asset| weights(asset, decimals))
            .collect();
        for (number, span) in (0_u32..).zip(problem.spans()) {
            for &(account, asset) in &span.accounts {
                let wide = &by_asset[asset as usize];
                let account = &mut accounts[account as usize];
                account.span = number;
                account.weights = Weights {
                    short: V::from_wide(wide.short),
                    long_value: V::from_wide(wide.long_value),
                    short_value: V::from_wide(wide.short_value),
                };
            }
        }
        let sums = problem.spans().iter().map(|span| sums(problem, span));
        let has_caps = !problem.caps().is_empty();
        let account_count = problem.account_count() as usize;
        Self {
            problem,
            sums: sums.collect(),
            accounts,
            paid: vec![0; problem.caps().len()],
            exceeded: vec![0; if has_caps { account_count } else { 0 }],
            cap_starts: if has_caps {
                cap_starts(problem)
            } else {
                Vec::new()
            },
        }
    }

    /// The first failing test of a key, in order of precedence.
    fn first_failing(&self, key: u32) -> Option<Test> {
        let account = &self.accounts[key as usize];
        let below = |account: u32| {
            let found = &self.accounts[account as usize];
            found.balance < found.floor
        };
        if account.span == SPAN_NONE {
            return below(key)
                .then_some(Test::Floor { account: key })
                .or_else(|| self.first_exceeded(&[(key, 0)]));
        }
        let span = &self.problem.spans()[account.span as usize];
        let sums = &self.sums[account.span as usize];
        // None is looked for where none is counted: explaining every step would read every account.
        let counted = if sums.below_floor > 0 {
            span.accounts.as_slice()
        } else {
            &[]
        };
        let mut floors = counted.iter().map(|&(account, _)| account);
        floors
            .find(|&account| below(account))
            .map(|account| Test::Floor { account })
            .or_else(|| sums.exceeds_aggregate().then_some(Test::AggregateShort))
            .or_else(|| sums.lacks_value().then_some(Test::AccountValue))
            .or_else(|| self.first_exceeded(&span.accounts))
    }

    fn first_exceeded(&self, accounts: &[(u32, u32)]) -> Option<Test> {
        let caps = self.problem.caps();
        let numbered = (0_u32..).zip(caps.iter().zip(&self.paid));
        let mut exceeded = numbered.filter(|(_, (cap, paid))| {
            **paid > i128::from(cap.amount)
                && accounts.iter().any(|&(account, _)| account == cap.debtor)
        });
        exceeded.next().map(|(cap, _)| Test::BilateralCap { cap })
    }

    /// By how much a test of the key fails: minor units for a floor and a cap, else a value.
    fn missing(&self, key: u32, test: Test) -> I256 {
        let sums = || &self.sums[self.accounts[key as usize].span as usize];
        match test {
            Test::Floor { account } => {
                let account = &self.accounts[account as usize];
                I256::from(account.floor - account.balance)
            }
            Test::AggregateShort => {
                let limit = sums().aggregate_short_max.map_or(I256::ZERO, V::widen);
                sums().aggregate_short.widen() - limit
            }
            Test::AccountValue => -sums().value.widen(),
            Test::BilateralCap { cap } => {
                let cap = cap as usize;
                I256::from(self.paid[cap] - i128::from(self.problem.caps()[cap].amount))
            }
        }
    }

    /// The account of the key's participant with the largest short in base value, the first of equal
    /// ones; `None` if none is short.
    fn largest_short(&self, key: u32) -> Option<u32> {
        let span = self.accounts[key as usize].span;
        let mut largest: Option<(V, u32)> = None;
        for &(account, _) in &self.problem.spans()[span as usize].accounts {
            let found = &self.accounts[account as usize];
            if found.balance >= 0 {
                continue;
            }
            let short = found.weights.short * V::from_minor(-found.balance);
            if short > largest.map_or(V::ZERO, |(value, _)| value) {
                largest = Some((short, account));
            }
        }
        largest.map(|(_, account)| account)
    }

    /// The cap on what `debtor` pays `creditor`.
    fn cap(&self, debtor: u32, creditor: u32) -> Option<usize> {
        let start = self.cap_starts[debtor as usize] as usize;
        let end = self.cap_starts[debtor as usize + 1] as usize;
        let caps = &self.problem.caps()[start..end];
        let at = caps.binary_search_by_key(&creditor, |cap| cap.creditor);
        at.ok().map(|at| start + at)
    }

    fn pay(&mut self, debtor: u32, creditor: u32, amount: i128) {
        let Some(cap) = self.cap(debtor, creditor) else {
            return;
        };
        let limit = i128::from(self.problem.caps()[cap].amount);
        let was_exceeded = self.paid[cap] > limit;
        self.paid[cap] += amount;
        let is_exceeded = self.paid[cap] > limit;
        let count = &mut self.exceeded[self.problem.key(debtor) as usize];
        *count = *count + u32::from(is_exceeded) - u32::from(was_exceeded);
    }

    fn pay_both(&mut self, leg: &Leg, amount: i128) {
        if !self.cap_starts.is_empty() {
            self.pay(leg.debtor, leg.creditor, amount);
            self.pay(leg.creditor, leg.debtor, -amount);
        }
    }
}

/// Sides of legs, and what a search asks: see [`super::bypass`].
impl<V: Value> Spanning<'_, V> {
    /// The debtor's side of a leg alone comes with `amount`, or goes with less than zero.
    pub(super) fn debit(&mut self, leg: &Leg, amount: i128) {
        self.change(leg.debtor, -amount);
        if !self.cap_starts.is_empty() {
            self.pay(leg.debtor, leg.creditor, amount);
        }
    }

    /// The creditor's side of a leg alone comes with `amount`, or goes with less than zero.
    pub(super) fn credit(&mut self, leg: &Leg, amount: i128) {
        self.change(leg.creditor, amount);
        if !self.cap_starts.is_empty() {
            self.pay(leg.creditor, leg.debtor, -amount);
        }
    }

    /// What the account holds above its floor, minor units.
    pub(super) fn headroom(&self, account: u32) -> i128 {
        let account = &self.accounts[account as usize];
        account.balance - account.floor
    }
}

fn sums<V: Value>(problem: &Problem, span: &Span) -> Sums<V> {
    let limit = |limit| V::from_wide(base_value(problem, limit));
    Sums {
        aggregate_short: V::ZERO,
        aggregate_short_max: span.aggregate_short_max.map(limit),
        value: V::ZERO,
        value_tested: span.account_value,
        below_floor: 0,
    }
}

/// Where each account's caps start, and where the last's end.
fn cap_starts(problem: &Problem) -> Vec<u32> {
    let mut starts = vec![0; problem.account_count() as usize + 1];
    for cap in problem.caps() {
        starts[cap.debtor as usize + 1] += 1;
    }
    for account in 1..starts.len() {
        starts[account] += starts[account - 1];
    }
    starts
}

impl<V: Value> Sums<V> {
    #[inline]
    fn exceeds_aggregate(&self) -> bool {
        self.aggregate_short_max
            .is_some_and(|limit| self.aggregate_short > limit)
    }

    #[inline]
    fn lacks_value(&self) -> bool {
        self.value_tested && self.value < V::ZERO
    }
}

impl<V: Value> Tests for Spanning<'_, V> {
    /// Only balances move: what spans accounts is summed once, by `added`.
    #[inline]
    fn add(&mut self, leg: &Leg) {
        let amount = i128::from(leg.amount);
        self.accounts[leg.debtor as usize].balance -= amount;
        self.accounts[leg.creditor as usize].balance += amount;
        self.pay_both(leg, amount);
    }

    fn added(&mut self) {
        for account in &self.accounts {
            if account.span == SPAN_NONE {
                continue;
            }
            let (short, value) = account.values();
            let sums = &mut self.sums[account.span as usize];
            sums.aggregate_short = sums.aggregate_short + short;
            sums.value = sums.value + value;
            sums.below_floor += u32::from(account.balance < account.floor);
        }
    }

    #[inline]
    fn remove(&mut self, leg: &Leg) {
        let amount = i128::from(leg.amount);
        self.change(leg.debtor, amount);
        self.change(leg.creditor, -amount);
        self.pay_both(leg, -amount);
    }

    #[inline]
    fn fails(&self, key: u32) -> bool {
        if !self.exceeded.is_empty() && self.exceeded[key as usize] > 0 {
            return true;
        }
        let account = &self.accounts[key as usize];
        if account.span == SPAN_NONE {
            return account.balance < account.floor;
        }
        let sums = &self.sums[account.span as usize];
        sums.below_floor > 0 || sums.exceeds_aggregate() || sums.lacks_value()
    }

    fn failure(&self, _: &Problem, key: u32) -> Failure {
        let test = self.first_failing(key);
        let test = test.expect("a key that fails has a test that does");
        let account = match test {
            Test::Floor { account } => account,
            Test::BilateralCap { cap } => self.problem.caps()[cap as usize].debtor,
            Test::AggregateShort | Test::AccountValue => self.largest_short(key).unwrap_or(key),
        };
        Failure {
            test,
            account,
            missing: self.missing(key, test),
        }
    }

    fn change(&mut self, account: u32, change: i128) {
        let account = &mut self.accounts[account as usize];
        if account.span == SPAN_NONE {
            account.balance += change;
            return;
        }
        let (short_before, value_before) = account.values();
        let was_below = account.balance < account.floor;
        account.balance += change;
        let is_below = account.balance < account.floor;
        let (short, value) = account.values();
        let sums = &mut self.sums[account.span as usize];
        sums.aggregate_short = sums.aggregate_short + short - short_before;
        sums.value = sums.value + value - value_before;
        sums.below_floor = sums.below_floor + u32::from(is_below) - u32::from(was_below);
    }

    fn closing(&self, _: &Problem) -> Vec<i128> {
        self.accounts
            .iter()
            .map(|account| account.balance)
            .collect()
    }
}
