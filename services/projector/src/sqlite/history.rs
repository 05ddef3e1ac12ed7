//! What happened, in the order of the journal: changes, and credits.

use super::read::{
    INSTRUCTION_COLUMNS, identity, instruction_row, participant, rows_at_most, sequence_or_none,
    status,
};
use super::{int, natural};
use crate::model::{ChangeRow, ReceivedRow};
use rusqlite::{Connection, Result, Row, params};
use settlement_core::command::Position;
use settlement_core::ids::{Bic, Sequence, Timestamp};
use settlement_core::view::InstructionAnswer;

const CHANGE_COLUMNS: &str = "h.sequence, h.change_index, i.uetr, i.instructing, i.kind, h.instruction, \
     h.status, h.waiting, h.cycle_date, h.cycle_number, h.batch, h.rejection, h.matched_with, h.time";

pub(super) fn changes(
    connection: &Connection,
    of: Option<Bic>,
    after: Position,
    limit: usize,
) -> Result<Vec<ChangeRow>> {
    let Some(bic) = of else {
        return all_changes(connection, after, limit);
    };
    let Some(id) = participant(connection, bic)? else {
        return Ok(Vec::new());
    };
    // Both halves come in order from their keys, so they are merged and not sorted.
    connection
        .prepare_cached(&format!(
            "SELECT {CHANGE_COLUMNS} FROM (
                 SELECT sequence, 0 AS change_index FROM parties
                 WHERE participant = ?1 AND sequence > ?2
                 UNION ALL
                 SELECT sequence, change_index FROM party_changes
                 WHERE participant = ?1 AND (sequence, change_index) > (?2, ?3)
                 ORDER BY 1, 2 LIMIT ?4
             ) mine
             CROSS JOIN changes h ON h.sequence = mine.sequence AND h.change_index = mine.change_index
             CROSS JOIN instructions i ON i.sequence = h.instruction
             ORDER BY mine.sequence, mine.change_index"
        ))?
        .query_map(
            params![
                id.0,
                int(after.sequence.0),
                after.index,
                rows_at_most(limit)
            ],
            change_row,
        )?
        .collect()
}

fn all_changes(connection: &Connection, after: Position, limit: usize) -> Result<Vec<ChangeRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {CHANGE_COLUMNS} FROM changes h
             CROSS JOIN instructions i ON i.sequence = h.instruction
             WHERE (h.sequence, h.change_index) > (?1, ?2)
             ORDER BY h.sequence, h.change_index LIMIT ?3"
        ))?
        .query_map(
            params![int(after.sequence.0), after.index, rows_at_most(limit)],
            change_row,
        )?
        .collect()
}

fn change_row(row: &Row<'_>) -> Result<ChangeRow> {
    Ok(ChangeRow {
        position: position(row, 0)?,
        answer: InstructionAnswer {
            identity: identity(row, 2)?,
            sequence: Sequence(natural(row, 5)?),
            status: status(row, 6)?,
            matched_with: sequence_or_none(row, 12)?,
            repeated: false,
        },
        time: Timestamp(row.get(13)?),
    })
}

fn position(row: &Row<'_>, at: usize) -> Result<Position> {
    Ok(Position {
        sequence: Sequence(natural(row, at)?),
        index: row.get(at + 1)?,
    })
}

pub(super) fn received(
    connection: &Connection,
    of: Bic,
    after: Position,
    limit: usize,
) -> Result<Vec<ReceivedRow>> {
    let Some(id) = participant(connection, of)? else {
        return Ok(Vec::new());
    };
    connection
        .prepare_cached(&format!(
            "SELECT {INSTRUCTION_COLUMNS}, r.sequence, r.unit_index FROM received r
             CROSS JOIN instructions i ON i.sequence = r.instruction
             CROSS JOIN contents c ON c.sequence = r.instruction
             WHERE r.participant = ?1 AND (r.sequence, r.unit_index) > (?2, ?3)
             ORDER BY r.sequence, r.unit_index LIMIT ?4"
        ))?
        .query_map(
            params![
                id.0,
                int(after.sequence.0),
                after.index,
                rows_at_most(limit)
            ],
            |row| {
                Ok(ReceivedRow {
                    position: position(row, 13)?,
                    row: instruction_row(row)?,
                })
            },
        )?
        .collect()
}
