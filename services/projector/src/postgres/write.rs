//! Rows into tables: everything that comes in numbers by binary COPY, and what changes rows that are there
//! by a COPY into a staging table and one statement over it.

use super::binary::CopyBytes;
use super::copy::{self, Decimals};
use super::int;
use super::session::{Fault, Session};
use super::value::{Day, Instant};
use crate::codec;
use crate::rows::{CycleChange, DirectoryChange, Roles, Rows};
use settlement_core::ids::{AssetId, CycleName, Date};
use std::collections::BTreeSet;
use valuta_journal::Cursor;

/// New standings of instructions that are there. Of this connection alone, so nothing of it is logged.
const STAGING: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS staged_standings (
    day DATE, sequence BIGINT, status SMALLINT, waiting SMALLINT, batch BIGINT, matched_with BIGINT,
    rejection BYTEA, reason_code TEXT, reason TEXT, cycle_date DATE, cycle_number INTEGER,
    member_index BIGINT, queue_priority SMALLINT, queue_rank BIGINT, queue_unit BIGINT)";

/// With a status come all columns that belong to it; all else stays where it is not said.
const UPDATE_STAGED: &str = "UPDATE instruction_rows i SET status = coalesce(s.status, i.status),
    waiting = CASE WHEN s.status IS NULL THEN i.waiting ELSE s.waiting END,
    batch = CASE WHEN s.status IS NULL THEN i.batch ELSE s.batch END,
    matched_with = CASE WHEN s.status IS NULL THEN i.matched_with ELSE s.matched_with END,
    rejection = CASE WHEN s.status IS NULL THEN i.rejection ELSE s.rejection END,
    reason_code = CASE WHEN s.status IS NULL THEN i.reason_code ELSE s.reason_code END,
    reason = CASE WHEN s.status IS NULL THEN i.reason ELSE s.reason END,
    cycle_date = coalesce(s.cycle_date, i.cycle_date),
    cycle_number = coalesce(s.cycle_number, i.cycle_number),
    member_index = coalesce(s.member_index, i.member_index),
    queue_priority = coalesce(s.queue_priority, i.queue_priority),
    queue_rank = coalesce(s.queue_rank, i.queue_rank),
    queue_unit = coalesce(s.queue_unit, i.queue_unit)
    FROM staged_standings s WHERE i.day = s.day AND i.sequence = s.sequence";

/// 2 is waiting: see [`codec::status_number`].
const END_WAITING: &str = "DELETE FROM waiting_rows w USING staged_standings s
    WHERE w.sequence = s.sequence AND s.status <> 2";
const BEGIN_WAITING: &str = "INSERT INTO waiting_rows SELECT sequence, day FROM staged_standings
    WHERE status = 2 ON CONFLICT (sequence) DO NOTHING";

/// A closed batch's postings change the balances of accounts; mirrors have none.
const UPDATE_BALANCES: &str = "UPDATE account_rows a
    SET balance = a.balance + p.amount, batch = p.batch
    FROM (SELECT h.id, p.asset, sum(p.amount) AS amount, max(p.batch) AS batch
          FROM posting_rows p JOIN participant_rows h ON h.bic = p.holder
          WHERE p.batch BETWEEN $1 AND $2 AND NOT p.mirror GROUP BY h.id, p.asset) p
    WHERE a.participant = p.id AND a.asset = p.asset";

/// What a COPY sends at once: so little that the server soon has something to do.
const COPY_BYTES: usize = 1 << 16;

/// Writes rows over a connection. What it remembers is of committed rows and of the transaction at hand, so
/// it goes with the connection.
pub(super) struct Writer {
    decimals: Decimals,
    /// Months with tables of their own, as years x 12 + months from 0.
    months: BTreeSet<i32>,
    bytes: CopyBytes,
}

impl Writer {
    pub(super) fn open(session: &mut Session) -> Result<Self, Fault> {
        session.batch(STAGING)?;
        let mut decimals = Decimals::default();
        for row in session.query("SELECT id, decimals FROM asset_rows", &[])? {
            let (id, count): (i32, i16) = (row.get(0), row.get(1));
            let (Ok(id), Ok(count)) = (u16::try_from(id), u8::try_from(count)) else {
                return Err(Fault::Damaged("an asset"));
            };
            decimals.set(AssetId(id), count);
        }
        Ok(Self {
            decimals,
            months: BTreeSet::new(),
            bytes: CopyBytes::new(),
        })
    }

    /// Writes all rows into the open transaction.
    pub(super) fn write(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        self.directory(session, &rows.directory)?;
        self.make_months(session, rows)?;
        self.instructions(session, rows)?;
        self.standings(session, rows)?;
        self.history(session, rows)?;
        self.batches(session, rows)?;
        for (name, change) in &rows.cycles {
            self.cycle(session, *name, change)?;
        }
        Ok(())
    }

    /// COPYs one table's rows: while the server works on some, the next ones are made. Without rows, nothing
    /// is sent.
    fn copy<T>(
        &mut self,
        session: &mut Session,
        table: &str,
        rows: impl IntoIterator<Item = T>,
        put: impl Fn(&mut CopyBytes, T, &Decimals),
    ) -> Result<(), Fault> {
        let mut rows = rows.into_iter();
        self.bytes.clear();
        if !self.fill(&mut rows, &put) {
            return Ok(());
        }
        let mut copy = session.copy(&format!("COPY {table} FROM STDIN (FORMAT binary)"))?;
        loop {
            copy.send(self.bytes.bytes())?;
            self.bytes.sent();
            if !self.fill(&mut rows, &put) {
                break;
            }
        }
        self.bytes.finish();
        copy.send(self.bytes.bytes())?;
        copy.finish()
    }

    /// Makes what is sent at once; `false`: there are no more rows.
    fn fill<T>(
        &mut self,
        rows: &mut impl Iterator<Item = T>,
        put: &impl Fn(&mut CopyBytes, T, &Decimals),
    ) -> bool {
        let before = self.bytes.rows();
        for row in rows {
            put(&mut self.bytes, row, &self.decimals);
            if self.bytes.bytes().len() >= COPY_BYTES {
                break;
            }
        }
        self.bytes.rows() > before
    }

    fn instructions(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        let added = &rows.instructions;
        self.copy(session, "instruction_rows", added, |bytes, row, _| {
            copy::instruction(bytes, row);
        })?;
        self.copy(session, "waiting_rows", added, |bytes, row, _| {
            copy::waiting(bytes, row);
        })?;
        self.copy(session, "content_rows", added, |bytes, row, _| {
            copy::content(bytes, row);
        })?;
        self.copy(session, "leg_rows", &rows.legs, copy::leg)?;
        self.copy(session, "party_rows", &rows.parties, |bytes, row, _| {
            copy::party(bytes, row);
        })?;
        for row in &rows.approvals {
            let who = i32::from(row.participant.0);
            let approved = i16::from(Roles::APPROVED.0);
            session.execute(
                "UPDATE party_rows SET roles = roles | $4
                 WHERE participant = $1 AND sequence = $2 AND day = $3",
                &[&who, &int(row.instruction.0), &Day(row.day), &approved],
            )?;
        }
        Ok(())
    }

    fn standings(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        if rows.standings.is_empty() {
            return Ok(());
        }
        let staged = &rows.standings;
        self.copy(session, "staged_standings", staged, |bytes, row, _| {
            let (instruction, changed) = row;
            copy::standing(bytes, *instruction, changed);
        })?;
        for change in [UPDATE_STAGED, END_WAITING, BEGIN_WAITING] {
            session.execute(change, &[])?;
        }
        session.batch("TRUNCATE staged_standings")
    }

    fn history(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        self.copy(session, "change_rows", &rows.changes, |bytes, row, _| {
            copy::change(bytes, row);
        })?;
        for (table, concerns) in [
            ("party_change_rows", &rows.concerns),
            ("received_rows", &rows.credits),
        ] {
            self.copy(session, table, concerns, |bytes, row, _| {
                copy::concern(bytes, row);
            })?;
        }
        self.copy(
            session,
            "batch_member_rows",
            &rows.members,
            |bytes, row, _| {
                copy::member(bytes, row);
            },
        )?;
        self.copy(session, "movement_rows", &rows.movements, copy::movement)?;
        self.copy(session, "quote_rows", &rows.quotes, |bytes, row, _| {
            copy::quote(bytes, row);
        })
    }

    fn batches(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        let numbers = rows.batches.iter().map(|batch| batch.number);
        let (Some(first), Some(last)) = (numbers.clone().min(), numbers.max()) else {
            return Ok(());
        };
        self.copy(session, "batch_rows", &rows.batches, |bytes, row, _| {
            copy::batch(bytes, row);
        })?;
        self.copy(session, "posting_rows", &rows.batches, copy::postings)?;
        // Numbers have no gaps, and none of these was there before.
        session
            .execute(UPDATE_BALANCES, &[&int(first), &int(last)])
            .map(drop)
    }

    /// Months are made ahead: each that has rows, and the one after it.
    fn make_months(&mut self, session: &mut Session, rows: &Rows) -> Result<(), Fault> {
        let days: BTreeSet<Date> = rows.instructions.iter().map(|row| row.day).collect();
        let months = days.into_iter().map(month);
        let wanted: BTreeSet<i32> = months.flat_map(|month| [month, month + 1]).collect();
        for month in wanted {
            if !self.months.contains(&month) {
                session.execute("SELECT make_month($1)", &[&Day(first_of(month))])?;
                self.months.insert(month);
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        session: &mut Session,
        changes: &[DirectoryChange],
    ) -> Result<(), Fault> {
        for change in changes {
            if let DirectoryChange::Asset { id, line } = change {
                self.decimals.set(*id, line.decimals);
            }
            directory_line(session, change)?;
        }
        Ok(())
    }

    fn cycle(
        &mut self,
        session: &mut Session,
        name: CycleName,
        change: &CycleChange,
    ) -> Result<(), Fault> {
        let (date, number) = (Day(name.value_date), i32::from(name.number));
        match change {
            CycleChange::Opened {
                cut_off,
                pay_in_deadline,
                completion_deadline,
                pay_in_cut_offs,
            } => {
                let values = [*cut_off, *pay_in_deadline, *completion_deadline].map(Instant);
                session.execute(
                    "INSERT INTO cycle_rows (value_date, number, cut_off, pay_in_deadline,
                     completion_deadline) VALUES ($1, $2, $3, $4, $5)",
                    &[&date, &number, &values[0], &values[1], &values[2]],
                )?;
                for (asset, deadline) in pay_in_cut_offs {
                    session.execute(
                        "INSERT INTO cycle_deadline_rows VALUES ($1, $2, $3, $4)",
                        &[&date, &number, &i32::from(asset.0), &Instant(*deadline)],
                    )?;
                }
            }
            CycleChange::Closed { sequence } => {
                session.execute(
                    "UPDATE cycle_rows SET closed = $3 WHERE value_date = $1 AND number = $2",
                    &[&date, &number, &int(sequence.0)],
                )?;
            }
            CycleChange::Scheduled {
                version,
                reason,
                lines,
            } => {
                session.execute(
                    "UPDATE cycle_rows SET schedule_version = $3, schedule_reason = $4
                     WHERE value_date = $1 AND number = $2",
                    &[&date, &number, &i64::from(*version), reason],
                )?;
                self.copy(session, "schedule_rows", lines, |bytes, line, decimals| {
                    copy::schedule(bytes, name, *version, line, decimals);
                })?;
            }
            CycleChange::Completed { into } => {
                session.execute(
                    "UPDATE cycle_rows SET completed = TRUE, into_date = $3, into_number = $4
                     WHERE value_date = $1 AND number = $2",
                    &[
                        &date,
                        &number,
                        &into.map(|into| Day(into.value_date)),
                        &into.map(|into| i32::from(into.number)),
                    ],
                )?;
            }
        }
        Ok(())
    }
}

/// Replaces the cursor.
pub(super) fn set_cursor(session: &mut Session, cursor: &Cursor) -> Result<(), Fault> {
    let set = "INSERT INTO journal_cursor VALUES (1, $1, $2, $3, $4) ON CONFLICT (one) DO UPDATE
         SET journal = excluded.journal, journal_offset = excluded.journal_offset,
         sequence = excluded.sequence, chain = excluded.chain";
    session
        .execute(
            set,
            &[
                &&cursor.journal.0[..],
                &int(cursor.offset),
                &int(cursor.sequence),
                &&cursor.chain[..],
            ],
        )
        .map(drop)
}

fn directory_line(session: &mut Session, change: &DirectoryChange) -> Result<(), Fault> {
    let state = |number: u8| i16::from(number);
    match change {
        DirectoryChange::Asset { id, line } => session.execute(
            "INSERT INTO asset_rows VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE
             SET code = excluded.code, decimals = excluded.decimals, agent = excluded.agent,
             enabled = excluded.enabled",
            &[
                &i32::from(id.0),
                &line.code.to_string(),
                &i16::from(line.decimals),
                &line.agent.to_string(),
                &line.enabled,
            ],
        ),
        DirectoryChange::Participant {
            id,
            bic,
            name,
            state: of,
        } => session.execute(
            "INSERT INTO participant_rows VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE
             SET bic = excluded.bic, name = excluded.name, state = excluded.state",
            &[
                &i32::from(id.0),
                &bic.to_string(),
                name,
                &state(codec::participant_state_number(*of)),
            ],
        ),
        DirectoryChange::Account {
            id,
            participant,
            asset,
            state: of,
        } => session.execute(
            "INSERT INTO account_rows VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE
             SET participant = excluded.participant, asset = excluded.asset, state = excluded.state",
            &[
                &i64::from(id.0),
                &i32::from(participant.0),
                &i32::from(asset.0),
                &state(codec::account_state_number(*of)),
            ],
        ),
    }
    .map(drop)
}

fn month(day: Date) -> i32 {
    use chrono::Datelike as _;
    let day = day.naive();
    day.year() * 12 + day.month0().cast_signed()
}

/// The first day of a month.
fn first_of(month: i32) -> Date {
    let (year, month0) = (month.div_euclid(12), month.rem_euclid(12).cast_unsigned());
    let first = chrono::NaiveDate::from_ymd_opt(year, month0 + 1, 1);
    Date(first.expect("a month has a first day").to_epoch_days())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_with_their_first_day() {
        for (day, first, next) in [
            ("2026-11-20", "2026-11-01", "2026-12-01"),
            ("2026-12-31", "2026-12-01", "2027-01-01"),
            ("2028-02-29", "2028-02-01", "2028-03-01"),
        ] {
            let date = |text: &str| Date::parse(text.as_bytes()).unwrap();
            let month = month(date(day));
            assert_eq!(
                (first_of(month), first_of(month + 1)),
                (date(first), date(next))
            );
        }
    }
}
