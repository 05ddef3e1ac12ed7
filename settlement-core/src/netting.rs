//! Nets of a cycle's members: who ends up owing what, and what the cycle saves in funding.
//!
//! A leg of amount `a` from `q` to `p` in asset `c` counts for `p` against `q`:
//!
//! - bilateral `B(p,q,c) = sum a(q->p) - sum a(p->q)`: [`bilateral`];
//! - multilateral `N(p,c) = sum over q of B(p,q,c)`: [`multilateral`];
//! - with `D` what the fund of `(p,c)` holds: pay-in `max(0, -(D+N))`, pay-out `max(0, D+N)`;
//! - efficiency `1 - sum_c r_c sum_p max(0,-N) / sum_c r_c sum legs`, exact, per asset and in total.
//!
//! Sums are `i128`: 2^63 legs of 2^63 do not overflow them. Multilateral nets take one pass over dense
//! arrays. Bilateral nets do too while all pairs fit in [`DENSE_CELLS_MAX`]; beyond it they go into a
//! tree, slower but no larger than the pairs that trade.

mod compression;
mod efficiency;
mod liquidity;
mod swap;

pub use compression::{Circle, Compression, Obligation, compress};
pub use efficiency::{Fraction, RATE_SCALE, Valuation};
pub use liquidity::{Curve, Point, curves};
pub use swap::{Swap, swaps};

use std::collections::BTreeMap;

use thiserror::Error;

use crate::run::Leg;
use minicbor::{Decode, Encode};

/// How many (pair, asset) sums bilateral netting holds in one array: 128 MiB of `i128`.
pub const DENSE_CELLS_MAX: usize = 1 << 23;

/// Whose account a key is, and in which asset: dense indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The participant.
    pub participant: u32,
    /// The asset.
    pub asset: u32,
}

/// The owner of every key, each known to be in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    owners: Vec<Owner>,
    participant_count: u32,
    asset_count: u32,
}

/// Why legs cannot be netted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NettingError {
    /// A key's owner is not one of the participants, or its asset not one of the assets.
    #[error("owner of key {key} names a participant or an asset out of range")]
    OwnerOutOfRange {
        /// The key, its place among the owners.
        key: usize,
    },
    /// A leg names a key that has no owner.
    #[error("leg {leg}: key {key} is unknown")]
    KeyUnknown {
        /// The leg, counted from 0 in the order given.
        leg: usize,
        /// The unknown key.
        key: u32,
    },
    /// A leg's two keys are accounts in different assets.
    #[error("leg {leg}: debtor account is in asset {debtor}, creditor account in asset {creditor}")]
    AssetsMustBeEqual {
        /// The leg, counted from 0 in the order given.
        leg: usize,
        /// The debtor account's asset.
        debtor: u32,
        /// The creditor account's asset.
        creditor: u32,
    },
    /// There is one valuation per asset.
    #[error("{actual} valuations for {expected} assets")]
    ValuationsMissing {
        /// How many assets there are.
        expected: usize,
        /// How many valuations were given.
        actual: usize,
    },
    /// A valuation's rate is zero or too large, or its asset has too many decimals.
    #[error("valuation of asset {asset} is out of range")]
    ValuationOutOfRange {
        /// The asset.
        asset: usize,
    },
    /// The value of all legs in base currency does not fit into 256 bits.
    #[error("value of all legs overflows")]
    ValueOverflow,
}

impl Owners {
    /// One owner per key; participants and assets are numbered from 0 up to the counts.
    pub fn new(
        owners: Vec<Owner>,
        participant_count: u32,
        asset_count: u32,
    ) -> Result<Self, NettingError> {
        let out =
            |owner: &Owner| owner.participant >= participant_count || owner.asset >= asset_count;
        match owners.iter().position(out) {
            Some(key) => Err(NettingError::OwnerOutOfRange { key }),
            None => Ok(Self {
                owners,
                participant_count,
                asset_count,
            }),
        }
    }

    /// Debtor and creditor of a leg, which must be in one asset.
    fn of(&self, index: usize, leg: &Leg) -> Result<(Owner, Owner), NettingError> {
        let owner = |key: u32| {
            let unknown = NettingError::KeyUnknown { leg: index, key };
            self.owners.get(key as usize).copied().ok_or(unknown)
        };
        let (debtor, creditor) = (owner(leg.debtor)?, owner(leg.creditor)?);
        if debtor.asset != creditor.asset {
            let (debtor, creditor) = (debtor.asset, creditor.asset);
            return Err(NettingError::AssetsMustBeEqual {
                leg: index,
                debtor,
                creditor,
            });
        }
        Ok((debtor, creditor))
    }
}

/// What one participant nets against another in one asset, never zero. The other way around it is the
/// same with the other sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BilateralNet {
    /// The participant of the lower index.
    #[n(0)]
    pub participant: u32,
    /// The other one.
    #[n(1)]
    pub against: u32,
    /// The asset.
    #[n(2)]
    pub asset: u32,
    /// Minor units; above zero, `participant` receives.
    #[cbor(n(3), with = "crate::record::wide")]
    pub net: i128,
}

/// All bilateral nets that are not zero, by participant, then counterparty, then asset.
pub fn bilateral(
    legs: impl IntoIterator<Item = Leg>,
    owners: &Owners,
) -> Result<Vec<BilateralNet>, NettingError> {
    bilateral_within(DENSE_CELLS_MAX, legs, owners)
}

fn bilateral_within(
    dense_cells_max: usize,
    legs: impl IntoIterator<Item = Leg>,
    owners: &Owners,
) -> Result<Vec<BilateralNet>, NettingError> {
    let mut pairs = Pairs::new(owners, dense_cells_max);
    for (index, leg) in legs.into_iter().enumerate() {
        let (debtor, creditor) = owners.of(index, &leg)?;
        let amount = i128::from(leg.amount);
        let (low, high, asset) = (creditor.participant, debtor.participant, debtor.asset);
        if low < high {
            *pairs.sum(low, high, asset) += amount;
        } else if high < low {
            *pairs.sum(high, low, asset) -= amount;
        }
    }
    Ok(pairs.nets())
}

/// One sum per pair (the lower participant first) and asset.
enum Pairs {
    Dense { sums: Vec<i128>, asset_count: usize },
    Sparse(BTreeMap<(u32, u32, u32), i128>),
}

impl Pairs {
    fn new(owners: &Owners, dense_cells_max: usize) -> Self {
        let participants = u128::from(owners.participant_count);
        let pairs = participants * participants.saturating_sub(1) / 2;
        let cells = usize::try_from(pairs * u128::from(owners.asset_count)).unwrap_or(usize::MAX);
        if cells > dense_cells_max {
            return Self::Sparse(BTreeMap::new());
        }
        Self::Dense {
            sums: vec![0; cells],
            asset_count: owners.asset_count as usize,
        }
    }

    fn sum(&mut self, low: u32, high: u32, asset: u32) -> &mut i128 {
        match self {
            Self::Dense { sums, asset_count } => {
                &mut sums[pair_index(low, high) * *asset_count + asset as usize]
            }
            Self::Sparse(sums) => sums.entry((low, high, asset)).or_default(),
        }
    }

    fn nets(self) -> Vec<BilateralNet> {
        let net = |((participant, against, asset), net): ((u32, u32, u32), i128)| {
            (net != 0).then_some(BilateralNet {
                participant,
                against,
                asset,
                net,
            })
        };
        match self {
            Self::Sparse(sums) => sums.into_iter().filter_map(net).collect(),
            Self::Dense { sums, asset_count } => {
                let mut nets: Vec<BilateralNet> = sums
                    .chunks(asset_count.max(1))
                    .zip(pairs())
                    .flat_map(|(sums, (low, high))| {
                        let keyed = (0..)
                            .zip(sums)
                            .map(move |(asset, &sum)| ((low, high, asset), sum));
                        keyed.filter_map(net)
                    })
                    .collect();
                nets.sort_unstable_by_key(|net| (net.participant, net.against, net.asset));
                nets
            }
        }
    }
}

/// Row after row of the triangle below the diagonal: (0,1), (0,2), (1,2), (0,3), ...
fn pair_index(low: u32, high: u32) -> usize {
    let (low, high) = (low as usize, high as usize);
    high * (high - 1) / 2 + low
}

/// The pairs in the order of [`pair_index`].
fn pairs() -> impl Iterator<Item = (u32, u32)> {
    (1..).flat_map(|high| (0..high).map(move |low| (low, high)))
}

/// Multilateral nets, and all that follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultilateralNets {
    asset_count: usize,
    /// Minor units at `participant * asset_count + asset`.
    nets: Vec<i128>,
    /// Per asset: the sum of all legs, minor units.
    gross: Vec<i128>,
}

/// What one participant owes to, or is owed by, a cycle in one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The participant.
    pub participant: u32,
    /// The asset.
    pub asset: u32,
    /// `N`: minor units; below zero, the participant pays.
    pub net: i128,
    /// `max(0, -(D+N))`, minor units.
    pub pay_in: i128,
    /// `max(0, D+N)`, minor units.
    pub pay_out: i128,
}

/// What each participant nets against all others, per asset, in one pass.
pub fn multilateral(
    legs: impl IntoIterator<Item = Leg>,
    owners: &Owners,
) -> Result<MultilateralNets, NettingError> {
    let asset_count = owners.asset_count as usize;
    let mut gross = vec![0; asset_count];
    // By key first: an account's sums lie closer together than those of the whole table.
    let mut key_nets = vec![0; owners.owners.len()];
    for (index, leg) in legs.into_iter().enumerate() {
        let (debtor, _) = owners.of(index, &leg)?;
        let amount = i128::from(leg.amount);
        gross[debtor.asset as usize] += amount;
        key_nets[leg.debtor as usize] -= amount;
        key_nets[leg.creditor as usize] += amount;
    }
    let mut nets = vec![0; owners.participant_count as usize * asset_count];
    for (owner, net) in owners.owners.iter().zip(key_nets) {
        nets[owner.participant as usize * asset_count + owner.asset as usize] += net;
    }
    Ok(MultilateralNets {
        asset_count,
        nets,
        gross,
    })
}

impl MultilateralNets {
    /// `N(participant, asset)` in minor units. Panics out of range.
    pub fn net(&self, participant: u32, asset: u32) -> i128 {
        assert!(
            (asset as usize) < self.asset_count,
            "asset {asset} of {}",
            self.asset_count
        );
        self.nets[participant as usize * self.asset_count + asset as usize]
    }

    /// The sum of all legs in an asset, minor units. Panics out of range.
    pub fn gross(&self, asset: u32) -> i128 {
        self.gross[asset as usize]
    }

    /// The funding that net settlement takes in an asset: `sum_p max(0, -N)`, minor units.
    pub fn short(&self, asset: u32) -> i128 {
        let column = self
            .nets
            .iter()
            .skip(asset as usize)
            .step_by(self.asset_count.max(1));
        column.map(|&net| net.saturating_neg().max(0)).sum()
    }

    /// All nets by participant, then asset, zeros included: `(participant, asset, net)`.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, i128)> {
        let rows = (0..).zip(self.nets.chunks(self.asset_count.max(1)));
        rows.flat_map(|(participant, row)| {
            (0..)
                .zip(row)
                .map(move |(asset, &net)| (participant, asset, net))
        })
    }

    /// The pay-in schedule: what each participant pays in or gets out, by participant, then asset,
    /// without those for whom net, pay-in and pay-out are all zero. `fund` answers `D(participant,
    /// asset)` in minor units.
    pub fn funding(&self, fund: impl Fn(u32, u32) -> i128) -> impl Iterator<Item = Funding> {
        self.iter().filter_map(move |(participant, asset, net)| {
            let held = fund(participant, asset);
            let (pay_in, pay_out) = (pay_in(held, net), pay_out(held, net));
            let funding = Funding {
                participant,
                asset,
                net,
                pay_in,
                pay_out,
            };
            (net != 0 || pay_in != 0 || pay_out != 0).then_some(funding)
        })
    }
}

/// `max(0, -(D+N))`: what is still to be paid in; all minor units. Saturates far beyond any sum of legs.
pub fn pay_in(fund: i128, net: i128) -> i128 {
    fund.saturating_add(net).saturating_neg().max(0)
}

/// `max(0, D+N)`: what is to be paid out; all minor units. Saturates far beyond any sum of legs.
pub fn pay_out(fund: i128, net: i128) -> i128 {
    fund.saturating_add(net).max(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pairs_are_enumerated_as_they_are_indexed() {
        for (index, (low, high)) in pairs().take(10_000).enumerate() {
            assert_eq!(pair_index(low, high), index);
        }
    }

    #[test]
    fn dense_and_sparse_agree() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for round in 0..300 {
            let (participant_count, asset_count) = (1 + next(6) as u32, 1 + next(4) as u32);
            let owner = |key| Owner {
                participant: key / asset_count,
                asset: key % asset_count,
            };
            let owners = (0..participant_count * asset_count).map(owner).collect();
            let owners = Owners::new(owners, participant_count, asset_count).unwrap();
            let mut leg = || {
                let asset = next(asset_count.into()) as u32;
                let mut key = || next(participant_count.into()) as u32 * asset_count + asset;
                Leg {
                    debtor: key(),
                    creditor: key(),
                    amount: 1 + next(5) as i64,
                }
            };
            let legs: Vec<Leg> = (0..30).map(|_| leg()).collect();
            let dense = bilateral(legs.iter().copied(), &owners);
            let sparse = bilateral_within(0, legs.iter().copied(), &owners);
            assert_eq!(dense, sparse, "round {round}");
        }
    }
}
