//! Tables of one fault each, and generated messages against prost as the oracle.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{Random, seeds};
use fx::{AssetCode, DecimalText};
use settlement_core::conditions::{Conditions, Hash};
use settlement_core::ids::{Date, Timestamp};
use settlement_core::instruction::{Lane, LegKind, Priority};
use valuta_proto::v1;

fn good() -> v1::Instruction {
    v1::Instruction {
        uetr: "eb6305c9-1f7f-49de-aed0-16487c27b42d".into(),
        kind: v1::Kind::Payment as i32,
        lane: v1::Lane::Gross as i32,
        priority: v1::Priority::High as i32,
        instructing: "AAAAUS33".into(),
        created: Some(prost_types::Timestamp {
            seconds: 1_795_000_000,
            nanos: 123_456_789,
        }),
        value_date: "2026-11-20".into(),
        legs: vec![leg("100.00"), leg("0.05")],
        instruction_id: "INSTR-1".into(),
        end_to_end_id: "E2E/1".into(),
        remittance: "Facture n\u{b0} 12".into(),
        purpose: "SUPP".into(),
        charge_bearer: v1::ChargeBearer::Shar as i32,
        instructed_amount: "92.10".into(),
        instructed_asset: "EUR".into(),
        iso_message: b"<Document/>".to_vec(),
        ..Default::default()
    }
}

fn leg(amount: &str) -> v1::Leg {
    v1::Leg {
        debtor: "AAAAUS33".into(),
        creditor: "BBBBDEFFXXX".into(),
        amount: amount.into(),
        asset: "USD".into(),
        kind: 0,
    }
}

/// `ok`, `field fault`, or the reason of an error without identity.
fn outcome(bytes: &[u8]) -> String {
    let mut out = Submissions::default();
    match decode_into(bytes, 7, &mut out) {
        Err(error) => {
            assert!(out.items.is_empty() && out.legs.is_empty() && out.content.is_empty());
            error.reason.into()
        }
        Ok(()) => match out.items[0].body {
            Ok(_) => "ok".into(),
            Err(malformed) => {
                assert!(out.legs.is_empty(), "a malformed one has no legs");
                let Malformed { field, leg, fault } = malformed;
                format!("{field:?} {leg} {fault:?}")
            }
        },
    }
}

fn check(expected: &str, change: impl FnOnce(&mut v1::Instruction)) {
    let mut message = good();
    change(&mut message);
    assert_eq!(outcome(&message.encode_to_vec()), expected, "{message:?}");
}

#[test]
fn decodes_every_field() {
    let mut out = Submissions::default();
    decode_into(&good().encode_to_vec(), 7, &mut out).unwrap();
    let item = &out.items[0];
    assert_eq!(item.index, 7);
    assert_eq!(item.identity.uetr.to_string(), good().uetr);
    assert_eq!(item.identity.instructing.to_string(), "AAAAUS33");
    assert_eq!(item.identity.kind, Kind::Payment);
    let body = item.body.unwrap();
    assert_eq!(body.lane, Lane::Gross);
    assert_eq!(body.priority, Priority::High);
    assert_eq!(body.created, Timestamp(1_795_000_000_123));
    assert_eq!(body.value_date, Date::parse(b"2026-11-20").unwrap());
    let legs = out.legs_of(item);
    assert_eq!(legs.len(), 2);
    assert_eq!(legs[1].creditor.to_string(), "BBBBDEFFXXX");
    assert_eq!(legs[1].asset, AssetCode::parse(b"USD"));
    assert_eq!(legs[1].amount, DecimalText::parse(b"0.05").ok());
    assert_eq!(legs[1].kind, LegKind::Principal);
    assert_eq!(out.content_of(item), good().encode_to_vec());
    let hash = Sha256::digest(good().encode_to_vec());
    assert_eq!(item.digest.0, hash[..16]);
}

fn conditions() -> v1::Conditions {
    let instant = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    v1::Conditions {
        not_before: instant(1_795_000_100),
        expires_at: instant(1_795_000_200),
        approvers: vec!["CCCCJPJT".into(), "DDDDGB22".into()],
        approvals_needed: 1,
        hash_lock: vec![7; 32],
        document_hash: vec![8; 32],
        group_id: "G-1".into(),
        group_members: 3,
    }
}

#[test]
fn decodes_conditions_beside_instructions_without() {
    let mut out = Submissions::default();
    let conditional = v1::Instruction {
        conditions: Some(conditions()),
        ..good()
    };
    decode_into(&good().encode_to_vec(), 0, &mut out).unwrap();
    decode_into(&conditional.encode_to_vec(), 1, &mut out).unwrap();
    let of = |at: usize| out.conditions_of(&out.items[at].body.unwrap()).cloned();
    assert_eq!(of(0), None);
    let read = of(1).unwrap();
    assert_eq!(read.not_before, Some(Timestamp(1_795_000_100_000)));
    assert_eq!(read.expires_at, Some(Timestamp(1_795_000_200_000)));
    let approvals = read.approvals.unwrap();
    assert_eq!((approvals.needed, approvals.of.len()), (1, 2));
    assert_eq!(read.hash_lock.unwrap().0, [7; 32]);
    assert_eq!(read.document.unwrap().0, [8; 32]);
    let group = read.group.unwrap();
    assert_eq!((group.id.as_str(), group.members), ("G-1", 3));
    let bytes = conditional.encode_to_vec();
    assert_eq!(out.content_of(&out.items[1]), bytes);
    let approver = Bic::parse(b"DDDDGB22").unwrap();
    assert!(is_party(&bytes, approver) && !is_party(&good().encode_to_vec(), approver));
    remove_last(&mut out);
    assert!(out.conditions.is_empty());
}

#[test]
fn conditions_have_one_canonical_form() {
    let canonical = v1::Instruction {
        conditions: Some(conditions()),
        ..good()
    };
    let content = |bytes: &[u8]| {
        let mut out = Submissions::default();
        decode_into(bytes, 0, &mut out).unwrap();
        out.content
    };
    // Ours in front of the other fields, its own fields backwards.
    let mut inner = Vec::new();
    let mut backwards = v1::Conditions::default();
    (backwards.group_members, backwards.group_id) = (3, "G-1".into());
    inner.extend(backwards.encode_to_vec());
    let rest = v1::Conditions {
        group_members: 0,
        group_id: String::new(),
        ..conditions()
    };
    inner.extend(rest.encode_to_vec());
    let mut bytes = vec![0xa2, 0x01];
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes.extend(good().encode_to_vec());
    assert_eq!(content(&bytes), canonical.encode_to_vec());
    // Conditions that ask for nothing are none.
    let mut empty = good().encode_to_vec();
    empty.extend([0xa2, 0x01, 0x00]);
    assert_eq!(content(&empty), good().encode_to_vec());
}

#[test]
fn names_the_first_malformed_condition() {
    let check = |expected: &str, change: fn(&mut v1::Conditions)| {
        check(expected, |m| {
            let mut conditions = conditions();
            change(&mut conditions);
            m.conditions = Some(conditions);
        });
    };
    check("ok", |_| {});
    check("NotBefore 0 Malformed", |c| {
        c.not_before.as_mut().unwrap().nanos = -1;
    });
    check("ExpiresAt 0 Malformed", |c| {
        c.expires_at.as_mut().unwrap().seconds = i64::MAX;
    });
    check("Approvers 0 Missing", |c| c.approvers.clear());
    check("Approvers 0 Malformed", |c| c.approvers[1].clear());
    check("Approvers 0 Malformed", |c| {
        c.approvers[1] = c.approvers[0].clone()
    });
    check("Approvers 0 TooLong", |c| {
        c.approvers = vec!["CCCCJPJT".into(); 33];
    });
    check("ApprovalsNeeded 0 Missing", |c| c.approvals_needed = 0);
    check("ApprovalsNeeded 0 Malformed", |c| c.approvals_needed = 3);
    check("ApprovalsNeeded 0 Malformed", |c| {
        c.approvals_needed = 256 + 1
    });
    check("HashLock 0 Malformed", |c| c.hash_lock.truncate(31));
    check("DocumentHash 0 Malformed", |c| c.document_hash.push(0));
    check("GroupId 0 Missing", |c| c.group_id.clear());
    check("GroupId 0 TooLong", |c| c.group_id = "g".repeat(36));
    check("GroupId 0 Malformed", |c| c.group_id = "a\nb".into());
    check("GroupMembers 0 Missing", |c| c.group_members = 0);
    check("GroupMembers 0 Malformed", |c| c.group_members = 1);
    check("GroupMembers 0 Malformed", |c| c.group_members = 33);
    check("GroupMembers 0 Malformed", |c| c.group_members = 65_536 + 2);
}

#[test]
fn names_what_an_identity_lacks() {
    check("UETR_MISSING", |m| m.uetr.clear());
    check("UETR_MALFORMED", |m| m.uetr.make_ascii_uppercase());
    check("UETR_MALFORMED", |m| m.uetr.push('0'));
    check("KIND_MISSING", |m| m.kind = 0);
    check("KIND_UNKNOWN", |m| m.kind = 5);
    check("KIND_UNKNOWN", |m| m.kind = -1);
    check("INSTRUCTING_MISSING", |m| m.instructing.clear());
    check("INSTRUCTING_MALFORMED", |m| {
        m.instructing = "AAAAUS3".into()
    });
    check("INSTRUCTION_TOO_LARGE", |m| {
        m.iso_message = vec![0; INSTRUCTION_BYTES_MAX];
    });
    for bytes in [
        &b"\x0a"[..],
        b"\x0a\x05abc",
        b"\x00\x00",
        b"\x0f",
        b"\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(outcome(bytes), "INSTRUCTION_UNDECODABLE", "{bytes:?}");
    }
    assert_eq!(outcome(b""), "UETR_MISSING");
}

#[test]
fn names_the_first_malformed_field() {
    check("ok", |_| {});
    check("Lane 0 Missing", |m| m.lane = 0);
    check("Lane 0 Unknown", |m| m.lane = 3);
    check("ok", |m| m.priority = 0);
    check("Priority 0 Unknown", |m| m.priority = 4);
    check("Created 0 Missing", |m| m.created = None);
    check("Created 0 Malformed", |m| {
        m.created.as_mut().unwrap().nanos = -1
    });
    check("Created 0 Malformed", |m| {
        m.created.as_mut().unwrap().nanos = 1_000_000_000
    });
    check("Created 0 Malformed", |m| {
        m.created.as_mut().unwrap().seconds = i64::MAX
    });
    check("ValueDate 0 Missing", |m| m.value_date.clear());
    check("ValueDate 0 Malformed", |m| {
        m.value_date = "2026-02-30".into()
    });
    check("Legs 0 Missing", |m| m.legs.clear());
    check("ok", |m| m.legs = vec![leg("1"); 16]);
    check("Legs 0 TooLong", |m| m.legs = vec![leg("1"); 17]);
    check("LegDebtor 1 Missing", |m| m.legs[1].debtor.clear());
    check("LegDebtor 0 Malformed", |m| m.legs[0].debtor = "A".into());
    check("LegCreditor 1 Malformed", |m| {
        m.legs[1].creditor = "BBBBDEFFXX".into()
    });
    check("LegKind 0 Unknown", |m| m.legs[0].kind = 3);
    check("InstructionId 0 TooLong", |m| {
        m.instruction_id = "x".repeat(36)
    });
    check("ok", |m| m.instruction_id = "x".repeat(35));
    check("InstructionId 0 Malformed", |m| {
        m.instruction_id = "\u{e9}".into()
    });
    check("EndToEndId 0 Malformed", |m| {
        m.end_to_end_id = "a\nb".into()
    });
    check("QuoteId 0 TooLong", |m| m.quote_id = "q".repeat(36));
    check("TradeReference 0 NotAllowed", |m| {
        m.trade_reference = "T".into()
    });
    check("Remittance 0 Malformed", |m| m.remittance = "a\u{7}".into());
    check("ok", |m| m.remittance = "\u{e9}".repeat(140));
    check("Remittance 0 TooLong", |m| {
        m.remittance = "\u{e9}".repeat(141)
    });
    check("Purpose 0 TooLong", |m| m.purpose = "SUPPL".into());
    check("Purpose 0 Malformed", |m| m.purpose = "S P".into());
    check("ChargeBearer 0 Unknown", |m| m.charge_bearer = 5);
    check("InstructedAmount 0 Missing", |m| {
        m.instructed_amount.clear()
    });
    check("InstructedAmount 0 Malformed", |m| {
        m.instructed_amount = "1,5".into()
    });
    check("InstructedAmount 0 Malformed", |m| {
        m.instructed_amount = "-1".into()
    });
    check("InstructedAmount 0 TooLong", |m| {
        m.instructed_amount = "0".repeat(41)
    });
    check("InstructedAsset 0 Missing", |m| m.instructed_asset.clear());
    check("InstructedAsset 0 Malformed", |m| {
        m.instructed_asset = "eur".into()
    });
    check("ok", |m| m.iso_message = vec![0; ISO_MESSAGE_BYTES_MAX]);
    check("IsoMessage 0 TooLong", |m| {
        m.iso_message = vec![0; ISO_MESSAGE_BYTES_MAX + 1]
    });
    check("ReturnReason 0 NotAllowed", |m| {
        m.return_reason = "AC03".into()
    });
    check("ReturnReason 0 TooLong", |m| {
        m.return_reason = "AC033".into()
    });
    // Two faults: the first in order wins.
    check("Lane 0 Missing", |m| {
        m.lane = 0;
        m.legs.clear();
    });
    check("LegDebtor 0 Malformed", |m| {
        m.legs[0].debtor = "?".into();
        m.purpose = "TOO LONG".into();
    });
}

#[test]
fn asks_by_kind() {
    let kind = |m: &mut v1::Instruction, kind: v1::Kind| m.kind = kind as i32;
    check("TradeReference 0 Missing", |m| kind(m, v1::Kind::TradeSide));
    check("ok", |m| {
        kind(m, v1::Kind::TradeSide);
        m.trade_reference = "T-1".into();
    });
    check("QuoteId 0 NotAllowed", |m| {
        kind(m, v1::Kind::TradeSide);
        m.trade_reference = "T-1".into();
        m.quote_id = "Q".into();
    });
    check("ok", |m| m.quote_id = "Q".into());
    check("ok", |m| {
        kind(m, v1::Kind::Return);
        m.return_reason = "AC03".into();
    });
    check("ok", |m| kind(m, v1::Kind::Cover));
}

#[test]
fn leaves_bad_amounts_and_assets_to_the_core() {
    for (amount, asset) in [
        ("", "USD"),
        ("1e5", "USD"),
        ("1.0.0", "USD"),
        ("1", ""),
        ("1", "usd"),
    ] {
        let mut message = good();
        message.legs = vec![v1::Leg {
            asset: asset.into(),
            ..leg(amount)
        }];
        let mut out = Submissions::default();
        decode_into(&message.encode_to_vec(), 0, &mut out).unwrap();
        assert!(out.items[0].body.is_ok());
        assert!(out.legs[0].amount.is_none() || out.legs[0].asset.is_none());
    }
    let mut long = good();
    long.legs[0].amount = "0".repeat(AMOUNT_TEXT_BYTES_MAX + 1);
    let mut out = Submissions::default();
    decode_into(&long.encode_to_vec(), 0, &mut out).unwrap();
    assert_eq!(out.legs[0].amount, None);
}

#[test]
fn what_the_form_cannot_hold_is_journaled_as_it_came() {
    let extra = [good().encode_to_vec(), vec![0xa0, 0x06, 1]].concat();
    assert_eq!(outcome(&extra), "Message 0 Unknown");
    // Field 1 again, as a number: a wire type that valuta.v1 does not have.
    let wrong_type = [good().encode_to_vec(), vec![0x08, 1]].concat();
    assert_eq!(outcome(&wrong_type), "Message 0 Unknown");
    let group = [
        good().encode_to_vec(),
        vec![0xa3, 0x06, 0x08, 1, 0xa4, 0x06],
    ]
    .concat();
    assert_eq!(outcome(&group), "Message 0 Unknown");
    let mut many = good();
    many.legs = vec![leg("1"); 17];
    for bytes in [extra, wrong_type, group, many.encode_to_vec()] {
        let mut out = Submissions::default();
        decode_into(&bytes, 0, &mut out).unwrap();
        assert_eq!(out.content, bytes);
    }
}

#[test]
fn reads_back_what_is_not_utf8() {
    let mut bytes = good().encode_to_vec();
    let at = bytes.windows(5).position(|w| w == b"E2E/1").unwrap();
    bytes[at] = 0xff;
    assert_eq!(outcome(&bytes), "EndToEndId 0 Malformed");
    let shown = to_message(&bytes);
    assert_eq!(shown.end_to_end_id, "\u{fffd}2E/1");
    assert_eq!(shown.legs.len(), 2);
    assert_eq!(shown.legs[1].amount, "0.05");
    assert!(is_party(&bytes, Bic::parse(b"BBBBDEFFXXX").unwrap()));
    assert!(is_party(&bytes, Bic::parse(b"AAAAUS33").unwrap()));
    assert!(!is_party(&bytes, Bic::parse(b"BBBBDEFF").unwrap()));
}

#[test]
fn removes_the_last() {
    let mut out = Submissions::default();
    decode_into(&good().encode_to_vec(), 0, &mut out).unwrap();
    let before = (out.items.clone(), out.legs.clone(), out.content.clone());
    decode_into(&good().encode_to_vec(), 1, &mut out).unwrap();
    remove_last(&mut out);
    assert_eq!((out.items, out.legs, out.content), before);
}

#[test]
fn one_content_has_one_digest_however_it_is_encoded() {
    for seed in 0..seeds(2_000) {
        let mut random = Random(seed);
        let mut message = random_message(&mut random);
        if random.below(2) == 0 {
            message.conditions = Some(random_conditions(&mut random));
        }
        let canonical = message.encode_to_vec();
        let mut out = Submissions::default();
        decode_into(&canonical, 0, &mut out).unwrap();
        assert_eq!(out.content, canonical, "seed {seed}");
        decode_into(&scrambled(&canonical, &mut random), 0, &mut out).unwrap();
        let [first, second] = &out.items[..] else {
            unreachable!()
        };
        assert_eq!(out.content_of(first), out.content_of(second), "seed {seed}");
        assert_eq!(first.digest, second.digest);
        let [one, two] = [first, second].map(|item| item.body.unwrap());
        assert_eq!(out.conditions_of(&one), out.conditions_of(&two));
        let conditions = one.conditions;
        assert_eq!(one, Body { conditions, ..two });
        assert_eq!(out.legs_of(first), out.legs_of(second));
    }
}

#[test]
fn mutations_get_an_answer_that_prost_agrees_with() {
    for seed in 0..seeds(10_000) {
        let mut random = Random(seed);
        let mut message = random_message(&mut random);
        let conditional = random.below(2) == 0;
        message.conditions = conditional.then(|| random_conditions(&mut random));
        let mut bytes = message.encode_to_vec();
        let parts = encoded_around_conditions(&bytes);
        for _ in 0..=random.below(3) {
            match &parts {
                // Most mutations of the whole fall on its other fields.
                Some(parts) if random.below(2) == 0 => {
                    bytes = mutated_conditions(parts, &mut random);
                }
                _ => mutate(&mut bytes, &mut random),
            }
        }
        let mut out = Submissions::default();
        let found = decode_into(&bytes, 0, &mut out);
        let oracle = v1::Instruction::decode(&bytes[..]);
        match found {
            Err(UNDECODABLE) => assert!(oracle.is_err(), "seed {seed}"),
            Err(_) => {}
            Ok(()) => agrees(&out, oracle, seed),
        }
        // Whatever was journaled can be shown.
        let _ = to_message(&out.content);
    }
}

fn agrees(out: &Submissions, oracle: Result<v1::Instruction, prost::DecodeError>, seed: u64) {
    let item = &out.items[0];
    let mut again = Submissions::default();
    decode_into(&out.content, 0, &mut again).unwrap();
    assert_eq!(again.items, out.items, "seed {seed}: not idempotent");
    let Ok(body) = &item.body else { return };
    let message = match oracle.map_err(|error| error.to_string()) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.contains("UTF-8"), "seed {seed}: {error}");
            match v1::Instruction::decode(&out.content[..]) {
                // Only a value that a later one of its field replaces.
                Ok(message) => message,
                Err(_) => {
                    // Where the core has a code for it.
                    let mut legs = out.legs.iter();
                    let told = legs.any(|leg| leg.amount.is_none() || leg.asset.is_none());
                    return assert!(told, "seed {seed}");
                }
            }
        }
    };
    assert_eq!(out.content, message.encode_to_vec(), "seed {seed}");
    assert_eq!(item.identity.uetr.to_string(), message.uetr);
    assert_eq!(item.identity.instructing.to_string(), message.instructing);
    assert_eq!(body.value_date.to_string(), message.value_date);
    let text = |text: &Option<settlement_core::instruction::ShortText>| {
        text.as_ref().map_or_else(String::new, ToString::to_string)
    };
    assert_eq!(text(&body.quote_id), message.quote_id);
    assert_eq!(text(&body.trade_reference), message.trade_reference);
    let sent = message.conditions.unwrap_or_default();
    same_conditions(
        out.conditions_of(body).cloned().unwrap_or_default(),
        &sent,
        seed,
    );
    assert_eq!(out.legs.len(), message.legs.len());
    for (leg, sent) in out.legs.iter().zip(&message.legs) {
        assert_eq!(leg.debtor.to_string(), sent.debtor);
        assert_eq!(leg.creditor.to_string(), sent.creditor);
        assert_eq!(leg.amount, DecimalText::parse(sent.amount.as_bytes()).ok());
        assert_eq!(leg.asset, AssetCode::parse(sent.asset.as_bytes()));
    }
}

fn random_message(random: &mut Random) -> v1::Instruction {
    let mut message = good();
    message.kind = 1 + random.below(4) as i32;
    message.lane = 1 + random.below(2) as i32;
    message.priority = random.below(4) as i32;
    message.legs = (0..=random.below(4))
        .map(|n| v1::Leg {
            kind: random.below(3) as i32,
            ..leg(&format!("{}.{:02}", random.below(1_000_000), n))
        })
        .collect();
    let created = message.created.as_mut().unwrap();
    created.seconds = random.below(2_000_000_000) as i64;
    created.nanos = random.below(1_000_000_000) as i32 * random.below(2) as i32;
    if message.kind == v1::Kind::TradeSide as i32 {
        message.trade_reference = format!("T-{}", random.below(9));
    }
    if random.below(2) == 0 {
        message.iso_message.clear();
        message.remittance.clear();
        message.charge_bearer = 0;
    }
    message
}

/// What is read is what prost reads.
fn same_conditions(read: Conditions, sent: &v1::Conditions, seed: u64) {
    let instant = |sent: &Option<prost_types::Timestamp>| {
        let millis = |sent: &prost_types::Timestamp| {
            Timestamp(sent.seconds * 1_000 + i64::from(sent.nanos) / 1_000_000)
        };
        sent.as_ref().map(millis)
    };
    assert_eq!(read.not_before, instant(&sent.not_before), "seed {seed}");
    assert_eq!(read.expires_at, instant(&sent.expires_at), "seed {seed}");
    let approvals = read.approvals.map_or((0, Vec::new()), |approvals| {
        let of = approvals.of.iter().map(ToString::to_string);
        (u32::from(approvals.needed), of.collect())
    });
    let sent_approvals = (sent.approvals_needed, sent.approvers.clone());
    assert_eq!(approvals, sent_approvals, "seed {seed}");
    let bytes = |hash: Option<Hash>| hash.map_or(Vec::new(), |hash| hash.0.to_vec());
    assert_eq!(bytes(read.hash_lock), sent.hash_lock, "seed {seed}");
    assert_eq!(bytes(read.document), sent.document_hash, "seed {seed}");
    let group = read.group.map_or((String::new(), 0), |group| {
        (group.id.to_string(), u32::from(group.members))
    });
    let sent_group = (sent.group_id.clone(), sent.group_members);
    assert_eq!(group, sent_group, "seed {seed}");
}

/// Each condition there or not, all of them in their form.
fn random_conditions(random: &mut Random) -> v1::Conditions {
    let all = conditions();
    let mut is_there = || random.below(2) == 0;
    let mut sent = v1::Conditions {
        not_before: all.not_before.filter(|_| is_there()),
        expires_at: all.expires_at.filter(|_| is_there()),
        hash_lock: all.hash_lock,
        ..Default::default()
    };
    if is_there() {
        sent.hash_lock.clear();
    }
    if is_there() {
        sent.document_hash = all.document_hash;
    }
    if is_there() {
        sent.group_id = all.group_id;
        sent.group_members = 2 + random.below(31) as u32;
    }
    if random.below(2) == 0 {
        let bic = |number: u64| format!("BANK{}2X{number:02}X", ["DE", "US"][number as usize % 2]);
        sent.approvers = (0..=random.below(32).min(31)).map(bic).collect();
        sent.approvals_needed = 1 + random.below(sent.approvers.len() as u64) as u32;
    }
    if let Some(instant) = &mut sent.not_before {
        instant.nanos = random.below(1_000_000_000) as i32;
    }
    // Some that asks for nothing would be none.
    if sent == v1::Conditions::default() {
        sent.document_hash = vec![random.below(256) as u8; 32];
    }
    sent
}

/// A message's bytes before its conditions, theirs, and those after; `None` if it has none.
fn encoded_around_conditions(bytes: &[u8]) -> Option<[Vec<u8>; 3]> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut reader = protobuf::Reader::new(rest);
        let key = reader.key().unwrap().unwrap();
        let (number, start) = (key.number, bytes.len() - rest.len());
        if number == number::CONDITIONS {
            let inner = reader.bytes().unwrap();
            let after = bytes[bytes.len() - reader.left()..].to_vec();
            return Some([bytes[..start].to_vec(), inner.to_vec(), after]);
        }
        reader.skip(key).unwrap();
        rest = &rest[rest.len() - reader.left()..];
    }
    None
}

/// Conditions mutated within a frame that still fits them.
fn mutated_conditions(parts: &[Vec<u8>; 3], random: &mut Random) -> Vec<u8> {
    let [before, inner, after] = parts;
    let mut inner = inner.clone();
    for _ in 0..=random.below(3) {
        mutate(&mut inner, random);
    }
    let mut bytes = before.clone();
    bytes.extend([0xa2, 0x01]);
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes.extend(after);
    bytes
}

/// The same message as another encoder might write it: fields out of order, defaults spelled out,
/// values written twice, varints longer than need be.
fn scrambled(canonical: &[u8], random: &mut Random) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = canonical;
    while !rest.is_empty() {
        let mut reader = protobuf::Reader::new(rest);
        let key = reader.key().unwrap().unwrap();
        reader.skip(key).unwrap();
        let left = reader.left();
        fields.push((key.number, &rest[..rest.len() - left]));
        rest = &rest[rest.len() - left..];
    }
    let mut out = Vec::new();
    // A default before the value: the last one wins. A timestamp in two parts: they are merged.
    out.extend_from_slice(&[0x0a, 0, 0x10, 0]);
    if let Some((_, created)) = fields.iter().find(|(number, _)| *number == number::CREATED) {
        out.extend_from_slice(created);
    }
    // Legs keep their order among themselves; everything else may move.
    let (legs, mut others): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .partition(|(number, _)| *number == number::LEGS);
    let turn = random.below(others.len() as u64) as usize;
    others.rotate_left(turn);
    let place = random.below(others.len() as u64) as usize;
    others.splice(place..place, legs);
    for (number, field) in others {
        match number {
            number::LEGS => put_long_leg(field, &mut out),
            _ => out.extend_from_slice(field),
        }
    }
    out
}

/// A leg with its key and length one byte longer than need be, and an empty text in front.
fn put_long_leg(field: &[u8], out: &mut Vec<u8>) {
    let leg = &field[2..];
    assert_eq!(usize::from(field[1]), leg.len(), "legs here are short");
    out.extend_from_slice(&[field[0] | 0x80, 0]);
    out.extend_from_slice(&[(leg.len() + 2) as u8 | 0x80, 0]);
    out.extend_from_slice(&[0x22, 0]);
    out.extend_from_slice(leg);
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at.max(1)),
        3 => bytes.insert(at, random.below(256) as u8),
        4 => drop(bytes.remove(at)),
        _ => {
            let copied = bytes[at..].to_vec();
            bytes.extend(copied);
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}
