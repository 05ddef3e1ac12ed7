//! `explain`, `waiting`, `what-if`, `funding`: why things wait, what would free them, what is needed when.

use super::payments::{STATUS_COLUMNS, status_cells};
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use valuta_proto::v1;
use valuta_proto::v1::change::Change;

/// Most that one call answers.
const PAGE_SIZE_MAX: i32 = 1_000;
/// After the status.
pub const EXPLANATION_COLUMNS: [&str; 10] = [
    "test",
    "behind",
    "binding_test",
    "participant",
    "asset",
    "missing",
    "missing_asset",
    "smallest_pay_in",
    "waits_for",
    "until",
];
const FUNDING_COLUMNS: [&str; 9] = [
    "value_date",
    "participant",
    "asset",
    "held",
    "incoming",
    "outgoing",
    "projected",
    "needed",
    "needed_in_base",
];

/// What `explain` takes.
#[derive(Args)]
pub struct ExplainArgs {
    /// The instruction's UETR
    uetr: String,
}

/// What `waiting` takes.
#[derive(Args)]
pub struct WaitingArgs {
    /// Whose; all, if left out (treasury, auditor and operator)
    #[arg(default_value = "")]
    participant: String,
    /// A cycle, such as 2026-11-23/1; the gross lane, if left out
    #[arg(long, default_value = "")]
    cycle: String,
    /// How many; 0 for all
    #[arg(long, default_value = "100")]
    limit: usize,
}

/// What `what-if` takes; all changes are supposed together.
#[derive(Args)]
pub struct WhatIfArgs {
    /// A cycle, such as 2026-11-23/1; the gross lane, if left out
    #[arg(long, default_value = "")]
    cycle: String,
    /// More money: BIC:ASSET:AMOUNT
    #[arg(long, value_name = "LINE", value_parser = pay_in)]
    pay_in: Vec<v1::Change>,
    /// One more instruction: [PRIORITY:]DEBTOR:CREDITOR:ASSET:AMOUNT, further legs after a +
    #[arg(long, value_name = "LINE", value_parser = add)]
    add: Vec<v1::Change>,
    /// A waiting instruction leaves: its sequence
    #[arg(long, value_name = "SEQUENCE", value_parser = cancel)]
    cancel: Vec<v1::Change>,
    /// A waiting instruction's priority: SEQUENCE:PRIORITY
    #[arg(long, value_name = "LINE", value_parser = reprioritise)]
    prioritise: Vec<v1::Change>,
    /// How short an account may be: BIC:ASSET:AMOUNT; without an amount, without limit
    #[arg(long, value_name = "LINE", value_parser = short_limit)]
    short_limit: Vec<v1::Change>,
    /// What all shorts of a participant may be worth: BIC:AMOUNT; without an amount, not tested
    #[arg(long, value_name = "LINE", value_parser = aggregate)]
    aggregate_short_limit: Vec<v1::Change>,
    /// What one may pay another, net: BIC:COUNTERPARTY:ASSET:AMOUNT; without an amount, no cap
    #[arg(long, value_name = "LINE", value_parser = cap)]
    bilateral_cap: Vec<v1::Change>,
    /// A participant is suspended: its BIC
    #[arg(long, value_name = "BIC", value_parser = suspend)]
    suspend: Vec<v1::Change>,
}

/// What `funding` takes.
#[derive(Args)]
pub struct FundingArgs {
    /// Whose; all, if left out (treasury, auditor and operator)
    #[arg(default_value = "")]
    participant: String,
    /// Value dates, today included
    #[arg(long, default_value = "5")]
    days: u32,
}

fn parts<const N: usize>(line: &str, form: &str) -> Result<[String; N], String> {
    let parts: Vec<String> = line.split(':').map(str::to_owned).collect();
    parts
        .try_into()
        .map_err(|_| format!("{line:?} is not of the form {form}"))
}

fn made(change: Change) -> Result<v1::Change, String> {
    Ok(v1::Change {
        change: Some(change),
    })
}

fn account_amount(line: &str) -> Result<v1::AccountAmount, String> {
    let [participant, asset, amount] = parts(line, "BIC:ASSET:AMOUNT")?;
    Ok(v1::AccountAmount {
        participant,
        asset,
        amount,
        counterparty: String::new(),
    })
}

fn pay_in(line: &str) -> Result<v1::Change, String> {
    made(Change::PayIn(account_amount(line)?))
}

fn short_limit(line: &str) -> Result<v1::Change, String> {
    made(Change::ShortLimit(account_amount(line)?))
}

fn aggregate(line: &str) -> Result<v1::Change, String> {
    let [participant, amount] = parts(line, "BIC:AMOUNT")?;
    made(Change::AggregateShortLimit(v1::AccountAmount {
        participant,
        amount,
        ..Default::default()
    }))
}

fn cap(line: &str) -> Result<v1::Change, String> {
    let [participant, counterparty, asset, amount] = parts(line, "BIC:COUNTERPARTY:ASSET:AMOUNT")?;
    made(Change::BilateralCap(v1::AccountAmount {
        participant,
        asset,
        amount,
        counterparty,
    }))
}

fn sequence(text: &str) -> Result<u64, String> {
    let number = text.trim_start_matches('#').parse();
    number.map_err(|_| format!("{text:?} is no sequence"))
}

fn cancel(text: &str) -> Result<v1::Change, String> {
    made(Change::Cancel(sequence(text)?))
}

fn reprioritise(line: &str) -> Result<v1::Change, String> {
    let [instruction, priority] = parts(line, "SEQUENCE:PRIORITY")?;
    made(Change::Reprioritise(v1::Reprioritise {
        instruction: sequence(&instruction)?,
        priority: text::parse_priority(&priority)?,
    }))
}

fn suspend(bic: &str) -> Result<v1::Change, String> {
    made(Change::Suspend(bic.to_owned()))
}

fn add(line: &str) -> Result<v1::Change, String> {
    const FORM: &str = "[PRIORITY:]DEBTOR:CREDITOR:ASSET:AMOUNT";
    let (first, _) = line.split_once(':').unwrap_or((line, ""));
    let (priority, legs) = match text::parse_priority(first) {
        Ok(priority) => (priority, &line[(first.len() + 1).min(line.len())..]),
        Err(_) => (0, line),
    };
    let leg = |line: &str| {
        let [debtor, creditor, asset, amount] = parts(line.trim(), FORM)?;
        Ok(v1::Leg {
            debtor,
            creditor,
            asset,
            amount,
            ..Default::default()
        })
    };
    made(Change::Add(v1::Instruction {
        priority,
        legs: legs.split('+').map(leg).collect::<Result<_, String>>()?,
        ..Default::default()
    }))
}

/// Runs `explain`; nothing that waits is no error.
pub async fn explain(
    args: ExplainArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::ExplainRequest {
        uetr: args.uetr,
        min_sequence: 0,
    };
    let answer = connection.treasury().explain(request).await?.into_inner();
    print(format, &[explanations("waiting", answer.explanations)]);
    Ok(())
}

/// Runs `waiting`.
pub async fn waiting(
    args: WaitingArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let wanted = if args.limit == 0 {
        usize::MAX
    } else {
        args.limit
    };
    let mut request = v1::ListWaitingRequest {
        cycle: args.cycle,
        participant: args.participant,
        page_size: i32::try_from(wanted)
            .unwrap_or(PAGE_SIZE_MAX)
            .min(PAGE_SIZE_MAX),
        ..Default::default()
    };
    let mut treasury = connection.treasury();
    let mut waiting = Vec::new();
    loop {
        let page = treasury.list_waiting(request.clone()).await?.into_inner();
        waiting.extend(page.waiting);
        if page.next_page_token.is_empty() || waiting.len() >= wanted {
            break;
        }
        request.page_token = page.next_page_token;
    }
    waiting.truncate(wanted);
    print(format, &[explanations("waiting", waiting)]);
    Ok(())
}

/// A section of explanations.
pub fn explanations(key: &'static str, explanations: Vec<v1::Explanation>) -> Section {
    let columns = [&STATUS_COLUMNS[..], &EXPLANATION_COLUMNS].concat();
    let rows = explanations.into_iter().map(explanation_cells).collect();
    Section::rows(key, &columns, rows)
}

fn explanation_cells(explanation: v1::Explanation) -> Vec<Cell> {
    let behind = match explanation.behind {
        0 => Cell::text(""),
        behind => Cell::Count(behind),
    };
    let until = explanation
        .awaited
        .as_ref()
        .and_then(|awaited| awaited.until);
    let mut cells = status_cells(&explanation.status.unwrap_or_default());
    cells.extend([
        Cell::text(explanation.test),
        behind,
        Cell::text(explanation.binding_test),
        Cell::text(explanation.participant),
        Cell::text(explanation.asset),
        Cell::amount(explanation.missing),
        Cell::text(explanation.missing_asset),
        Cell::amount(explanation.smallest_pay_in),
        Cell::text(
            explanation
                .awaited
                .as_ref()
                .map_or_else(String::new, waits_for),
        ),
        Cell::text(text::time(until.as_ref())),
    ]);
    cells
}

/// What is still missing, each thing after the other.
fn waits_for(awaited: &v1::Awaited) -> String {
    let mut missing = Vec::new();
    let progress = awaited.progress.clone().unwrap_or_default();
    if progress.approvals_outstanding > 0 {
        let of = progress.approvals_missing.join(", ");
        missing.push(format!("{} more of {of}", progress.approvals_outstanding));
    }
    if !awaited.hash_lock.is_empty() {
        let hash: String = awaited
            .hash_lock
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        missing.push(format!("the preimage of {hash}"));
    }
    if awaited.not_before.is_some() {
        missing.push(format!(
            "not before {}",
            text::time(awaited.not_before.as_ref())
        ));
    }
    if awaited.group_missing > 0 {
        let (group, members) = (&awaited.group_id, awaited.group_members);
        missing.push(format!(
            "{} of {members} of group {group}",
            awaited.group_missing
        ));
    }
    missing.join("; ")
}

/// Runs `what-if`.
pub async fn what_if(
    args: WhatIfArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let changes = [
        args.short_limit,
        args.aggregate_short_limit,
        args.bilateral_cap,
        args.prioritise,
        args.cancel,
        args.suspend,
        args.pay_in,
        args.add,
    ];
    let request = v1::WhatIfRequest {
        cycle: args.cycle,
        changes: changes.concat(),
        min_sequence: 0,
    };
    let answer = connection.treasury().what_if(request).await?.into_inner();
    show_what_if(&answer, format);
    Ok(())
}

fn show_what_if(answer: &v1::WhatIfResponse, format: Format) {
    let totals = [("now", &answer.before), ("if", &answer.after)];
    let totals = totals.into_iter().map(|(name, totals)| {
        let totals = totals.clone().unwrap_or_default();
        vec![
            Cell::text(name),
            Cell::Count(totals.settled),
            Cell::Count(totals.waiting),
            Cell::amount(totals.settled_value),
            Cell::amount(totals.needed_value),
            Cell::text(&answer.base_asset),
        ]
    });
    let statuses = |statuses: &[v1::InstructionStatus]| statuses.iter().map(status_cells).collect();
    let closing = answer.closing.iter().map(|change| {
        vec![
            Cell::text(&change.participant),
            Cell::text(&change.asset),
            Cell::amount(&change.before),
            Cell::amount(&change.after),
        ]
    });
    let added = answer
        .added
        .iter()
        .map(|settles| vec![Cell::Flag(*settles)]);
    let cost = vec![
        ("sequence", Cell::Count(answer.sequence)),
        ("funding_in_base", Cell::amount(&answer.funding_in_base)),
        ("base_asset", Cell::text(&answer.base_asset)),
    ];
    let columns = [
        "run",
        "settled",
        "waiting",
        "settled_value",
        "needed_value",
        "base_asset",
    ];
    let account = ["participant", "asset", "before", "after"];
    let mut sections = vec![
        Section::record("cost", cost),
        Section::rows("totals", &columns, totals.collect()),
    ];
    let mut add = |key, columns: &[&'static str], rows: Vec<Vec<Cell>>| {
        // People need no empty tables; jobs read every key.
        if format != Format::Table || !rows.is_empty() {
            sections.push(Section::rows(key, columns, rows));
        }
    };
    add("settles", &STATUS_COLUMNS, statuses(&answer.settles));
    add("waits", &STATUS_COLUMNS, statuses(&answer.waits));
    add("added", &["settles"], added.collect());
    add("closing", &account, closing.collect());
    print(format, &sections);
}

/// Runs `funding`.
pub async fn funding(
    args: FundingArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetProjectedFundingRequest {
        participant: args.participant,
        days: args.days,
        min_sequence: 0,
    };
    let answer = connection.treasury().get_projected_funding(request).await?;
    let answer = answer.into_inner();
    let as_of = vec![
        ("sequence", Cell::Count(answer.sequence)),
        ("time", Cell::text(text::time(answer.time.as_ref()))),
        ("base_asset", Cell::text(&answer.base_asset)),
    ];
    let rows = answer.rows.iter().map(|row| {
        vec![
            Cell::text(&row.value_date),
            Cell::text(&row.participant),
            Cell::text(&row.asset),
            Cell::amount(&row.held),
            Cell::amount(&row.incoming),
            Cell::amount(&row.outgoing),
            Cell::amount(&row.projected),
            Cell::amount(&row.needed),
            Cell::amount(&row.needed_in_base),
        ]
    });
    let sections = [
        Section::record("as_of", as_of),
        Section::rows("funding", &FUNDING_COLUMNS, rows.collect()),
    ];
    print(format, &sections);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(read: fn(&str) -> Result<v1::Change, String>, line: &str, expected: &str) {
        let found = match read(line) {
            Ok(change) => format!("{:?}", change.change.unwrap()),
            Err(error) => error,
        };
        assert!(found.contains(expected), "{line}: {found}");
    }

    #[test]
    fn changes_are_read_from_lines() {
        check(pay_in, "AAAAUS33:USD:5.00", "amount: \"5.00\"");
        check(
            pay_in,
            "AAAAUS33:USD",
            "is not of the form BIC:ASSET:AMOUNT",
        );
        check(short_limit, "AAAAUS33:USD:", "amount: \"\"");
        check(aggregate, "AAAAUS33:7", "AggregateShortLimit");
        check(cap, "A:B:USD:1", "counterparty: \"B\"");
        check(cancel, "#12", "Cancel(12)");
        check(cancel, "x", "is no sequence");
        check(reprioritise, "12:urgent", "instruction: 12");
        check(suspend, "AAAAUS33", "Suspend(\"AAAAUS33\")");
        check(add, "A:B:USD:1.00", "amount: \"1.00\"");
        check(add, "urgent:A:B:USD:1.00 + B:A:EUR:2.00", "Urgent");
        check(add, "urgent:A:B:USD:1.00 + B:A:EUR:2.00", "asset: \"EUR\"");
        check(add, "urgent", "is not of the form");
    }

    #[test]
    fn what_is_awaited_is_told() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        for (awaited, expected) in [
            (v1::Awaited::default(), ""),
            (
                v1::Awaited {
                    progress: Some(v1::ConditionsProgress {
                        approved_by: vec!["AAAAUS33".to_owned()],
                        approvals_missing: vec!["BBBBDEFF".to_owned(), "CCCCJPJT".to_owned()],
                        approvals_outstanding: 1,
                        ..Default::default()
                    }),
                    hash_lock: vec![0xab, 0x01],
                    ..Default::default()
                },
                "1 more of BBBBDEFF, CCCCJPJT; the preimage of ab01",
            ),
            (
                v1::Awaited {
                    not_before: time(1_795_165_200),
                    group_id: "g".to_owned(),
                    group_members: 3,
                    group_missing: 2,
                    ..Default::default()
                },
                "not before 2026-11-20T09:00:00Z; 2 of 3 of group g",
            ),
        ] {
            assert_eq!(waits_for(&awaited), expected);
        }
    }
}
