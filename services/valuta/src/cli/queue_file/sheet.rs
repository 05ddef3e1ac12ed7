//! CSV to a form, as spreadsheets export it (RFC 4180).
//!
//! | sheet    | columns, in any order                                       | left out or empty            |
//! |----------|-------------------------------------------------------------|------------------------------|
//! | queue    | id, debtor, creditor, asset, amount; priority, group        | normal priority, no group    |
//! | accounts | participant, asset; amount, short_limit                     | zero; `none` is no limit     |
//!
//! Rows of one id that follow each other are the legs of one instruction. The separator is the first of
//! `;`, tab and `,` that the header has; where it is not `,`, amounts may have a decimal comma. A byte
//! order mark is skipped.

use super::form::{AccountForm, Fault, Form, InstructionForm, LegForm, LimitForm, Style, Text};
use csv::StringRecord;
use std::borrow::Cow;

/// What no limit is called.
const NO_LIMIT: &str = "none";
const QUEUE: Columns = Columns {
    needed: &["id", "debtor", "creditor", "asset", "amount"],
    others: &["priority", "group"],
};
const ACCOUNTS: Columns = Columns {
    needed: &["participant", "asset"],
    others: &["amount", "short_limit"],
};

/// The columns that a sheet must have, and may have.
struct Columns {
    needed: &'static [&'static str],
    others: &'static [&'static str],
}

/// Reads a queue, and the accounts if there are any.
pub fn read(queue: &str, accounts: Option<&str>) -> Result<Form<'static>, Fault> {
    let accounts = accounts.map(read_accounts).transpose();
    let accounts = accounts.map_err(|fault| Fault {
        is_in_accounts: true,
        ..fault
    })?;
    Ok(Form {
        style: Style::Csv,
        queue: read_queue(queue)?,
        accounts: accounts.unwrap_or_default(),
        ..Form::default()
    })
}

fn read_queue(content: &str) -> Result<Vec<InstructionForm<'static>>, Fault> {
    let mut queue: Vec<InstructionForm<'static>> = Vec::new();
    for row in Sheet::open(content, &QUEUE)?.rows() {
        let row = row?;
        let (id, priority, group) = (row.needed("id")?, row.text("priority"), row.text("group"));
        let leg = LegForm {
            debtor: row.needed("debtor")?,
            creditor: row.needed("creditor")?,
            asset: row.needed("asset")?,
            amount: row.decimal("amount").ok_or_else(|| row.missing("amount"))?,
        };
        match queue.last_mut().filter(|last| last.id.text == id.text) {
            Some(last) => {
                same("priority", priority, last.priority.as_ref())?;
                same("group", group, last.group.as_ref())?;
                last.legs.push(leg);
            }
            None => queue.push(InstructionForm {
                id,
                priority,
                group,
                legs: vec![leg],
            }),
        }
    }
    Ok(queue)
}

/// A further leg's row may leave out what the first has said.
fn same(column: &str, text: Option<Text<'_>>, first: Option<&Text<'_>>) -> Result<(), Fault> {
    match text {
        Some(text) if first.is_none_or(|first| first.text != text.text) => {
            let reason = "differs from that of the instruction's first row";
            Err(Fault::new(text.line, column, reason))
        }
        _ => Ok(()),
    }
}

fn read_accounts(content: &str) -> Result<Vec<AccountForm<'static>>, Fault> {
    let account = |row: Row<'_>| {
        Ok(AccountForm {
            participant: row.needed("participant")?,
            asset: row.needed("asset")?,
            amount: row.decimal("amount"),
            short_limit: match row.decimal("short_limit") {
                None => LimitForm::Zero,
                Some(limit) if limit.text == NO_LIMIT => LimitForm::None,
                Some(limit) => LimitForm::Of(limit),
            },
        })
    };
    let sheet = Sheet::open(content, &ACCOUNTS)?;
    sheet.rows().map(|row| account(row?)).collect()
}

struct Sheet {
    header: Vec<String>,
    /// The line of each record, and the record.
    records: Vec<Result<(usize, StringRecord), Fault>>,
    has_decimal_commas: bool,
}

impl Sheet {
    fn open(content: &str, columns: &Columns) -> Result<Self, Fault> {
        let first = content.lines().next().unwrap_or_default();
        let separator = [b';', b'\t', b','];
        let separator = separator
            .into_iter()
            .find(|byte| first.as_bytes().contains(byte));
        let separator = separator.unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(content.as_bytes());
        let header = reader.headers().map_err(|error| fault(&error))?;
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        check_header(&header, columns)?;
        let record = |record: Result<StringRecord, csv::Error>| {
            let record = record.map_err(|error| fault(&error))?;
            let line = record.position().map_or(1, csv::Position::line);
            Ok((usize::try_from(line).unwrap_or(usize::MAX), record))
        };
        Ok(Self {
            header,
            records: reader.into_records().map(record).collect(),
            has_decimal_commas: separator != b',',
        })
    }

    fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, Fault>> {
        self.records.iter().map(|record| match record {
            Ok((line, record)) => Ok(Row {
                sheet: self,
                record,
                line: *line,
            }),
            Err(fault) => Err(fault.clone()),
        })
    }
}

fn check_header(header: &[String], columns: &Columns) -> Result<(), Fault> {
    for (at, column) in header.iter().enumerate() {
        if !columns
            .needed
            .iter()
            .chain(columns.others)
            .any(|known| known == column)
        {
            let known = [columns.needed, columns.others].concat().join(", ");
            let reason = format!("unknown column; there are {known}");
            return Err(Fault::new(1, column, reason));
        }
        if header[..at].contains(column) {
            return Err(Fault::new(1, column, "there are two columns of this name"));
        }
    }
    let missing = |needed: &&&str| !header.iter().any(|column| column == *needed);
    match columns.needed.iter().find(missing) {
        Some(column) => Err(Fault::new(1, *column, "the column is missing")),
        None => Ok(()),
    }
}

fn fault(error: &csv::Error) -> Fault {
    let line = error.position().map_or(1, csv::Position::line);
    let line = usize::try_from(line).unwrap_or(usize::MAX);
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Fault::new(
            line,
            "",
            format!("{len} fields, but the header has {expected_len}"),
        ),
        _ => Fault::new(line, "", error),
    }
}

struct Row<'s> {
    sheet: &'s Sheet,
    record: &'s StringRecord,
    line: usize,
}

impl Row<'_> {
    /// A cell that is there and not empty.
    fn text(&self, column: &str) -> Option<Text<'static>> {
        let at = self.sheet.header.iter().position(|name| name == column)?;
        let text = self.record.get(at).filter(|text| !text.is_empty())?;
        Some(Text {
            text: Cow::Owned(text.to_owned()),
            line: self.line,
        })
    }

    fn needed(&self, column: &str) -> Result<Text<'static>, Fault> {
        self.text(column).ok_or_else(|| self.missing(column))
    }

    fn missing(&self, column: &str) -> Fault {
        Fault::new(self.line, column, "empty")
    }

    /// A decimal, a comma for the point where commas do not separate cells. One that has both stays as it
    /// is, and is refused: which of them groups digits is anyone's guess.
    fn decimal(&self, column: &str) -> Option<Text<'static>> {
        let mut cell = self.text(column)?;
        if self.sheet.has_decimal_commas && !cell.text.contains('.') {
            cell.text = Cow::Owned(cell.text.replacen(',', ".", 1));
        }
        Some(cell)
    }
}
