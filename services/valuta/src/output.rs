//! How answers are printed: a table for people, JSON and CSV for jobs.
//!
//! A [`Report`] is sections of rows. Column names are the JSON keys and the CSV header, and stay as they
//! are: jobs read them. Amounts are text everywhere, never floats; in tables their digits are grouped.
//!
//! | format | one section                         | more sections                       |
//! |--------|-------------------------------------|-------------------------------------|
//! | table  | aligned, a record as two columns    | with their titles                   |
//! | json   | an array; a record is an object     | an object with a key for each       |
//! | csv    | a header and rows                   | with an empty line between          |

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// An error and its causes in one line. Many of ours say their cause themselves: none is said twice.
pub fn causes(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    line
}

/// What `--output` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Aligned columns
    Table,
    /// One document; a watch prints one line for each change
    Json,
    /// A header and rows
    Csv,
}

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Any text; an empty one is `null` in JSON.
    Text(String),
    /// A decimal in major units.
    Amount(String),
    /// A whole number.
    Count(u64),
    /// Yes or no.
    Flag(bool),
}

impl Cell {
    /// Text of anything.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A decimal in major units, as the server wrote it.
    pub fn amount(text: impl Into<String>) -> Self {
        Self::Amount(text.into())
    }

    fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Amount(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Amount(text) => group_digits(text),
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Self::Text(_) | Self::Count(_) => self.plain(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) | Self::Amount(text) if text.is_empty() => Value::Null,
            Self::Text(text) | Self::Amount(text) => json!(text),
            Self::Count(count) => json!(count),
            Self::Flag(flag) => json!(flag),
        }
    }
}

/// Rows under one name.
#[derive(Clone, Debug)]
pub struct Section {
    key: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    is_record: bool,
}

impl Section {
    /// Rows, each as long as `columns`.
    pub fn rows(key: &'static str, columns: &[&'static str], rows: Vec<Vec<Cell>>) -> Self {
        Self {
            key,
            columns: columns.to_vec(),
            rows,
            is_record: false,
        }
    }

    /// One thing's fields.
    pub fn record(key: &'static str, fields: Vec<(&'static str, Cell)>) -> Self {
        let (columns, row) = fields.into_iter().unzip();
        Self {
            key,
            columns,
            rows: vec![row],
            is_record: true,
        }
    }

    fn object(&self, row: &[Cell]) -> Value {
        let fields = self.columns.iter().zip(row);
        let fields = fields.map(|(key, cell)| ((*key).to_owned(), cell.json()));
        Value::Object(fields.collect::<Map<_, _>>())
    }

    /// The record, or the rows.
    pub fn json(&self) -> Value {
        match (&self.rows[..], self.is_record) {
            ([row], true) => self.object(row),
            (rows, _) => Value::Array(rows.iter().map(|row| self.object(row)).collect()),
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.is_record {
            for (column, cell) in self.columns.iter().zip(self.rows.iter().flatten()) {
                table.add_row(vec![title(column), cell.shown()]);
            }
        } else {
            table.set_header(self.columns.iter().map(|column| title(column)));
            for row in &self.rows {
                table.add_row(row.iter().map(Cell::shown));
            }
            self.align(&mut table);
        }
        let lines = table.lines().map(|line| line.trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Numbers to the right.
    fn align(&self, table: &mut Table) {
        for at in 0..self.columns.len() {
            let is_number =
                |row: &Vec<Cell>| matches!(row.get(at), Some(Cell::Amount(_) | Cell::Count(_)));
            if self.rows.iter().any(is_number)
                && let Some(column) = table.column_mut(at)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// One line of a watch: its columns cannot wait for the rows to come, so they have fixed widths.
    fn padded(&self, cells: impl Iterator<Item = String>) -> String {
        let cells = self
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| match *column {
                "uetr" => format!("{cell:<36}"),
                "amount" => format!("{cell:>20}"),
                "time" => format!("{cell:<24}"),
                _ => format!("{cell:<width$}", width = title(column).len().max(10)),
            });
        let line: Vec<String> = cells.collect();
        line.join("  ").trim_end().to_owned()
    }

    /// Only these columns, in this order.
    #[must_use]
    pub fn only(mut self, wanted: &[&'static str]) -> Self {
        let places: Vec<usize> = wanted
            .iter()
            .filter_map(|wanted| self.columns.iter().position(|column| column == wanted))
            .collect();
        self.columns = places.iter().map(|&at| self.columns[at]).collect();
        for row in &mut self.rows {
            *row = places.iter().map(|&at| row[at].clone()).collect();
        }
        self
    }

    fn csv(&self, out: &mut impl Write, with_header: bool) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if with_header {
            writer.write_record(&self.columns)?;
        }
        for row in &self.rows {
            writer.write_record(row.iter().map(Cell::plain))?;
        }
        writer.flush()
    }
}

fn title(key: &str) -> String {
    key.replace('_', " ")
}

/// `-1234567.80` as `-1,234,567.80`; anything that is no decimal stays as it is.
pub fn group_digits(text: &str) -> String {
    let (sign, rest) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest
        .split_once('.')
        .map_or((rest, None), |(w, f)| (w, Some(f)));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut grouped = String::with_capacity(text.len() + text.len() / 3);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_some() { "." } else { "" };
    format!("{sign}{grouped}{point}{}", fraction.unwrap_or_default())
}

/// Prints a whole answer.
pub fn print(format: Format, sections: &[Section]) {
    emit(|out| write(out, format, sections));
}

/// Prints a text as it is.
pub fn print_text(text: &str) {
    emit(|out| out.write_all(text.as_bytes()));
}

/// Prints one section of a watch: JSON as lines, and a CSV or table header only where `is_first`.
pub fn print_next(format: Format, section: &Section, is_first: bool) {
    emit(|out| match format {
        Format::Csv => section.csv(out, is_first),
        Format::Table => {
            if is_first {
                let titles = section.columns.iter().map(|key| title(key));
                writeln!(out, "{}", section.padded(titles))?;
            }
            for row in &section.rows {
                writeln!(out, "{}", section.padded(row.iter().map(Cell::shown)))?;
            }
            Ok(())
        }
        Format::Json => section
            .rows
            .iter()
            .try_for_each(|row| writeln!(out, "{}", section.object(row))),
    });
}

/// A reader that has seen enough (`| head`) is no error; there is nowhere to report another one.
fn emit(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) {
    let mut out = io::stdout().lock();
    let written = write(&mut out).and_then(|()| out.flush());
    if written.is_err() {
        std::process::exit(0);
    }
}

fn write(out: &mut impl Write, format: Format, sections: &[Section]) -> io::Result<()> {
    match format {
        Format::Json => {
            let document = match sections {
                [section] => section.json(),
                sections => Value::Object(
                    sections
                        .iter()
                        .map(|section| (section.key.to_owned(), section.json()))
                        .collect(),
                ),
            };
            writeln!(out, "{document:#}")
        }
        Format::Csv => {
            for (at, section) in sections.iter().enumerate() {
                if at > 0 {
                    writeln!(out)?;
                }
                section.csv(out, true)?;
            }
            Ok(())
        }
        Format::Table => {
            for (at, section) in sections.iter().enumerate() {
                if at > 0 {
                    writeln!(out, "\n{}", title(section.key))?;
                }
                writeln!(out, "{}", section.table())?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_cause_is_said_twice() {
        let broken = || anyhow::anyhow!("connection refused");
        for (error, line) in [
            (broken(), "connection refused"),
            (
                broken().context("PostgreSQL"),
                "PostgreSQL: connection refused",
            ),
            (
                broken()
                    .context("read model x: connection refused")
                    .context("projector"),
                "projector: read model x: connection refused",
            ),
        ] {
            assert_eq!(causes(&error), line);
        }
    }

    fn printed(format: Format, sections: &[Section]) -> String {
        let mut out = Vec::new();
        write(&mut out, format, sections).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn positions() -> Section {
        let row = |asset: &str, balance: &str| {
            vec![
                Cell::text(asset),
                Cell::amount(balance),
                Cell::Count(3),
                Cell::Flag(true),
            ]
        };
        Section::rows(
            "positions",
            &["asset", "balance", "queued", "in_cycle"],
            vec![row("USD", "1234567.80"), row("JPY", "-5")],
        )
    }

    #[test]
    fn a_table_groups_digits_and_aligns_them_right() {
        let text = printed(Format::Table, &[positions()]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("in cycle"), "{text}");
        assert!(lines[1].contains("1,234,567.80"), "{text}");
        let end = |line: &str, value: &str| line.find(value).unwrap() + value.len();
        assert_eq!(end(lines[1], "567.80"), end(lines[2], "-5"), "{text}");
    }

    #[test]
    fn json_keeps_amounts_as_text() {
        let value: Value = serde_json::from_str(&printed(Format::Json, &[positions()])).unwrap();
        assert_eq!(value[0]["balance"], json!("1234567.80"));
        assert_eq!(value[0]["queued"], json!(3));
        let record = Section::record("status", vec![("scheme", Cell::text(""))]);
        let value: Value =
            serde_json::from_str(&printed(Format::Json, &[positions(), record])).unwrap();
        assert_eq!(value["status"]["scheme"], Value::Null);
        assert_eq!(value["positions"][1]["balance"], json!("-5"));
    }

    #[test]
    fn csv_has_a_header_and_plain_values() {
        assert_eq!(
            printed(Format::Csv, &[positions()]),
            "asset,balance,queued,in_cycle\nUSD,1234567.80,3,true\nJPY,-5,3,true\n"
        );
    }

    #[test]
    fn digits_are_grouped_from_the_point() {
        for (text, grouped) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.891", "-1,234,567.891"),
            ("", ""),
            ("n/a", "n/a"),
        ] {
            assert_eq!(group_digits(text), grouped);
        }
    }
}
