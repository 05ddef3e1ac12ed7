//! The rounding ledger: what rounding gave or took, exactly, per provider, asset and value date.
//!
//! A quote computes one of its amounts, rounds it once, and keeps the residual: `exact = amount + residual`.
//!
//! | fixed side | computed amount     | residual above zero         | so the provider |
//! |------------|---------------------|-----------------------------|-----------------|
//! | source     | what it pays        | it pays less than exactly   | gains it        |
//! | target     | what it is paid     | it is paid less             | loses it        |
//!
//! Only quotes that settled count: rounding then has moved money. The residuals of one rate have one
//! denominator and add up as whole numbers; the sum of all has the least common one, which grows with every
//! other rate. A sum beyond 250 bits is not given, and never wraps; its parts always are.

use super::State;
use super::identities::Standing;
use super::quotes::Quote;
use crate::command::FixedSide;
use crate::ids::{Date, ParticipantId};
use crate::view::{RoundingLine, RoundingQuestion};
use fx::{AssetCode, Fraction, I256};
use std::collections::BTreeMap;

/// A line's provider, value date and asset: the order of the lines.
type Key = (ParticipantId, Date, AssetCode);

/// How many quotes, and their gains by denominator in minor units.
#[derive(Default)]
struct Sums {
    quotes: u64,
    by_denominator: BTreeMap<i128, I256>,
}

impl State {
    /// By provider, value date and asset.
    pub(super) fn rounding_ledger(&self, question: &RoundingQuestion) -> Vec<RoundingLine> {
        let wanted = question
            .provider
            .map(|bic| self.directory.participant_id(bic));
        let quotes = self.quotes.iter().filter(|(provider, quote)| {
            wanted.is_none_or(|wanted| wanted == Some(*provider))
                && question
                    .date
                    .is_none_or(|date| date == quote.terms.value_date)
                && self.has_settled(quote)
        });
        let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
        for (provider, quote) in quotes {
            let (asset, numerator) = gain(quote);
            let key = (provider, quote.terms.value_date, asset);
            let sums = sums.entry(key).or_default();
            sums.quotes += 1;
            let sum = sums.by_denominator.entry(quote.residual.1);
            // Each is below 2^127, so 2^128 quotes would fit.
            *sum.or_insert(I256::ZERO) += I256::from(numerator);
        }
        let line = |(key, sums)| self.rounding_line(key, sums);
        sums.into_iter().map(line).collect()
    }

    fn has_settled(&self, quote: &Quote) -> bool {
        let standing = quote.used_by.map(|by| self.identities.standing(by));
        matches!(standing, Some(Standing::Settled(_)))
    }

    fn rounding_line(&self, (provider, date, asset): Key, sums: Sums) -> RoundingLine {
        let asset = self.code_view(asset);
        let unit = I256::from(10_i64.pow(asset.decimals.into()));
        let part = |(denominator, numerator)| {
            // At most 2^127 x 10^8; and the sum of a year of quotes is far below 2^250.
            let part = Fraction::new(numerator, I256::from(denominator) * unit);
            part.expect("a sum of one denominator fits")
        };
        let parts: Vec<Fraction> = sums.by_denominator.into_iter().map(part).collect();
        RoundingLine {
            provider: self.directory.participant(provider).bic,
            asset,
            date,
            quotes: sums.quotes,
            gained: parts
                .iter()
                .try_fold(Fraction::ZERO, |sum, part| sum.checked_add(part)),
            parts,
        }
    }
}

/// The computed amount's asset, and what rounding it gave the provider, over the residual's denominator.
fn gain(quote: &Quote) -> (AssetCode, i128) {
    match quote.terms.fixed_side {
        FixedSide::Source => (quote.terms.target_asset, quote.residual.0),
        FixedSide::Target => (quote.terms.source_asset, -quote.residual.0),
    }
}
