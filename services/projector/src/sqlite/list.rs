//! Lists of instructions, newest first.
//!
//! A list walks one key backwards (the participant's in `parties`, or all instructions) and tests the
//! other filters on each row. Filters that nearly nothing passes would walk it all: one call looks at
//! no more than [`SCAN_ROWS_MAX`] rows, and the next one goes on from there.

use super::int;
use super::read::{INSTRUCTION_COLUMNS, Parameter, instruction_row, participant, rows_at_most};
use crate::codec;
use crate::model::{ListFilter, ListPage, SCAN_ROWS_MAX};
use crate::rows::Roles;
use rusqlite::{Connection, OptionalExtension as _, Result, params_from_iter};
use settlement_core::ids::{ParticipantId, Sequence};
use settlement_core::view::Waiting;

/// Conditions on a row `i`, with their parameters, numbered in the order they are added.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Parameter>,
}

impl Conditions {
    fn value(&mut self, value: impl Into<Parameter>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    fn equal(&mut self, column: &str, value: Option<impl Into<Parameter>>) {
        if let Some(value) = value {
            let at = self.value(value);
            self.sql += &format!(" AND i.{column} = ?{at}");
        }
    }

    fn party(&mut self, id: ParticipantId) {
        let at = self.value(id.0);
        self.sql += &format!(
            " AND EXISTS (SELECT 1 FROM parties o
              WHERE o.participant = ?{at} AND o.sequence = i.sequence
              AND o.roles & {} <> 0)",
            Roles::PRINCIPALS.0
        );
    }
}

pub(super) fn list(connection: &Connection, filter: &ListFilter) -> Result<ListPage> {
    let mut parties = Vec::with_capacity(2);
    for bic in [filter.participant, filter.counterparty]
        .into_iter()
        .flatten()
    {
        match participant(connection, bic)? {
            Some(id) => parties.push(id),
            None => return Ok(ListPage::default()),
        }
    }
    // Asked of one participant alone.
    if filter.awaiting_approval && filter.participant.is_none() {
        return Ok(ListPage::default());
    }
    let (walked, other) = (parties.first().copied(), parties.get(1).copied());
    let conditions = conditions(filter, other);
    let before = filter.before.map_or(i64::MAX, |before| int(before.0));
    let floor = if conditions.sql.is_empty() {
        None
    } else {
        floor(connection, walked, before)?
    };
    page(connection, filter, walked, conditions, before, floor)
}

fn conditions(filter: &ListFilter, other: Option<ParticipantId>) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.equal("status", filter.status.map(codec::status_number));
    conditions.equal("lane", filter.lane.map(codec::lane_number));
    conditions.equal("kind", filter.kind.map(codec::kind_number));
    conditions.equal("value_date", filter.value_date.map(|date| date.0));
    conditions.equal("cycle_date", filter.cycle.map(|cycle| cycle.value_date.0));
    conditions.equal("cycle_number", filter.cycle.map(|cycle| cycle.number));
    if let Some(asset) = filter.asset {
        let at = conditions.value(format!(" {asset} "));
        conditions.sql += &format!(" AND instr(i.assets, ?{at}) > 0");
    }
    if let Some(other) = other {
        conditions.party(other);
    }
    if filter.awaiting_approval {
        conditions.sql += &format!(
            " AND i.waiting = {} AND p.roles & {} = {}",
            codec::waiting_number(Waiting::Approval),
            Roles::APPROVER.and(Roles::APPROVED).0,
            Roles::APPROVER.0,
        );
    }
    conditions
}

/// The sequence of the last row that this call may look at; `None` if the walk ends before.
fn floor(
    connection: &Connection,
    walked: Option<ParticipantId>,
    before: i64,
) -> Result<Option<i64>> {
    let mut values = vec![before, SCAN_ROWS_MAX - 1];
    let sql = match walked {
        Some(id) => {
            values.push(i64::from(id.0));
            "SELECT sequence FROM parties WHERE participant = ?3 AND sequence < ?1
             ORDER BY sequence DESC LIMIT 1 OFFSET ?2"
        }
        None => {
            "SELECT sequence FROM instructions WHERE sequence < ?1
             ORDER BY sequence DESC LIMIT 1 OFFSET ?2"
        }
    };
    connection
        .prepare_cached(sql)?
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()
}

fn page(
    connection: &Connection,
    filter: &ListFilter,
    walked: Option<ParticipantId>,
    mut conditions: Conditions,
    before: i64,
    floor: Option<i64>,
) -> Result<ListPage> {
    let before = conditions.value(before);
    let from = conditions.value(floor.unwrap_or(0));
    let limit = conditions.value(rows_at_most(filter.limit));
    let (walk, key) = match walked {
        Some(id) => {
            let at = conditions.value(id.0);
            (
                format!(
                    "parties p CROSS JOIN instructions i ON i.sequence = p.sequence
                     AND p.participant = ?{at}"
                ),
                "p.sequence",
            )
        }
        None => ("instructions i".to_owned(), "i.sequence"),
    };
    let Conditions { sql, values } = conditions;
    let rows = connection
        .prepare_cached(&format!(
            "SELECT {INSTRUCTION_COLUMNS} FROM {walk}
             CROSS JOIN contents c ON c.sequence = i.sequence
             WHERE {key} < ?{before} AND {key} >= ?{from} {sql} ORDER BY {key} DESC LIMIT ?{limit}"
        ))?
        .query_map(params_from_iter(values), instruction_row)?
        .collect::<Result<Vec<_>>>()?;
    let full = rows.len() >= filter.limit;
    let next = match rows.last() {
        Some(last) if full => Some(last.answer.sequence),
        _ => floor.map(|floor| Sequence(u64::try_from(floor).unwrap_or(0))),
    };
    Ok(ListPage { rows, next })
}
