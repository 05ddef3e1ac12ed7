//! Rows into tables. Each table's rows come in the order of its key, so pages are touched once.

use super::int;
use crate::codec;
use crate::rows::{
    BatchAdded, ChangeAdded, Concern, CycleChange, DirectoryChange, InstructionAdded, Roles, Rows,
    Standing,
};
use rusqlite::{Connection, Result, params};
use settlement_core::ids::{CycleName, Sequence};
use valuta_journal::Cursor;

/// Writes all rows into the open transaction.
pub(super) fn write(connection: &Connection, rows: &Rows) -> Result<()> {
    directory(connection, &rows.directory)?;
    instructions(connection, &rows.instructions)?;
    contents(connection, &rows.instructions)?;
    for (instruction, changed) in &rows.standings {
        update(connection, *instruction, &changed.standing)?;
    }
    parties(connection, rows)?;
    changes(connection, &rows.changes)?;
    let concern = "INSERT INTO party_changes VALUES (?1, ?2, ?3, ?4)";
    concerns(connection, concern, &rows.concerns)?;
    let credit = "INSERT INTO received VALUES (?1, ?2, ?3, ?4)";
    concerns(connection, credit, &rows.credits)?;
    members(connection, rows)?;
    batches(connection, &rows.batches)?;
    rows.cycles
        .iter()
        .try_for_each(|(name, change)| cycle(connection, *name, change))
}

/// Replaces the cursor.
pub(super) fn set_cursor(connection: &Connection, cursor: &Cursor) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO journal_cursor VALUES (1, ?1, ?2, ?3, ?4)")?
        .execute(params![
            cursor.journal.0,
            int(cursor.offset),
            int(cursor.sequence),
            cursor.chain
        ])
        .map(drop)
}

fn instructions(connection: &Connection, added: &[InstructionAdded]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO instructions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
         ?15, ?16, ?17, ?18)",
    )?;
    for row in added {
        let order = row.order.as_ref();
        let (status, matched_with) = row
            .standing
            .status
            .expect("an instruction's own input gives its first status");
        let columns = codec::status_columns(&status);
        let cycle = row.standing.cycle;
        insert.execute(params![
            int(row.sequence.0),
            row.identity.uetr.0.to_be_bytes(),
            text(row.identity.instructing),
            codec::kind_number(row.identity.kind),
            row.received.0,
            order.map(|order| codec::lane_number(order.lane)),
            order.map(|order| codec::priority_number(order.priority)),
            order.map(|order| order.created.0),
            order.map(|order| order.value_date.0),
            order.map(|order| order.assets.as_str()),
            columns.status,
            columns.waiting,
            columns.batch.map(int),
            columns.rejection,
            matched_with.map(|other| int(other.0)),
            cycle.map(|cycle| cycle.value_date.0),
            cycle.map(|cycle| cycle.number),
            row.standing.member_index,
        ])?;
    }
    Ok(())
}

fn contents(connection: &Connection, added: &[InstructionAdded]) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO contents VALUES (?1, ?2)")?;
    added.iter().try_for_each(|row| {
        insert
            .execute(params![int(row.sequence.0), row.content])
            .map(drop)
    })
}

fn update(connection: &Connection, instruction: Sequence, standing: &Standing) -> Result<()> {
    if let Some((status, matched_with)) = &standing.status {
        let columns = codec::status_columns(status);
        connection
            .prepare_cached(
                "UPDATE instructions SET status = ?2, waiting = ?3, batch = ?4, rejection = ?5,
                 matched_with = ?6, cycle_date = coalesce(?7, cycle_date),
                 cycle_number = coalesce(?8, cycle_number), member_index = coalesce(?9, member_index)
                 WHERE sequence = ?1",
            )?
            .execute(params![
                int(instruction.0),
                columns.status,
                columns.waiting,
                columns.batch.map(int),
                columns.rejection,
                matched_with.map(|other| int(other.0)),
                standing.cycle.map(|cycle| cycle.value_date.0),
                standing.cycle.map(|cycle| cycle.number),
                standing.member_index,
            ])?;
    } else if let Some(member_index) = standing.member_index {
        connection
            .prepare_cached("UPDATE instructions SET member_index = ?2 WHERE sequence = ?1")?
            .execute(params![int(instruction.0), member_index])?;
    }
    Ok(())
}

fn parties(connection: &Connection, rows: &Rows) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO parties VALUES (?1, ?2, ?3)")?;
    for row in &rows.parties {
        insert.execute(params![
            row.participant.0,
            int(row.instruction.0),
            row.roles.0
        ])?;
    }
    let mut approve = connection.prepare_cached(
        "UPDATE parties SET roles = roles | ?3 WHERE participant = ?1 AND sequence = ?2",
    )?;
    for row in &rows.approvals {
        approve.execute(params![
            row.participant.0,
            int(row.instruction.0),
            Roles::APPROVED.0
        ])?;
    }
    Ok(())
}

fn changes(connection: &Connection, added: &[ChangeAdded]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for row in added {
        let columns = codec::status_columns(&row.status);
        insert.execute(params![
            int(row.position.sequence.0),
            row.position.index,
            int(row.instruction.0),
            columns.status,
            columns.waiting,
            columns.cycle.map(|cycle| cycle.value_date.0),
            columns.cycle.map(|cycle| cycle.number),
            columns.batch.map(int),
            columns.rejection,
            row.matched_with.map(|other| int(other.0)),
            row.time.0,
        ])?;
    }
    Ok(())
}

fn concerns(connection: &Connection, insert: &str, added: &[Concern]) -> Result<()> {
    let mut insert = connection.prepare_cached(insert)?;
    added.iter().try_for_each(|row| {
        insert
            .execute(params![
                row.participant.0,
                int(row.position.sequence.0),
                row.position.index,
                int(row.instruction.0),
            ])
            .map(drop)
    })
}

fn members(connection: &Connection, rows: &Rows) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO batch_members VALUES (?1, ?2, ?3)")?;
    rows.members.iter().try_for_each(|row| {
        insert
            .execute(params![
                int(row.batch),
                int(row.instruction.0),
                row.member_index
            ])
            .map(drop)
    })
}

fn batches(connection: &Connection, added: &[BatchAdded]) -> Result<()> {
    let mut batch =
        connection.prepare_cached("INSERT INTO batches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let mut posting =
        connection.prepare_cached("INSERT INTO postings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for row in added {
        batch.execute(params![
            int(row.number),
            row.cycle.map(|cycle| cycle.value_date.0),
            row.cycle.map(|cycle| cycle.number),
            row.time.0,
            int(row.sequence.0),
            row.member_count,
            row.certificate_hash,
            codec::run_order_number(row.order),
        ])?;
        for (index, line) in (0_i64..).zip(&row.postings) {
            posting.execute(params![
                int(row.number),
                index,
                text(line.holder),
                line.asset.0,
                line.mirror,
                text(line.amount),
                text(line.balance),
            ])?;
        }
    }
    Ok(())
}

fn cycle(connection: &Connection, name: CycleName, change: &CycleChange) -> Result<()> {
    let key = (name.value_date.0, name.number);
    let done = match change {
        CycleChange::Opened {
            cut_off,
            pay_in_deadline,
            completion_deadline,
            ..
        } => connection.execute(
            "INSERT INTO cycles (value_date, number, cut_off, pay_in_deadline, completion_deadline)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                key.0,
                key.1,
                cut_off.0,
                pay_in_deadline.0,
                completion_deadline.0
            ],
        ),
        CycleChange::Closed { .. } => connection.execute(
            "UPDATE cycles SET closed = 1 WHERE value_date = ?1 AND number = ?2",
            key,
        ),
        CycleChange::Scheduled {
            version, reason, ..
        } => connection.execute(
            "UPDATE cycles SET schedule_version = ?3, schedule_reason = ?4
             WHERE value_date = ?1 AND number = ?2",
            params![key.0, key.1, version, reason],
        ),
        CycleChange::Completed { into } => connection.execute(
            "UPDATE cycles SET completed = 1, into_date = ?3, into_number = ?4
             WHERE value_date = ?1 AND number = ?2",
            params![
                key.0,
                key.1,
                into.map(|into| into.value_date.0),
                into.map(|into| into.number)
            ],
        ),
    };
    done.map(drop)
}

fn directory(connection: &Connection, changes: &[DirectoryChange]) -> Result<()> {
    for change in changes {
        match change {
            DirectoryChange::Asset { id, line } => connection.execute(
                "INSERT OR REPLACE INTO assets VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    id.0,
                    text(line.code),
                    line.decimals,
                    text(line.agent),
                    line.enabled
                ],
            ),
            DirectoryChange::Participant {
                id,
                bic,
                name,
                state,
            } => connection.execute(
                "INSERT OR REPLACE INTO participants VALUES (?1, ?2, ?3, ?4)",
                params![
                    id.0,
                    text(bic),
                    name,
                    codec::participant_state_number(*state)
                ],
            ),
            DirectoryChange::Account {
                id,
                participant,
                asset,
                state,
            } => connection.execute(
                "INSERT OR REPLACE INTO accounts VALUES (?1, ?2, ?3, ?4)",
                params![
                    id.0,
                    participant.0,
                    asset.0,
                    codec::account_state_number(*state)
                ],
            ),
        }?;
    }
    Ok(())
}

/// BICs, codes and amounts are text in the tables: people read them, and PostgreSQL's NUMERIC does.
fn text(value: impl std::fmt::Display) -> String {
    value.to_string()
}
