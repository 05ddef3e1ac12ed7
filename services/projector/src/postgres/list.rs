//! Lists of instructions, newest first.
//!
//! A list walks one key backwards (the participant's in `party_rows`, or all instructions) and tests the
//! other filters on each row. Filters that nearly nothing passes would walk it all: one call looks at
//! no more than [`SCAN_ROWS_MAX`] rows, and the next one goes on from there.

use super::int;
use super::read::{INSTRUCTION_COLUMNS, all, get, id, instruction_row, participant, rows_at_most};
use super::session::{Fault, Session};
use super::value::Day;
use crate::codec;
use crate::model::{ListFilter, ListPage, SCAN_ROWS_MAX};
use crate::rows::Roles;
use postgres::types::ToSql;
use settlement_core::ids::{ParticipantId, Sequence};
use settlement_core::view::Waiting;

/// Conditions on a row `i`, with their parameters, numbered in the order they are added.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync>>,
}

impl Conditions {
    fn value(&mut self, value: impl ToSql + Sync + 'static) -> usize {
        self.values.push(Box::new(value));
        self.values.len()
    }

    fn equal(&mut self, column: &str, value: Option<impl ToSql + Sync + 'static>) {
        if let Some(value) = value {
            let at = self.value(value);
            self.sql += &format!(" AND i.{column} = ${at}");
        }
    }

    fn party(&mut self, participant: ParticipantId) {
        let at = self.value(id(participant));
        self.sql += &format!(
            " AND EXISTS (SELECT FROM party_rows o
              WHERE o.participant = ${at} AND o.sequence = i.sequence AND o.day = i.day
              AND o.roles & {} <> 0)",
            Roles::PRINCIPALS.0
        );
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value).collect()
    }
}

pub(super) fn list(session: &mut Session, filter: &ListFilter) -> Result<ListPage, Fault> {
    let mut parties = Vec::with_capacity(2);
    let bics = [filter.participant, filter.counterparty];
    for bic in bics.into_iter().flatten() {
        match participant(session, bic)? {
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
        floor(session, walked, before)?
    };
    page(session, filter, walked, conditions, before, floor)
}

fn conditions(filter: &ListFilter, other: Option<ParticipantId>) -> Conditions {
    let mut conditions = Conditions::default();
    let number = |number: u8| i16::from(number);
    let cycle = filter.cycle;
    conditions.equal(
        "status",
        filter.status.map(codec::status_number).map(number),
    );
    conditions.equal("lane", filter.lane.map(codec::lane_number).map(number));
    conditions.equal("kind", filter.kind.map(codec::kind_number).map(number));
    conditions.equal("value_date", filter.value_date.map(Day));
    conditions.equal("cycle_date", cycle.map(|cycle| Day(cycle.value_date)));
    conditions.equal("cycle_number", cycle.map(|cycle| i32::from(cycle.number)));
    if let Some(asset) = filter.asset {
        let at = conditions.value(format!(" {asset} "));
        conditions.sql += &format!(" AND strpos(i.assets, ${at}) > 0");
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
    session: &mut Session,
    walked: Option<ParticipantId>,
    before: i64,
) -> Result<Option<i64>, Fault> {
    let skipped = SCAN_ROWS_MAX - 1;
    let row = match walked {
        Some(participant) => session.query_opt(
            "SELECT sequence FROM party_rows WHERE participant = $3 AND sequence < $1
             ORDER BY sequence DESC LIMIT 1 OFFSET $2",
            &[&before, &skipped, &id(participant)],
        ),
        None => session.query_opt(
            "SELECT sequence FROM instruction_rows WHERE sequence < $1
             ORDER BY sequence DESC LIMIT 1 OFFSET $2",
            &[&before, &skipped],
        ),
    }?;
    row.map(|row| get(&row, 0)).transpose()
}

fn page(
    session: &mut Session,
    filter: &ListFilter,
    walked: Option<ParticipantId>,
    mut conditions: Conditions,
    before: i64,
    floor: Option<i64>,
) -> Result<ListPage, Fault> {
    let before = conditions.value(before);
    let from = conditions.value(floor.unwrap_or(0));
    let limit = conditions.value(rows_at_most(filter.limit));
    let (walk, key) = match walked {
        Some(participant) => {
            let at = conditions.value(id(participant));
            (
                format!(
                    "party_rows p JOIN instruction_rows i ON i.sequence = p.sequence
                     AND i.day = p.day AND p.participant = ${at}"
                ),
                "p.sequence",
            )
        }
        None => ("instruction_rows i".to_owned(), "i.sequence"),
    };
    let select = format!(
        "SELECT {INSTRUCTION_COLUMNS} FROM {walk}
         JOIN content_rows c ON c.sequence = i.sequence AND c.day = i.day
         WHERE {key} < ${before} AND {key} >= ${from} {} ORDER BY {key} DESC LIMIT ${limit}",
        conditions.sql
    );
    let rows = session.query(&select, &conditions.parameters())?;
    let rows = all(rows, instruction_row)?;
    let full = rows.len() >= filter.limit;
    let next = match rows.last() {
        Some(last) if full => Some(last.answer.sequence),
        _ => floor.map(|floor| Sequence(u64::try_from(floor).unwrap_or(0))),
    };
    Ok(ListPage { rows, next })
}
