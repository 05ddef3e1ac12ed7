//! Columns back into core types; single instructions, batches and their members.

use super::int;
use super::session::{Fault, Session};
use super::value::{Day, Id, Instant, Numeric};
use crate::codec::{self, StatusColumns};
use crate::model::{AnchorRow, BatchFilter, BatchRow, InstructionRow, PostingRow, UnitRow};
use fx::AssetCode;
use postgres::Row;
use postgres::types::ToSql;
use settlement_core::ids::{BatchNumber, Bic, CycleName, ParticipantId, Sequence, Timestamp, Uetr};
use settlement_core::instruction::Identity;
use settlement_core::rows::RunOrder;
use settlement_core::view::{AssetView, InstructionAnswer, Status};

/// What [`instruction_row`] reads, of `instruction_rows i` and `content_rows c`.
pub(super) const INSTRUCTION_COLUMNS: &str = "i.sequence, i.uetr, i.instructing, i.kind, i.status, \
     i.waiting, i.cycle_date, i.cycle_number, i.batch, i.rejection, i.matched_with, i.received, c.content";

/// A column that may not have the type that it has with us.
pub(super) fn get<'a, T: postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
) -> Result<T, Fault> {
    Ok(row.try_get(at)?)
}

/// Sequences, numbers and offsets.
pub(super) fn natural(row: &Row, at: usize) -> Result<u64, Fault> {
    let value: i64 = get(row, at)?;
    u64::try_from(value).map_err(|_| Fault::Damaged("a number"))
}

fn natural_or_none(row: &Row, at: usize) -> Result<Option<u64>, Fault> {
    let value: Option<i64> = get(row, at)?;
    let value = value.map(u64::try_from).transpose();
    value.map_err(|_| Fault::Damaged("a number"))
}

/// Bytes of a fixed length.
pub(super) fn bytes<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], Fault> {
    let bytes: &[u8] = get(row, at)?;
    bytes.try_into().map_err(|_| Fault::Damaged("a hash"))
}

/// Numbers that are smaller in the core than in SQL.
fn small<S, T: TryFrom<S>>(value: S, what: &'static str) -> Result<T, Fault> {
    T::try_from(value).map_err(|_| Fault::Damaged(what))
}

fn number(row: &Row, at: usize) -> Result<u8, Fault> {
    small(get::<i16>(row, at)?, "an enum's number")
}

pub(super) fn time(row: &Row, at: usize) -> Result<Timestamp, Fault> {
    let Instant(time) = get(row, at)?;
    Ok(time)
}

/// Reads one row of [`INSTRUCTION_COLUMNS`].
pub(super) fn instruction_row(row: &Row) -> Result<InstructionRow, Fault> {
    Ok(InstructionRow {
        answer: InstructionAnswer {
            identity: identity(row, 1)?,
            sequence: Sequence(natural(row, 0)?),
            status: status(row, 4)?,
            matched_with: sequence_or_none(row, 10)?,
            repeated: false,
        },
        received: time(row, 11)?,
        content: get(row, 12)?,
    })
}

/// UETR, instructing BIC and kind from `at` on.
pub(super) fn identity(row: &Row, at: usize) -> Result<Identity, Fault> {
    let Id(uetr) = get(row, at)?;
    let kind = codec::kind_of(number(row, at + 2)?);
    Ok(Identity {
        uetr: Uetr(uetr),
        instructing: bic(row, at + 1)?,
        kind: kind.ok_or(Fault::Damaged("an instruction's kind"))?,
    })
}

/// Status, waiting, cycle date and number, batch and rejection from `at` on.
pub(super) fn status(row: &Row, at: usize) -> Result<Status, Fault> {
    let waiting: Option<i16> = get(row, at + 1)?;
    let columns = StatusColumns {
        status: number(row, at)?,
        waiting: waiting
            .map(|number| small(number, "a waiting reason"))
            .transpose()?,
        cycle: cycle(row, at + 2)?,
        batch: natural_or_none(row, at + 4)?,
        rejection: get(row, at + 5)?,
    };
    codec::status_of(&columns).ok_or(Fault::Damaged("a status"))
}

/// Date and number from `at` on.
fn cycle(row: &Row, at: usize) -> Result<Option<CycleName>, Fault> {
    let (date, number): (Option<Day>, Option<i32>) = (get(row, at)?, get(row, at + 1)?);
    let number = number
        .map(|number| small(number, "a cycle's number"))
        .transpose()?;
    Ok(codec::cycle_of(date.map(|Day(date)| date.0), number))
}

pub(super) fn sequence_or_none(row: &Row, at: usize) -> Result<Option<Sequence>, Fault> {
    Ok(natural_or_none(row, at)?.map(Sequence))
}

fn bic(row: &Row, at: usize) -> Result<Bic, Fault> {
    let text: &str = get(row, at)?;
    Bic::parse(text.as_bytes()).ok_or(Fault::Damaged("a BIC"))
}

/// The dense id of a participant; `None` if the directory does not have it (yet).
pub(super) fn participant(session: &mut Session, bic: Bic) -> Result<Option<ParticipantId>, Fault> {
    let select = "SELECT id FROM participant_rows WHERE bic = $1";
    let row = session.query_opt(select, &[&bic.to_string()])?;
    row.map(|row| small(get::<i32>(&row, 0)?, "a participant").map(ParticipantId))
        .transpose()
}

/// A participant's id as a parameter.
pub(super) fn id(participant: ParticipantId) -> i32 {
    i32::from(participant.0)
}

/// Limits as SQL has them; more rows than that no caller holds.
pub(super) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Every row, read.
pub(super) fn all<T>(
    rows: Vec<Row>,
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}

pub(super) fn instruction(
    session: &mut Session,
    sequence: Sequence,
) -> Result<Option<InstructionRow>, Fault> {
    let select = format!(
        "SELECT {INSTRUCTION_COLUMNS} FROM instruction_rows i
         JOIN content_rows c ON c.sequence = i.sequence AND c.day = i.day WHERE i.sequence = $1"
    );
    let row = session.query_opt(&select, &[&int(sequence.0)])?;
    row.as_ref().map(instruction_row).transpose()
}

pub(super) fn unit(session: &mut Session, instruction: Sequence) -> Result<Option<UnitRow>, Fault> {
    let row = session.query_opt(
        "SELECT sequence, matched_with, batch, member_index FROM instruction_rows
         WHERE sequence = $1 AND batch IS NOT NULL AND member_index IS NOT NULL",
        &[&int(instruction.0)],
    )?;
    row.as_ref().map(unit_row).transpose()
}

fn unit_row(row: &Row) -> Result<UnitRow, Fault> {
    Ok(UnitRow {
        instruction: Sequence(natural(row, 0)?),
        matched_with: sequence_or_none(row, 1)?,
        batch: natural(row, 2)?,
        member_index: small(natural(row, 3)?, "a leaf's number")?,
    })
}

pub(super) fn members(
    session: &mut Session,
    of: Option<Bic>,
    batch: BatchNumber,
    after: Sequence,
    limit: usize,
) -> Result<Vec<UnitRow>, Fault> {
    let (batch, after, limit) = (int(batch), int(after.0), rows_at_most(limit));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&batch, &after, &limit];
    let (mut party, known);
    party = "";
    if let Some(bic) = of {
        let Some(participant) = participant(session, bic)? else {
            return Ok(Vec::new());
        };
        known = id(participant);
        values.push(&known);
        party = "AND EXISTS (SELECT FROM party_rows p
                 WHERE p.participant = $4 AND p.sequence = m.sequence AND p.day = m.day)";
    }
    let select = format!(
        "SELECT m.sequence, i.matched_with, m.batch, m.member_index FROM batch_member_rows m
         JOIN instruction_rows i ON i.sequence = m.sequence AND i.day = m.day
         WHERE m.batch = $1 AND m.sequence > $2 {party} ORDER BY m.sequence LIMIT $3"
    );
    all(session.query(&select, &values)?, unit_row)
}

const BATCH_COLUMNS: &str = "b.number, b.cycle_date, b.cycle_number, b.time, b.member_count, b.sequence, \
     b.certificate_hash, a.log_index, a.header, b.run_order";

pub(super) fn batch(session: &mut Session, number: BatchNumber) -> Result<Option<BatchRow>, Fault> {
    let select = format!(
        "SELECT {BATCH_COLUMNS} FROM batch_rows b LEFT JOIN anchor_rows a ON a.batch = b.number
         WHERE b.number = $1"
    );
    let Some(row) = session.query_opt(&select, &[&int(number)])? else {
        return Ok(None);
    };
    Ok(Some(BatchRow {
        postings: postings(session, number)?,
        ..batch_row(&row)?
    }))
}

pub(super) fn batches(session: &mut Session, filter: &BatchFilter) -> Result<Vec<BatchRow>, Fault> {
    let (before, limit) = (
        filter.before.map_or(i64::MAX, int),
        rows_at_most(filter.limit),
    );
    let cycle = filter
        .cycle
        .map(|cycle| (Day(cycle.value_date), i32::from(cycle.number)));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &limit];
    let mut of_cycle = "";
    if let Some((date, number)) = &cycle {
        values.extend([date as &(dyn ToSql + Sync), number]);
        of_cycle = "AND b.cycle_date = $3 AND b.cycle_number = $4";
    }
    let select = format!(
        "SELECT {BATCH_COLUMNS} FROM batch_rows b LEFT JOIN anchor_rows a ON a.batch = b.number
         WHERE b.number < $1 {of_cycle} ORDER BY b.number DESC LIMIT $2"
    );
    all(session.query(&select, &values)?, batch_row)
}

fn batch_row(row: &Row) -> Result<BatchRow, Fault> {
    let anchor = natural_or_none(row, 7)?.map(|log_index| {
        let header = get(row, 8)?;
        Ok::<_, Fault>(AnchorRow { log_index, header })
    });
    let hashed: Option<&[u8]> = get(row, 6)?;
    Ok(BatchRow {
        number: natural(row, 0)?,
        cycle: cycle(row, 1)?,
        time: time(row, 3)?,
        members: natural(row, 4)?,
        sequence: Sequence(natural(row, 5)?),
        certificate_hash: hashed.map(|_| bytes(row, 6)).transpose()?,
        order: run_order(row, 9)?,
        postings: Vec::new(),
        anchor: anchor.transpose()?,
    })
}

fn run_order(row: &Row, at: usize) -> Result<Option<RunOrder>, Fault> {
    if get::<Option<i16>>(row, at)?.is_none() {
        return Ok(None);
    }
    let order = codec::run_order_of(number(row, at)?);
    order.map(Some).ok_or(Fault::Damaged("an order"))
}

pub(super) fn changed_by(
    session: &mut Session,
    holder: Bic,
    asset: AssetCode,
    until: BatchNumber,
) -> Result<Option<BatchNumber>, Fault> {
    let row = session.query_opt(
        "SELECT MAX(p.batch) FROM posting_rows p JOIN asset_rows a ON a.id = p.asset
         WHERE p.holder = $1 AND a.code = $2 AND p.batch <= $3",
        &[&holder.to_string(), &asset.to_string(), &int(until)],
    )?;
    let newest = row
        .as_ref()
        .map(|row| get::<Option<i64>>(row, 0))
        .transpose()?;
    Ok(newest.flatten().and_then(|batch| batch.try_into().ok()))
}

fn postings(session: &mut Session, batch: BatchNumber) -> Result<Vec<PostingRow>, Fault> {
    let rows = session.query(
        "SELECT p.holder, a.code, a.decimals, p.mirror, p.amount, p.balance
         FROM posting_rows p JOIN asset_rows a ON a.id = p.asset WHERE p.batch = $1
         ORDER BY p.posting_index",
        &[&int(batch)],
    )?;
    all(rows, posting_row)
}

fn posting_row(row: &Row) -> Result<PostingRow, Fault> {
    let code = AssetCode::parse(get::<&str>(row, 1)?.as_bytes());
    let decimals = number(row, 2)?;
    Ok(PostingRow {
        participant: bic(row, 0)?,
        asset: AssetView {
            code: code.ok_or(Fault::Damaged("an asset code"))?,
            decimals,
        },
        mirror: get(row, 3)?,
        amount: amount(row, 4, decimals)?,
        balance: amount(row, 5, decimals)?,
    })
}

fn amount(row: &Row, at: usize, decimals: u8) -> Result<i128, Fault> {
    let minor = get::<Numeric>(row, at)?.minor_units(decimals);
    minor.ok_or(Fault::Damaged("an amount"))
}
