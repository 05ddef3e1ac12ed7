//! Checks what settles with order bypassed. Believes nothing, and shares no code with [`crate::run::bypass`].
//!
//! | claim                    | how it is checked                                                         |
//! |--------------------------|---------------------------------------------------------------------------|
//! | what settles in order    | its certificate, by [`check`]                                             |
//! | what settles is feasible | every key with a member is tested from scratch                            |
//! | and no less than in order | weights are summed                                                       |
//! | and the best there is    | a plain search for anything better, within a number of steps              |

use fx::I256;
use thiserror::Error;

use super::{Certificate, CertificateError, check};
use crate::run::{Bitmap, FLOOR_NONE, HAIRCUT_SCALE, Leg, Problem, Span};

/// The search for something better goes as deep as a component has units; larger ones are not tried.
const SEARCHED_UNITS_MAX: usize = 1_000;
/// Amounts of all assets are brought to so many decimals, the most that there are.
const DECIMALS: u8 = fx::DECIMALS_MAX;

/// What is claimed of a problem.
#[derive(Clone, Copy, Debug)]
pub struct BypassClaim<'a> {
    /// Units that settle with order kept.
    pub kept: &'a Bitmap,
    /// Units that settle with order bypassed.
    pub settled: &'a Bitmap,
    /// What each unit counts for, above zero.
    pub weights: &'a [I256],
    /// Whether no feasible set is said to weigh more.
    pub is_optimal: bool,
}

/// What can be said of a claim that nothing weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimality {
    /// It was not claimed.
    NotClaimed,
    /// It was proved again.
    Reproved,
    /// It may be true: the steps did not suffice to prove it again.
    NotReproved,
}

/// What is wrong with a claim, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BypassedError {
    /// What settles with order kept is not what the certificate shows.
    #[error("with order kept: {0}")]
    Kept(#[from] CertificateError),
    /// Units and bits or weights differ in number.
    #[error("{actual} bits or weights for {expected} units")]
    CountDiffers {
        /// Units of the problem.
        expected: u32,
        /// Bits or weights given.
        actual: usize,
    },
    /// A test fails for what settles.
    #[error("key {key} fails with order bypassed")]
    Fails {
        /// The first such key.
        key: u32,
    },
    /// What settles weighs less than what settles with order kept.
    #[error("what settles with order bypassed is less than with order kept")]
    LessThanKept,
    /// Something better was found.
    #[error("it is not optimal: among the units from {unit} on is a better set")]
    NotOptimal {
        /// The first unit of the component that has a better set.
        unit: u32,
    },
}

/// Checks the claim; a claimed optimum is searched for something better in at most `steps_max` steps.
pub fn check_bypassed(
    problem: &Problem,
    certificate: &Certificate,
    claim: &BypassClaim<'_>,
    steps_max: u64,
) -> Result<Optimality, BypassedError> {
    check(problem, certificate, claim.kept)?;
    let expected = problem.unit_count();
    for actual in [claim.settled.bit_count() as usize, claim.weights.len()] {
        if actual != expected as usize {
            return Err(BypassedError::CountDiffers { expected, actual });
        }
    }
    let mut books = Books::open(problem);
    for unit in claim.settled.iter_set() {
        books.post(unit, &[Side::Debit, Side::Credit], 1);
    }
    if let Some(key) = (0..problem.account_count()).find(|&key| books.fails(key)) {
        return Err(BypassedError::Fails { key });
    }
    let weight = |set: &Bitmap| -> I256 { set.iter_set().map(|u| claim.weights[u as usize]).sum() };
    if weight(claim.settled) < weight(claim.kept) {
        return Err(BypassedError::LessThanKept);
    }
    if !claim.is_optimal {
        return Ok(Optimality::NotClaimed);
    }
    reprove(problem, claim, steps_max)
}

fn reprove(
    problem: &Problem,
    claim: &BypassClaim<'_>,
    steps_max: u64,
) -> Result<Optimality, BypassedError> {
    let mut search = Search {
        books: Books::open(problem),
        weights: claim.weights,
        steps_left: steps_max,
    };
    for unit in 0..problem.unit_count() {
        search.books.post(unit, &[Side::Credit], 1);
    }
    let mut proven = Optimality::Reproved;
    for units in together(problem) {
        let weigh = |units: &mut dyn Iterator<Item = &u32>| -> I256 {
            units.map(|&unit| claim.weights[unit as usize]).sum()
        };
        let claimed = weigh(&mut units.iter().filter(|&&unit| claim.settled.get(unit)));
        let all = weigh(&mut units.iter());
        if claimed < all && units.len() > SEARCHED_UNITS_MAX {
            proven = Optimality::NotReproved;
            continue;
        }
        match search.exceeds(&units, all, claimed) {
            Some(true) => return Err(BypassedError::NotOptimal { unit: units[0] }),
            Some(false) => {}
            None => proven = Optimality::NotReproved,
        }
    }
    Ok(proven)
}

/// A side of a leg.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Debit,
    Credit,
}

/// What accounts hold, what was paid under each cap, and who is a member.
struct Books<'a> {
    problem: &'a Problem,
    balances: Vec<i128>,
    paid: Vec<i128>,
    /// By key: legs that debit it.
    debits: Vec<i64>,
    /// By key: the span that it stands for.
    spans: Vec<Option<&'a Span>>,
}

impl<'a> Books<'a> {
    fn open(problem: &'a Problem) -> Self {
        let mut spans = vec![None; problem.balances().len()];
        for span in problem.spans() {
            spans[span.accounts[0].0 as usize] = Some(span);
        }
        Self {
            problem,
            balances: problem.balances().iter().map(|&b| b.into()).collect(),
            paid: vec![0; problem.caps().len()],
            debits: vec![0; problem.balances().len()],
            spans,
        }
    }

    /// Posts sides of a unit's legs, or takes them back (`sign` -1).
    fn post(&mut self, unit: u32, sides: &[Side], sign: i64) {
        for leg in self.problem.unit(unit) {
            let amount = i128::from(leg.amount) * i128::from(sign);
            if sides.contains(&Side::Debit) {
                self.balances[leg.debtor as usize] -= amount;
                self.pay(leg.debtor, leg.creditor, amount);
                self.debits[self.problem.key(leg.debtor) as usize] += sign;
            }
            if sides.contains(&Side::Credit) {
                self.balances[leg.creditor as usize] += amount;
                self.pay(leg.creditor, leg.debtor, -amount);
            }
        }
    }

    fn pay(&mut self, from: u32, to: u32, amount: i128) {
        let caps = self.problem.caps();
        let found = caps.binary_search_by_key(&(from, to), |cap| (cap.debtor, cap.creditor));
        if let Ok(cap) = found {
            self.paid[cap] += amount;
        }
    }

    /// Whether a test of a key with members fails.
    fn fails(&self, key: u32) -> bool {
        if self.debits[key as usize] == 0 {
            return false;
        }
        let alone = [(key, 0)];
        let span = self.spans[key as usize];
        let accounts = span.map_or(&alone[..], |span| &span.accounts);
        let below = |&(account, _): &(u32, u32)| {
            let floor = self.problem.floors()[account as usize];
            floor != FLOOR_NONE && self.balances[account as usize] < i128::from(floor)
        };
        accounts.iter().any(below)
            || span.is_some_and(|span| self.span_fails(span))
            || accounts
                .iter()
                .any(|&(account, _)| self.exceeds_cap(account))
    }

    fn exceeds_cap(&self, account: u32) -> bool {
        let caps = self.problem.caps();
        let start = caps.partition_point(|cap| cap.debtor < account);
        let mut own = (start..caps.len()).take_while(|&cap| caps[cap].debtor == account);
        own.any(|cap| self.paid[cap] > i128::from(caps[cap].amount))
    }

    fn span_fails(&self, span: &Span) -> bool {
        let ten = |exponent: u8| I256::new(10).pow(u32::from(exponent));
        let (mut short, mut value) = (I256::ZERO, I256::ZERO);
        for &(account, asset) in &span.accounts {
            let asset = &self.problem.assets()[asset as usize];
            let balance = I256::from(self.balances[account as usize]);
            let worth = balance * I256::from(asset.rate.scaled()) * ten(DECIMALS - asset.decimals);
            let haircut = worth.abs() * I256::from(i32::from(asset.haircut));
            value += worth * I256::from(i32::from(HAIRCUT_SCALE)) - haircut;
            short += (-worth).max(I256::ZERO);
        }
        let base = ten(DECIMALS - self.problem.base_decimals() + fx::VALUATION_DECIMALS);
        let limit = span
            .aggregate_short_max
            .map(|limit| I256::from(limit) * base);
        limit.is_some_and(|limit| short > limit) || span.account_value && value < I256::ZERO
    }
}

/// Units that share a key, whoever pays it, if it fails once all its members pay and nobody pays it: other
/// keys never fail. By the first unit, each ascending.
fn together(problem: &Problem) -> Vec<Vec<u32>> {
    let mut worst = Books::open(problem);
    for unit in 0..problem.unit_count() {
        worst.post(unit, &[Side::Debit], 1);
    }
    let mut by_key: Vec<Vec<u32>> = vec![Vec::new(); problem.balances().len()];
    let keys = |leg: &Leg| [problem.key(leg.debtor), problem.key(leg.creditor)];
    for (unit, legs) in problem.units() {
        for key in legs.iter().flat_map(keys).filter(|&key| worst.fails(key)) {
            by_key[key as usize].push(unit);
        }
    }
    let mut seen = vec![false; problem.unit_count() as usize];
    let mut found = Vec::new();
    for first in 0..problem.unit_count() {
        let (mut reached, mut next) = (Vec::new(), vec![first]);
        while let Some(unit) = next.pop() {
            if !std::mem::replace(&mut seen[unit as usize], true) {
                reached.push(unit);
                for key in problem.unit(unit).iter().flat_map(keys) {
                    next.append(&mut by_key[key as usize]);
                }
            }
        }
        if !reached.is_empty() {
            reached.sort_unstable();
            found.push(reached);
        }
    }
    found
}

/// A plain search: each unit out or in. Undecided units have paid already, and owe nothing yet.
struct Search<'a> {
    books: Books<'a>,
    weights: &'a [I256],
    steps_left: u64,
}

impl Search<'_> {
    /// Whether some feasible choice among `units`, which weigh `all`, weighs more than `claimed`; nothing
    /// if the steps do not suffice to tell.
    fn exceeds(&mut self, units: &[u32], all: I256, claimed: I256) -> Option<bool> {
        if all <= claimed {
            return Some(false);
        }
        let Some((&unit, rest)) = units.split_first() else {
            return Some(true);
        };
        self.steps_left = self.steps_left.checked_sub(1)?;
        let weight = self.weights[unit as usize];
        let without = self.try_side(unit, Side::Credit, -1, |search| {
            search.exceeds(rest, all - weight, claimed)
        });
        if without != Some(false) {
            return without;
        }
        self.try_side(unit, Side::Debit, 1, |search| {
            search.exceeds(rest, all, claimed)
        })
    }

    /// Goes on with one side of the unit posted, if no test fails then.
    fn try_side(
        &mut self,
        unit: u32,
        side: Side,
        sign: i64,
        go_on: impl FnOnce(&mut Self) -> Option<bool>,
    ) -> Option<bool> {
        self.books.post(unit, &[side], sign);
        let problem = self.books.problem;
        let mut legs = problem.unit(unit).iter();
        let fails = legs.any(|leg| {
            let account = match side {
                Side::Debit => leg.debtor,
                Side::Credit => leg.creditor,
            };
            self.books.fails(problem.key(account))
        });
        let found = if fails { Some(false) } else { go_on(self) };
        self.books.post(unit, &[side], -sign);
        found
    }
}
