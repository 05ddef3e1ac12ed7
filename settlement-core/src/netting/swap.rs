//! In/out swaps: two banks that are short of what the other is long of trade it for the cycle, and back
//! outside it, so that both pay in less.
//!
//! | a swap of `p` and `q`        | because                                                    |
//! |------------------------------|------------------------------------------------------------|
//! | `q` gives `p` asset X        | `p` must pay X in, `q` is owed it                          |
//! | `p` gives `q` asset Y        | `q` must pay Y in, `p` is owed it                          |
//! | both are of one value        | to the last digit at the frozen rates, else none is suggested |
//!
//! So no bank's total value changes, no pay-in grows, and nobody who was owed an asset comes to owe it. The
//! largest pay-in in base value is tried first; then the swap that takes most off it, ties by the lower
//! numbers. Amounts are whole minor units in the proportion of the two rates in lowest terms, so assets
//! whose rates have no small common measure are hardly ever swapped: an inexact swap would be a gift.

use std::collections::BTreeSet;

use fx::I256;

use super::{MultilateralNets, NettingError, Valuation};

/// One swap: what it takes off two pay-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Who pays in less of `received`.
    pub participant: u32,
    /// Who pays in less of `given`.
    pub with: u32,
    /// The asset that `participant` gets.
    pub received: u32,
    /// Minor units of it.
    pub received_amount: i128,
    /// The asset that `participant` gives.
    pub given: u32,
    /// Minor units of it, of exactly the same value.
    pub given_amount: i128,
}

/// Pay-ins and pay-outs under way: what is held with what is netted, below zero where it is owed.
struct Positions<'a> {
    participant_count: u32,
    asset_count: u32,
    /// At `participant * asset_count + asset`, minor units.
    positions: Vec<i128>,
    /// By asset: the value of a minor unit, at the scale that all share.
    values: Vec<I256>,
    /// Pay-ins that no swap can lower: none ever will, since positions only move towards zero.
    spent: BTreeSet<(u32, u32)>,
    nets: &'a MultilateralNets,
}

/// Swaps that lower pay-ins, in the order in which they are to be made; `fund` answers what a
/// participant's fund holds in an asset, minor units. One valuation per asset.
///
/// Each makes one pair of banks and assets exhausted, so there are at most as many as there are of these.
pub fn swaps(
    nets: &MultilateralNets,
    fund: impl Fn(u32, u32) -> i128,
    valuations: &[Valuation],
) -> Result<Vec<Swap>, NettingError> {
    let mut positions = Positions::new(nets, fund, valuations)?;
    let mut swaps = Vec::new();
    while let Some(swap) = positions.next() {
        positions.make(&swap);
        swaps.push(swap);
    }
    Ok(swaps)
}

impl<'a> Positions<'a> {
    fn new(
        nets: &'a MultilateralNets,
        fund: impl Fn(u32, u32) -> i128,
        valuations: &[Valuation],
    ) -> Result<Self, NettingError> {
        let (expected, actual) = (nets.asset_count, valuations.len());
        if expected != actual {
            return Err(NettingError::ValuationsMissing { expected, actual });
        }
        let values = valuations.iter().enumerate();
        let values = values.map(|(asset, valuation)| {
            let value = valuation.minor_unit(asset)?;
            I256::try_from(value).map_err(|_| NettingError::ValuationOutOfRange { asset })
        });
        let positions: Vec<i128> = nets
            .iter()
            .map(|(participant, asset, net)| fund(participant, asset).saturating_add(net))
            .collect();
        let asset_count = u32::try_from(nets.asset_count).expect("assets are numbered with u32");
        let rows = positions.len() / nets.asset_count.max(1);
        Ok(Self {
            participant_count: u32::try_from(rows).expect("participants are numbered with u32"),
            asset_count,
            positions,
            values: values.collect::<Result<_, _>>()?,
            spent: BTreeSet::new(),
            nets,
        })
    }

    fn at(&self, participant: u32, asset: u32) -> usize {
        participant as usize * self.nets.asset_count + asset as usize
    }

    fn pay_in(&self, participant: u32, asset: u32) -> i128 {
        self.positions[self.at(participant, asset)]
            .saturating_neg()
            .max(0)
    }

    fn pay_out(&self, participant: u32, asset: u32) -> i128 {
        self.positions[self.at(participant, asset)].max(0)
    }

    /// The largest pay-in that a swap can lower, and the swap that lowers it most.
    fn next(&mut self) -> Option<Swap> {
        for (_, participant, asset) in self.owed() {
            let best = self.best(participant, asset);
            if best.is_some() {
                return best;
            }
            self.spent.insert((participant, asset));
        }
        None
    }

    /// Pay-ins that a swap may lower, the largest value first.
    fn owed(&self) -> Vec<(I256, u32, u32)> {
        let mut owed = Vec::new();
        for participant in 0..self.participant_count {
            for asset in 0..self.asset_count {
                let pay_in = self.pay_in(participant, asset);
                if pay_in > 0 && !self.spent.contains(&(participant, asset)) {
                    let value = self.values[asset as usize].saturating_mul(I256::from(pay_in));
                    owed.push((value, participant, asset));
                }
            }
        }
        owed.sort_by_key(|&(value, participant, asset)| (-value, participant, asset));
        owed
    }

    /// The swap that takes most off a pay-in.
    fn best(&self, participant: u32, received: u32) -> Option<Swap> {
        let mut best: Option<Swap> = None;
        for with in (0..self.participant_count).filter(|&with| with != participant) {
            for given in (0..self.asset_count).filter(|&given| given != received) {
                let swap = self.largest(participant, with, received, given);
                let most = best.map_or(0, |best| best.received_amount);
                best = swap.filter(|swap| swap.received_amount > most).or(best);
            }
        }
        best
    }

    /// The largest swap of two banks in two assets, if there is one of exactly equal sides.
    fn largest(&self, participant: u32, with: u32, received: u32, given: u32) -> Option<Swap> {
        let take = self
            .pay_in(participant, received)
            .min(self.pay_out(with, received));
        let give = self
            .pay_out(participant, given)
            .min(self.pay_in(with, given));
        // In lowest terms, so many minor units of the one are worth so many of the other.
        let (one, other) = (self.values[received as usize], self.values[given as usize]);
        let measure = greatest_common_divisor(one, other);
        let (take_step, give_step) = (other / measure, one / measure);
        let times = (I256::from(take) / take_step).min(I256::from(give) / give_step);
        let narrow = |amount: I256| i128::try_from(amount).expect("no more than a position");
        (times > I256::ZERO).then(|| Swap {
            participant,
            with,
            received,
            received_amount: narrow(times * take_step),
            given,
            given_amount: narrow(times * give_step),
        })
    }

    fn make(&mut self, swap: &Swap) {
        let Swap {
            participant,
            with,
            received,
            given,
            ..
        } = *swap;
        for (to, from, asset, amount) in [
            (participant, with, received, swap.received_amount),
            (with, participant, given, swap.given_amount),
        ] {
            let (to, from) = (self.at(to, asset), self.at(from, asset));
            self.positions[to] += amount;
            self.positions[from] -= amount;
        }
    }
}

fn greatest_common_divisor(mut one: I256, mut other: I256) -> I256 {
    while other != I256::ZERO {
        (one, other) = (other, one % other);
    }
    one
}
