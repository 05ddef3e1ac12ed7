//! Why instructions wait, what is missing, and what would free them.

use super::{FrozenView, RunScope, RunView};
use crate::ids::{AccountId, Bic, Sequence, Uetr};
use crate::run::{Cause, Reason, Test};
use crate::state::State;
use crate::state::cycles::Member;
use crate::state::identities::EntryId;
use crate::state::queues::Queued;
use crate::view::{AssetView, BindingTest, CycleState, ExplanationView};

impl FrozenView {
    /// Why an instruction waits, the smallest pay-in included; `None` if it waits for no run: it is
    /// final, unmatched, or not known.
    pub fn explain(&self, sequence: Sequence) -> Option<ExplanationView> {
        let id = self.state.identities.by_sequence(sequence)?;
        let (scope, place) = self.state.scope_of(id)?;
        let run = self.run(scope)?;
        let unit = self.state.waiting_unit(scope, place)?;
        Some(self.explanation(&run, id, &unit, true))
    }

    /// The same of every instruction under a UETR that the reader (`None`: anyone) is party to; `None` if
    /// there is none.
    pub fn explain_uetr(&self, uetr: Uetr, reader: Option<Bic>) -> Option<Vec<ExplanationView>> {
        let state = &self.state;
        let mut ids: Vec<EntryId> = state.identities.probe(uetr).collect();
        ids.retain(|&id| reader.is_none_or(|reader| state.is_party(id, reader)));
        ids.sort_unstable();
        let explained = ids
            .iter()
            .filter_map(|&id| self.explain(state.identities.sequence(id)));
        (!ids.is_empty()).then(|| explained.collect())
    }

    /// Why the scope's waiting instructions wait, in queue order, units that are held included: of those
    /// that concern one participant, or all, from an offset on, at most `limit`; with pay-ins if asked.
    /// `None` if there is no such cycle.
    pub fn explain_all(
        &self,
        scope: RunScope,
        of: Option<Bic>,
        offset: usize,
        limit: usize,
        pay_ins: bool,
    ) -> Option<Vec<ExplanationView>> {
        let run = self.run(scope)?;
        let waiting = self.state.waiting_units(scope, of).into_iter();
        let unsettled = waiting.filter(|unit| !run.settles(unit.place));
        let page = unsettled.skip(offset).take(limit);
        Some(
            page.map(|unit| self.explanation(&run, unit.place, &unit, pay_ins))
                .collect(),
        )
    }

    /// Members of a cycle that its last run left behind, or that wait for the first one.
    pub fn unsettled(
        &self,
        scope: crate::ids::CycleName,
        of: Option<Bic>,
        offset: usize,
        limit: usize,
    ) -> Vec<ExplanationView> {
        let Some(cycle) = self.state.cycle(scope) else {
            return Vec::new();
        };
        if cycle.state == CycleState::Settling && cycle.has_run() {
            let explained = self.explain_all(RunScope::Cycle(scope), of, offset, limit, false);
            return explained.unwrap_or_default();
        }
        let waiting = self.state.waiting_units(RunScope::Cycle(scope), of);
        let page = waiting.into_iter().skip(offset).take(limit);
        page.map(|unit| self.outside(unit.place, &unit)).collect()
    }

    fn explanation(
        &self,
        run: &RunView,
        id: EntryId,
        waiting: &WaitingUnit,
        pay_in: bool,
    ) -> ExplanationView {
        let Some(&unit) = run.places.get(&waiting.place) else {
            return self.outside(id, waiting);
        };
        match run.explainer.reason(unit) {
            None => ExplanationView {
                test: BindingTest::None,
                ..self.outside(id, waiting)
            },
            Some(reason) => self.left_behind(run, id, unit, &reason, pay_in),
        }
    }

    fn left_behind(
        &self,
        run: &RunView,
        id: EntryId,
        unit: u32,
        reason: &Reason,
        pay_in: bool,
    ) -> ExplanationView {
        let state = &self.state;
        let problem = &run.inputs.problem;
        let (participant, asset) = state.named(AccountId(reason.account));
        let floor = problem.floors()[reason.account as usize];
        let (test, missing_asset) = match reason.test {
            Test::Floor { .. } if floor < 0 => (BindingTest::ShortLimit, asset),
            Test::Floor { .. } => (BindingTest::Floor, asset),
            Test::AggregateShort => (BindingTest::AggregateShort, state.base_asset()),
            Test::AccountValue => (BindingTest::AccountValue, state.base_asset()),
            Test::BilateralCap { .. } => (BindingTest::BilateralCap, asset),
        };
        let ahead = |unit: u32| state.identities.sequence(run.inputs.units[unit as usize].2);
        ExplanationView {
            answer: state.answer(id, false),
            test,
            behind: match reason.cause {
                Cause::Test { .. } => None,
                Cause::Order { behind, .. } => Some(ahead(behind)),
            },
            participant,
            asset,
            missing: reason.missing,
            missing_asset,
            smallest_pay_in: if pay_in {
                run.smallest_pay_in(unit, reason.account)
            } else {
                None
            },
        }
    }

    /// A unit that is no part of the run: a party is suspended, an account is blocked, or the run is
    /// still to come.
    fn outside(&self, id: EntryId, unit: &WaitingUnit) -> ExplanationView {
        let state = &self.state;
        let accounts = &unit.accounts;
        let suspended = |&account: &AccountId| state.directory.is_suspended(state.owner(account));
        let closed = |&account: &AccountId| {
            state.directory.account(account).state != crate::command::AccountState::Open
        };
        let (test, account) = if unit.held {
            let suspended = accounts.iter().copied().find(suspended);
            (BindingTest::Held, suspended)
        } else if let Some(account) = accounts.iter().copied().find(closed) {
            (BindingTest::Blocked, Some(account))
        } else {
            (BindingTest::NotRun, None)
        };
        let (participant, asset) = state.named(account.unwrap_or(accounts[0]));
        ExplanationView {
            answer: state.answer(id, false),
            test,
            behind: None,
            participant,
            asset,
            missing: 0,
            missing_asset: asset,
            smallest_pay_in: None,
        }
    }
}

impl RunView {
    fn settles(&self, place: EntryId) -> bool {
        let unit = self.places.get(&place);
        unit.is_some_and(|&unit| self.outcome.settled.get(unit))
    }
}

impl State {
    fn named(&self, account: AccountId) -> (Bic, AssetView) {
        let entry = self.directory.account(account);
        let participant = self.directory.participant(entry.participant).bic;
        (participant, self.asset_view(entry.asset))
    }

    /// Whether a participant sent the instruction, or has an account in its waiting unit.
    fn is_party(&self, id: EntryId, bic: Bic) -> bool {
        if self.identities.identity(id).instructing == bic {
            return true;
        }
        let unit = self
            .scope_of(id)
            .and_then(|(scope, place)| self.waiting_unit(scope, place));
        let owns = |&account: &AccountId| self.named(account).0 == bic;
        unit.is_some_and(|unit| unit.accounts.iter().any(owns))
    }

    /// Units that wait in a scope and concern a participant, or all, in queue order.
    fn waiting_units(&self, scope: RunScope, of: Option<Bic>) -> Vec<WaitingUnit> {
        let of = of.map(|bic| self.directory.participant_id(bic));
        let owned = |&account: &AccountId| of.is_none_or(|of| of == Some(self.owner(account)));
        let mut units = self.all_waiting(scope);
        units.retain(|unit| unit.accounts.iter().any(owned));
        units
    }

    fn waiting_unit(&self, scope: RunScope, place: EntryId) -> Option<WaitingUnit> {
        if let Some((_, unit)) = self.queues.by_id(place) {
            return Some(queued(place, unit));
        }
        let units = self.all_waiting(scope);
        units.into_iter().find(|unit| unit.place == place)
    }

    fn all_waiting(&self, scope: RunScope) -> Vec<WaitingUnit> {
        match scope {
            RunScope::Gross => {
                let units = self.queues.iter();
                units
                    .map(|((.., place), unit)| queued(place, unit))
                    .collect()
            }
            RunScope::Cycle(name) => {
                let cycle = self.cycle(name).into_iter();
                let members = cycle.flat_map(|cycle| cycle.members());
                members
                    .filter(|member| !member.settled)
                    .map(member)
                    .collect()
            }
        }
    }
}

/// A unit that waits.
struct WaitingUnit {
    place: EntryId,
    held: bool,
    /// Debtor and creditor of each leg.
    accounts: Vec<AccountId>,
}

fn queued(place: EntryId, unit: &Queued) -> WaitingUnit {
    let accounts = unit.legs.iter().flat_map(|leg| [leg.debtor, leg.creditor]);
    WaitingUnit {
        place,
        held: unit.held,
        accounts: accounts.collect(),
    }
}

fn member(member: Member<'_>) -> WaitingUnit {
    let accounts = member
        .legs
        .iter()
        .flat_map(|leg| [leg.debtor, leg.creditor]);
    WaitingUnit {
        place: member.place,
        held: member.held,
        accounts: accounts.map(AccountId).collect(),
    }
}
