//! What waits for somebody: instructions with conditions, groups, quotes; and the work that makes them true.

use super::attempt::Work;
use crate::load::Random;
use crate::support::{SECRET, SECRET_HASH};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, payment, timestamp};

/// Record time until what an instruction or a quote names.
const AHEAD_MS_MAX: u64 = 6_000;
/// Newest instructions among which a bank looks for one that waits for it.
const NEWEST: usize = 200;

/// Whether an instruction is of a kind.
type Is = fn(&v1::Instruction) -> bool;

/// What each run must see settle.
pub const KINDS: [(&str, Is); 5] = [
    ("at a quote", |sent| !sent.quote_id.is_empty()),
    ("after a time", |sent| {
        under(sent, |all| all.not_before.is_some())
    }),
    ("once approved", |sent| {
        under(sent, |all| !all.approvers.is_empty())
    }),
    ("once a secret was shown", |sent| {
        under(sent, |all| !all.hash_lock.is_empty())
    }),
    ("in a group", |sent| {
        under(sent, |all| !all.group_id.is_empty())
    }),
];

fn under(sent: &v1::Instruction, what: impl Fn(&v1::Conditions) -> bool) -> bool {
    sent.conditions.as_ref().is_some_and(what)
}

/// Some milliseconds of record time from now on.
fn soon(now_ms: i64, random: &mut Random) -> Option<prost_types::Timestamp> {
    let ahead = 1 + random.below(AHEAD_MS_MAX);
    Some(timestamp(now_ms + i64::try_from(ahead).unwrap()))
}

/// A time from which on, or until which, another bank's approval, or a secret.
pub fn conditions(approver: &str, now_ms: i64, random: &mut Random) -> v1::Conditions {
    let none = v1::Conditions::default();
    match random.below(4) {
        0 => v1::Conditions {
            not_before: soon(now_ms, random),
            ..none
        },
        1 => v1::Conditions {
            expires_at: soon(now_ms, random),
            ..none
        },
        2 => v1::Conditions {
            approvers: vec![approver.to_owned()],
            approvals_needed: 1,
            ..none
        },
        _ => v1::Conditions {
            hash_lock: SECRET_HASH.to_vec(),
            ..none
        },
    }
}

/// Two that settle together or not at all.
pub fn group([one, two]: [v1::Instruction; 2]) -> Vec<v1::Instruction> {
    let group_id = one.end_to_end_id.clone();
    let member = |instruction| v1::Instruction {
        lane: v1::Lane::Gross.into(),
        conditions: Some(v1::Conditions {
            group_id: group_id.clone(),
            group_members: 2,
            ..Default::default()
        }),
        ..instruction
    };
    vec![member(one), member(two)]
}

/// An approval, or the secret, for one of the newest that waits for this bank.
pub fn fulfil(
    bank: &str,
    sent: &[v1::Instruction],
    number: u64,
    random: &mut Random,
) -> Option<Work> {
    let newest = sent.iter().rev().take(NEWEST);
    let waiting = newest.filter_map(|instruction| {
        let conditions = instruction.conditions.as_ref()?;
        let approves = conditions.approvers.iter().any(|one| one == bank);
        let knows = !conditions.hash_lock.is_empty() && instruction.legs[0].creditor == bank;
        (approves || knows).then_some((instruction, approves))
    });
    let waiting: Vec<_> = waiting.collect();
    if waiting.is_empty() {
        return None;
    }
    let (of, approves) = random.pick(&waiting);
    let (uetr, instructing, kind) = (of.uetr.clone(), of.instructing.clone(), of.kind);
    let request_id = format!("fulfil-{number}");
    Some(match approves {
        true => Work::Approve(v1::ApproveInstructionRequest {
            request_id,
            created: Some(timestamp(MORNING_MS)),
            uetr,
            instructing,
            kind,
        }),
        false => Work::Show(v1::ShowPreimageRequest {
            request_id,
            created: Some(timestamp(MORNING_MS)),
            uetr,
            instructing,
            kind,
            preimage: SECRET.to_vec(),
        }),
    })
}

/// A bank offers another one EUR for USD, for a while.
pub fn quote(taker: &str, number: u64, now_ms: i64, random: &mut Random) -> Work {
    Work::Quote(v1::LockQuoteRequest {
        request_id: format!("quote-{number}"),
        created: Some(timestamp(MORNING_MS)),
        quote_id: format!("Q{number}"),
        taker: taker.to_owned(),
        source_asset: "USD".to_owned(),
        target_asset: "EUR".to_owned(),
        fixed_side: v1::FixedSide::Target.into(),
        amount: format!("{}.33", 1 + random.below(100)),
        pair: "EUR/USD".to_owned(),
        rate: "1.0837".to_owned(),
        rounding: v1::Rounding::HalfEven.into(),
        value_date: TODAY.to_owned(),
        accept_until: soon(now_ms + 2_000, random),
        settle_by: soon(now_ms + 10_000, random),
        quote_request_id: String::new(),
    })
}

/// One of the newest quotes that this bank may take, taken.
pub fn take_quote(
    bank: &str,
    quotes: &[v1::Quote],
    number: u64,
    random: &mut Random,
) -> Option<v1::Instruction> {
    let newest = quotes.iter().rev().take(NEWEST / 10);
    let mine: Vec<_> = newest.filter(|quote| quote.taker == bank).collect();
    if mine.is_empty() {
        return None;
    }
    let quote = random.pick(&mine);
    let (provider, number) = (&quote.provider, u128::from(number));
    let mut taking = payment(number, bank, provider, &quote.source_amount, "USD");
    taking.legs.push(v1::Leg {
        debtor: provider.clone(),
        creditor: bank.to_owned(),
        amount: quote.target_amount.clone(),
        asset: quote.target_asset.clone(),
        kind: v1::LegKind::Unspecified.into(),
    });
    taking.quote_id = quote.quote_id.clone();
    Some(taking)
}
