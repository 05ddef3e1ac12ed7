//! Cycles as an edge shows them: positions, nets, efficiency, and who is left behind by which test.

use super::State;
use super::cycles::{Cycle, Member, at};
use super::identities::EntryId;
use crate::ids::{AccountId, AssetId, Bic, CycleName};
use crate::netting::{self, BilateralNet, Owner, Owners};
use crate::run::{self, Cause};
use crate::view::{
    AssetTotals, AssetView, BilateralView, CycleState, CycleView, FundView, UnsettledTest,
    UnsettledView,
};
use fx::AssetCode;
use std::collections::BTreeMap;

/// Why a waiting member is left behind, and on which account.
type Reasons = BTreeMap<EntryId, (UnsettledTest, AccountId)>;

impl State {
    pub(super) fn fund_view(&self, cycle: &Cycle, account: AccountId) -> Option<FundView> {
        let line = cycle.line(account);
        let net = line.map_or_else(
            || {
                if cycle.schedule_version == 0 {
                    cycle.net(account)
                } else {
                    0
                }
            },
            |line| line.net,
        );
        let fund = at(&cycle.funds, account);
        let opening = at(&cycle.opening_funds, account);
        let moved = at(&cycle.paid_in, account) != 0 || at(&cycle.paid_out, account) != 0;
        let takes_part = net != 0 || fund != 0 || opening != 0 || moved || line.is_some();
        let entry = self.directory.account(account);
        takes_part.then(|| FundView {
            cycle: cycle.name,
            participant: self.directory.participant(entry.participant).bic,
            asset: self.asset_view(entry.asset),
            net: net.into(),
            opening_fund: opening.into(),
            fund: fund.into(),
            pay_in_due: line.map_or(0, |line| line.pay_in_due).into(),
            pay_in_paid: at(&cycle.paid_in, account).into(),
            pay_out_due: line.map_or(0, |line| line.pay_out_due).into(),
            pay_out_paid: at(&cycle.paid_out, account).into(),
            pay_in_deadline: cycle.pay_in_deadline,
        })
    }

    pub(super) fn cycle_view(&self, cycle: &Cycle, of: Option<Bic>, detailed: bool) -> CycleView {
        let positions = |detailed: bool| {
            let accounts = if detailed {
                self.accounts_of(of)
            } else {
                Vec::new()
            };
            let views = accounts
                .into_iter()
                .filter_map(|account| self.fund_view(cycle, account));
            views.collect()
        };
        let base_asset = self.base_asset();
        CycleView {
            name: cycle.name,
            state: cycle.state,
            cut_off: cycle.cut_off,
            pay_in_deadline: cycle.pay_in_deadline,
            completion_deadline: cycle.completion_deadline,
            members: cycle.members,
            settled: cycle.settled,
            held: self.instructions(cycle, |member| member.held),
            left_behind: if cycle.has_run() && cycle.state == CycleState::Settling {
                self.instructions(cycle, |member| !member.held)
            } else {
                0
            },
            schedule_version: cycle.schedule_version,
            schedule_reason: cycle.schedule_reason.clone(),
            positions: positions(detailed),
            totals: self.totals(cycle),
            bilateral: if detailed {
                self.bilateral_views(cycle, of)
            } else {
                Vec::new()
            },
            efficiency: efficiency(cycle.gross_value, cycle.net_value),
            gross_value: minor_units(cycle.gross_value),
            net_value: minor_units(cycle.net_value),
            base_asset,
            batches: cycle.batches.clone(),
        }
    }

    fn base_asset(&self) -> AssetView {
        let known = self
            .scheme
            .and_then(|(_, base)| self.directory.asset_id(base));
        known.map_or_else(
            // No cycle opens before there is a scheme.
            || AssetView {
                code: AssetCode::parse(b"XXX").expect("a code"),
                decimals: 0,
            },
            |id| self.asset_view(id),
        )
    }

    /// Instructions of unsettled members.
    fn instructions(&self, cycle: &Cycle, of: impl Fn(&Member<'_>) -> bool) -> u64 {
        let unsettled = cycle
            .members()
            .filter(|member| !member.settled && of(member));
        unsettled
            .map(|member| self.identities.instruction_count(member.place))
            .sum()
    }

    fn totals(&self, cycle: &Cycle) -> Vec<AssetTotals> {
        let sums = self.asset_sums(cycle).into_iter();
        sums.filter(|(_, (gross, _))| *gross != 0)
            .map(|(asset, (gross, net))| AssetTotals {
                asset: self.asset_view(asset),
                gross,
                net,
                efficiency: efficiency(gross, net),
            })
            .collect()
    }

    /// Nets between each two participants, over members that are not held.
    pub(super) fn bilateral_nets(&self, cycle: &Cycle) -> Vec<BilateralNet> {
        let owner = |entry: &crate::directory::AccountEntry| Owner {
            participant: entry.participant.0.into(),
            asset: entry.asset.0.into(),
        };
        let count = |length: usize| u32::try_from(length).expect("numbered with 16 bits");
        let owners = Owners::new(
            self.directory.accounts().map(owner).collect(),
            count(self.directory.participants().len()),
            count(self.directory.assets().len()),
        );
        let members = cycle.members().filter(|member| !member.held);
        let legs = members.flat_map(|member| member.legs.iter().copied());
        let nets = netting::bilateral(legs, &owners.expect("accounts name what there is"));
        nets.expect("legs were checked when they were accepted")
    }

    fn bilateral_views(&self, cycle: &Cycle, of: Option<Bic>) -> Vec<BilateralView> {
        let nets = match cycle.state {
            CycleState::Completed => cycle.bilateral.to_vec(),
            _ => self.bilateral_nets(cycle),
        };
        let bic = |number: u32| self.directory.participants()[number as usize].bic;
        let view = |net: &BilateralNet| BilateralView {
            participant: bic(net.participant),
            counterparty: bic(net.against),
            asset: self.asset_view(AssetId(u16::try_from(net.asset).expect("numbered as u16"))),
            net: net.net,
        };
        // A participant sees each net from its own side.
        let turned = |view: BilateralView| match of {
            Some(bic) if view.counterparty == bic => BilateralView {
                participant: view.counterparty,
                counterparty: view.participant,
                net: -view.net,
                ..view
            },
            _ => view,
        };
        let views = nets.iter().map(view).map(turned);
        views
            .filter(|view| of.is_none_or(|bic| view.participant == bic))
            .collect()
    }

    /// Members of a cycle that are not settled, in queue order, with the test that binds each.
    pub(super) fn unsettled(
        &self,
        name: CycleName,
        of: Option<Bic>,
        offset: usize,
        limit: usize,
    ) -> Vec<UnsettledView> {
        let Some(cycle) = self.cycle(name) else {
            return Vec::new();
        };
        let reasons = self.reasons(cycle);
        let concerns = |member: &Member<'_>| {
            let owns = |key| self.directory.account_names(AccountId(key)).0;
            of.is_none_or(|bic| {
                member
                    .legs
                    .iter()
                    .any(|leg| owns(leg.debtor) == bic || owns(leg.creditor) == bic)
            })
        };
        let unsettled = cycle.members().filter(|member| !member.settled);
        let page = unsettled.filter(concerns).skip(offset).take(limit);
        page.map(|member| self.unsettled_view(&member, &reasons))
            .collect()
    }

    fn unsettled_view(&self, member: &Member<'_>, reasons: &Reasons) -> UnsettledView {
        let first = AccountId(member.legs[0].debtor);
        let (test, account) = if member.held {
            (
                UnsettledTest::Held,
                self.held_account(member).unwrap_or(first),
            )
        } else {
            let known = reasons.get(&member.place).copied();
            known.unwrap_or((UnsettledTest::NotRun, first))
        };
        let entry = self.directory.account(account);
        UnsettledView {
            answer: self.answer(member.place, false),
            test,
            participant: self.directory.participant(entry.participant).bic,
            asset: self.asset_view(entry.asset),
        }
    }

    /// The first account of a suspended party.
    fn held_account(&self, member: &Member<'_>) -> Option<AccountId> {
        let accounts = member
            .legs
            .iter()
            .flat_map(|leg| [leg.debtor, leg.creditor]);
        let mut accounts = accounts.map(AccountId);
        accounts.find(|&account| self.directory.is_suspended(self.owner(account)))
    }

    /// What a run over the inputs as they are removes, and why. Nothing if none was due yet.
    fn reasons(&self, cycle: &Cycle) -> Reasons {
        if cycle.state != CycleState::Settling || !cycle.has_run() {
            return Reasons::new();
        }
        let problem = cycle.problem(self.accounts.len());
        let outcome = run::settle(&problem);
        let places: Vec<EntryId> = cycle.waiting().map(|member| member.place).collect();
        let place = |unit: u32| places[unit as usize];
        let shortfalls = Shortfalls::new(&problem, &outcome.removals);
        let reason = |(removal, missing): (&run::Removal, Option<i128>)| {
            let (test, key) = match removal.cause {
                Cause::Test { key } => {
                    let missing = missing.unwrap_or(0);
                    (UnsettledTest::Floor { missing }, key)
                }
                Cause::Order { key, behind } => {
                    let behind = self.identities.sequence(place(behind));
                    (UnsettledTest::Order { behind }, key)
                }
            };
            (place(removal.unit), (test, AccountId(key)))
        };
        outcome
            .removals
            .iter()
            .zip(shortfalls.missing)
            .map(reason)
            .collect()
    }
}

/// By how much each failed test of a trace failed at its step.
struct Shortfalls {
    missing: Vec<Option<i128>>,
}

impl Shortfalls {
    fn new(problem: &run::Problem, removals: &[run::Removal]) -> Self {
        let mut held: Vec<i128> = problem.balances().iter().map(|&fund| fund.into()).collect();
        let move_legs = |held: &mut Vec<i128>, unit: u32, sign: i128| {
            for leg in problem.unit(unit) {
                held[leg.debtor as usize] -= sign * i128::from(leg.amount);
                held[leg.creditor as usize] += sign * i128::from(leg.amount);
            }
        };
        (0..problem.unit_count()).for_each(|unit| move_legs(&mut held, unit, 1));
        let mut missing = Vec::with_capacity(removals.len());
        for removal in removals {
            missing.push(match removal.cause {
                Cause::Test { key } => Some(-held[key as usize]),
                Cause::Order { .. } => None,
            });
            move_legs(&mut held, removal.unit, -1);
        }
        Self { missing }
    }
}

/// `1 - net / gross` in lowest terms; 0/1 without value.
fn efficiency(gross: i128, net: i128) -> (i128, i128) {
    if gross == 0 {
        return (0, 1);
    }
    let saved = gross - net;
    let divisor = greatest_common_divisor(saved, gross);
    (saved / divisor, gross / divisor)
}

fn greatest_common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// From 10^-12 of a minor unit, half-even.
fn minor_units(value: i128) -> i128 {
    const SCALE: i128 = 1_000_000_000_000;
    let (whole, rest) = (value / SCALE, value % SCALE);
    let up = rest > SCALE / 2 || rest == SCALE / 2 && whole % 2 != 0;
    whole + i128::from(up)
}
