#![allow(clippy::unwrap_used)]
//! Commitments and checks of a batch.

use super::*;
use crate::hash::{encode, sha256};
use crate::member::{MemberTree, member_proof};
use crate::tree::root_from_path;

fn posting(participant: &str, asset: &str, amount: i128) -> Posting {
    Posting {
        participant: participant.into(),
        asset: asset.into(),
        amount,
    }
}

fn batch() -> BatchInput {
    BatchInput {
        scheme: "demo".into(),
        number: 1,
        time_ms: 1_763_640_000_000,
        cycle: Some("2026-11-20/1".into()),
        seed: [0x5e; 32],
        members: vec![
            MemberContent::One(b"pay 1".to_vec()),
            MemberContent::Two(sha256(b"buy"), sha256(b"sell")),
            MemberContent::One(b"pay 2".to_vec()),
        ],
        postings: vec![
            posting("DEUTDEFF", "EUR", -500),
            posting("BNPAFRPP", "EUR", 500),
        ],
        balances: vec![Balance {
            participant: "DEUTDEFF".into(),
            asset: "EUR".into(),
            amount: 9_500,
        }],
        certificate_hash: Some([9; 32]),
        sequence: 42,
        chain: [7; 32],
    }
}

/// Stored data outlives the code: these values were computed in Python with its hashlib and hmac,
/// and with Ristretto255 written from RFC 9496.
#[test]
fn the_formats_of_salts_leaves_and_roots_are_fixed() {
    let batch = batch();
    let header = batch.commit().unwrap();
    let salt = |domain, index| encode(&batch.salts(domain).of(index));
    for (name, found, fixed) in [
        (
            "salt of member 0",
            salt(Domain::Members, 0),
            "n5M0Jns8RQwXYyzni+MKRBmPq0qT7cxgdmfhhRbFmDA=",
        ),
        (
            "salt of member 258",
            salt(Domain::Members, 258),
            "kIiwAAIaLN6SchRfjYDwLzZ32FJtVJTxtEYj7Rqh3oA=",
        ),
        (
            "salt of posting 0",
            salt(Domain::Postings, 0),
            "j/cyEFRXu0HXtoiTWNvSsO/ywhCMBNq+pK6xl3ul8zU=",
        ),
        (
            "point of posting 1",
            encode(&batch.sealed_posting()(1, &batch.postings[1]).point),
            "HsnSE9E9Vf9dV/frXHmH2V1uvZgHWQ5q1VQED42js0s=",
        ),
        (
            "blinding of posting 0",
            encode(batch.salts(Domain::Blindings).blinding(0).as_bytes()),
            "+Ks7plKgj+AbvBKI2aGGQ0rNEpp0RYLOecjVncbMyQs=",
        ),
        (
            "members",
            encode(&header.members.root),
            "wKmJBUMHNZDS1CvUg+G78MX2v2pQnUUMXShFUe1ZzO4=",
        ),
        (
            "postings",
            encode(&header.postings.root),
            "SRrdmSBHCermC0cdsAYxChath9dPdBw/GrQ9VcStoag=",
        ),
        (
            "balances",
            encode(&header.balances.root),
            "c1klRWKC+D5FP0nHK2n1xbslsZrWFc2mbqwLMM2Pdyc=",
        ),
        (
            "header",
            encode(&header.hash()),
            "6CBsznFWnAgFhoJbCoujFwFVQ759UxvoA0J/x1lKR0k=",
        ),
    ] {
        assert_eq!(found, fixed, "{name}");
    }
}

#[test]
fn every_change_changes_the_header() {
    let check = |name: &str, change: fn(&mut BatchInput), field: &str| {
        let mut other = batch();
        change(&mut other);
        let (before, after) = (batch().commit().unwrap(), other.commit().unwrap());
        assert_eq!(before.first_difference(&after), Some(field), "{name}");
    };
    check("scheme", |b| b.scheme.push('2'), "scheme");
    check("number", |b| b.number = 2, "batch");
    check("time", |b| b.time_ms += 1, "time");
    check("cycle", |b| b.cycle = None, "cycle");
    check("seed", |b| b.seed[31] ^= 1, "members");
    check(
        "content",
        |b| b.members[0] = MemberContent::One(b"pay 3".to_vec()),
        "members",
    );
    check("order", |b| b.members.swap(0, 2), "members");
    check(
        "sides",
        |b| b.members[1] = MemberContent::Two(sha256(b"sell"), sha256(b"buy")),
        "members",
    );
    check("fewer", |b| b.members.truncate(2), "members");
    check(
        "posting",
        |b| b.postings[0].participant.push('X'),
        "postings",
    );
    check(
        "asset",
        |b| b.postings.iter_mut().for_each(|p| p.asset = "USD".into()),
        "postings",
    );
    check("balance", |b| b.balances[0].amount = -9_500, "balances");
    check("certificate", |b| b.certificate_hash = None, "certificate");
    check("sequence", |b| b.sequence += 1, "sequence");
    check("chain", |b| b.chain[0] ^= 1, "chain");
}

#[test]
fn malformed_batches_are_refused_in_order() {
    let check = |name: &str, change: fn(&mut BatchInput), sentence: &str| {
        let mut other = batch();
        change(&mut other);
        let error = other.commit().unwrap_err().to_string();
        assert!(error.contains(sentence), "{name}: {error}");
    };
    check(
        "empty",
        |b| b.members[2] = MemberContent::One(vec![]),
        "member 2 has no content",
    );
    check(
        "long",
        |b| b.members[0] = MemberContent::One(vec![1; CONTENT_BYTES_MAX + 1]),
        "member 0 has 4194305",
    );
    check(
        "participant",
        |b| b.postings[1].participant.clear(),
        "posting 1: `participant`",
    );
    check(
        "space",
        |b| b.postings[1].participant = "BNP AFRPP".into(),
        "posting 1: `participant`",
    );
    check(
        "asset",
        |b| b.balances[0].asset = "\u{20ac}".into(),
        "balance 0: `asset`",
    );
    check(
        "long name",
        |b| b.balances[0].asset = "E".repeat(65),
        "balance 0: `asset`",
    );
    check(
        "sum",
        |b| b.postings[1].amount = 499,
        "postings in EUR sum to -1 minor",
    );
    check(
        "assets apart",
        |b| b.postings[1].asset = "USD".into(),
        "postings in EUR sum to -500",
    );
    check(
        "overflow",
        |b| b.postings.iter_mut().for_each(|p| p.amount = i128::MAX),
        "over 128 bits",
    );
    check("scheme", |b| b.scheme = "a\tb".into(), "`scheme`");
    check("no scheme", |b| b.scheme.clear(), "`scheme`");
    check("newline", |b| b.scheme.push('\n'), "`scheme`");
    check("number", |b| b.number = 0, "`batch`");
    check("cycle", |b| b.cycle = Some("-".into()), "`cycle`");
    check(
        "two faults",
        |b| (b.scheme.clear(), b.members[2] = MemberContent::One(vec![])).1,
        "member 2",
    );
}

/// Lists long enough for several threads, around the sizes of what one of them takes.
#[test]
fn long_lists_have_the_root_of_their_leaves() {
    for count in [63, 64, 65, 255, 256, 257, 511, 512, 513, 1_000, 2_048] {
        let members = (0..count).map(|index: u16| MemberContent::One(index.to_be_bytes().to_vec()));
        let batch = BatchInput {
            members: members.collect(),
            ..batch()
        };
        let leaf = batch.member_leaf();
        let leaves = (0..)
            .zip(&batch.members)
            .map(|(index, member)| leaf(index, member));
        let edge: Edge = leaves.collect();
        let found = batch.commit().unwrap().members;
        assert_eq!(
            (found.count, found.root),
            (u64::from(count), edge.root()),
            "{count}"
        );
        let last = MemberTree::new(&batch).proof(u64::from(count) - 1).unwrap();
        let leaf = leaf(last.index, &batch.members[usize::from(count) - 1]);
        let root = root_from_path(leaf, last.index, last.count, &last.path);
        assert_eq!(root, Some(found.root));
    }
}

#[test]
fn a_batch_may_be_empty() {
    let empty = BatchInput {
        members: vec![],
        postings: vec![],
        balances: vec![],
        ..batch()
    };
    let header = empty.commit().unwrap();
    assert_eq!(
        (header.members.count, header.members.root),
        (0, sha256(b""))
    );
    assert_eq!(member_proof(&empty, 0), None);
}

#[test]
fn every_member_has_a_proof_and_salts_are_all_different() {
    for count in [1, 2, 3, 7, 8, 33] {
        let members = (0..count)
            .map(|index: u8| MemberContent::One(vec![index]))
            .collect();
        let batch = BatchInput { members, ..batch() };
        let root = batch.commit().unwrap().members;
        let tree = MemberTree::new(&batch);
        let mut salts = std::collections::BTreeSet::new();
        for (index, content) in (0..).zip(&batch.members) {
            let proof = tree.proof(index).unwrap();
            assert_eq!(proof, member_proof(&batch, index).unwrap());
            let leaf = leaf_hash(&content.commitment(&proof.salt));
            assert_eq!(
                root_from_path(leaf, index, root.count, &proof.path),
                Some(root.root)
            );
            for domain in [Domain::Members, Domain::Postings, Domain::Balances] {
                salts.insert(batch.salts(domain).of(index));
            }
        }
        assert_eq!(salts.len(), usize::from(count) * 3);
        assert_eq!(tree.proof(u64::from(count)), None);
    }
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let text = format!("{:?} {:?}", batch(), member_proof(&batch(), 0));
    for secret in ["94, 94", "5e5e", "pay", "112, 97"] {
        assert!(!text.contains(secret), "{text}");
    }
}
