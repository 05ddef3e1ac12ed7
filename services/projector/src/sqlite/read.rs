//! Columns back into core types; single instructions, batches and their members.

use super::{damaged, int, natural};
use crate::codec::{self, StatusColumns};
use crate::model::{AnchorRow, BatchFilter, BatchRow, InstructionRow, PostingRow, UnitRow};
use fx::AssetCode;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params, params_from_iter};
use settlement_core::ids::{BatchNumber, Bic, CycleName, ParticipantId, Sequence, Timestamp, Uetr};
use settlement_core::instruction::Identity;
use settlement_core::view::{AssetView, InstructionAnswer, Status};

/// What [`instruction_row`] reads, of `instructions i` and `contents c`.
pub(super) const INSTRUCTION_COLUMNS: &str = "i.sequence, i.uetr, i.instructing, i.kind, i.status, \
     i.waiting, i.cycle_date, i.cycle_number, i.batch, i.rejection, i.matched_with, i.received, c.content";

/// Reads one row of [`INSTRUCTION_COLUMNS`].
pub(super) fn instruction_row(row: &Row<'_>) -> Result<InstructionRow> {
    Ok(InstructionRow {
        answer: InstructionAnswer {
            identity: identity(row, 1)?,
            sequence: Sequence(natural(row, 0)?),
            status: status(row, 4)?,
            matched_with: sequence_or_none(row, 10)?,
            repeated: false,
        },
        received: Timestamp(row.get(11)?),
        content: row.get(12)?,
    })
}

/// UETR, instructing BIC and kind from `at` on.
pub(super) fn identity(row: &Row<'_>, at: usize) -> Result<Identity> {
    let kind = codec::kind_of(row.get(at + 2)?);
    Ok(Identity {
        uetr: Uetr(u128::from_be_bytes(row.get(at)?)),
        instructing: bic(row, at + 1)?,
        kind: kind.ok_or_else(|| damaged(at + 2, "an instruction's kind"))?,
    })
}

/// Status, waiting, cycle date and number, batch and rejection from `at` on.
pub(super) fn status(row: &Row<'_>, at: usize) -> Result<Status> {
    let columns = StatusColumns {
        status: row.get(at)?,
        waiting: row.get(at + 1)?,
        cycle: cycle(row, at + 2)?,
        batch: number_or_none(row, at + 4)?,
        rejection: row.get(at + 5)?,
    };
    codec::status_of(&columns).ok_or_else(|| damaged(at, "a status"))
}

/// Date and number from `at` on.
fn cycle(row: &Row<'_>, at: usize) -> Result<Option<CycleName>> {
    Ok(codec::cycle_of(row.get(at)?, row.get(at + 1)?))
}

pub(super) fn sequence_or_none(row: &Row<'_>, at: usize) -> Result<Option<Sequence>> {
    Ok(number_or_none(row, at)?.map(Sequence))
}

fn number_or_none(row: &Row<'_>, at: usize) -> Result<Option<u64>> {
    let value: Option<i64> = row.get(at)?;
    value
        .map(|value| {
            u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
        })
        .transpose()
}

fn bic(row: &Row<'_>, at: usize) -> Result<Bic> {
    let text = row.get_ref(at)?.as_str()?;
    Bic::parse(text.as_bytes()).ok_or_else(|| damaged(at, "a BIC"))
}

/// The dense id of a participant; `None` if the directory does not have it (yet).
pub(super) fn participant(connection: &Connection, bic: Bic) -> Result<Option<ParticipantId>> {
    connection
        .prepare_cached("SELECT id FROM participants WHERE bic = ?1")?
        .query_row([bic.to_string()], |row| row.get(0).map(ParticipantId))
        .optional()
}

/// Limits as SQL has them; more rows than that no caller holds.
pub(super) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn instruction(
    connection: &Connection,
    sequence: Sequence,
) -> Result<Option<InstructionRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {INSTRUCTION_COLUMNS} FROM instructions i JOIN contents c USING (sequence)
             WHERE i.sequence = ?1"
        ))?
        .query_row([int(sequence.0)], instruction_row)
        .optional()
}

pub(super) fn unit(connection: &Connection, instruction: Sequence) -> Result<Option<UnitRow>> {
    connection
        .prepare_cached(
            "SELECT sequence, matched_with, batch, member_index FROM instructions
             WHERE sequence = ?1 AND batch IS NOT NULL AND member_index IS NOT NULL",
        )?
        .query_row([int(instruction.0)], unit_row)
        .optional()
}

fn unit_row(row: &Row<'_>) -> Result<UnitRow> {
    Ok(UnitRow {
        instruction: Sequence(natural(row, 0)?),
        matched_with: sequence_or_none(row, 1)?,
        batch: natural(row, 2)?,
        member_index: row.get(3)?,
    })
}

pub(super) fn members(
    connection: &Connection,
    of: Option<Bic>,
    batch: BatchNumber,
    after: Sequence,
    limit: usize,
) -> Result<Vec<UnitRow>> {
    let mut values = vec![int(batch), int(after.0), rows_at_most(limit)];
    let mut party = "";
    if let Some(bic) = of {
        let Some(id) = participant(connection, bic)? else {
            return Ok(Vec::new());
        };
        values.push(i64::from(id.0));
        party = "AND EXISTS (SELECT 1 FROM parties p
                 WHERE p.participant = ?4 AND p.sequence = m.sequence)";
    }
    connection
        .prepare_cached(&format!(
            "SELECT m.sequence, i.matched_with, m.batch, m.member_index
             FROM batch_members m JOIN instructions i USING (sequence)
             WHERE m.batch = ?1 AND m.sequence > ?2 {party} ORDER BY m.sequence LIMIT ?3"
        ))?
        .query_map(params_from_iter(values), unit_row)?
        .collect()
}

const BATCH_COLUMNS: &str = "b.number, b.cycle_date, b.cycle_number, b.time, b.member_count, b.sequence, \
     b.certificate_hash, a.log_index, a.header, b.run_order";

pub(super) fn batch(connection: &Connection, number: BatchNumber) -> Result<Option<BatchRow>> {
    let row = connection
        .prepare_cached(&format!(
            "SELECT {BATCH_COLUMNS} FROM batches b LEFT JOIN anchors a ON a.batch = b.number
             WHERE b.number = ?1"
        ))?
        .query_row([int(number)], batch_row)
        .optional()?;
    row.map(|row| {
        Ok(BatchRow {
            postings: postings(connection, number)?,
            ..row
        })
    })
    .transpose()
}

pub(super) fn batches(connection: &Connection, filter: &BatchFilter) -> Result<Vec<BatchRow>> {
    let before = filter.before.map_or(i64::MAX, int);
    let mut values = vec![before, rows_at_most(filter.limit)];
    let mut of_cycle = "";
    if let Some(cycle) = filter.cycle {
        values.extend([i64::from(cycle.value_date.0), i64::from(cycle.number)]);
        of_cycle = "AND b.cycle_date = ?3 AND b.cycle_number = ?4";
    }
    connection
        .prepare_cached(&format!(
            "SELECT {BATCH_COLUMNS} FROM batches b LEFT JOIN anchors a ON a.batch = b.number
             WHERE b.number < ?1 {of_cycle} ORDER BY b.number DESC LIMIT ?2"
        ))?
        .query_map(params_from_iter(values), batch_row)?
        .collect()
}

fn batch_row(row: &Row<'_>) -> Result<BatchRow> {
    let log_index = number_or_none(row, 7)?;
    let anchor = log_index
        .map(|log_index| {
            let header = row.get(8)?;
            Ok::<_, rusqlite::Error>(AnchorRow { log_index, header })
        })
        .transpose()?;
    Ok(BatchRow {
        number: natural(row, 0)?,
        cycle: cycle(row, 1)?,
        time: Timestamp(row.get(3)?),
        members: natural(row, 4)?,
        sequence: Sequence(natural(row, 5)?),
        certificate_hash: row.get(6)?,
        order: Some(codec::run_order_of(row.get(9)?).ok_or_else(|| damaged(9, "an order"))?),
        postings: Vec::new(),
        anchor,
    })
}

pub(super) fn changed_by(
    connection: &Connection,
    holder: Bic,
    asset: AssetCode,
    until: BatchNumber,
) -> Result<Option<BatchNumber>> {
    let newest: Option<i64> = connection
        .prepare_cached(
            "SELECT MAX(p.batch) FROM postings p JOIN assets a ON a.id = p.asset
             WHERE p.holder = ?1 AND a.code = ?2 AND p.batch <= ?3",
        )?
        .query_row(
            params![holder.to_string(), asset.to_string(), int(until)],
            |row| row.get(0),
        )?;
    Ok(newest.and_then(|batch| batch.try_into().ok()))
}

fn postings(connection: &Connection, batch: BatchNumber) -> Result<Vec<PostingRow>> {
    connection
        .prepare_cached(
            "SELECT p.holder, a.code, a.decimals, p.mirror, p.amount, p.balance
             FROM postings p JOIN assets a ON a.id = p.asset WHERE p.batch = ?1
             ORDER BY p.posting_index",
        )?
        .query_map(params![int(batch)], posting_row)?
        .collect()
}

fn posting_row(row: &Row<'_>) -> Result<PostingRow> {
    let code = AssetCode::parse(row.get_ref(1)?.as_str()?.as_bytes());
    Ok(PostingRow {
        participant: bic(row, 0)?,
        asset: AssetView {
            code: code.ok_or_else(|| damaged(1, "an asset code"))?,
            decimals: row.get(2)?,
        },
        mirror: row.get(3)?,
        amount: amount(row, 4)?,
        balance: amount(row, 5)?,
    })
}

fn amount(row: &Row<'_>, at: usize) -> Result<i128> {
    let text = row.get_ref(at)?.as_str()?;
    text.parse().map_err(|_| damaged(at, "an amount"))
}

/// An owned parameter.
pub(super) type Parameter = Value;
