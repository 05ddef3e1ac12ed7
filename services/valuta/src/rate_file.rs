//! Files of rates: the ECB's own CSV or ZIP, one day or the whole history, or JSON.
//!
//! | begins with | is                                                                         |
//! |-------------|----------------------------------------------------------------------------|
//! | `PK`        | a ZIP archive with one CSV file of the ECB in it                           |
//! | `{`         | JSON: `{"EUR/USD":"1.1684"}`, rates as text, of one instant that it does not name |
//! | else        | a CSV file of the ECB                                                      |
//!
//! An error names the file, the line, the column or field, and the reason.

use crate::client::CliError;
use chrono::NaiveDate;
use fx::{
    AssetCode, Pair, Rate, RateBook, RateQuote, ReferenceDay, ReferenceRates, known_minor_units,
};
use rust_decimal::Decimal;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, Read};
use std::path::Path;

/// Of the file that an archive inflates to; the whole history has 2 MB.
const INFLATED_BYTES_MAX: u64 = 64 << 20;
/// What a ZIP archive begins with.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// The source that rates of a file have in a book.
const SOURCE: &str = "file";
/// What the ECB's rates are of one of.
pub const EURO: AssetCode = AssetCode::parse(b"EUR").expect("EUR is a code");

/// What is in a file.
pub enum RateFile {
    /// The ECB's.
    Reference(ReferenceRates),
    /// JSON: rates by pair, as they were written.
    Pairs(BTreeMap<Pair, String>),
}

/// The rates of one instant.
pub struct DayRates {
    /// The day, where the file says it.
    pub date: Option<NaiveDate>,
    /// Every rate, the euro's irrevocable ones too where they hold and the file has no other.
    pub book: RateBook,
}

impl RateFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CliError::Usage`]: one line that names the file and the place.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let bytes = std::fs::read(path).map_err(|error| CliError::file(path, &error))?;
        Self::parse(&bytes).map_err(|reason| named(path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let inflated = if bytes.starts_with(ZIP_MAGIC) {
            Some(inflate(bytes)?)
        } else {
            None
        };
        let bytes = inflated.as_deref().unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| not_text(bytes, &error))?;
        if text.trim_start().starts_with('{') {
            return parse_pairs(text).map(Self::Pairs);
        }
        let rates = ReferenceRates::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::Reference(rates))
    }

    /// The rates of a day; without one, of the newest in the file.
    ///
    /// # Errors
    /// A day without rates; a date for a file that has none.
    pub fn rates(&self, date: Option<NaiveDate>) -> Result<DayRates, String> {
        match self {
            Self::Reference(rates) => {
                let day = date.map_or(Ok(rates.newest()), |date| rates.day(date));
                Ok(reference_rates(day.map_err(|error| error.to_string())?))
            }
            Self::Pairs(_) if date.is_some() => {
                Err("the rates of a JSON file have no date: leave --date out".into())
            }
            Self::Pairs(pairs) => Ok(pair_rates(pairs)),
        }
    }
}

/// An error in a file.
pub fn named(path: &Path, reason: impl fmt::Display) -> CliError {
    CliError::Usage(format!("{}: {reason}", path.display()))
}

fn not_text(bytes: &[u8], error: &std::str::Utf8Error) -> String {
    let good = &bytes[..error.valid_up_to()];
    let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
    format!("line {line}: neither text in UTF-8 nor a ZIP archive")
}

/// The one CSV file in an archive.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("not a ZIP archive: {error}"))?;
    if archive.len() != 1 {
        return Err(format!(
            "the archive has {} files; the ECB's has one",
            archive.len()
        ));
    }
    let file = archive.by_index(0).map_err(|error| error.to_string())?;
    let mut inflated = Vec::new();
    // What the header says of the size is not trusted.
    file.take(INFLATED_BYTES_MAX + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| format!("a damaged ZIP archive: {error}"))?;
    if inflated.len() as u64 > INFLATED_BYTES_MAX {
        return Err("the archive inflates to more than 64 MiB".to_owned());
    }
    Ok(inflated)
}

fn reference_rates(day: ReferenceDay<'_>) -> DayRates {
    let mut book = RateBook::new();
    for (code, rate) in day.rates() {
        let rate = Decimal::new(rate.mantissa, rate.scale.into());
        insert(&mut book, euro_pair(code), rate);
    }
    add_irrevocable(&mut book, Some(day.date()));
    DayRates {
        date: Some(day.date()),
        book,
    }
}

fn pair_rates(pairs: &BTreeMap<Pair, String>) -> DayRates {
    let mut book = RateBook::new();
    for (pair, rate) in pairs {
        let rate = Decimal::from_str_exact(rate).expect("checked when it was read");
        insert(&mut book, *pair, rate);
    }
    add_irrevocable(&mut book, None);
    DayRates { date: None, book }
}

/// `EUR/code`.
pub fn euro_pair(code: AssetCode) -> Pair {
    Pair {
        base: EURO,
        quote: code,
    }
}

/// The irrevocable rates that hold on a day, or at all, of currencies that have no rate yet.
fn add_irrevocable(book: &mut RateBook, date: Option<NaiveDate>) {
    for fixed in fx::all_replaced_by_euro() {
        let pair = euro_pair(fixed.currency);
        let is_given = book
            .iter()
            .any(|held| held.pair().is_of(EURO, fixed.currency));
        let holds = date.is_none_or(|date| date >= fixed.from);
        if holds && !is_given {
            insert(book, pair, fixed.rate.decimal());
        }
    }
}

fn insert(book: &mut RateBook, pair: Pair, rate: Decimal) {
    let quote = RateQuote::new(pair, rate, rate, 0, SOURCE).expect("checked when it was read");
    let before = book.insert(quote).expect("a pair is held in one order");
    assert!(before.is_none(), "a pair has one rate");
}

fn parse_pairs(text: &str) -> Result<BTreeMap<Pair, String>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = PairsSeed.deserialize(&mut reader);
    let pairs = pairs.and_then(|pairs| reader.end().map(|()| pairs));
    pairs.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let reason = text.strip_suffix(&place).unwrap_or(&text);
        format!("line {line}, column {column}: {reason}")
    })
}

struct PairsSeed;

impl<'de> DeserializeSeed<'de> for PairsSeed {
    type Value = BTreeMap<Pair, String>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PairsSeed {
    type Value = BTreeMap<Pair, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rates by pair, such as {\"EUR/USD\":\"1.1684\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let in_field = |reason: String| A::Error::custom(format!("field {key:?}: {reason}"));
            let pair = parse_pair(&key).map_err(in_field)?;
            if pairs.contains_key(&pair) {
                return Err(in_field("comes twice".into()));
            }
            if pairs.contains_key(&pair.inverse()) {
                return Err(in_field(format!("{} came before", pair.inverse())));
            }
            let rate = map.next_value_seed(RateSeed(&key))?;
            pairs.insert(pair, rate);
        }
        if pairs.is_empty() {
            return Err(A::Error::custom("there is no rate"));
        }
        Ok(pairs)
    }
}

fn parse_pair(text: &str) -> Result<Pair, String> {
    let pair = Pair::parse(text).map_err(|error| error.to_string())?;
    for code in [pair.base, pair.quote] {
        if known_minor_units(code).is_none() {
            return Err(format!("the currency {code} is not known"));
        }
    }
    Ok(pair)
}

/// A rate as text; the key is for messages.
struct RateSeed<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for RateSeed<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_any(self)
    }
}

impl RateSeed<'_> {
    fn number<E: serde::de::Error>(&self) -> Result<String, E> {
        let key = self.0;
        Err(E::custom(format!(
            "field {key:?}: a rate is text, such as \"1.1684\"; a number would not be exact"
        )))
    }
}

impl Visitor<'_> for RateSeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "in field {:?} a rate as text, such as \"1.1684\"",
            self.0
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        let in_field = |error| E::custom(format!("field {:?}: {text:?}: {error}", self.0));
        Rate::parse(text).map_err(in_field)?;
        Ok(text.to_owned())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<String, E> {
        self.number()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<String, E> {
        self.number()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<String, E> {
        self.number()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    const CSV: &str = "Date,USD,JPY,SIT,TRL,\n2026-04-13,1.1684,186.75,N/A,N/A,\n2004-12-31,1.3621,139.65,239.76,1836200,\n";

    fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn rate(file: &RateFile, date: Option<&str>, pair: &str) -> String {
        let date = date.map(|date| date.parse().unwrap());
        let rates = match file.rates(date) {
            Ok(rates) => rates,
            Err(error) => return error,
        };
        let found = rates.book.cross(pair.parse().unwrap(), fx::Price::Mid);
        found.map_or_else(|error| error.to_string(), |cross| cross.rate.to_text(12))
    }

    #[test]
    fn reads_each_kind_of_file() {
        let csv = RateFile::parse(CSV.as_bytes()).unwrap();
        let zip = RateFile::parse(&zipped(&[("eurofxref-hist.csv", CSV)])).unwrap();
        for file in [csv, zip] {
            for (date, pair, expected) in [
                (None, "USD/JPY", "159.833960972"),
                (None, "EUR/SIT", "239.64"),
                (None, "DEM/USD", "0.59739343399"),
                (None, "EUR/TRL", "there is no rate of EUR/TRL"),
                (Some("2004-12-31"), "EUR/SIT", "239.76"),
                (Some("2004-12-31"), "USD/TRL", "1348065.48712"),
                (Some("2004-12-31"), "EUR/SKK", "there is no rate of EUR/SKK"),
                (
                    Some("2026-04-12"),
                    "EUR/USD",
                    "there are no rates of 2026-04-12; the last day before it with rates is 2004-12-31",
                ),
            ] {
                assert_eq!(rate(&file, date, pair), expected, "{date:?} {pair}");
            }
        }
        let json = RateFile::parse(br#" {"EUR/USD":"1.1684", "USD/JPY":"160", "HRK/EUR":"0.13"}"#);
        let json = json.unwrap();
        for (date, pair, expected) in [
            (None, "JPY/EUR", "0.005349195481"),
            (None, "DEM/USD", "0.59739343399"),
            (None, "HRK/EUR", "0.13"),
            (
                Some("2026-04-13"),
                "EUR/USD",
                "the rates of a JSON file have no date: leave --date out",
            ),
        ] {
            assert_eq!(rate(&json, date, pair), expected, "{pair}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let archive = zipped(&[("a.csv", CSV), ("b.csv", CSV)]);
        let number = "a rate is text, such as \"1.1684\"; a number would not be exact";
        for (bytes, expected) in [
            (
                &b"Date,USD,\n2026-04-13,x,\n"[..],
                "line 2, column USD: \"x\": ",
            ),
            (b"Date\n\xff", "line 2: neither text in UTF-8"),
            (b"PK\x03\x04", "not a ZIP archive: "),
            (&archive, "the archive has 2 files"),
            (b"", "line 1, column Date: the file is empty"),
            (b"{}", "line 1, column 2: there is no rate"),
            (
                b"{\"EUR/USD\":1.1684}",
                &format!("line 1, column 17: field \"EUR/USD\": {number}"),
            ),
            (
                b"{\n\"EUR/USD\": 1}",
                &format!("line 2, column 12: field \"EUR/USD\": {number}"),
            ),
            (
                b"{\"EUR/USD\":\"1\",\"EUR/USD\":\"1\"}",
                "line 1, column 24: field \"EUR/USD\": comes twice",
            ),
            (
                b"{\"EUR/USD\":\"1\",\"USD/EUR\":\"1\"}",
                "line 1, column 24: field \"USD/EUR\": EUR/USD came before",
            ),
            (
                b"{\"EUR/USD\":\"0\"}",
                "line 1, column 14: field \"EUR/USD\": \"0\": the rate is not above zero",
            ),
            (
                b"{\"EUR/ZZZ\":\"1\"}",
                "line 1, column 10: field \"EUR/ZZZ\": the currency ZZZ is not known",
            ),
            (
                b"{\"EURUSD\":\"1\"}",
                "line 1, column 9: field \"EURUSD\": a pair is BASE/QUOTE",
            ),
            (
                b"{\"EUR/USD\":null}",
                "line 1, column 15: invalid type: null, expected in field \"EUR/USD\" a rate",
            ),
            (
                b"{\"EUR/USD\":\"1\"} x",
                "line 1, column 17: trailing characters",
            ),
            (
                b"{\"EUR/USD\":\"1\"",
                "line 1, column 14: EOF while parsing",
            ),
        ] {
            let error = RateFile::parse(bytes).err().unwrap();
            assert!(error.starts_with(expected), "{error:?} is not {expected:?}");
        }
    }
}
