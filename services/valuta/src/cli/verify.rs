//! `verify`: a receipt, or another proof of the ledger's, against a policy, offline.

use super::log::read_policy;
use super::text;
use crate::client::CliError;
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use prost::Message;
use std::path::PathBuf;
use valuta_proto::v1;
use valuta_verify::{AccountLine, Conserved, Disclosed, Entry, Kind, Proven, Step, Verified};

/// What `verify` takes.
#[derive(Args)]
pub struct VerifyArgs {
    /// The file of a receipt, a balance or posting proof, a conservation proof, or a disclosure
    receipt: PathBuf,
    /// The policy's file: whose signatures you trust
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs `verify`: each step is printed. Exit code 0, 1 with a sentence that says what does not match, or 2
/// without a policy.
pub fn verify(args: &VerifyArgs, format: Format) -> Result<(), CliError> {
    let Some(policy) = &args.policy else {
        return Err(CliError::Usage(
            "a receipt is only worth the keys that you trust, and its own prove nothing: name a policy file \
             with --policy, with the log's key as the operator published it"
                .into(),
        ));
    };
    let policy = read_policy(policy)?;
    let receipt =
        std::fs::read(&args.receipt).map_err(|error| CliError::file(&args.receipt, &error))?;
    let mut held = Vec::new();
    let proven = valuta_verify::verify_with(&receipt, &policy, &mut |step| held.push(step));
    let steps = steps(&held);
    match proven {
        Ok(proven) => {
            let mut sections = sections(&proven);
            sections.push(steps);
            print(format, &sections);
            Ok(())
        }
        Err(error) => {
            print(format, &[steps]);
            Err(CliError::Refused(format!("not verified: {error}")))
        }
    }
}

fn steps(held: &[Step]) -> Section {
    let rows = held.iter().map(|step| {
        vec![
            Cell::text(step.name()),
            Cell::text("holds"),
            Cell::text(step.to_string()),
        ]
    });
    Section::rows("steps", &["step", "result", "proves"], rows.collect())
}

fn sections(proven: &Proven) -> Vec<Section> {
    match proven {
        Proven::Receipt(verified) => receipt(verified),
        Proven::Balance(line) => account(proven.kind(), line),
        Proven::Posting(line) => account(proven.kind(), line),
        Proven::Conservation(conserved) => conservation(conserved),
        Proven::Disclosure(disclosed) => disclosure(disclosed),
    }
}

fn time(ms: i64) -> Cell {
    let time = prost_types::Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
    };
    Cell::text(text::time(Some(&time)))
}

/// What all but a receipt say of their batch.
fn batch(kind: Kind, entry: &Entry) -> Vec<(&'static str, Cell)> {
    let header = &entry.header;
    vec![
        ("verified", Cell::Flag(true)),
        ("proof", Cell::text(kind.name())),
        ("scheme", Cell::text(&header.scheme)),
        ("batch", Cell::Count(header.number)),
        (
            "cycle",
            Cell::text(header.cycle.clone().unwrap_or_default()),
        ),
        ("settled", time(header.time_ms)),
        ("log", Cell::text(&entry.origin)),
        ("log_index", Cell::Count(entry.log_index)),
        ("log_size", Cell::Count(entry.tree_size)),
    ]
}

fn account(kind: Kind, line: &AccountLine) -> Vec<Section> {
    let mut fields = batch(kind, &line.entry);
    fields.extend([
        ("participant", Cell::text(&line.participant)),
        ("asset", Cell::text(&line.asset)),
        ("minor_units", Cell::amount(line.amount.to_string())),
    ]);
    vec![Section::record("account", fields)]
}

fn conservation(conserved: &Conserved) -> Vec<Section> {
    let fields = batch(Kind::Conservation, &conserved.entry);
    let assets = conserved.assets.iter();
    let rows = assets.map(|asset| vec![Cell::text(asset), Cell::amount("0")]);
    vec![
        Section::record("conservation", fields),
        Section::rows("sums", &["asset", "sum"], rows.collect()),
    ]
}

fn disclosure(disclosed: &Disclosed) -> Vec<Section> {
    let mut fields = batch(Kind::Disclosure, &disclosed.entry);
    fields.push(("members", Cell::Count(disclosed.entry.header.members.count)));
    let members = disclosed.members.iter().flat_map(|member| {
        let content = v1::Instruction::decode(&member.content[..]).unwrap_or_default();
        let (index, uetr) = (member.index, content.uetr.clone());
        content.legs.into_iter().map(move |leg| {
            vec![
                Cell::Count(index),
                Cell::text(&uetr),
                Cell::text(&leg.debtor),
                Cell::text(&leg.creditor),
                Cell::text(&leg.asset),
                Cell::amount(&leg.amount),
            ]
        })
    });
    let columns = ["member", "uetr", "debtor", "creditor", "asset", "amount"];
    vec![
        Section::record("disclosure", fields),
        Section::rows("disclosed", &columns, members.collect()),
    ]
}

fn receipt(verified: &Verified) -> Vec<Section> {
    let content = v1::Instruction::decode(&verified.content[..]).unwrap_or_default();
    let fields = vec![
        ("verified", Cell::Flag(true)),
        ("uetr", Cell::text(&content.uetr)),
        ("instructing", Cell::text(&content.instructing)),
        ("kind", Cell::text(text::kind(content.kind))),
        ("value_date", Cell::text(&content.value_date)),
        ("scheme", Cell::text(&verified.scheme)),
        ("batch", Cell::Count(verified.batch)),
        (
            "cycle",
            Cell::text(verified.cycle.clone().unwrap_or_default()),
        ),
        ("settled", time(verified.time_ms)),
        ("member", Cell::Count(verified.member_index)),
        ("members", Cell::Count(verified.member_count)),
        ("is_matched_trade", Cell::Flag(verified.trade.is_some())),
        ("log", Cell::text(&verified.origin)),
        ("log_index", Cell::Count(verified.log_index)),
        ("log_size", Cell::Count(verified.tree_size)),
        (
            "cosigned_by",
            Cell::text(
                verified
                    .cosigned_by
                    .iter()
                    .map(|by| &*by.witness)
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        ),
    ];
    let legs = content.legs.iter().map(|leg| {
        vec![
            Cell::text(&leg.debtor),
            Cell::text(&leg.creditor),
            Cell::text(&leg.asset),
            Cell::amount(&leg.amount),
        ]
    });
    let columns = ["debtor", "creditor", "asset", "amount"];
    vec![
        Section::record("receipt", fields),
        Section::rows("legs", &columns, legs.collect()),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn without_a_policy_it_is_usage() {
        let args = VerifyArgs {
            receipt: "none".into(),
            policy: None,
        };
        let error = verify(&args, Format::Table).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--policy"));
    }
}
