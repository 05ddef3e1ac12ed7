//! Why instructions wait, what is missing, and what would free them.

use super::{FrozenView, RunScope, RunView};
use crate::conditions::Progress;
use crate::event::OrderLeg;
use crate::ids::{AccountId, Bic, Date, Sequence, Timestamp, Uetr};
use crate::instruction::Lane;
use crate::run::{Cause, Reason, Test};
use crate::state::State;
use crate::state::cycles::Member;
use crate::state::identities::EntryId;
use crate::state::pending::Terms;
use crate::state::queues::Queued;
use crate::view::{
    AssetView, AwaitedView, BindingTest, CycleState, ExplanationView, Status, Waiting,
};

impl FrozenView {
    /// Why an instruction waits, the smallest pay-in included; `None` if it does not wait, or is not known.
    pub fn explain(&self, sequence: Sequence) -> Option<ExplanationView> {
        let id = self.state.identities.by_sequence(sequence)?;
        let Some((scope, place)) = self.state.scope_of(id) else {
            return self.awaiting(id);
        };
        let run = self.run(scope)?;
        let unit = self.state.waiting_unit(scope, place)?;
        Some(self.explanation(&run, id, &unit, true))
    }

    /// The same of every instruction under a UETR that the reader (`None`: anyone) is party to, or may
    /// approve; `None` if there is none.
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

    /// Why the scope's waiting instructions wait, in queue order, those that are held included; then those
    /// that wait for a condition, and would come to it, by number. Of those that concern one participant,
    /// or all, from an offset on, at most `limit`; with pay-ins if asked. `None` if there is no such cycle.
    pub fn explain_all(
        &self,
        scope: RunScope,
        of: Option<Bic>,
        offset: usize,
        limit: usize,
        pay_ins: bool,
    ) -> Option<Vec<ExplanationView>> {
        let run = self.run(scope)?;
        let waiting = self.state.waiting_units(scope, of);
        let left = waiting.iter().filter(|unit| !run.settles(unit.place));
        let mut asked = self.state.each_part(left, of);
        let unready = self.state.unready_in(scope, self.time, of).into_iter();
        asked.extend(unready.map(|id| (id, None)));
        let page = asked.into_iter().skip(offset).take(limit);
        let explained = page.filter_map(|(id, unit)| match unit {
            Some(unit) => Some(self.explanation(&run, id, unit, pay_ins)),
            None => self.awaiting(id),
        });
        Some(explained.collect())
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
        let ran = cycle.state == CycleState::Settling && cycle.has_run();
        let scope = RunScope::Cycle(scope);
        let run = ran.then(|| self.run(scope)).flatten();
        let settles = |unit: &&WaitingUnit| run.as_ref().is_some_and(|run| run.settles(unit.place));
        let waiting = self.state.waiting_units(scope, of);
        let left = waiting.iter().filter(|unit| !settles(unit));
        let page = self.state.each_part(left, of).into_iter();
        let page = page.skip(offset).take(limit);
        page.filter_map(|(id, unit)| match &run {
            Some(run) => Some(self.explanation(run, id, unit?, false)),
            None => Some(self.outside(id, unit?)),
        })
        .collect()
    }

    /// Of one that waits for a condition, or for a trade's other side.
    fn awaiting(&self, id: EntryId) -> Option<ExplanationView> {
        let state = &self.state;
        let unready = state.unready(id)?;
        let answer = state.answer(id, false);
        let Status::Waiting(waiting) = answer.status else {
            return None;
        };
        let account = match waiting {
            Waiting::Held => unready.legs.iter().find_map(|leg| state.suspended(leg)),
            _ => None,
        };
        let (participant, asset) = state.named(account.unwrap_or(unready.legs[0].debtor));
        Some(ExplanationView {
            answer,
            test: test_of(waiting),
            behind: None,
            by_group: false,
            awaited: Some(Box::new(state.awaited(&unready, self.time))),
            participant,
            asset,
            missing: 0,
            missing_asset: asset,
            smallest_pay_in: None,
        })
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
        let (behind, by_group) = state.behind(run, id, unit, reason.cause);
        ExplanationView {
            answer: state.answer(id, false),
            test,
            behind,
            by_group,
            awaited: None,
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
            by_group: false,
            awaited: None,
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

    /// Whom an instruction stands behind in the step that removed it, and whether only its group does.
    fn behind(
        &self,
        run: &RunView,
        id: EntryId,
        unit: u32,
        cause: Cause,
    ) -> (Option<Sequence>, bool) {
        let (Cause::Test { key } | Cause::Order { key, .. }) = cause;
        let problem = &run.inputs.problem;
        let debits = |part: EntryId, unit: u32| {
            let legs = problem.unit(unit);
            let own = self.groups.legs_of(part).unwrap_or(0..legs.len());
            legs[own].iter().any(|leg| problem.key(leg.debtor) == key)
        };
        let last_that_debits = |unit: u32| {
            let parts = self.parts(run.inputs.units[unit as usize].2);
            let last = parts.iter().rfind(|&&part| debits(part, unit)).copied();
            self.identities
                .sequence(last.expect("a unit in a key's queue debits it"))
        };
        if !debits(self.identities.trade_of(id), unit) {
            return (Some(last_that_debits(unit)), true);
        }
        match cause {
            Cause::Test { .. } => (None, false),
            Cause::Order { behind, .. } => (Some(last_that_debits(behind)), false),
        }
    }

    /// Whether a participant sent the instruction, has an account in its legs, or may approve it.
    fn is_party(&self, id: EntryId, bic: Bic) -> bool {
        if self.identities.identity(id).instructing == bic {
            return true;
        }
        let owns = |&account: &AccountId| self.named(account).0 == bic;
        if let Some((scope, place)) = self.scope_of(id) {
            let unit = self.waiting_unit(scope, place);
            return unit.is_some_and(|unit| self.own_accounts(id, &unit).iter().any(owns));
        }
        self.unready(id)
            .is_some_and(|unready| unready.accounts().iter().any(owns) || unready.may_approve(bic))
    }

    /// Of a part's own legs.
    fn own_accounts<'a>(&self, id: EntryId, unit: &'a WaitingUnit) -> &'a [AccountId] {
        let part = self.identities.trade_of(id);
        match self.groups.legs_of(part) {
            Some(legs) => &unit.accounts[2 * legs.start..2 * legs.end],
            None => &unit.accounts,
        }
    }

    /// Units by their parts, those that concern a participant, or all.
    fn each_part<'a>(
        &self,
        units: impl Iterator<Item = &'a WaitingUnit>,
        of: Option<Bic>,
    ) -> Vec<(EntryId, Option<&'a WaitingUnit>)> {
        let mut each = Vec::new();
        for unit in units {
            for &part in self.parts(unit.place).iter() {
                let accounts = self.own_accounts(part, unit);
                let owns = |bic| accounts.iter().any(|&account| self.named(account).0 == bic);
                if of.is_none_or(owns) {
                    each.push((part, Some(unit)));
                }
            }
        }
        each
    }

    /// An instruction that waits for a condition, or a trade's side for the other.
    fn unready(&self, id: EntryId) -> Option<Unready<'_>> {
        let id = self.identities.trade_of(id);
        if let Some(unit) = self.pending.get(id) {
            return Some(Unready {
                legs: &unit.legs,
                terms: &unit.terms,
                lane: unit.lane,
                value_date: unit.value_date,
                progress: unit.progress.as_ref(),
            });
        }
        let side = self.unmatched.get(id)?;
        Some(Unready {
            legs: &side.legs,
            terms: &side.terms,
            lane: side.lane,
            value_date: side.value_date,
            progress: None,
        })
    }

    /// Those that would come to a scope's run, by number.
    fn unready_in(&self, scope: RunScope, now: Timestamp, of: Option<Bic>) -> Vec<EntryId> {
        let pending = self.pending.iter().map(|(id, _)| id);
        let unmatched = self.unmatched.iter().map(|(id, _)| id);
        let comes = |&id: &EntryId| {
            self.unready(id).is_some_and(|unready| match scope {
                RunScope::Gross => unready.lane == Lane::Gross,
                RunScope::Cycle(name) => {
                    let taking = self.taking_cycle(unready.value_date, now);
                    unready.lane == Lane::Net && taking.is_some_and(|cycle| cycle.name == name)
                }
            })
        };
        let concerns = |&id: &EntryId| of.is_none_or(|of| self.is_party(id, of));
        let mut ids: Vec<EntryId> = pending.chain(unmatched).collect();
        ids.retain(|id| comes(id) && concerns(id));
        ids.sort_unstable();
        ids
    }

    fn suspended(&self, leg: &OrderLeg) -> Option<AccountId> {
        let accounts = [leg.debtor, leg.creditor].into_iter();
        let mut suspended =
            accounts.filter(|&account| self.directory.is_suspended(self.owner(account)));
        suspended.next()
    }

    fn awaited(&self, unready: &Unready<'_>, now: Timestamp) -> AwaitedView {
        let Unready {
            terms, progress, ..
        } = *unready;
        let conditions = progress.map(Progress::conditions);
        let locked = progress.filter(|progress| !progress.is_preimage_shown());
        let view = self.progress_view(terms.group.as_ref(), progress);
        let group = terms.group.map(|(group, ..)| group);
        let members = group.map_or(0, |group| u64::from(group.members));
        let ends = Some(terms.expires_at).filter(|&end| end < Timestamp(i64::MAX));
        let ends = ends.into_iter().chain(self.last_cut_off(unready, now));
        AwaitedView {
            hash_lock: locked.and_then(|progress| progress.conditions().hash_lock),
            not_before: conditions.and_then(|conditions| conditions.not_before),
            until: ends.min(),
            group,
            group_missing: members.saturating_sub(view.group_ready),
            progress: view,
        }
    }

    /// Of a net instruction: when no cycle takes it any more.
    fn last_cut_off(&self, unready: &Unready<'_>, now: Timestamp) -> Option<Timestamp> {
        let live = self.cycles_live.iter();
        let cycles = live.map(|&index| &self.cycles[index as usize]);
        let taking =
            cycles.filter(|cycle| cycle.name.value_date == unready.value_date && cycle.takes(now));
        taking
            .map(|cycle| cycle.cut_off)
            .max()
            .filter(|_| unready.lane == Lane::Net)
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

/// What is known of one that is not ready for a queue.
#[derive(Clone, Copy)]
struct Unready<'a> {
    legs: &'a [OrderLeg],
    terms: &'a Terms,
    lane: Lane,
    value_date: Date,
    progress: Option<&'a Progress>,
}

impl Unready<'_> {
    fn accounts(&self) -> Vec<AccountId> {
        let accounts = self.legs.iter().flat_map(|leg| [leg.debtor, leg.creditor]);
        accounts.collect()
    }

    fn may_approve(&self, bic: Bic) -> bool {
        let progress = self.progress;
        progress.is_some_and(|progress| progress.approver(bic).is_some())
    }
}

fn test_of(waiting: Waiting) -> BindingTest {
    match waiting {
        Waiting::Unmatched => BindingTest::Unmatched,
        Waiting::Approval => BindingTest::Approval,
        Waiting::Preimage => BindingTest::Preimage,
        Waiting::NotBefore => BindingTest::NotBefore,
        Waiting::Group => BindingTest::GroupIncomplete,
        Waiting::Held => BindingTest::Held,
        // Of those that are ready: the run tells them apart.
        Waiting::Order | Waiting::Liquidity => BindingTest::NotRun,
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
