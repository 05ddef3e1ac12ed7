//! Cycles as an edge shows them: positions, nets, efficiency.

use super::State;
use super::cycles::{Cycle, Member, at};
use crate::ids::{AccountId, AssetId, Bic};
use crate::netting::{self, BilateralNet, Owner, Owners};
use crate::view::{AssetTotals, AssetView, BilateralView, CycleState, CycleView, FundView};
use fx::AssetCode;

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
            pay_in_deadline: cycle.pay_in_deadline_of(entry.asset),
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
            model: cycle.model,
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
            calendar_version: cycle.calendar.version,
            cut_offs: self.cut_off_views(cycle),
        }
    }

    pub(super) fn base_asset(&self) -> AssetView {
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
            .map(|member| self.instructions_of(&self.parts(member.place)))
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
