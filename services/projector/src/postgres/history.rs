//! What happened, in the order of the journal: changes, and credits.

use super::int;
use super::read::{
    INSTRUCTION_COLUMNS, all, id, identity, instruction_row, natural, participant, rows_at_most,
    sequence_or_none, status, time,
};
use super::session::{Fault, Session};
use crate::model::{ChangeRow, ReceivedRow};
use postgres::Row;
use settlement_core::command::Position;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::view::InstructionAnswer;

const CHANGE_COLUMNS: &str = "h.sequence, h.change_index, i.uetr, i.instructing, i.kind, h.instruction, \
     h.status, h.waiting, h.cycle_date, h.cycle_number, h.batch, h.rejection, h.matched_with, h.time";

pub(super) fn changes(
    session: &mut Session,
    of: Option<Bic>,
    after: Position,
    limit: usize,
) -> Result<Vec<ChangeRow>, Fault> {
    let Some(bic) = of else {
        return all_changes(session, after, limit);
    };
    let Some(participant) = participant(session, bic)? else {
        return Ok(Vec::new());
    };
    // Each half comes in order from its key, and gives no more than the whole may have.
    let select = format!(
        "SELECT {CHANGE_COLUMNS} FROM (
             (SELECT day, sequence, 0::BIGINT AS change_index FROM party_rows
              WHERE participant = $1 AND sequence > $2 ORDER BY sequence LIMIT $4)
             UNION ALL
             (SELECT day, sequence, change_index FROM party_change_rows
              WHERE participant = $1 AND (sequence, change_index) > ($2, $3)
              ORDER BY sequence, change_index LIMIT $4)
             ORDER BY 2, 3 LIMIT $4
         ) mine
         JOIN change_rows h ON h.sequence = mine.sequence AND h.change_index = mine.change_index
             AND h.day = mine.day
         JOIN instruction_rows i ON i.sequence = h.instruction AND i.day = h.day
         ORDER BY mine.sequence, mine.change_index"
    );
    let (sequence, index) = parameters(after);
    let limit = rows_at_most(limit);
    let rows = session.query(&select, &[&id(participant), &sequence, &index, &limit])?;
    all(rows, change_row)
}

fn parameters(after: Position) -> (i64, i64) {
    (int(after.sequence.0), i64::from(after.index))
}

fn all_changes(
    session: &mut Session,
    after: Position,
    limit: usize,
) -> Result<Vec<ChangeRow>, Fault> {
    let select = format!(
        "SELECT {CHANGE_COLUMNS} FROM change_rows h
         JOIN instruction_rows i ON i.sequence = h.instruction AND i.day = h.day
         WHERE (h.sequence, h.change_index) > ($1, $2)
         ORDER BY h.sequence, h.change_index LIMIT $3"
    );
    let (sequence, index) = parameters(after);
    let rows = session.query(&select, &[&sequence, &index, &rows_at_most(limit)])?;
    all(rows, change_row)
}

fn change_row(row: &Row) -> Result<ChangeRow, Fault> {
    Ok(ChangeRow {
        position: position(row, 0)?,
        answer: InstructionAnswer {
            identity: identity(row, 2)?,
            sequence: Sequence(natural(row, 5)?),
            status: status(row, 6)?,
            matched_with: sequence_or_none(row, 12)?,
            repeated: false,
        },
        time: time(row, 13)?,
    })
}

fn position(row: &Row, at: usize) -> Result<Position, Fault> {
    let index = u32::try_from(natural(row, at + 1)?);
    Ok(Position {
        sequence: Sequence(natural(row, at)?),
        index: index.map_err(|_| Fault::Damaged("a position"))?,
    })
}

pub(super) fn received(
    session: &mut Session,
    of: Bic,
    after: Position,
    limit: usize,
) -> Result<Vec<ReceivedRow>, Fault> {
    let Some(participant) = participant(session, of)? else {
        return Ok(Vec::new());
    };
    let select = format!(
        "SELECT {INSTRUCTION_COLUMNS}, r.sequence, r.unit_index FROM received_rows r
         JOIN instruction_rows i ON i.sequence = r.instruction AND i.day = r.day
         JOIN content_rows c ON c.sequence = r.instruction AND c.day = r.day
         WHERE r.participant = $1 AND (r.sequence, r.unit_index) > ($2, $3)
         ORDER BY r.sequence, r.unit_index LIMIT $4"
    );
    let (sequence, index) = parameters(after);
    let limit = rows_at_most(limit);
    let rows = session.query(&select, &[&id(participant), &sequence, &index, &limit])?;
    all(rows, |row| {
        Ok(ReceivedRow {
            position: position(row, 13)?,
            row: instruction_row(row)?,
        })
    })
}
