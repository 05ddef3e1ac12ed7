//! The core's views as wire messages: names, statuses, instants, and amounts in major units as text.

use crate::rejection;
use fx::{AssetCode, Fraction, format_minor_units};
use settlement_core::command::{CutOffPurpose, FixedSide};
use settlement_core::ids::{Bic, Sequence, Timestamp};
use settlement_core::instruction::Kind;
use settlement_core::view::{
    AssetTotals, AssetView, AwaitedView, BilateralView, ClosingChange, ControlTotal, CycleState,
    CycleView, ExplanationView, FundView, FundingRow, InstructionAnswer, PositionView,
    QuoteLimitView, QuoteRequestView, QuoteState, QuoteView, RoundingLine, RunTotals, Status,
    Waiting, WhatIfView,
};
use valuta_proto::v1;

/// Of an exact fraction's text for people.
const TEXT_DIGITS: usize = 12;

pub(crate) fn time(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.0.rem_euclid(1_000) * 1_000_000;
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1_000),
        nanos: i32::try_from(nanos).expect("below a second"),
    }
}

/// Major units with all the asset's decimals.
pub(crate) fn amount(minor: impl Into<i128>, asset: AssetView) -> String {
    format_minor_units(minor.into(), asset.decimals)
}

pub(crate) const fn kind(kind: Kind) -> v1::Kind {
    match kind {
        Kind::Payment => v1::Kind::Payment,
        Kind::Cover => v1::Kind::Cover,
        Kind::Return => v1::Kind::Return,
        Kind::TradeSide => v1::Kind::TradeSide,
    }
}

/// Status and waiting reason, as numbers of the wire.
pub(crate) const fn status_and_reason(status: &Status) -> (v1::Status, v1::WaitingReason) {
    let waiting = match status {
        Status::Waiting(Waiting::Unmatched) => v1::WaitingReason::Unmatched,
        Status::Waiting(Waiting::Order) => v1::WaitingReason::Order,
        Status::Waiting(Waiting::Liquidity) => v1::WaitingReason::Liquidity,
        Status::Waiting(Waiting::Held) => v1::WaitingReason::Held,
        Status::Waiting(Waiting::Approval) => v1::WaitingReason::Approval,
        Status::Waiting(Waiting::Preimage) => v1::WaitingReason::Preimage,
        Status::Waiting(Waiting::NotBefore) => v1::WaitingReason::NotBefore,
        Status::Waiting(Waiting::Group) => v1::WaitingReason::Group,
        _ => v1::WaitingReason::Unspecified,
    };
    let status = match status {
        Status::Member(_) => v1::Status::Actc,
        Status::Waiting(_) => v1::Status::Pdng,
        Status::Irrevocable(_) => v1::Status::Acsp,
        Status::Settled { .. } => v1::Status::Acsc,
        Status::Rejected(_) => v1::Status::Rjct,
        Status::Cancelled => v1::Status::Canc,
    };
    (status, waiting)
}

/// The current answer to an instruction.
/// An answer as it is on the wire.
pub fn instruction_status(answer: &InstructionAnswer) -> v1::InstructionStatus {
    let (status, waiting_reason) = status_and_reason(&answer.status);
    let (cycle, batch, rejection) = match &answer.status {
        Status::Member(cycle) | Status::Irrevocable(cycle) => (cycle.to_string(), 0, None),
        Status::Settled { batch } => (String::new(), *batch, None),
        Status::Rejected(rejection) => (String::new(), 0, Some(rejection::to_wire(rejection))),
        Status::Waiting(_) | Status::Cancelled => (String::new(), 0, None),
    };
    v1::InstructionStatus {
        uetr: answer.identity.uetr.to_string(),
        instructing: answer.identity.instructing.to_string(),
        kind: kind(answer.identity.kind) as i32,
        sequence: answer.sequence.0,
        status: status as i32,
        waiting_reason: waiting_reason as i32,
        rejection,
        cycle,
        batch,
        matched_with: answer.matched_with.map_or(0, |other| other.0),
    }
}

pub(crate) fn cycle(cycle: CycleView) -> v1::Cycle {
    let base = cycle.base_asset;
    v1::Cycle {
        name: cycle.name.to_string(),
        state: match cycle.state {
            CycleState::Open => v1::CycleState::Open,
            CycleState::Closed => v1::CycleState::Closed,
            CycleState::Settling => v1::CycleState::Settling,
            CycleState::Completed => v1::CycleState::Completed,
        } as i32,
        cut_off: Some(time(cycle.cut_off)),
        pay_in_deadline: Some(time(cycle.pay_in_deadline)),
        completion_deadline: Some(time(cycle.completion_deadline)),
        members: cycle.members,
        settled: cycle.settled,
        left_behind: cycle.left_behind,
        held: cycle.held,
        schedule_version: cycle.schedule_version,
        schedule_reason: cycle.schedule_reason,
        positions: cycle.positions.iter().map(cycle_position).collect(),
        totals: cycle.totals.iter().map(asset_totals).collect(),
        efficiency_numerator: cycle.efficiency.0.to_string(),
        efficiency_denominator: cycle.efficiency.1.to_string(),
        batches: cycle.batches,
        bilateral: cycle.bilateral.iter().map(bilateral).collect(),
        gross_value: amount(cycle.gross_value, base),
        net_funding: amount(cycle.net_value, base),
        base_asset: base.code.to_string(),
        calendar_version: hex(&cycle.calendar_version.0),
        cut_offs: cycle.cut_offs.iter().map(cycle_cut_off).collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cycle_cut_off(&(asset, purpose, at): &(AssetCode, CutOffPurpose, Timestamp)) -> v1::CycleCutOff {
    v1::CycleCutOff {
        asset: asset.to_string(),
        purpose: cut_off_purpose(purpose) as i32,
        time: Some(time(at)),
    }
}

pub(crate) const fn cut_off_purpose(purpose: CutOffPurpose) -> v1::CutOffPurpose {
    match purpose {
        CutOffPurpose::Customer => v1::CutOffPurpose::Customer,
        CutOffPurpose::Interbank => v1::CutOffPurpose::Interbank,
        CutOffPurpose::Cancel => v1::CutOffPurpose::Cancel,
        CutOffPurpose::PayIn => v1::CutOffPurpose::PayIn,
        CutOffPurpose::Close => v1::CutOffPurpose::Close,
    }
}

fn cycle_position(fund: &FundView) -> v1::CyclePosition {
    let amount = |minor| amount(minor, fund.asset);
    v1::CyclePosition {
        participant: fund.participant.to_string(),
        asset: fund.asset.code.to_string(),
        net: amount(fund.net),
        opening_fund: amount(fund.opening_fund),
        fund: amount(fund.fund),
        pay_in_due: amount(fund.pay_in_due),
        pay_in_paid: amount(fund.pay_in_paid),
        pay_out_due: amount(fund.pay_out_due),
        pay_out_paid: amount(fund.pay_out_paid),
        pay_in_deadline: Some(time(fund.pay_in_deadline)),
    }
}

fn asset_totals(totals: &AssetTotals) -> v1::AssetTotals {
    v1::AssetTotals {
        asset: totals.asset.code.to_string(),
        gross: amount(totals.gross, totals.asset),
        net: amount(totals.net, totals.asset),
        efficiency_numerator: totals.efficiency.0.to_string(),
        efficiency_denominator: totals.efficiency.1.to_string(),
    }
}

fn bilateral(net: &BilateralView) -> v1::BilateralNet {
    v1::BilateralNet {
        participant: net.participant.to_string(),
        counterparty: net.counterparty.to_string(),
        asset: net.asset.code.to_string(),
        net: amount(net.net, net.asset),
    }
}

/// What `reader` may know of it: a participant is not told of others' accounts.
pub(crate) fn explanation(view: &ExplanationView, reader: Option<Bic>) -> v1::Explanation {
    let told = reader.is_none_or(|reader| reader == view.participant);
    let tell = |text: String| if told { text } else { String::new() };
    let is_short = view.missing > 0;
    let binding_test = view.test.name().to_owned();
    v1::Explanation {
        status: Some(instruction_status(&view.answer)),
        test: match view.behind {
            Some(_) if view.by_group => "group".to_owned(),
            Some(_) => "order".to_owned(),
            None => binding_test.clone(),
        },
        participant: tell(view.participant.to_string()),
        asset: tell(view.asset.code.to_string()),
        missing: if is_short {
            tell(amount(view.missing, view.missing_asset))
        } else {
            String::new()
        },
        behind: view.behind.map_or(0, |behind| behind.0),
        binding_test: tell(binding_test),
        missing_asset: if is_short {
            tell(view.missing_asset.code.to_string())
        } else {
            String::new()
        },
        smallest_pay_in: view
            .smallest_pay_in
            .map_or_else(String::new, |pay_in| tell(amount(pay_in, view.asset))),
        awaited: view.awaited.as_deref().map(awaited),
    }
}

fn awaited(view: &AwaitedView) -> v1::Awaited {
    let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let texts = |bics: &[Bic]| bics.iter().map(Bic::to_string).collect();
    let progress = &view.progress;
    let group = view.group.as_ref();
    v1::Awaited {
        progress: Some(v1::ConditionsProgress {
            approved_by: texts(&progress.approved_by),
            approvals_missing: texts(&progress.approvals_missing),
            approvals_outstanding: progress.approvals_outstanding,
            preimage_shown: progress.preimage_shown,
            group_ready: few(progress.group_ready),
        }),
        hash_lock: view
            .hash_lock
            .map_or_else(Default::default, |hash| hash.0.to_vec()),
        not_before: view.not_before.map(time),
        until: view.until.map(time),
        group_id: group.map_or_else(String::new, |group| group.id.as_str().to_owned()),
        group_members: group.map_or(0, |group| u32::from(group.members)),
        group_missing: few(view.group_missing),
    }
}

pub(crate) fn what_if(view: &WhatIfView, sequence: Sequence) -> v1::WhatIfResponse {
    let base = |minor: Option<i128>| {
        minor.map_or_else(String::new, |minor| amount(minor, view.base_asset))
    };
    let totals = |totals: &RunTotals| v1::RunTotals {
        settled: totals.settled,
        waiting: totals.waiting,
        settled_value: base(totals.settled_value),
        needed_value: base(totals.needed_value),
    };
    let listed = |answers: &[InstructionAnswer]| {
        let answers = answers.iter().take(crate::paging::PAGE_SIZE_MAX);
        answers.map(instruction_status).collect()
    };
    let closing = |change: &ClosingChange| v1::ClosingChange {
        participant: change.participant.to_string(),
        asset: change.asset.code.to_string(),
        before: amount(change.before, change.asset),
        after: amount(change.after, change.asset),
    };
    v1::WhatIfResponse {
        sequence: sequence.0,
        base_asset: view.base_asset.code.to_string(),
        before: Some(totals(&view.before)),
        after: Some(totals(&view.after)),
        settles: listed(&view.settles),
        waits: listed(&view.waits),
        added: view.added.clone(),
        closing: view.closing.iter().map(closing).collect(),
        funding_in_base: base(view.funding_in_base),
    }
}

pub(crate) fn funding(row: &FundingRow, base: AssetView) -> v1::ProjectedFunding {
    let in_asset = |minor: i128| amount(minor, row.asset);
    v1::ProjectedFunding {
        value_date: row.value_date.to_string(),
        participant: row.participant.to_string(),
        asset: row.asset.code.to_string(),
        held: in_asset(row.held),
        incoming: in_asset(row.incoming),
        outgoing: in_asset(row.outgoing),
        projected: in_asset(row.projected),
        needed: in_asset(row.needed),
        needed_in_base: row
            .needed_in_base
            .map_or_else(String::new, |minor| amount(minor, base)),
    }
}

pub(crate) fn position(position: &PositionView) -> v1::Position {
    let available = position.balance - position.reserved;
    let amount = |minor: i128| amount(minor, position.asset);
    v1::Position {
        participant: position.participant.to_string(),
        asset: position.asset.code.to_string(),
        balance: amount(position.balance),
        available: amount(available),
        reserved: amount(position.reserved),
        queued_out: amount(position.queued_out),
        queued_in: amount(position.queued_in),
        projected: amount(available - position.queued_out + position.queued_in),
        cycles: position.cycles.iter().map(cycle_funding).collect(),
        instruction_limit: position
            .instruction_limit
            .map_or_else(String::new, |limit| amount(limit.into())),
        kept_urgent: amount(position.kept_urgent.into()),
        kept_high: amount(position.kept_high.into()),
    }
}

fn cycle_funding(fund: &FundView) -> v1::CycleFunding {
    let amount = |minor| amount(minor, fund.asset);
    v1::CycleFunding {
        cycle: fund.cycle.to_string(),
        value_date: fund.cycle.value_date.to_string(),
        fund: amount(fund.fund),
        net: amount(fund.net),
        pay_in_due: amount(fund.pay_in_due),
        pay_in_paid: amount(fund.pay_in_paid),
        pay_out_due: amount(fund.pay_out_due),
        pay_out_paid: amount(fund.pay_out_paid),
        pay_in_deadline: Some(time(fund.pay_in_deadline)),
        projected_close: amount(fund.fund + fund.net),
    }
}

pub(crate) fn control_total(total: &ControlTotal) -> v1::ControlTotal {
    let held = -total.mirror;
    v1::ControlTotal {
        asset: total.asset.code.to_string(),
        agent: total.agent.to_string(),
        r#in: amount(total.total_in, total.asset),
        out: amount(total.total_out, total.asset),
        closing: amount(total.closing, total.asset),
        mirror: amount(held, total.asset),
        balanced: total.total_in - total.total_out == total.closing && total.closing == held,
    }
}

pub(crate) fn quote(quote: QuoteView) -> v1::Quote {
    let terms = quote.terms;
    v1::Quote {
        quote_id: terms.quote_id.to_string(),
        provider: quote.provider.to_string(),
        taker: terms.taker.to_string(),
        source_asset: terms.source_asset.to_string(),
        source_amount: amount(quote.source_amount, quote.source),
        target_asset: terms.target_asset.to_string(),
        target_amount: amount(quote.target_amount, quote.target),
        pair: terms.pair.to_string(),
        rate: terms.rate.to_string(),
        rounding: rounding(terms.rounding) as i32,
        fixed_side: fixed_side(terms.fixed_side) as i32,
        residual_numerator: quote.residual.0.to_string(),
        residual_denominator: quote.residual.1.to_string(),
        value_date: terms.value_date.to_string(),
        accept_until: Some(time(terms.accept_until)),
        settle_by: Some(time(terms.settle_by)),
        state: match quote.state {
            QuoteState::Locked => v1::QuoteState::Locked,
            QuoteState::Accepted => v1::QuoteState::Accepted,
            QuoteState::Expired => v1::QuoteState::Expired,
        } as i32,
        quote_request_id: terms
            .quote_request
            .map(|id| id.to_string())
            .unwrap_or_default(),
        instruction: quote.instruction.as_ref().map(instruction_status),
    }
}

const fn fixed_side(side: FixedSide) -> v1::FixedSide {
    match side {
        FixedSide::Source => v1::FixedSide::Source,
        FixedSide::Target => v1::FixedSide::Target,
    }
}

pub(crate) fn quote_request(found: QuoteRequestView) -> v1::QuoteRequest {
    let request = found.request;
    let fixed = match request.fixed_side {
        FixedSide::Source => found.source,
        FixedSide::Target => found.target,
    };
    v1::QuoteRequest {
        quote_request_id: request.id.to_string(),
        taker: found.taker.to_string(),
        source_asset: request.source_asset.to_string(),
        target_asset: request.target_asset.to_string(),
        fixed_side: fixed_side(request.fixed_side) as i32,
        amount: amount(request.amount, fixed),
        value_date: request.value_date.to_string(),
        offers_until: Some(time(request.offers_until)),
        providers: request.providers.iter().map(ToString::to_string).collect(),
        is_open: found.is_open,
        offers: found.offers.into_iter().map(quote).collect(),
    }
}

pub(crate) fn quote_limit(limit: &QuoteLimitView) -> v1::QuoteLimit {
    v1::QuoteLimit {
        provider: limit.provider.to_string(),
        asset: limit.asset.code.to_string(),
        amount: amount(limit.limit, limit.asset),
        reserved: amount(limit.reserved, limit.asset),
    }
}

pub(crate) fn rounding_line(line: &RoundingLine) -> v1::RoundingLine {
    let gained = line.gained.as_ref();
    v1::RoundingLine {
        provider: line.provider.to_string(),
        value_date: line.date.to_string(),
        asset: line.asset.code.to_string(),
        quotes: line.quotes,
        gained: gained.map(fraction),
        gained_text: gained
            .map(|gained| gained.to_text(TEXT_DIGITS))
            .unwrap_or_default(),
        parts: line.parts.iter().map(fraction).collect(),
    }
}

fn fraction(fraction: &Fraction) -> v1::Fraction {
    v1::Fraction {
        numerator: fraction.numerator().to_string(),
        denominator: fraction.denominator().to_string(),
    }
}

const fn rounding(rounding: fx::Rounding) -> v1::Rounding {
    match rounding {
        fx::Rounding::HalfEven => v1::Rounding::HalfEven,
        fx::Rounding::HalfUp => v1::Rounding::HalfUp,
        fx::Rounding::Down => v1::Rounding::Down,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{BANK_A, asset, bic};
    use settlement_core::ids::{CycleName, Date};

    #[test]
    fn instants_keep_their_milliseconds() {
        for (milliseconds, seconds, nanos) in
            [(0, 0, 0), (1_500, 1, 500_000_000), (-1, -1, 999_000_000)]
        {
            let wire = time(Timestamp(milliseconds));
            assert_eq!((wire.seconds, wire.nanos), (seconds, nanos));
            assert_eq!(
                crate::wire::timestamp(seconds, nanos),
                Some(Timestamp(milliseconds))
            );
        }
    }

    #[test]
    fn positions_add_up() {
        let usd = asset("USD", 2);
        let fund = FundView {
            cycle: CycleName {
                value_date: Date(20_000),
                number: 1,
            },
            participant: bic(BANK_A),
            asset: usd,
            net: -700,
            opening_fund: 0,
            fund: 300,
            pay_in_due: 400,
            pay_in_paid: 0,
            pay_out_due: 0,
            pay_out_paid: 0,
            pay_in_deadline: Timestamp(0),
        };
        let wire = position(&PositionView {
            participant: bic(BANK_A),
            asset: usd,
            balance: 10_000,
            reserved: 300,
            queued_out: 20_000,
            queued_in: 5,
            instruction_limit: Some(1),
            kept_urgent: 100,
            kept_high: 0,
            cycles: vec![fund],
        });
        assert_eq!(wire.balance, "100.00");
        assert_eq!(wire.available, "97.00");
        assert_eq!(wire.projected, "-102.95");
        assert_eq!(wire.instruction_limit, "0.01");
        assert_eq!(
            (&wire.kept_urgent[..], &wire.kept_high[..]),
            ("1.00", "0.00")
        );
        assert_eq!(wire.cycles[0].projected_close, "-4.00");
    }

    #[test]
    fn control_totals_balance_only_if_all_three_agree() {
        let total = |total_in, total_out, closing, mirror| {
            control_total(&ControlTotal {
                asset: asset("JPY", 0),
                agent: bic(BANK_A),
                total_in,
                total_out,
                closing,
                mirror,
            })
        };
        assert!(total(10, 3, 7, -7).balanced);
        assert_eq!(total(10, 3, 7, -7).mirror, "7");
        assert!(!total(10, 3, 7, -8).balanced);
        assert!(!total(10, 3, 6, -6).balanced);
        assert!(!total(10, 3, 7, 7).balanced);
    }
}
