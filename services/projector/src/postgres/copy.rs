//! Rows as COPY bytes: one function for each table, its columns in the table's order.

use super::binary::{CopyBytes, Row};
use super::value::Units;
use crate::codec;
use crate::rows::{
    BatchAdded, ChangeAdded, Concern, InstructionAdded, LegAdded, MemberAdded, MovementAdded,
    PartyAdded, QuoteAdded, ScheduleAdded, Standing, StandingChanged,
};
use settlement_core::ids::{AssetId, CycleName, Sequence};
use settlement_core::rejection::Rejection;
use settlement_core::view::Status;
use std::collections::BTreeMap;

/// How many decimals each asset has.
#[derive(Default)]
pub(super) struct Decimals(BTreeMap<AssetId, u8>);

impl Decimals {
    pub(super) fn set(&mut self, asset: AssetId, decimals: u8) {
        self.0.insert(asset, decimals);
    }

    fn units(&self, asset: AssetId, minor: impl Into<i128>) -> Units {
        let decimals = self.0.get(&asset);
        Units {
            minor: minor.into(),
            decimals: *decimals.expect("an asset's own row comes before any amount in it"),
        }
    }
}

/// Two columns: date and number.
fn cycle<'a, 'b>(row: &'a mut Row<'b>, cycle: Option<CycleName>) -> &'a mut Row<'b> {
    row.or_null(cycle, |row, cycle| row.date(cycle.value_date))
        .or_null(cycle, |row, cycle| row.integer(cycle.number))
}

fn sequence(row: &mut Row<'_>, sequence: Option<Sequence>) {
    row.or_null(sequence, |row, sequence| row.big(sequence.0));
}

/// Three columns: the reason as the journal has it, its code and its name.
fn rejection(row: &mut Row<'_>, bytes: Option<&[u8]>, status: &Status) {
    let reason: Option<&Rejection> = match status {
        Status::Rejected(reason) => Some(reason),
        Status::Member(_)
        | Status::Waiting(_)
        | Status::Irrevocable(_)
        | Status::Settled { .. }
        | Status::Cancelled => None,
    };
    row.or_null(bytes, Row::bytes)
        .or_null(reason, |row, reason| row.text(reason.code()))
        .or_null(reason, |row, reason| row.text(format_args!("{reason:?}")));
}

pub(super) fn instruction(copy: &mut CopyBytes, added: &InstructionAdded) {
    let order = added.order.as_ref();
    let quote = order.and_then(|order| order.quote);
    let first = added.standing.status;
    let (status, matched_with) = first.expect("an instruction's own input gives its first status");
    let columns = codec::status_columns(&status);
    let mut row = copy.row(26);
    row.date(added.day)
        .big(added.sequence.0)
        .uuid(added.identity.uetr.0)
        .text(added.identity.instructing)
        .small(codec::kind_number(added.identity.kind))
        .time(added.received)
        .or_null(order, |row, order| {
            row.small(codec::lane_number(order.lane))
        })
        .or_null(order, |row, order| {
            row.small(codec::priority_number(order.priority))
        })
        .or_null(order, |row, order| row.time(order.created))
        .or_null(order, |row, order| row.date(order.value_date))
        .or_null(order, |row, order| row.bytes(order.assets.as_bytes()))
        .or_null(quote, |row, (provider, _)| row.integer(provider.0))
        .or_null(quote, |row, (_, id)| row.text(id))
        .small(columns.status)
        .or_null(columns.waiting, Row::small)
        .or_null(columns.batch, Row::big);
    sequence(&mut row, matched_with);
    rejection(&mut row, columns.rejection.as_deref(), &status);
    cycle(&mut row, added.standing.cycle);
    place(&mut row, &added.standing);
}

/// Four columns: the leaf, and the place in the queues.
fn place(row: &mut Row<'_>, standing: &Standing) {
    let queued = standing.queued;
    row.or_null(standing.member_index, |row, index| row.big(index.into()))
        .or_null(queued, |row, queued| {
            row.small(codec::priority_number(queued.priority))
        })
        .or_null(queued, |row, queued| row.big(queued.rank.0))
        .or_null(queued, |row, queued| row.big(queued.unit.0));
}

/// An instruction that waits from its own input on.
pub(super) fn waiting(copy: &mut CopyBytes, added: &InstructionAdded) {
    if let Some((Status::Waiting(_), _)) = added.standing.status {
        copy.row(2).big(added.sequence.0).date(added.day);
    }
}

pub(super) fn content(copy: &mut CopyBytes, added: &InstructionAdded) {
    copy.row(3)
        .date(added.day)
        .big(added.sequence.0)
        .bytes(&added.content);
}

/// A row of the staging table: `status` NULL where the status stays as it is.
pub(super) fn standing(copy: &mut CopyBytes, instruction: Sequence, changed: &StandingChanged) {
    let StandingChanged { day, standing } = changed;
    let mut row = copy.row(15);
    row.date(*day).big(instruction.0);
    match &standing.status {
        Some((status, matched_with)) => {
            let columns = codec::status_columns(status);
            row.small(columns.status)
                .or_null(columns.waiting, Row::small)
                .or_null(columns.batch, Row::big);
            sequence(&mut row, *matched_with);
            rejection(&mut row, columns.rejection.as_deref(), status);
        }
        None => (0..7).for_each(|_| {
            row.or_null(None, Row::small);
        }),
    }
    cycle(&mut row, standing.cycle);
    place(&mut row, standing);
}

pub(super) fn leg(copy: &mut CopyBytes, added: &LegAdded, decimals: &Decimals) {
    copy.row(8)
        .date(added.day)
        .big(added.instruction.0)
        .small(added.index)
        .small(codec::leg_kind_number(added.kind))
        .integer(added.debtor.0)
        .integer(added.creditor.0)
        .integer(added.asset.0)
        .units(decimals.units(added.asset, added.amount));
}

pub(super) fn party(copy: &mut CopyBytes, added: &PartyAdded) {
    copy.row(4)
        .date(added.day)
        .integer(added.participant.0)
        .big(added.instruction.0)
        .small(added.roles.0);
}

pub(super) fn change(copy: &mut CopyBytes, added: &ChangeAdded) {
    let columns = codec::status_columns(&added.status);
    let mut row = copy.row(12);
    row.date(added.day)
        .big(added.position.sequence.0)
        .big(added.position.index.into())
        .big(added.instruction.0)
        .small(columns.status)
        .or_null(columns.waiting, Row::small);
    cycle(&mut row, columns.cycle)
        .or_null(columns.batch, Row::big)
        .or_null(columns.rejection.as_deref(), Row::bytes);
    sequence(&mut row, added.matched_with);
    row.time(added.time);
}

/// A row of `party_change_rows` or of `received_rows`.
pub(super) fn concern(copy: &mut CopyBytes, added: &Concern) {
    copy.row(5)
        .date(added.day)
        .integer(added.participant.0)
        .big(added.position.sequence.0)
        .big(added.position.index.into())
        .big(added.instruction.0);
}

pub(super) fn member(copy: &mut CopyBytes, added: &MemberAdded) {
    copy.row(4)
        .date(added.day)
        .big(added.batch)
        .big(added.instruction.0)
        .big(added.member_index.into());
}

pub(super) fn batch(copy: &mut CopyBytes, added: &BatchAdded) {
    let mut row = copy.row(8);
    row.big(added.number);
    cycle(&mut row, added.cycle)
        .time(added.time)
        .big(added.sequence.0)
        .big(added.member_count.into())
        .or_null(added.certificate_hash.as_ref(), |row, hash| row.bytes(hash))
        .small(codec::run_order_number(added.order));
}

pub(super) fn postings(copy: &mut CopyBytes, added: &BatchAdded, decimals: &Decimals) {
    for (index, line) in (0..).zip(&added.postings) {
        copy.row(7)
            .big(added.number)
            .big(index)
            .text(line.holder)
            .integer(line.asset.0)
            .boolean(line.mirror)
            .units(decimals.units(line.asset, line.amount))
            .units(decimals.units(line.asset, line.balance));
    }
}

pub(super) fn movement(copy: &mut CopyBytes, added: &MovementAdded, decimals: &Decimals) {
    let mut row = copy.row(9);
    row.big(added.sequence.0)
        .small(codec::movement_kind_number(added.kind))
        .integer(added.participant.0)
        .integer(added.asset.0)
        .units(decimals.units(added.asset, added.amount));
    cycle(&mut row, added.cycle)
        .big(added.batch)
        .time(added.time);
}

pub(super) fn quote(copy: &mut CopyBytes, added: &QuoteAdded) {
    let whole = |minor| Units { minor, decimals: 0 };
    copy.row(8)
        .integer(added.provider.0)
        .text(added.terms.quote_id)
        .big(added.sequence.0)
        .text(added.terms.taker)
        .date(added.terms.value_date)
        .integer(added.asset.0)
        .units(whole(added.gain))
        .units(whole(added.denominator));
}

pub(super) fn schedule(
    copy: &mut CopyBytes,
    cycle: CycleName,
    version: u32,
    line: &ScheduleAdded,
    decimals: &Decimals,
) {
    copy.row(8)
        .date(cycle.value_date)
        .integer(cycle.number)
        .big(version.into())
        .integer(line.participant.0)
        .integer(line.asset.0)
        .units(decimals.units(line.asset, line.net))
        .units(decimals.units(line.asset, line.pay_in_due))
        .units(decimals.units(line.asset, line.pay_out_due));
}
