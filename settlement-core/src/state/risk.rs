//! Risk rules: what there is, what a description changes, and what a cycle's run and pay-outs are held to.
//!
//! | rule                          | read by                                                           |
//! |-------------------------------|-------------------------------------------------------------------|
//! | model                         | a cycle, as it opens                                              |
//! | rates and haircuts            | a cycle, as it closes: the first of a value date freezes them     |
//! | short and aggregate limits, account value | each run of a continuous cycle, as they are then      |
//!
//! An asset without a rate at the close counts for nothing, and a participant with tests that span its
//! accounts may then not be short in it at all.

use super::State;
use super::cycles::{Cycle, at};
use super::decide_command::{invalid, not_found};
use crate::command::Refusal;
use crate::event::Event;
use crate::ids::{AccountId, AssetId, ParticipantId};
use crate::rejection::Rejection;
use crate::risk::{FrozenValue, Funding, HAIRCUT_SCALE, Model, RiskLine, SettlementOrder};
use crate::run::{AssetValue, Cap, FLOOR_NONE, Problem, ProblemError, Span};
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::view::CycleState;
use fx::{AssetCode, I256};
use minicbor::{Decode, Encode};

/// The tests that span a participant's accounts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
struct Tests {
    #[n(0)]
    aggregate_short: Option<i64>,
    #[n(1)]
    account_value: bool,
}

/// All rules.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Risk {
    #[n(0)]
    pub(crate) model: Model,
    #[n(1)]
    haircuts: Sorted<AssetId, u16>,
    #[n(2)]
    short: Sorted<AccountId, Option<i64>>,
    #[n(3)]
    tests: Sorted<ParticipantId, Tests>,
}

impl Freeze for Risk {
    fn freeze(&mut self) {
        let Self {
            model: _,
            haircuts,
            short,
            tests,
        } = self;
        haircuts.freeze();
        short.freeze();
        tests.freeze();
    }
}

impl Risk {
    pub(super) fn haircut(&self, asset: AssetId) -> u16 {
        self.haircuts.get(&asset).copied().unwrap_or(0)
    }

    /// The least that an account's fund may hold.
    fn floor(&self, account: AccountId) -> i64 {
        match self.short.get(&account).copied() {
            None => 0,
            Some(None) => FLOOR_NONE,
            Some(Some(amount)) => -amount,
        }
    }
}

impl State {
    /// The names that a rule's line refers to must be there; `known` tells of those that come with it.
    pub(super) fn check_risk(
        &self,
        line: &RiskLine,
        field: &str,
        base: Option<AssetCode>,
        is_known: impl Fn(&RiskLine) -> bool,
    ) -> Result<(), Refusal> {
        if !is_known(line) {
            return Err(not_found(field, "names what is not there"));
        }
        let below = |amount: &Option<i64>| amount.is_some_and(|amount| amount < 0);
        match line {
            RiskLine::Haircut { haircut, .. } if *haircut >= HAIRCUT_SCALE => {
                Err(invalid(field, "a haircut is below 1"))
            }
            RiskLine::Haircut { asset, haircut } if base == Some(*asset) && *haircut != 0 => {
                Err(invalid(field, "the base asset has no haircut"))
            }
            RiskLine::ShortLimit { amount, .. } if below(amount) => {
                Err(invalid(field, "an amount is below zero"))
            }
            RiskLine::Tests {
                aggregate_short, ..
            } if below(aggregate_short) => Err(invalid(field, "an amount is below zero")),
            _ => Ok(()),
        }
    }

    pub(super) fn decide_risk(&self, line: &RiskLine) -> Result<Vec<Event>, Refusal> {
        let base = self.scheme.map(|(_, base)| base);
        let known = |line: &RiskLine| match line {
            RiskLine::Model(_) => true,
            RiskLine::Haircut { asset, .. } => self.directory.asset_id(*asset).is_some(),
            RiskLine::ShortLimit {
                participant, asset, ..
            } => self.line_account(*participant, *asset).is_some(),
            RiskLine::Tests { participant, .. } => {
                self.directory.participant_id(*participant).is_some()
            }
        };
        self.check_risk(line, "risk", base, known)?;
        Ok(self.risk_change(line))
    }

    /// Nothing if it holds already.
    pub(super) fn risk_change(&self, line: &RiskLine) -> Vec<Event> {
        let same = match *line {
            RiskLine::Model(model) => self.risk.model == model,
            RiskLine::Haircut { asset, haircut } => {
                let held = self.directory.asset_id(asset);
                held.map_or(0, |asset| self.risk.haircut(asset)) == haircut
            }
            RiskLine::ShortLimit {
                participant,
                asset,
                amount,
            } => {
                let account = self.line_account(participant, asset);
                let held = account.and_then(|account| self.risk.short.get(&account));
                held.copied().unwrap_or(Some(0)) == amount
            }
            RiskLine::Tests {
                participant,
                aggregate_short,
                account_value,
            } => {
                let id = self.directory.participant_id(participant);
                let held = id.and_then(|id| self.risk.tests.get(&id)).copied();
                held.unwrap_or_default()
                    == Tests {
                        aggregate_short,
                        account_value,
                    }
            }
        };
        (!same)
            .then_some(Event::RiskSet(*line))
            .into_iter()
            .collect()
    }

    pub(super) fn set_risk(&mut self, line: &RiskLine) {
        let known = "decided: what it names is there";
        match *line {
            RiskLine::Model(model) => self.risk.model = model,
            RiskLine::Haircut { asset, haircut } => {
                let asset = self.directory.asset_id(asset).expect(known);
                self.risk.haircuts.insert(asset, haircut);
            }
            RiskLine::ShortLimit {
                participant,
                asset,
                amount,
            } => {
                let account = self.line_account(participant, asset).expect(known);
                self.risk.short.insert(account, amount);
            }
            RiskLine::Tests {
                participant,
                aggregate_short,
                account_value,
            } => {
                let participant = self.directory.participant_id(participant).expect(known);
                let tests = Tests {
                    aggregate_short,
                    account_value,
                };
                self.risk.tests.insert(participant, tests);
            }
        }
        // What runs read has changed.
        for index in self.cycles_live.clone() {
            let cycle = &mut self.cycles[index as usize];
            if cycle.model.funding == Funding::Continuous {
                cycle.version += 1;
            }
        }
    }

    /// All rules that are not the default, as a description would have them.
    pub(super) fn risk_lines(&self) -> Vec<RiskLine> {
        let bic = |id| self.directory.participant(id).bic;
        let model = Some(RiskLine::Model(self.risk.model));
        let model = model.filter(|_| self.risk.model != Model::default());
        let haircuts = self.risk.haircuts.iter().map(|(asset, haircut)| {
            let asset = self.directory.asset(*asset).code;
            let haircut = *haircut;
            RiskLine::Haircut { asset, haircut }
        });
        let short = self.risk.short.iter().map(|(account, amount)| {
            let (participant, asset) = self.directory.account_names(*account);
            RiskLine::ShortLimit {
                participant,
                asset,
                amount: *amount,
            }
        });
        let tests = self.risk.tests.iter().map(|(id, tests)| RiskLine::Tests {
            participant: bic(*id),
            aggregate_short: tests.aggregate_short,
            account_value: tests.account_value,
        });
        let all = model.into_iter().chain(haircuts).chain(short).chain(tests);
        all.collect()
    }

    /// What assets count for in a cycle that closes, if its model asks for it.
    pub(super) fn frozen_values(&self, cycle: &Cycle) -> Option<Event> {
        let valued = cycle.model.funding == Funding::Continuous
            || cycle.model.order == SettlementOrder::BypassedByValue;
        let (_, base) = self.scheme.filter(|_| valued)?;
        let of_date = |other: &&Cycle| {
            other.name.value_date == cycle.name.value_date && !other.values.is_empty()
        };
        let first = self.cycles.iter().find(of_date);
        let values = first.map_or_else(|| self.values_now(base), |first| first.values.clone());
        Some(Event::CycleValued {
            cycle: cycle.name,
            values,
        })
    }

    fn values_now(&self, base: AssetCode) -> Vec<FrozenValue> {
        let numbered = (0..).map(AssetId).zip(self.directory.assets());
        let value = |(asset, line): (AssetId, &crate::command::AssetLine)| {
            let rate = self.valuation(line.code, base)?;
            let fits = rate.scaled() <= crate::run::RATE_SCALED_MAX;
            let haircut = self.risk.haircut(asset);
            fits.then_some(FrozenValue {
                asset,
                rate,
                haircut,
            })
        };
        numbered.filter_map(value).collect()
    }

    /// What a run of the cycle would read.
    pub(super) fn cycle_problem(&self, cycle: &Cycle) -> Problem {
        let legs = cycle.waiting().flat_map(|member| member.legs);
        let caps = self.run_caps(cycle.name.value_date, legs.copied());
        let problem = self.cycle_problem_with(cycle, caps);
        problem.expect("caps name what is there")
    }

    /// The same, with caps as they were read at another time: an error if they cannot have been.
    pub(super) fn cycle_problem_with(
        &self,
        cycle: &Cycle,
        caps: Vec<Cap>,
    ) -> Result<Problem, ProblemError> {
        let accounts = self.accounts.len();
        let mut funds: Vec<i64> = cycle.funds.iter().copied().collect();
        funds.resize(accounts, 0);
        if cycle.model.funding == Funding::Prefunded {
            let empty = Problem::new(funds, vec![0; accounts]);
            let empty = empty.expect("as many floors as funds");
            return Ok(cycle.problem(empty.with_caps(caps)?));
        }
        let assets: Vec<AssetValue> = cycle
            .values
            .iter()
            .map(|value| AssetValue {
                rate: value.rate,
                haircut: value.haircut,
                decimals: self.directory.asset(value.asset).decimals,
            })
            .collect();
        let mut floors: Vec<i64> = self
            .account_ids()
            .map(|account| self.risk.floor(account))
            .collect();
        let spans = self.spans(cycle, &mut floors);
        let base_decimals = self.base_asset().decimals;
        let empty = Problem::new(funds, floors).expect("as many floors as funds");
        let empty = empty.with_spans(base_decimals, assets, spans);
        let empty = empty.expect("decided: values are in range, accounts are known");
        Ok(cycle.problem(empty.with_caps(caps)?))
    }

    /// The spans of participants with tests; those may not be short in what has no value.
    fn spans(&self, cycle: &Cycle, floors: &mut [i64]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (&participant, tests) in self.risk.tests.iter() {
            if *tests == Tests::default() {
                continue;
            }
            let mut accounts = Vec::new();
            for account in self.accounts_owned(participant) {
                match value_place(cycle, self.directory.account(account).asset) {
                    Some(place) => accounts.push((account.0, place)),
                    None => floors[account.0 as usize] = 0,
                }
            }
            if !accounts.is_empty() {
                spans.push(Span {
                    accounts,
                    aggregate_short_max: tests.aggregate_short,
                    account_value: tests.account_value,
                });
            }
        }
        spans
    }

    fn accounts_owned(&self, participant: ParticipantId) -> impl Iterator<Item = AccountId> {
        let assets = (0..self.directory.assets().len())
            .map(|asset| AssetId(u16::try_from(asset).expect("assets are numbered with u16")));
        assets.filter_map(move |asset| self.directory.account_id(participant, asset))
    }

    /// A pay-out of a continuous cycle takes own money that is really there, and leaves the account value
    /// test passing. The other tests read shorts, of which it makes none.
    pub(super) fn check_continuous_pay_out(
        &self,
        cycle: &Cycle,
        account: AccountId,
        amount: i64,
    ) -> Result<(), Rejection> {
        let asset = self.directory.account(account).asset;
        let of_asset = |other: &AccountId| self.directory.account(*other).asset == asset;
        let fund = |account: AccountId| i128::from(at(&cycle.funds, account));
        let pool: i128 = self.account_ids().filter(of_asset).map(fund).sum();
        if pool < i128::from(amount) {
            return Err(Rejection::PoolInsufficient);
        }
        let owner = self.owner(account);
        let tests = self.risk.tests.get(&owner).copied().unwrap_or_default();
        let after =
            |other: AccountId| fund(other) - if other == account { amount.into() } else { 0 };
        if tests.account_value && self.account_value(cycle, owner, after) < I256::ZERO {
            return Err(Rejection::TestsFail);
        }
        Ok(())
    }

    /// `sum r [max(0,b)(1-h) - max(0,-b)(1+h)]`, in 10^-24 of the base unit.
    fn account_value(
        &self,
        cycle: &Cycle,
        participant: ParticipantId,
        balance: impl Fn(AccountId) -> i128,
    ) -> I256 {
        let mut sum = I256::ZERO;
        for account in self.accounts_owned(participant) {
            let asset = self.directory.account(account).asset;
            let Some(place) = value_place(cycle, asset) else {
                continue;
            };
            let value = cycle.values[place as usize];
            let balance = balance(account);
            let decimals = self.directory.asset(asset).decimals;
            let worth = value.rate.value(balance, decimals);
            let worth = worth.expect("rates and amounts are bounded: below 2^220");
            let (one, haircut) = (i32::from(HAIRCUT_SCALE), i32::from(value.haircut));
            let counted = if balance >= 0 {
                one - haircut
            } else {
                one + haircut
            };
            sum += worth * I256::from(counted);
        }
        sum
    }

    /// The first account whose fund is short: the cycle cannot complete.
    pub(super) fn short_fund(&self, cycle: &Cycle) -> Option<AccountId> {
        if cycle.model.funding == Funding::Prefunded || cycle.state == CycleState::Completed {
            return None;
        }
        self.account_ids()
            .find(|&account| at(&cycle.funds, account) < 0)
    }

    /// What units count for where order is bypassed: their legs' value, or one each.
    pub(super) fn weights(&self, cycle: &Cycle) -> Vec<I256> {
        if cycle.model.order == SettlementOrder::Kept {
            return Vec::new();
        }
        let by_value = || {
            cycle
                .waiting()
                .map(|member| self.weight(cycle, member.legs))
        };
        let values: Option<Vec<I256>> = match cycle.model.order {
            SettlementOrder::BypassedByValue => by_value().collect(),
            SettlementOrder::Kept | SettlementOrder::BypassedByCount => None,
        };
        // Without a rate for all of them nothing could be compared but their number.
        values.unwrap_or_else(|| cycle.waiting().map(|_| I256::ONE).collect())
    }

    fn weight(&self, cycle: &Cycle, legs: &[crate::run::Leg]) -> Option<I256> {
        let mut sum = I256::ZERO;
        for leg in legs {
            let asset = self.directory.account(AccountId(leg.debtor)).asset;
            let value = cycle.values[value_place(cycle, asset)? as usize];
            let decimals = self.directory.asset(asset).decimals;
            sum += value.rate.value(leg.amount.into(), decimals)?;
        }
        Some(sum)
    }
}

/// An asset's place among a cycle's values.
fn value_place(cycle: &Cycle, asset: AssetId) -> Option<u32> {
    let found = cycle
        .values
        .binary_search_by_key(&asset, |value| value.asset);
    found
        .ok()
        .map(|at| u32::try_from(at).expect("assets are numbered with u16"))
}
