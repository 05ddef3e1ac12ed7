//! A file of instructions: CSV or JSON lines, each checked as far as it can be without a server.
//!
//! | form       | told by                            | one line is                                             |
//! |------------|------------------------------------|---------------------------------------------------------|
//! | CSV        | anything else                      | a payment, cover or return of one leg; with a quote, of two |
//! | JSON lines | the first character, `{`           | any instruction                                         |
//!
//! In CSV the debtor instructs, and `quote` is `PROVIDER/ID`: its legs are the quote's, and `asset` and
//! `amount` must be one of its sides. An empty `priority` is normal. `created` is never made up, for sent
//! again it would be other content.

use super::{instruction_json, text};
use fx::{AssetCode, DecimalText};
use serde::Deserialize;
use settlement_core::ids::{Bic, Date, Uetr};
use settlement_core::instruction::{LEGS_MAX, SHORT_TEXT_CHARS_MAX};
use valuta_proto::v1;

/// The columns of the CSV form, in this order.
pub const COLUMNS: [&str; 14] = [
    "uetr",
    "kind",
    "lane",
    "priority",
    "created",
    "value_date",
    "debtor",
    "creditor",
    "asset",
    "amount",
    "instruction_id",
    "end_to_end_id",
    "quote",
    "remittance",
];

/// The columns that may follow, all of them: an empty one is no condition. `approvers` is how many of
/// whom, `2/BBBBDEFF/CCCCJPJT/DDDDGB22`; hashes are hexadecimal; `group` is `ID/MEMBERS`.
pub const CONDITION_COLUMNS: [&str; 6] = [
    "not_before",
    "expires_at",
    "approvers",
    "hash_lock",
    "document_hash",
    "group",
];

/// Of the remittance information, in characters (ISO 20022 Max140Text).
const REMITTANCE_CHARS_MAX: usize = 140;

/// One line's instruction.
#[derive(Debug, PartialEq)]
pub struct Draft {
    /// In the file, from 1.
    pub line: u64,
    /// Ready to be sent, unless `quote` is still to be filled in.
    pub instruction: v1::Instruction,
    /// Provider and id of a CSV line's quote: the server knows its legs.
    pub quote: Option<(String, String)>,
}

/// A line that cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct LineError {
    /// In the file, from 1.
    pub line: u64,
    /// The field, if one is at fault, and the reason.
    pub reason: String,
}

/// Reads the whole file; an error for each line that cannot be sent.
pub fn parse(content: &[u8]) -> (Vec<Draft>, Vec<LineError>) {
    let first = content.iter().find(|byte| !byte.is_ascii_whitespace());
    let lines: Vec<_> = match first {
        Some(b'{') => json_lines(content).collect(),
        _ => csv_lines(content),
    };
    let (mut drafts, mut errors) = (Vec::with_capacity(lines.len()), Vec::new());
    for (line, read) in lines {
        let checked = read.and_then(|draft| check(&draft.instruction).map(|()| draft));
        match checked {
            Ok(draft) => drafts.push(draft),
            Err(reason) => errors.push(LineError { line, reason }),
        }
    }
    (drafts, errors)
}

type Read = (u64, Result<Draft, String>);

fn json_lines(content: &[u8]) -> impl Iterator<Item = Read> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(line, bytes)| {
        let read = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned());
        let read = read.and_then(instruction_json::parse);
        (
            line,
            read.map(|instruction| Draft {
                line,
                instruction,
                quote: None,
            }),
        )
    })
}

#[derive(Deserialize)]
struct Row {
    uetr: String,
    kind: String,
    lane: String,
    priority: String,
    created: String,
    value_date: String,
    debtor: String,
    creditor: String,
    asset: String,
    amount: String,
    instruction_id: String,
    end_to_end_id: String,
    quote: String,
    remittance: String,
    #[serde(default)]
    not_before: String,
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    approvers: String,
    #[serde(default)]
    hash_lock: String,
    #[serde(default)]
    document_hash: String,
    #[serde(default)]
    group: String,
}

/// Whether a header is one of the two that there are.
fn is_header(header: &csv::StringRecord) -> bool {
    let conditional = COLUMNS.iter().chain(&CONDITION_COLUMNS);
    header.iter().eq(COLUMNS) || header.iter().eq(conditional.copied())
}

fn csv_lines(content: &[u8]) -> Vec<Read> {
    let mut reader = csv::Reader::from_reader(content);
    match reader.headers() {
        Ok(headers) if is_header(headers) => {}
        Ok(_) => {
            let (columns, more) = (COLUMNS.join(","), CONDITION_COLUMNS.join(","));
            let reason = format!("the header must be {columns}, or that and {more}");
            return vec![(1, Err(reason))];
        }
        Err(error) => return vec![(1, Err(error.to_string()))],
    }
    let headers = reader.headers().cloned().ok();
    let (mut lines, mut record) = (Vec::new(), csv::StringRecord::new());
    loop {
        let line = reader.position().line();
        let read = match reader.read_record(&mut record) {
            Ok(false) => return lines,
            Ok(true) => record
                .deserialize::<Row>(headers.as_ref())
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let line = record.position().map_or(line, csv::Position::line);
        lines.push((line, read.and_then(|row| row.draft(line))));
    }
}

fn field<T>(name: &str, value: Result<T, String>) -> Result<T, String> {
    value.map_err(|error| format!("field {name}: {error}"))
}

impl Row {
    fn draft(self, line: u64) -> Result<Draft, String> {
        let kind = field("kind", text::parse_kind(&self.kind))?;
        if kind == i32::from(v1::Kind::TradeSide) {
            return Err("field kind: a trade side has two legs: send it as JSON lines".into());
        }
        let conditions = self.conditions()?;
        let quote = match self.quote.as_str() {
            "" => None,
            quote => Some(field("quote", text::parse_quote(quote))?),
        };
        let leg = v1::Leg {
            debtor: self.debtor.clone(),
            creditor: self.creditor,
            amount: self.amount,
            asset: self.asset,
            kind: 0,
        };
        let instruction = v1::Instruction {
            uetr: self.uetr,
            kind,
            lane: field("lane", text::parse_lane(&self.lane))?,
            priority: field("priority", text::parse_priority(&self.priority))?,
            instructing: self.debtor,
            created: Some(field("created", text::parse_time(&self.created))?),
            value_date: self.value_date,
            legs: vec![leg],
            instruction_id: self.instruction_id,
            end_to_end_id: self.end_to_end_id,
            quote_id: quote.as_ref().map(|(_, id)| id.clone()).unwrap_or_default(),
            remittance: self.remittance,
            conditions,
            ..Default::default()
        };
        Ok(Draft {
            line,
            instruction,
            quote,
        })
    }

    fn conditions(&self) -> Result<Option<v1::Conditions>, String> {
        let number = |name: &str, text: &str| {
            let read = text.parse::<u32>();
            field(name, read.map_err(|_| format!("{text:?} is no number")))
        };
        let mut words = self.approvers.split('/').filter(|word| !word.is_empty());
        let approvals_needed = words.next().map(|needed| number("approvers", needed));
        let (group_id, members) = match self.group.rsplit_once('/') {
            Some((id, members)) => (id, number("group", members)?),
            None if self.group.is_empty() => ("", 0),
            None => return Err("field group: not ID/MEMBERS".into()),
        };
        let conditions = instruction_json::Conditions {
            not_before: self.not_before.clone(),
            expires_at: self.expires_at.clone(),
            approvals_needed: approvals_needed.transpose()?.unwrap_or(0),
            approvers: words.map(str::to_owned).collect(),
            hash_lock: self.hash_lock.clone(),
            document_hash: self.document_hash.clone(),
            group_id: group_id.to_owned(),
            group_members: members,
        };
        let wire = conditions.wire()?;
        Ok((wire != v1::Conditions::default()).then_some(wire))
    }
}

/// The forms that need no server; what the scheme must judge is left to it.
fn check(instruction: &v1::Instruction) -> Result<(), String> {
    let form = |name: &str, holds: bool, what: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!("field {name}: {what}"))
        }
    };
    let is_uetr = Uetr::parse(instruction.uetr.as_bytes()).is_some();
    form("uetr", is_uetr, "not a lower-case UUID of version 4")?;
    form("kind", instruction.kind != 0, "empty")?;
    form("lane", instruction.lane != 0, "empty")?;
    let is_bic = |text: &str| Bic::parse(text.as_bytes()).is_some();
    form("instructing", is_bic(&instruction.instructing), "not a BIC")?;
    let is_date = Date::parse(instruction.value_date.as_bytes()).is_some();
    form("value_date", is_date, "not a date like 2026-11-20")?;
    let leg_count = instruction.legs.len();
    form(
        "legs",
        (1..=LEGS_MAX).contains(&leg_count),
        "not 1 to 16 legs",
    )?;
    for (at, leg) in instruction.legs.iter().enumerate() {
        let name = |part: &str| format!("legs[{at}].{part}");
        form(&name("debtor"), is_bic(&leg.debtor), "not a BIC")?;
        form(&name("creditor"), is_bic(&leg.creditor), "not a BIC")?;
        let is_asset = AssetCode::parse(leg.asset.as_bytes()).is_some();
        form(&name("asset"), is_asset, "not an asset's code")?;
        DecimalText::parse(leg.amount.as_bytes())
            .map_err(|error| format!("field {}: {error}", name("amount")))?;
    }
    for (name, id) in [
        ("instruction_id", &instruction.instruction_id),
        ("end_to_end_id", &instruction.end_to_end_id),
        ("quote_id", &instruction.quote_id),
        ("trade_reference", &instruction.trade_reference),
    ] {
        form(
            name,
            id.chars().count() <= SHORT_TEXT_CHARS_MAX,
            "over 35 characters",
        )?;
    }
    let remittance_chars = instruction.remittance.chars().count();
    form(
        "remittance",
        remittance_chars <= REMITTANCE_CHARS_MAX,
        "over 140 characters",
    )
}

/// Gives a CSV line under a quote the quote's two legs.
///
/// # Errors
/// If the line's asset and amount are neither side of the quote.
pub fn fill_in(instruction: &mut v1::Instruction, quote: &v1::Quote) -> Result<(), String> {
    let [leg] = &instruction.legs[..] else {
        return Err("field quote: the line has its legs already".into());
    };
    let is_side =
        |asset: &str, amount: &str| leg.asset == asset && is_same_amount(&leg.amount, amount);
    if !is_side(&quote.source_asset, &quote.source_amount)
        && !is_side(&quote.target_asset, &quote.target_amount)
    {
        return Err(format!(
            "field amount: {} {} is neither {} {} nor {} {} of the quote",
            leg.asset,
            leg.amount,
            quote.source_asset,
            quote.source_amount,
            quote.target_asset,
            quote.target_amount
        ));
    }
    let payment = |debtor: &str, creditor: &str, amount: &str, asset: &str| v1::Leg {
        debtor: debtor.to_owned(),
        creditor: creditor.to_owned(),
        amount: amount.to_owned(),
        asset: asset.to_owned(),
        kind: 0,
    };
    let source = payment(
        &leg.debtor,
        &quote.provider,
        &quote.source_amount,
        &quote.source_asset,
    );
    let target = payment(
        &quote.provider,
        &leg.creditor,
        &quote.target_amount,
        &quote.target_asset,
    );
    instruction.legs = vec![source, target];
    Ok(())
}

/// `10.5` and `10.50` are one amount; both are decimals already.
fn is_same_amount(one: &str, other: &str) -> bool {
    let plain = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEADER: &str = "uetr,kind,lane,priority,created,value_date,debtor,creditor,asset,amount,\
                          instruction_id,end_to_end_id,quote,remittance";
    const GOOD: &str = "eb6305c9-1f7f-49de-aed0-16487c27b42d,payment,gross,,2026-04-13T06:00:00Z,2026-04-13,\
                        AAAAUS33,BBBBDEFF,USD,10.00,I1,E1,,\"rent, April\"";

    fn check_line(line: &str, expected: &str) {
        let (drafts, errors) = parse(format!("{HEADER}\n{line}\n").as_bytes());
        match expected {
            "" => assert_eq!((drafts.len(), errors), (1, vec![])),
            part => {
                assert!(drafts.is_empty(), "{line}");
                assert_eq!((errors.len(), errors[0].line), (1, 2), "{line}");
                assert!(
                    errors[0].reason.contains(part),
                    "{line}: {}",
                    errors[0].reason
                );
            }
        }
    }

    #[test]
    fn each_bad_field_of_a_csv_line_is_named() {
        check_line(GOOD, "");
        for (from, to, part) in [
            ("eb6305c9", "EB6305C9", "field uetr"),
            ("payment", "gift", "field kind"),
            ("payment", "", "field kind: empty"),
            ("payment", "trade_side", "JSON lines"),
            ("gross", "fast", "field lane"),
            ("gross,,", "gross,soon,", "field priority"),
            ("2026-04-13T06:00:00Z", "", "field created"),
            (",2026-04-13,", ",13.4.2026,", "field value_date"),
            ("AAAAUS33", "AAAAUS3", "field instructing"),
            ("BBBBDEFF", "bbbbdeff", "field legs[0].creditor"),
            ("USD", "dollar", "field legs[0].asset"),
            ("10.00", "1e3", "field legs[0].amount"),
            ("10.00", "", "field legs[0].amount"),
            (
                "I1",
                "a-reference-that-is-longer-than-35-characters",
                "field instruction_id",
            ),
            ("E1,,", "E1,Q1,", "field quote"),
            (",\"rent, April\"", "", "record"),
        ] {
            let line = GOOD.replacen(from, to, 1);
            assert_ne!(line, GOOD, "{from}");
            check_line(&line, part);
        }
    }

    #[test]
    fn condition_columns_may_follow() {
        let header = format!("{HEADER},{}", CONDITION_COLUMNS.join(","));
        let conditions = |cells: &str| {
            let (drafts, errors) = parse(format!("{header}\n{GOOD},{cells}\n").as_bytes());
            match &errors[..] {
                [] => Ok(drafts[0].instruction.conditions.clone()),
                errors => Err(errors[0].reason.clone()),
            }
        };
        assert_eq!(conditions(",,,,,"), Ok(None));
        let read = conditions(",,2/BBBBDEFF/CCCCJPJT,ff,,G/3")
            .unwrap()
            .unwrap();
        assert_eq!((read.approvals_needed, read.approvers.len()), (2, 2));
        assert_eq!((read.hash_lock, read.group_members), (vec![255], 3));
        for (cells, part) in [
            ("now,,,,,", "conditions.notBefore"),
            (",,BBBBDEFF,,,", "field approvers"),
            (",,,x,,", "conditions.hashLock"),
            (",,,,,G", "field group"),
        ] {
            let error = conditions(cells).unwrap_err();
            assert!(error.contains(part), "{cells}: {error}");
        }
    }

    #[test]
    fn the_header_is_exact() {
        for header in ["uetr,kind", &HEADER.replace("quote", "quote_id"), ""] {
            let (_, errors) = parse(format!("{header}\n{GOOD}\n").as_bytes());
            assert!(
                errors[0].reason.contains("the header must be"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_line_keeps_its_number_past_others() {
        let bad = GOOD.replace("10.00", "ten");
        let (drafts, errors) = parse(format!("{HEADER}\n{GOOD}\n{bad}\n{GOOD}\n").as_bytes());
        assert_eq!(
            drafts.iter().map(|draft| draft.line).collect::<Vec<_>>(),
            [2, 4]
        );
        assert_eq!(errors[0].line, 3);
    }

    #[test]
    fn json_lines_are_told_by_their_brace() {
        let (_, errors) = parse(b"\n{\"uetr\":1}\n\n{}\n");
        assert_eq!(
            errors.iter().map(|error| error.line).collect::<Vec<_>>(),
            [2, 4]
        );
    }

    #[test]
    fn a_quote_gives_its_legs() {
        let (mut drafts, _) =
            parse(format!("{HEADER}\n{}\n", GOOD.replace("E1,,", "E1,CCCCJPJT/Q1,")).as_bytes());
        let draft = drafts.remove(0);
        assert_eq!(draft.quote, Some(("CCCCJPJT".into(), "Q1".into())));
        let quote = v1::Quote {
            provider: "CCCCJPJT".into(),
            source_asset: "USD".into(),
            source_amount: "10".into(),
            target_asset: "JPY".into(),
            target_amount: "1592".into(),
            ..Default::default()
        };
        let mut instruction = draft.instruction.clone();
        fill_in(&mut instruction, &quote).unwrap();
        let parties: Vec<_> = instruction
            .legs
            .iter()
            .map(|leg| (leg.debtor.as_str(), leg.creditor.as_str()))
            .collect();
        assert_eq!(
            parties,
            [("AAAAUS33", "CCCCJPJT"), ("CCCCJPJT", "BBBBDEFF")]
        );
        let mut instruction = draft.instruction;
        let other = v1::Quote {
            source_amount: "11.00".into(),
            ..quote
        };
        assert!(
            fill_in(&mut instruction, &other)
                .unwrap_err()
                .contains("neither")
        );
    }
}
