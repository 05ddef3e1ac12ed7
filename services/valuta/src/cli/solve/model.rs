//! A queue file as the core's problem, whose accounts and units are numbered as the file's are.

use crate::cli::queue_file::QueueFile;
use settlement_core::run::{AssetValue, Problem, ProblemError, Span};

/// The problem of a file.
///
/// # Errors
/// What the core cannot number; nothing else is left for it to refuse.
pub fn problem(file: &QueueFile) -> Result<Problem, ProblemError> {
    let balances = file
        .accounts
        .iter()
        .map(|account| account.balance)
        .collect();
    let floors = file.accounts.iter().map(|account| account.floor).collect();
    let spans = spans(file);
    let base = file
        .base
        .map_or(0, |base| file.assets[base as usize].decimals);
    let mut problem = Problem::new(balances, floors)?;
    if !spans.is_empty() {
        problem =
            problem.with_spans(base, valued(file).map(|(_, value)| value).collect(), spans)?;
    }
    let mut problem = problem.with_caps(file.caps.clone())?;
    for unit in 0..file.units.len() {
        let unit = u32::try_from(unit).expect("numbered by the file");
        let legs: Vec<_> = file.unit_legs(unit).copied().collect();
        problem.push_unit(&legs)?;
    }
    Ok(problem)
}

/// Assets that have a rate, by place in the file.
fn valued(file: &QueueFile) -> impl Iterator<Item = (u32, AssetValue)> {
    (0..).zip(&file.assets).filter_map(|(place, asset)| {
        let value = AssetValue {
            rate: asset.rate?,
            haircut: asset.haircut,
            decimals: asset.decimals,
        };
        Some((place, value))
    })
}

/// One for each participant that has a test across its accounts, accounts in the file's order.
fn spans(file: &QueueFile) -> Vec<Span> {
    let assets: Vec<u32> = valued(file).map(|(place, _)| place).collect();
    let spans = (0..).zip(&file.participants).map(|(place, participant)| {
        let own = (0..).zip(&file.accounts);
        let own = own.filter(|(_, account)| account.participant == place);
        let is_tested = participant.account_value || participant.aggregate_short_max.is_some();
        let own = own.filter(|_| is_tested).map(|(account, content)| {
            let asset = assets.binary_search(&content.asset);
            let asset = asset.expect("the file has a rate for each");
            (account, u32::try_from(asset).expect("fewer than accounts"))
        });
        Span {
            accounts: own.collect(),
            aggregate_short_max: participant.aggregate_short_max,
            account_value: participant.account_value,
        }
    });
    spans.filter(|span| !span.accounts.is_empty()).collect()
}
