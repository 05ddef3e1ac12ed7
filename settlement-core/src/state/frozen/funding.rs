//! Projected funding: what each account needs on each value date, in its asset and in the base asset.

use super::FrozenView;
use crate::command::{AccountState, AssetLine};
use crate::ids::{AccountId, AssetId, Bic, Date};
use crate::run::AssetValue;
use crate::state::State;
use crate::state::cycles::at;
use crate::view::{AssetView, CycleState, FundingRow, FundingView};
use fx::I256;
use std::collections::BTreeMap;

/// What one account has and expects on one value date. Minor units.
#[derive(Default)]
struct Expected {
    held: i128,
    incoming: i128,
    outgoing: i128,
}

impl FrozenView {
    /// Of one participant, or all: accounts on which something is expected, from today's value date on,
    /// over `days` value dates, today included. By date, participant, asset.
    ///
    /// Today's gross instructions count against what is free; each value date's cycles against their own
    /// funds, which are not to be used for anything else.
    pub fn funding(&self, of: Option<Bic>, days: u16) -> FundingView {
        let state = &self.state;
        let today = self.time.date();
        let last = Date(today.0 + i32::from(days) - 1);
        let mut expected: BTreeMap<(Date, AccountId), Expected> = BTreeMap::new();
        state.expect_gross(today, &mut expected);
        state.expect_cycles(today, last, &mut expected);
        let named = of.map(|bic| state.directory.participant_id(bic));
        let concerns = |account: AccountId| named.is_none_or(|of| of == Some(state.owner(account)));
        let mut rows: Vec<FundingRow> = expected
            .iter()
            .filter(|((_, account), _)| concerns(*account))
            .map(|(&(date, account), expected)| state.funding_row(date, account, expected))
            .collect();
        rows.sort_by_key(|row| (row.value_date, row.participant, row.asset));
        FundingView {
            base_asset: state.base_asset(),
            rows,
        }
    }
}

impl State {
    fn expect_gross(&self, today: Date, expected: &mut BTreeMap<(Date, AccountId), Expected>) {
        for (_, unit) in self.queues.iter().filter(|(_, unit)| !unit.held) {
            for leg in unit.legs.iter() {
                expected.entry((today, leg.debtor)).or_default().outgoing += i128::from(leg.amount);
                expected.entry((today, leg.creditor)).or_default().incoming +=
                    i128::from(leg.amount);
            }
        }
        for (&(_, account), expected) in expected.iter_mut() {
            expected.held += i128::from(self.free(account));
        }
    }

    fn expect_cycles(
        &self,
        today: Date,
        last: Date,
        expected: &mut BTreeMap<(Date, AccountId), Expected>,
    ) {
        let live = self
            .cycles_live
            .iter()
            .map(|&index| &self.cycles[index as usize]);
        let within = live.filter(|cycle| {
            cycle.state != CycleState::Completed && (today..=last).contains(&cycle.name.value_date)
        });
        for cycle in within {
            let date = cycle.name.value_date;
            let mut touched: Vec<AccountId> = Vec::new();
            let waiting = cycle
                .members()
                .filter(|member| !member.settled && !member.held);
            for leg in waiting.flat_map(|member| member.legs) {
                let (debtor, creditor) = (AccountId(leg.debtor), AccountId(leg.creditor));
                let amount = i128::from(leg.amount);
                expected.entry((date, debtor)).or_default().outgoing += amount;
                expected.entry((date, creditor)).or_default().incoming += amount;
                touched.extend([debtor, creditor]);
            }
            touched.sort_unstable();
            touched.dedup();
            for account in touched {
                let fund = at(&cycle.funds, account);
                expected.entry((date, account)).or_default().held += i128::from(fund);
            }
        }
    }

    fn funding_row(&self, value_date: Date, account: AccountId, expected: &Expected) -> FundingRow {
        let entry = self.directory.account(account);
        let asset = self.asset_view(entry.asset);
        let projected = expected.held + expected.incoming - expected.outgoing;
        FundingRow {
            value_date,
            participant: self.directory.participant(entry.participant).bic,
            asset,
            blocked: entry.state != AccountState::Open,
            held: expected.held,
            incoming: expected.incoming,
            outgoing: expected.outgoing,
            projected,
            needed: (-projected).max(0),
            needed_in_base: self.in_base(asset, (-projected).max(0)),
        }
    }

    /// An amount in minor units of the base asset, at the rates of now: half-even, for display. `None`
    /// without a rate.
    fn in_base(&self, asset: AssetView, minor: i128) -> Option<i128> {
        self.value_in_base([(asset, minor)].into_iter())
    }

    /// The same of a sum, rounded once.
    pub(super) fn value_in_base(
        &self,
        amounts: impl Iterator<Item = (AssetView, i128)>,
    ) -> Option<i128> {
        let (_, base) = self.scheme?;
        let mut sum = I256::ZERO;
        for (asset, minor) in amounts {
            let value = self
                .valuation(asset.code, base)?
                .value(minor, asset.decimals);
            sum = sum.checked_add(value?)?;
        }
        round_to_base(sum, self.base_asset())
    }

    /// What every asset counts for in tests that span accounts; or which has no rate.
    pub(super) fn asset_values(&self) -> Result<Vec<AssetValue>, String> {
        let base = self.base_asset().code;
        let assets = (0..).map(AssetId).zip(self.directory.assets());
        let value = |(asset, line): (AssetId, &AssetLine)| {
            let rate = self.valuation(line.code, base);
            Ok(AssetValue {
                rate: rate.ok_or_else(|| format!("{} has no rate in {base}", line.code))?,
                haircut: self.risk.haircut(asset),
                decimals: line.decimals,
            })
        };
        assets.map(value).collect()
    }
}

/// Half-even to minor units of the base asset.
fn round_to_base(value: I256, base: AssetView) -> Option<i128> {
    let unit = I256::new(10).pow(u32::from(fx::VALUE_DECIMALS - base.decimals));
    let (whole, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
    let twice = rest + rest;
    let is_odd = whole.rem_euclid(I256::new(2)) == I256::ONE;
    let up = twice > unit || twice == unit && is_odd;
    i128::try_from(if up { whole + I256::ONE } else { whole }).ok()
}
