//! `valuta.conservation/v1`: all postings of a batch sum to zero per asset, and nobody sees one.
//!
//! It shows each posting's leaf: asset, commitment to the amount, and salted hash; and for each asset the sum
//! of the blindings. Whoever has a line's opening (`valuta.posting/v1`) knows that it is one of these. Amounts
//! are added modulo the group's order, near 2^252, and opened as 128-bit integers.

use std::collections::BTreeMap;

use crate::error::VerifyError;
use crate::merkle::{Edge, Hash, leaf_hash};
use crate::pedersen::{self, Blinding, Sum};
use crate::proof::Entry;
use crate::step::Step;
use crate::text::{self, Lines};

/// What a conservation proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conserved {
    /// The batch, in its log.
    pub entry: Entry,
    /// The assets of its postings, ascending; each sums to zero.
    pub assets: Vec<String>,
}

/// The lines after the opening, not yet believed.
pub(crate) struct Conservation {
    edge: Edge,
    /// By asset: the points' sum, and the blindings' one.
    sums: BTreeMap<String, (Sum, Blinding)>,
}

impl Conservation {
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let (mut edge, mut points) = (Edge::default(), BTreeMap::new());
        while lines.peek("posting ") {
            let reason = "`posting`, asset, point and commitment expected";
            let (leaf, asset, point) = lines.take("posting ", posting, reason)?;
            let sum = points.entry(asset).or_insert_with(Sum::zero);
            if !sum.add(&point) {
                return Err(lines.wrong("the point is none of Ristretto255"));
            }
            edge.push(leaf);
        }
        let mut sums = BTreeMap::new();
        for (asset, points) in points {
            let reason = "`sum`, asset, 0 and base64 of a scalar expected, for each asset";
            let of_asset = |text| sum(text).filter(|(found, _)| *found == asset);
            let (_, blinding) = lines.take("sum ", of_asset, reason)?;
            sums.insert(asset.to_owned(), (points, blinding));
        }
        Ok(Self { edge, sums })
    }

    pub(crate) fn check(
        self,
        entry: Entry,
        step: &mut dyn FnMut(Step),
    ) -> Result<Conserved, VerifyError> {
        let (count, postings) = (self.edge.size(), entry.header.postings);
        if count != postings.count {
            return Err(VerifyError::Count {
                list: "postings",
                found: count,
                header: postings.count,
            });
        }
        if self.edge.root() != postings.root {
            return Err(VerifyError::PostingsRoot);
        }
        step(Step::Postings { count });
        let mut assets = Vec::with_capacity(self.sums.len());
        for (asset, (points, blinding)) in self.sums {
            if !points.is_zero(&blinding) {
                return Err(VerifyError::Conservation { asset });
            }
            let step_asset = asset.clone();
            step(Step::Sum { asset: step_asset });
            assets.push(asset);
        }
        Ok(Conserved { entry, assets })
    }
}

/// `<asset> <point> <commitment>`, which is the leaf's data; the leaf's hash, asset and point.
fn posting(text: &str) -> Option<(Hash, &str, Hash)> {
    let (asset, rest) = text.split_once(' ')?;
    let (point, commitment) = rest.split_once(' ')?;
    text::hash(commitment)?;
    let leaf = leaf_hash(text.as_bytes());
    Some((leaf, text::token(asset)?, text::hash(point)?))
}

/// `<asset> 0 <sum of the blindings>`
fn sum(text: &str) -> Option<(&str, Blinding)> {
    let (asset, rest) = text.split_once(' ')?;
    let blinding = pedersen::blinding(rest.strip_prefix("0 ")?)?;
    Some((asset, blinding))
}
