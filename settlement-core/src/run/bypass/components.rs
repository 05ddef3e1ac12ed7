//! Units that can hinder each other, by union of the keys that they touch.

use std::collections::BTreeMap;

use super::Chosen;
use crate::run::problem::{Leg, Problem};
use crate::run::union::Union;
use crate::run::value::Value;

/// The components of units that touch a key which can bind, by first unit, each ascending. A unit that
/// touches none always settles in the best set, as does one that only pays keys that cannot bind.
pub(super) fn components<V: Value>(problem: &Problem) -> Vec<Vec<u32>> {
    let binding = binding_keys::<V>(problem);
    let mut keys = Union::new(problem.account_count());
    for (_, legs) in problem.units() {
        let mut touched = touched(problem, legs).filter(|&key| binding[key as usize]);
        if let Some(first) = touched.next() {
            touched.for_each(|key| keys.unite(first, key));
        }
    }
    let mut by_root: BTreeMap<u32, usize> = BTreeMap::new();
    let mut components: Vec<Vec<u32>> = Vec::new();
    for (unit, legs) in problem.units() {
        let key = touched(problem, legs).find(|&key| binding[key as usize]);
        let Some(key) = key else {
            continue;
        };
        let place = *by_root.entry(keys.root(key)).or_insert(components.len());
        if place == components.len() {
            components.push(Vec::new());
        }
        components[place].push(unit);
    }
    components
}

fn touched<'a>(problem: &'a Problem, legs: &'a [Leg]) -> impl Iterator<Item = u32> + 'a {
    let sides = legs.iter().flat_map(|leg| [leg.debtor, leg.creditor]);
    sides.map(|account| problem.key(account))
}

/// By key: whether it fails when all its members settle and nobody pays it: then it may fail in some set,
/// else in none, since tests only get easier with fewer debits and more credits.
fn binding_keys<V: Value>(problem: &Problem) -> Vec<bool> {
    let mut worst = Chosen::<V>::new(problem);
    problem.units().for_each(|(unit, _)| worst.debit(unit, 1));
    (0..problem.account_count())
        .map(|key| !worst.passes(key))
        .collect()
}
