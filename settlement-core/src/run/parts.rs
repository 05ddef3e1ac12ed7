//! A problem falls into parts that cannot hinder each other: each can be run alone, and much faster.
//!
//! Units have to do with each other if they touch the same key, be it that they debit it (order, tests) or
//! credit it while somebody debits it. What a unit credits and nobody debits is never tested. So the run of
//! a part removes exactly what the whole run removes of it.

use super::problem::{Cap, Leg, Problem, Span};
use super::union::Union;

/// Which units have to do with each other.
pub struct Parts {
    /// By key: the part that it is of.
    roots: Vec<u32>,
    /// Units with the part that each is of, by part, then in queue order.
    units: Vec<(u32, u32)>,
}

/// One part as a problem of its own.
pub struct Part {
    /// Its accounts keep their order, its units theirs.
    pub problem: Problem,
    /// By unit of the part: its place in the whole.
    pub units: Vec<u32>,
    accounts: Numbered,
}

/// A set of numbers, and the place of each: a bit for every number there is, and for every word of them
/// how many lie before it.
struct Numbered {
    words: Vec<u64>,
    before: Vec<u32>,
}

impl Numbered {
    /// None of `0..count`.
    fn none(count: u32) -> Self {
        Self {
            words: vec![0; count.div_ceil(u64::BITS) as usize],
            before: Vec::new(),
        }
    }

    fn word(&self, number: u32) -> u64 {
        self.words[(number / u64::BITS) as usize]
    }

    fn has(&self, number: u32) -> bool {
        self.word(number) & bit(number) != 0
    }

    fn insert(&mut self, number: u32) {
        self.words[(number / u64::BITS) as usize] |= bit(number);
    }

    /// All are in: their places are counted.
    fn count(&mut self) {
        let mut before = 0;
        let counts = self.words.iter().map(|word| {
            let here = before;
            before += word.count_ones();
            here
        });
        self.before = counts.collect();
    }

    fn place(&self, number: u32) -> Option<u32> {
        let below = self.word(number) & (bit(number) - 1);
        let before = self.before[(number / u64::BITS) as usize];
        self.has(number).then(|| before + below.count_ones())
    }

    /// Ascending.
    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..)
            .step_by(64)
            .zip(&self.words)
            .flat_map(|(first, &word)| {
                let next = |&left: &u64| Some(left & (left - 1)).filter(|&left| left != 0);
                let left = std::iter::successors(Some(word).filter(|&word| word != 0), next);
                left.map(move |left| first + left.trailing_zeros())
            })
    }
}

fn bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

impl Parts {
    /// Costs as much as reading the accounts and legs once.
    pub fn new(problem: &Problem) -> Self {
        let count = problem.account_count();
        let mut debited = vec![false; count as usize];
        for leg in problem.legs() {
            debited[problem.key(leg.debtor) as usize] = true;
        }
        let mut keys = Union::new(count);
        for (_, legs) in problem.units() {
            let first = problem.key(legs[0].debtor);
            for leg in legs {
                keys.unite(first, problem.key(leg.debtor));
                let credited = problem.key(leg.creditor);
                if debited[credited as usize] {
                    keys.unite(first, credited);
                }
            }
        }
        let roots: Vec<u32> = (0..count).map(|key| keys.root(key)).collect();
        let part_of = |(unit, legs): (u32, &[Leg])| {
            let key = problem.key(legs[0].debtor);
            (roots[key as usize], unit)
        };
        let mut units: Vec<(u32, u32)> = problem.units().map(part_of).collect();
        units.sort_unstable();
        Self { roots, units }
    }

    /// Names the part that holds an account.
    pub fn root(&self, problem: &Problem, account: u32) -> u32 {
        self.roots[problem.key(account) as usize]
    }

    /// The part that holds an account; without units if none debits its key. Costs as much as reading
    /// its legs, and a bit for every account of the whole.
    pub fn of_account(&self, problem: &Problem, account: u32) -> Part {
        let root = self.root(problem, account);
        let from = self.units.partition_point(|&(part, _)| part < root);
        let to = self.units.partition_point(|&(part, _)| part <= root);
        let units = self.units[from..to].iter().map(|&(_, unit)| unit).collect();
        Part::new(problem, units, account)
    }
}

impl Part {
    fn new(whole: &Problem, units: Vec<u32>, account: u32) -> Self {
        let mut accounts = Numbered::none(whole.account_count());
        accounts.insert(account);
        for leg in units.iter().flat_map(|&unit| whole.unit(unit)) {
            accounts.insert(leg.debtor);
            accounts.insert(leg.creditor);
        }
        // A test that spans accounts reads all of them.
        let touched = |span: &&Span| {
            span.accounts
                .iter()
                .any(|&(account, _)| accounts.has(account))
        };
        let spans: Vec<&Span> = whole.spans().iter().filter(touched).collect();
        for &(account, _) in spans.iter().flat_map(|span| &span.accounts) {
            accounts.insert(account);
        }
        accounts.count();
        let mut part = Self {
            problem: Problem::new(Vec::new(), Vec::new()).expect("as many floors as balances"),
            units,
            accounts,
        };
        part.problem = part.build(whole, &spans);
        part
    }

    fn build(&self, whole: &Problem, spans: &[&Span]) -> Problem {
        const TAKEN: &str = "what the whole problem has, its part may have";
        let of = |values: &[i64]| self.accounts.iter().map(|at| values[at as usize]).collect();
        let mut problem = Problem::new(of(whole.balances()), of(whole.floors())).expect(TAKEN);
        if !spans.is_empty() {
            let span = |span: &&Span| Span {
                accounts: span
                    .accounts
                    .iter()
                    .map(|&(account, asset)| (self.number(account), asset))
                    .collect(),
                ..**span
            };
            let spans = spans.iter().map(span).collect();
            let assets = whole.assets().to_vec();
            let spanned = problem.with_spans(whole.base_decimals(), assets, spans);
            problem = spanned.expect(TAKEN);
        }
        let caps = whole.caps().iter().filter_map(|cap| {
            Some(Cap {
                debtor: self.account(cap.debtor)?,
                creditor: self.account(cap.creditor)?,
                amount: cap.amount,
            })
        });
        problem = problem.with_caps(caps.collect()).expect(TAKEN);
        problem.reserve(self.units.len(), self.units.len());
        let mut legs = Vec::new();
        for &unit in &self.units {
            legs.clear();
            legs.extend(whole.unit(unit).iter().map(|leg| Leg {
                debtor: self.number(leg.debtor),
                creditor: self.number(leg.creditor),
                amount: leg.amount,
            }));
            problem.push_unit(&legs).expect(TAKEN);
        }
        problem
    }

    fn number(&self, account: u32) -> u32 {
        self.account(account).expect("the part has the account")
    }

    /// An account of the whole, as the part numbers it.
    pub fn account(&self, account: u32) -> Option<u32> {
        self.accounts.place(account)
    }
}
