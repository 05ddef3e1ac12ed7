//! Compression: obligations that run in a circle are taken out, and every bank's net stays what it is.
//!
//! Per asset, what each bank owes each other one is an arrow. A circle of arrows, two or more, loses its
//! least amount all around; that ends one arrow at least, so it is done at most once for each. What is left
//! has no circle, no arrow that was not there, and none that has grown: nobody comes to owe anybody new.
//! Circles of two come first, then others as a walk from the lowest number finds them: which ones are taken
//! out decides how much is left, and no claim is made that it is the least.

use std::collections::BTreeMap;

use super::{NettingError, Owners};
use crate::run::Leg;

/// A circle that can be taken out: each of the banks owes the next one, the last the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// The asset.
    pub asset: u32,
    /// At least two, the lowest number first.
    pub participants: Vec<u32>,
    /// What each obligation loses, minor units.
    pub amount: i128,
}

/// What one bank owes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obligation {
    /// The asset.
    pub asset: u32,
    /// Who owes.
    pub debtor: u32,
    /// Who is owed.
    pub creditor: u32,
    /// Minor units, above zero.
    pub amount: i128,
}

/// What can be taken out, and what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// In the order in which they are taken out.
    pub circles: Vec<Circle>,
    /// By asset, debtor, creditor.
    pub left: Vec<Obligation>,
}

/// Who owes whom in one asset.
type Arrows = BTreeMap<u32, BTreeMap<u32, i128>>;

/// Compresses the legs' obligations, asset by asset.
pub fn compress(
    legs: impl IntoIterator<Item = Leg>,
    owners: &Owners,
) -> Result<Compression, NettingError> {
    let mut by_asset: BTreeMap<u32, Arrows> = BTreeMap::new();
    for (index, leg) in legs.into_iter().enumerate() {
        let (debtor, creditor) = owners.of(index, &leg)?;
        if debtor.participant != creditor.participant {
            let arrows = by_asset.entry(debtor.asset).or_default();
            let owed = arrows.entry(debtor.participant).or_default();
            *owed.entry(creditor.participant).or_default() += i128::from(leg.amount);
        }
    }
    let (mut circles, mut left) = (Vec::new(), Vec::new());
    for (asset, mut arrows) in by_asset {
        while let Some(participants) = circle_of_two(&arrows).or_else(|| circle(&arrows)) {
            let amount = take_out(&mut arrows, &participants);
            circles.push(Circle {
                asset,
                participants,
                amount,
            });
        }
        left.extend(obligations(asset, &arrows));
    }
    Ok(Compression { circles, left })
}

fn obligations(asset: u32, arrows: &Arrows) -> impl Iterator<Item = Obligation> {
    arrows.iter().flat_map(move |(&debtor, owed)| {
        owed.iter().map(move |(&creditor, &amount)| Obligation {
            asset,
            debtor,
            creditor,
            amount,
        })
    })
}

fn circle_of_two(arrows: &Arrows) -> Option<Vec<u32>> {
    let owes = |debtor: u32, creditor: u32| {
        arrows
            .get(&debtor)
            .is_some_and(|owed| owed.contains_key(&creditor))
    };
    arrows.iter().find_map(|(&one, owed)| {
        let mut others = owed.keys().copied().filter(|&other| one < other);
        others
            .find(|&other| owes(other, one))
            .map(|other| vec![one, other])
    })
}

/// The first circle of a walk along the lowest numbers. A bank from which no circle is reached is never
/// walked through again.
fn circle(arrows: &Arrows) -> Option<Vec<u32>> {
    let mut done: BTreeMap<u32, bool> = BTreeMap::new();
    arrows
        .keys()
        .find_map(|&start| walk(arrows, start, &mut done))
}

fn walk(arrows: &Arrows, start: u32, done: &mut BTreeMap<u32, bool>) -> Option<Vec<u32>> {
    let mut path: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut next = Some(start);
    loop {
        match next {
            Some(bank) if !done.contains_key(&bank) => {
                done.insert(bank, false);
                let owed = arrows.get(&bank);
                let owed = owed.map_or_else(Vec::new, |owed| owed.keys().rev().copied().collect());
                path.push((bank, owed));
            }
            // On the path still: here the circle closes.
            Some(bank) if !done[&bank] => {
                let from = path.iter().position(|&(on, _)| on == bank)?;
                return Some(lowest_first(
                    path[from..].iter().map(|&(on, _)| on).collect(),
                ));
            }
            _ => {}
        }
        let (bank, owed) = path.last_mut()?;
        next = owed.pop();
        if next.is_none() {
            done.insert(*bank, true);
            path.pop();
        }
    }
}

fn lowest_first(mut circle: Vec<u32>) -> Vec<u32> {
    let lowest = (0..circle.len()).min_by_key(|&at| circle[at]);
    circle.rotate_left(lowest.unwrap_or(0));
    circle
}

/// Takes the least amount off every arrow of a circle, and answers it.
fn take_out(arrows: &mut Arrows, circle: &[u32]) -> i128 {
    let pairs: Vec<(u32, u32)> = (0..circle.len())
        .map(|at| (circle[at], circle[(at + 1) % circle.len()]))
        .collect();
    let amounts = pairs
        .iter()
        .map(|(debtor, creditor)| arrows[debtor][creditor]);
    let least = amounts.min().expect("a circle has arrows");
    for (debtor, creditor) in pairs {
        let owed = arrows.get_mut(&debtor).expect("an arrow of the circle");
        let amount = owed.get_mut(&creditor).expect("an arrow of the circle");
        *amount -= least;
        if *amount == 0 {
            owed.remove(&creditor);
        }
    }
    least
}
