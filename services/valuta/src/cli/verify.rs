//! `verify`: a receipt against a policy, offline.

use super::text;
use crate::client::CliError;
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use prost::Message;
use std::path::PathBuf;
use valuta_proto::v1;
use valuta_verify::{Policy, Verified};

/// What `verify` takes.
#[derive(Args)]
pub struct VerifyArgs {
    /// The receipt's file
    receipt: PathBuf,
    /// The policy's file: whose signatures you trust
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs `verify`: exit code 0, 1 with a sentence that says what does not match, or 2 without a policy.
pub fn verify(args: &VerifyArgs, format: Format) -> Result<(), CliError> {
    let Some(policy) = &args.policy else {
        return Err(CliError::Usage(
            "a receipt is only worth the keys that you trust, and its own prove nothing: name a policy file \
             with --policy, with the log's key as the operator published it"
                .into(),
        ));
    };
    let text = std::fs::read_to_string(policy).map_err(|error| CliError::file(policy, &error))?;
    let policy = Policy::parse(&text)
        .map_err(|error| CliError::Usage(format!("{}: {error}", policy.display())))?;
    let receipt =
        std::fs::read(&args.receipt).map_err(|error| CliError::file(&args.receipt, &error))?;
    let verified = valuta_verify::verify(&receipt, &policy)
        .map_err(|error| CliError::Refused(format!("not verified: {error}")))?;
    print(format, &sections(&verified));
    Ok(())
}

fn sections(verified: &Verified) -> Vec<Section> {
    let content = v1::Instruction::decode(&verified.content[..]).unwrap_or_default();
    let time = prost_types::Timestamp {
        seconds: verified.time_ms.div_euclid(1_000),
        nanos: i32::try_from(verified.time_ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
    };
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
        ("settled", Cell::text(text::time(Some(&time)))),
        ("member", Cell::Count(verified.member_index)),
        ("members", Cell::Count(verified.member_count)),
        ("is_matched_trade", Cell::Flag(verified.trade.is_some())),
        ("log", Cell::text(&verified.origin)),
        ("log_index", Cell::Count(verified.log_index)),
        ("log_size", Cell::Count(verified.tree_size)),
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
