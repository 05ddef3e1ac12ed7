//! What would settle if: a run's inputs, changed, run beside the inputs as they are.

use super::{FrozenView, RunInputs, RunScope, RunView};
use crate::ids::{AccountId, Bic, Date, ParticipantId, Sequence};
use crate::instruction::Priority;
use crate::run::{Cap, FLOOR_NONE, Leg, Outcome, Problem, Span, settle};
use crate::state::State;
use crate::state::identities::EntryId;
use crate::state::queues::Rank;
use crate::view::{AssetView, ClosingChange, InstructionAnswer, RunTotals, WhatIfView};
use fx::AssetCode;
use std::collections::BTreeMap;

/// One supposed change. Amounts are minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Change {
    /// More money on an account (in a cycle: in its fund).
    PayIn {
        participant: Bic,
        asset: AssetCode,
        amount: i64,
    },
    /// One more instruction, the last of its priority. Legs: debtor, creditor, asset, amount.
    Add {
        priority: Priority,
        legs: Vec<(Bic, Bic, AssetCode, i64)>,
    },
    /// A waiting instruction leaves; its whole unit does.
    Cancel { instruction: Sequence },
    /// A waiting instruction's unit goes to its place among those of another priority.
    Reprioritise {
        instruction: Sequence,
        priority: Priority,
    },
    /// By how much an account may be short; `None` is without limit.
    ShortLimit {
        participant: Bic,
        asset: AssetCode,
        amount: Option<i64>,
    },
    /// What all of a participant's shorts may be worth in the base asset; `None` is not tested.
    AggregateShortLimit {
        participant: Bic,
        amount: Option<i64>,
    },
    /// What a participant may pay another on the value date, net of what comes back; `None` lifts the cap.
    BilateralCap {
        participant: Bic,
        counterparty: Bic,
        asset: AssetCode,
        amount: Option<i64>,
    },
    /// All units with the participant leave.
    Suspend { participant: Bic },
}

/// Why a change cannot be supposed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("changes[{index}].{field}: {reason}")]
pub struct WhatIfError {
    /// The change, from 0.
    pub index: usize,
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A run's inputs, taken apart.
struct Draft<'a> {
    state: &'a State,
    problem: &'a Problem,
    balances: Vec<i64>,
    floors: Vec<i64>,
    spans: Vec<Span>,
    value_date: Date,
    caps: Vec<Cap>,
    /// In queue order once sorted. The last number tells added ones from those that are there.
    units: Vec<Unit>,
    added: u32,
}

/// A unit of the draft: its place in the queue, where it was, and what it moves.
struct Unit {
    priority: Priority,
    origin: Origin,
    legs: Vec<Leg>,
}

/// Those that are there come before those that are added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Known(Rank, EntryId, u32),
    Added(u32),
}

impl FrozenView {
    /// Supposes all changes together, in order, and runs the scope; `Ok(None)` if there is no such cycle.
    ///
    /// # Errors
    /// The first change that names something that is not there, or an amount that cannot be.
    pub fn what_if(
        &self,
        scope: RunScope,
        changes: &[Change],
    ) -> Result<Option<WhatIfView>, WhatIfError> {
        let Some(run) = self.run(scope) else {
            return Ok(None);
        };
        let mut draft = Draft::new(&self.state, &run.inputs, self.date_of(scope));
        for (index, change) in changes.iter().enumerate() {
            let made = draft.make(&run, change);
            made.map_err(|(field, reason)| WhatIfError {
                index,
                field,
                reason,
            })?;
        }
        let paid_in = draft.paid_in();
        let (problem, origins) = draft.problem().map_err(|reason| WhatIfError {
            index: changes.len().saturating_sub(1),
            field: "amount",
            reason,
        })?;
        let outcome = settle(&problem);
        Ok(Some(
            self.state
                .compare(&run, &problem, &origins, &outcome, &paid_in),
        ))
    }
}

/// The field at fault, and why.
type Fault = (&'static str, String);

impl<'a> Draft<'a> {
    fn new(state: &'a State, inputs: &'a RunInputs, value_date: Date) -> Self {
        let problem = &inputs.problem;
        let unit = |(number, legs): (u32, &[Leg])| {
            let (priority, rank, place) = inputs.units[number as usize];
            Unit {
                priority,
                origin: Origin::Known(rank, place, number),
                legs: legs.to_vec(),
            }
        };
        Self {
            state,
            problem,
            balances: problem.balances().to_vec(),
            floors: problem.floors().to_vec(),
            spans: problem.spans().to_vec(),
            value_date,
            // The run leaves out those that could not bind; with these changes they may.
            caps: state.all_caps(value_date),
            units: problem.units().map(unit).collect(),
            added: 0,
        }
    }

    fn make(&mut self, run: &RunView, change: &Change) -> Result<(), Fault> {
        match *change {
            Change::PayIn {
                participant,
                asset,
                amount,
            } => {
                let account = self.account("participant", participant, "asset", asset)?;
                let balance = &mut self.balances[account as usize];
                let raised = balance.checked_add(amount).filter(|_| amount > 0);
                *balance = raised.ok_or(("amount", "must be above zero, and fit".to_owned()))?;
            }
            Change::Add { priority, ref legs } => self.add(priority, legs)?,
            Change::Cancel { instruction } => {
                let unit = self.unit(run, instruction)?;
                self.units.remove(unit);
            }
            Change::Reprioritise {
                instruction,
                priority,
            } => {
                let unit = self.unit(run, instruction)?;
                self.units[unit].priority = priority;
            }
            Change::ShortLimit {
                participant,
                asset,
                amount,
            } => {
                let account = self.account("participant", participant, "asset", asset)?;
                let limit = amount.map_or(Ok(FLOOR_NONE), |amount| Ok(-not_negative(amount)?))?;
                self.floors[account as usize] = limit;
            }
            Change::AggregateShortLimit {
                participant,
                amount,
            } => self.limit_aggregate(participant, amount)?,
            Change::BilateralCap {
                participant,
                counterparty,
                asset,
                amount,
            } => {
                let debtor = self.account("participant", participant, "asset", asset)?;
                let creditor = self.account("counterparty", counterparty, "asset", asset)?;
                self.caps
                    .retain(|cap| (cap.debtor, cap.creditor) != (debtor, creditor));
                if let Some(amount) = amount {
                    let amount = not_negative(amount)?;
                    let (from, to) = (AccountId(debtor), AccountId(creditor));
                    self.caps.push(Cap {
                        debtor,
                        creditor,
                        amount: self.state.supposed_room(amount, self.value_date, from, to),
                    });
                }
            }
            Change::Suspend { participant } => {
                let participant = self.participant("participant", participant)?;
                let state = self.state;
                let owned = |account: u32| state.owner(AccountId(account)) == participant;
                let involves = |leg: &Leg| owned(leg.debtor) || owned(leg.creditor);
                self.units.retain(|unit| !unit.legs.iter().any(involves));
            }
        }
        Ok(())
    }

    fn participant(&self, field: &'static str, bic: Bic) -> Result<ParticipantId, Fault> {
        let known = self.state.directory.participant_id(bic);
        known.ok_or_else(|| (field, format!("{bic} is no participant")))
    }

    fn account(
        &self,
        field: &'static str,
        participant: Bic,
        asset_field: &'static str,
        asset: AssetCode,
    ) -> Result<u32, Fault> {
        let owner = self.participant(field, participant)?;
        let directory = &self.state.directory;
        let id = directory.asset_id(asset);
        let id = id.ok_or_else(|| (asset_field, format!("the scheme has no asset {asset}")))?;
        let account = directory.account_id(owner, id);
        account.map(|account| account.0).ok_or_else(|| {
            (
                asset_field,
                format!("{participant} has no account in {asset}"),
            )
        })
    }

    fn add(
        &mut self,
        priority: Priority,
        legs: &[(Bic, Bic, AssetCode, i64)],
    ) -> Result<(), Fault> {
        let mut moved = Vec::with_capacity(legs.len());
        for &(debtor, creditor, asset, amount) in legs {
            if amount <= 0 {
                return Err(("legs.amount", "must be above zero".to_owned()));
            }
            if debtor == creditor {
                return Err(("legs.creditor", "is the debtor too".to_owned()));
            }
            moved.push(Leg {
                debtor: self.account("legs.debtor", debtor, "legs.asset", asset)?,
                creditor: self.account("legs.creditor", creditor, "legs.asset", asset)?,
                amount,
            });
        }
        if moved.is_empty() {
            return Err(("legs", "there are none".to_owned()));
        }
        self.units.push(Unit {
            priority,
            origin: Origin::Added(self.added),
            legs: moved,
        });
        self.added += 1;
        Ok(())
    }

    /// Where the unit of a waiting instruction is.
    fn unit(&self, run: &RunView, instruction: Sequence) -> Result<usize, Fault> {
        let state = self.state;
        let unit = || {
            let id = state.identities.by_sequence(instruction)?;
            let (_, place) = state.scope_of(id)?;
            let number = *run.places.get(&place)?;
            let is =
                |unit: &Unit| matches!(unit.origin, Origin::Known(.., known) if known == number);
            self.units.iter().position(is)
        };
        unit().ok_or_else(|| {
            let reason = format!("instruction {} does not wait for this run", instruction.0);
            ("instruction", reason)
        })
    }

    fn limit_aggregate(&mut self, bic: Bic, amount: Option<i64>) -> Result<(), Fault> {
        let participant = self.participant("participant", bic)?;
        let limit = amount.map(not_negative).transpose()?;
        let state = self.state;
        let of = |span: &&mut Span| {
            span.accounts
                .first()
                .is_some_and(|&(account, _)| state.owner(AccountId(account)) == participant)
        };
        if let Some(span) = self.spans.iter_mut().find(of) {
            span.aggregate_short_max = limit;
            return Ok(());
        }
        let accounts = state
            .account_ids()
            .filter(|&account| state.owner(account) == participant);
        let asset = |account: AccountId| u32::from(state.directory.account(account).asset.0);
        self.spans.push(Span {
            accounts: accounts
                .map(|account| (account.0, asset(account)))
                .collect(),
            aggregate_short_max: limit,
            account_value: false,
        });
        Ok(())
    }

    /// Per account, what was paid in.
    fn paid_in(&self) -> Vec<(AccountId, i64)> {
        let before = self.problem.balances().iter();
        let changes = (0..).zip(before.zip(&self.balances));
        let raised = changes.filter(|(_, (before, after))| before != after);
        raised
            .map(|(account, (before, after))| (AccountId(account), after - before))
            .collect()
    }

    /// The problem, and each unit's origin; or why it is none.
    fn problem(mut self) -> Result<(Problem, Vec<Origin>), String> {
        self.units.sort_by_key(|unit| (unit.priority, unit.origin));
        let assets = if self.spans.is_empty() {
            Vec::new()
        } else {
            self.state.asset_values()?
        };
        let said = |error: crate::run::ProblemError| error.to_string();
        let mut problem = Problem::new(self.balances, self.floors).map_err(said)?;
        if !self.spans.is_empty() {
            let base_decimals = self.state.base_asset().decimals;
            let spanned = problem.with_spans(base_decimals, assets, self.spans);
            problem = spanned.map_err(said)?;
        }
        problem = problem.with_caps(self.caps).map_err(said)?;
        problem.reserve(self.units.len(), self.problem.legs().len());
        for unit in &self.units {
            problem.push_unit(&unit.legs).map_err(said)?;
        }
        Ok((problem, self.units.iter().map(|unit| unit.origin).collect()))
    }
}

fn not_negative(amount: i64) -> Result<i64, Fault> {
    if amount < 0 {
        return Err(("amount", "must not be below zero".to_owned()));
    }
    Ok(amount)
}

impl State {
    fn compare(
        &self,
        run: &RunView,
        problem: &Problem,
        origins: &[Origin],
        outcome: &Outcome,
        paid_in: &[(AccountId, i64)],
    ) -> WhatIfView {
        let before = &run.outcome;
        let mut settles_now: BTreeMap<EntryId, bool> = BTreeMap::new();
        let (mut settles, mut waits, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for (unit, &origin) in (0_u32..).zip(origins) {
            let settled = outcome.settled.get(unit);
            match origin {
                Origin::Added(_) => added.push(settled),
                Origin::Known(_, place, number) => {
                    settles_now.insert(place, settled);
                    match (before.settled.get(number), settled) {
                        (false, true) => settles.extend(self.unit_answers(place)),
                        (true, false) => waits.extend(self.unit_answers(place)),
                        _ => {}
                    }
                }
            }
        }
        let places: Vec<Option<EntryId>> = origins
            .iter()
            .map(|origin| match *origin {
                Origin::Known(_, place, _) => Some(place),
                Origin::Added(_) => None,
            })
            .collect();
        let known: Vec<Option<EntryId>> = run
            .inputs
            .units
            .iter()
            .map(|&(.., place)| Some(place))
            .collect();
        WhatIfView {
            base_asset: self.base_asset(),
            before: self.run_totals(&run.inputs.problem, &known, before),
            after: self.run_totals(problem, &places, outcome),
            settles,
            waits,
            added,
            closing: self.closing_changes(&before.closing, &outcome.closing),
            funding_in_base: self.sum_in_base(
                paid_in
                    .iter()
                    .map(|&(account, amount)| (account, i128::from(amount))),
            ),
        }
    }

    /// The answers of a unit's instructions.
    fn unit_answers(&self, place: EntryId) -> Vec<InstructionAnswer> {
        let parts = self.parts(place);
        let sides = |&part: &EntryId| self.identities.partner(part).into_iter().chain([part]);
        let ids = parts.iter().flat_map(sides);
        ids.map(|id| self.answer(id, false)).collect()
    }

    fn run_totals(
        &self,
        problem: &Problem,
        places: &[Option<EntryId>],
        outcome: &Outcome,
    ) -> RunTotals {
        let mut totals = RunTotals::default();
        let mut settled_by_account: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut held: Vec<i128> = problem.balances().iter().map(|&held| held.into()).collect();
        for (unit, legs) in problem.units() {
            let count =
                places[unit as usize].map_or(1, |place| self.instructions_of(&self.parts(place)));
            let settles = outcome.settled.get(unit);
            *(if settles {
                &mut totals.settled
            } else {
                &mut totals.waiting
            }) += count;
            for leg in legs {
                held[leg.debtor as usize] -= i128::from(leg.amount);
                held[leg.creditor as usize] += i128::from(leg.amount);
                if settles {
                    *settled_by_account.entry(AccountId(leg.debtor)).or_default() +=
                        i128::from(leg.amount);
                }
            }
        }
        let floors = problem.floors().iter().map(|&floor| i128::from(floor));
        let short = (0..).zip(held.iter().zip(floors));
        let needed = short
            .map(|(account, (held, floor))| (AccountId(account), (floor - held).max(0)))
            .filter(|&(_, needed)| needed > 0);
        totals.settled_value = self.sum_in_base(settled_by_account.into_iter());
        totals.needed_value = self.sum_in_base(needed);
        totals
    }

    fn closing_changes(&self, before: &[i128], after: &[i128]) -> Vec<ClosingChange> {
        let pairs = (0..).zip(before.iter().zip(after));
        let mut changes: Vec<ClosingChange> = pairs
            .filter(|(_, (before, after))| before != after)
            .map(|(account, (&before, &after))| {
                let entry = self.directory.account(AccountId(account));
                ClosingChange {
                    participant: self.directory.participant(entry.participant).bic,
                    asset: self.asset_view(entry.asset),
                    before,
                    after,
                }
            })
            .collect();
        changes.sort_by_key(|change| (change.participant, change.asset));
        changes
    }

    /// A sum over accounts in minor units of the base asset, rounded once; `None` if one has no rate.
    fn sum_in_base(&self, amounts: impl Iterator<Item = (AccountId, i128)>) -> Option<i128> {
        let mut by_asset: BTreeMap<AssetView, i128> = BTreeMap::new();
        for (account, amount) in amounts {
            let asset = self.directory.account(account).asset;
            *by_asset.entry(self.asset_view(asset)).or_default() += amount;
        }
        self.value_in_base(by_asset.into_iter())
    }
}
