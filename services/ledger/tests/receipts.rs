//! Receipts of the ledger, checked by the verifier that shares no code with it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use valuta_ledger::{
    Balance, BatchInput, Edge, Hash, Header, Ledger, LedgerError, ListRoot, LogKey, MemberContent,
    MemberProof, MemberTree, Posting, ReceiptContent, Side, leaf_hash, member_proof, sha256,
};
use valuta_verify::{Policy, VerifyError, verify};

const ORIGIN: &str = "valuta.example/log";

fn key() -> LogKey {
    LogKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn policy_of(vkey: &str) -> Policy {
    Policy::parse(&format!("# trusted\nlog {vkey}\nquorum none\n")).unwrap()
}

/// A batch in which every fifth member is a trade.
fn batch(number: u64, members: u64) -> BatchInput {
    let content = |index: u64| match index % 5 {
        1 => MemberContent::Two(
            sha256(&side(number, index, "buy")),
            sha256(&side(number, index, "sell")),
        ),
        _ => MemberContent::One(side(number, index, "pay")),
    };
    let posting = |participant: &str, amount| Posting {
        participant: participant.into(),
        asset: "USD".into(),
        amount,
    };
    BatchInput {
        scheme: "demo".into(),
        number,
        time_ms: 1_763_640_000_000,
        cycle: number
            .is_multiple_of(2)
            .then(|| format!("2026-11-20/{number}")),
        seed: sha256(&number.to_be_bytes()),
        members: (0..members).map(content).collect(),
        postings: vec![posting("DEUTDEFF", -7), posting("CHASUS33", 7)],
        balances: vec![Balance {
            participant: "CHASUS33".into(),
            asset: "USD".into(),
            amount: -3,
        }],
        certificate_hash: Some([number as u8; 32]),
        sequence: number * 100,
        chain: [3; 32],
    }
}

fn side(number: u64, index: u64, side: &str) -> Vec<u8> {
    format!("{side} {index} of batch {number}").into_bytes()
}

/// The receipts that the parties of a member get.
fn contents(number: u64, index: u64) -> Vec<ReceiptContent> {
    if index % 5 != 1 {
        return vec![ReceiptContent::One(side(number, index, "pay"))];
    }
    let (buy, sell) = (side(number, index, "buy"), side(number, index, "sell"));
    vec![
        ReceiptContent::SideOfTwo {
            side: Side::First,
            content: buy.clone(),
            other: sha256(&sell),
        },
        ReceiptContent::SideOfTwo {
            side: Side::Second,
            other: sha256(&buy),
            content: sell,
        },
    ]
}

/// A ledger with batches of these sizes.
fn ledger(sizes: &[u64]) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path(), key()).unwrap();
    for (number, members) in (1..).zip(sizes) {
        ledger.add(&batch(number, *members)).unwrap();
    }
    (dir, ledger)
}

#[test]
fn every_member_of_every_batch_gets_a_receipt_that_verifies() {
    let sizes = [1, 2, 3, 5, 8, 13, 21, 40, 64, 100];
    let (_dir, ledger) = ledger(&sizes);
    let (reader, policy) = (ledger.reader(), policy_of(&key().vkey()));
    for (number, members) in (1..).zip(sizes) {
        let batch = batch(number, members);
        let tree = MemberTree::new(&batch);
        for index in 0..members {
            for content in contents(number, index) {
                let receipt = reader
                    .receipt(number, &tree.proof(index).unwrap(), &content)
                    .unwrap();
                let verified = verify(&receipt, &policy).unwrap();
                let (bytes, trade) = match content {
                    ReceiptContent::One(content) => (content, None),
                    ReceiptContent::SideOfTwo {
                        side: Side::First,
                        content,
                        other,
                    } => (content, Some((valuta_verify::Side::First, other))),
                    ReceiptContent::SideOfTwo {
                        side: Side::Second,
                        content,
                        other,
                    } => (content, Some((valuta_verify::Side::Second, other))),
                };
                assert_eq!((verified.content, verified.trade), (bytes, trade));
                assert_eq!(
                    (verified.member_index, verified.member_count),
                    (index, members)
                );
                assert_eq!(
                    (verified.batch, verified.cycle),
                    (number, batch.cycle.clone())
                );
                assert_eq!(
                    (verified.scheme.as_str(), verified.time_ms),
                    ("demo", batch.time_ms)
                );
                assert_eq!(
                    (verified.origin.as_str(), verified.tree_size),
                    (ORIGIN, sizes.len() as u64)
                );
                assert_eq!(
                    (verified.log_index, verified.sequence),
                    (number - 1, number * 100)
                );
                assert_eq!(
                    (verified.certificate, verified.chain),
                    (batch.certificate_hash, batch.chain)
                );
                assert_eq!(verified.header, reader.header(number).unwrap().text());
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_receipt_is_refused() {
    let (_dir, ledger) = ledger(&[2, 6, 1]);
    let policy = policy_of(&key().vkey());
    for index in [0, 1] {
        let proof = member_proof(&batch(2, 6), index).unwrap();
        for content in contents(2, index) {
            let receipt = ledger.reader().receipt(2, &proof, &content).unwrap();
            verify(&receipt, &policy).unwrap();
            for bit in 0..receipt.len() * 8 {
                let mut bytes = receipt.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    verify(&bytes, &policy).is_err(),
                    "bit {bit} of member {index}"
                );
            }
        }
    }
}

/// Flips that leave the base64 of `extra` well formed reach what it holds: each must be caught there too.
#[test]
fn every_flipped_bit_of_the_extra_text_is_refused() {
    let (_dir, ledger) = ledger(&[2, 6, 1]);
    let policy = policy_of(&key().vkey());
    for index in [0, 1] {
        let proof = member_proof(&batch(2, 6), index).unwrap();
        let receipt = ledger
            .reader()
            .receipt(2, &proof, &contents(2, index)[0])
            .unwrap();
        let extra = extra_of(&receipt);
        verify(with_extra(&receipt, extra.as_bytes()), &policy).unwrap();
        for bit in 0..extra.len() * 8 {
            let mut bytes = extra.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                verify(with_extra(&receipt, &bytes), &policy).is_err(),
                "bit {bit} of member {index}"
            );
        }
    }
}

#[test]
fn a_cut_or_extended_receipt_is_refused() {
    let (_dir, ledger) = ledger(&[2, 6, 1]);
    let policy = policy_of(&key().vkey());
    let proof = member_proof(&batch(2, 6), 0).unwrap();
    let receipt = ledger
        .reader()
        .receipt(2, &proof, &contents(2, 0)[0])
        .unwrap();
    for length in 0..receipt.len() {
        assert!(
            verify(&receipt.as_bytes()[..length], &policy).is_err(),
            "{length}"
        );
    }
    for more in ["\n", "\0", " ", "x", "\n\n", "\u{2014} a b\n"] {
        assert!(
            verify(format!("{receipt}{more}"), &policy).is_err(),
            "{more:?}"
        );
    }
    let lines: Vec<&str> = receipt.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let twice = [&lines[..=at], &lines[at..]].concat().concat();
        assert!(verify(twice, &policy).is_err(), "line {at} twice");
        let without = [&lines[..at], &lines[at + 1..]].concat().concat();
        assert!(verify(without, &policy).is_err(), "without line {at}");
    }
}

#[test]
fn the_error_says_where() {
    let (_dir, ledger) = ledger(&[2, 6, 1]);
    let proof = member_proof(&batch(2, 6), 1).unwrap();
    let good = ledger
        .reader()
        .receipt(2, &proof, &contents(2, 1)[0])
        .unwrap();
    let policy = policy_of(&key().vkey());
    let check_text = |receipt: String, sentence: &str| {
        let error = verify(&receipt, &policy).unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    };
    let check = |line: &str, value: &str, sentence: &str| {
        let extra = extra_of(&good);
        let old = extra
            .split_inclusive('\n')
            .find(|found| found.starts_with(line))
            .unwrap();
        let new = format!("{line} {value}\n");
        assert_ne!(old, new);
        check_text(
            with_extra(&good, extra.replacen(old, &new, 1).as_bytes()),
            sentence,
        );
    };
    let hash = STANDARD.encode([0x42; 32]);
    check(
        "content",
        &STANDARD.encode("buy 1 of batch 3"),
        "the content is not what was settled",
    );
    check("salt", &hash, "the salt does not open the commitment");
    check(
        "side",
        "second",
        "the salt does not open the commitment: salt, side",
    );
    check("other", &hash, "the salt does not open the commitment");
    check(
        "digest",
        &hash,
        "the salt does not open the commitment: salt, side or a digest",
    );
    check("commitment", &hash, "the member path does not lead");
    check("path", &hash, "the member path does not lead");
    check("member", "0 6", "the member path does not lead");
    check("member", "6 6", "the member path does not lead");
    check(
        "member",
        "1 7",
        "the receipt says that the batch has 7 members, its header says 6",
    );
    check(
        "header",
        &STANDARD.encode(ledger.reader().header(1).unwrap().text()),
        "the batch header is not",
    );
    check("entry", &hash, "the log path does not lead");
    check(
        "side",
        "third",
        "extra data is malformed in its line 5: `side first`",
    );
    check(
        "content",
        "",
        "extra data is malformed in its line 7: `content`",
    );

    let changed = |line: usize, value: &str| {
        let mut lines: Vec<&str> = good.lines().collect();
        assert_ne!(lines[line - 1], value);
        lines[line - 1] = value;
        lines.join("\n") + "\n"
    };
    check_text(changed(1, "c2sp.org/tlog-proof@v2"), "malformed in line 1");
    check_text(
        changed(2, "extra !"),
        "malformed in line 2: `extra` is not canonical base64",
    );
    check_text(
        changed(3, "index 01"),
        "malformed in line 3: `index` and a number",
    );
    check_text(changed(3, "index 0"), "the log path does not lead");
    check_text(
        changed(3, "index 3"),
        "index 3, but the checkpoint covers only 3",
    );
    check_text(changed(4, &hash), "the log path does not lead");
    check_text(changed(4, "AA=="), "malformed in line 4: hash expected");
    check_text(
        changed(7, "valuta.example/other"),
        "checkpoint signature by `valuta.example/log` does not",
    );
    check_text(
        changed(8, "4"),
        "checkpoint signature by `valuta.example/log` does not verify",
    );
    check_text(
        changed(8, "03"),
        "the checkpoint is malformed in its line 2: tree size",
    );
    check_text(
        changed(9, &hash),
        "checkpoint signature by `valuta.example/log` does not verify",
    );
    check_text(
        changed(11, "\u{2014} x"),
        "the checkpoint is malformed in its line 5: signature line",
    );
    check_text(good.replace('3', "\r"), "not plain text");
    check_text("\u{2014}".repeat(6 << 20), "the receipt is too long");
}

#[test]
fn keys_come_from_the_policy_only() {
    let (_dir, ledger) = ledger(&[3]);
    let proof = member_proof(&batch(1, 3), 0).unwrap();
    let receipt = ledger
        .reader()
        .receipt(1, &proof, &contents(1, 0)[0])
        .unwrap();
    let vkey = |name: &str, seed| LogKey::from_seed(name, &[seed; 32]).unwrap().vkey();
    let check = |vkeys: &[String], good: bool| {
        let logs: String = vkeys.iter().map(|vkey| format!("log {vkey}\n")).collect();
        let result = verify(
            &receipt,
            &Policy::parse(&format!("{logs}quorum none\n")).unwrap(),
        );
        match result {
            Ok(_) => assert!(good, "{vkeys:?}"),
            Err(error) => {
                assert!(
                    !good && matches!(error, VerifyError::LogUnknown { .. }),
                    "{vkeys:?}: {error}"
                );
            }
        }
    };
    check(&[vkey(ORIGIN, 1)], true);
    check(&[vkey(ORIGIN, 2)], false);
    check(&[vkey("valuta.example/other", 1)], false);
    check(&[vkey(ORIGIN, 2), vkey(ORIGIN, 1)], true);
    check(&[vkey("valuta.example/other", 1), vkey(ORIGIN, 2)], false);
    assert!(verify(&receipt, &Policy::parse(ledger.reader().policy()).unwrap()).is_ok());
}

/// A log that the policy trusts signs for itself, not for another trusted one.
#[test]
fn a_log_speaks_for_itself_only() {
    let (_dir, ledger) = ledger(&[3]);
    let proof = member_proof(&batch(1, 3), 0).unwrap();
    let receipt = ledger
        .reader()
        .receipt(1, &proof, &contents(1, 0)[0])
        .unwrap();
    let other = LogKey::from_seed("valuta.example/other", &[2; 32]).unwrap();
    let policy = Policy::parse(&format!("log {}\n{}", key().vkey(), other.policy())).unwrap();
    assert!(verify(&receipt, &policy).is_ok());
    let (unsigned, _) = receipt.split_once("\u{2014}").unwrap();
    let (_, body) = unsigned.trim_end().split_once("\n\n").unwrap();
    let signature = SigningKey::from_bytes(&[2; 32])
        .sign(format!("{body}\n").as_bytes())
        .to_bytes();
    let blob = STANDARD.encode([&other.id()[..], &signature].concat());
    let line = format!("\u{2014} valuta.example/other {blob}\n");
    let error = verify(format!("{unsigned}{line}"), &policy).unwrap_err();
    assert!(matches!(error, VerifyError::LogUnknown { .. }), "{error}");
    assert!(
        verify(format!("{receipt}{line}"), &policy).is_ok(),
        "the second signature is good"
    );
}

/// Cosignatures of unknown witnesses change nothing; a second signature by the log must be good too.
#[test]
fn signatures_of_unknown_keys_are_ignored() {
    let (_dir, ledger) = ledger(&[3]);
    let policy = policy_of(&key().vkey());
    let proof = member_proof(&batch(1, 3), 0).unwrap();
    let receipt = ledger
        .reader()
        .receipt(1, &proof, &contents(1, 0)[0])
        .unwrap();
    let line = |name: &str, id: [u8; 4]| {
        format!(
            "\u{2014} {name} {}\n",
            STANDARD.encode([&id[..], &[9; 64]].concat())
        )
    };
    let unknown: String = (0..20)
        .map(|index| line(&format!("witness{index}.example"), [index; 4]))
        .collect();
    assert!(verify(format!("{receipt}{unknown}"), &policy).is_ok());
    assert!(verify(format!("{receipt}{}", line(ORIGIN, [0; 4])), &policy).is_ok());
    let forged = verify(format!("{receipt}{}", line(ORIGIN, key().id())), &policy);
    assert!(matches!(
        forged,
        Err(VerifyError::CheckpointSignature { .. })
    ));
    let many: String = (0..64).map(|index| line("w", [index; 4])).collect();
    assert!(matches!(
        verify(format!("{receipt}{many}"), &policy),
        Err(VerifyError::Checkpoint { .. })
    ));
}

#[test]
fn only_what_is_in_the_batch_gets_a_receipt() {
    let (_dir, ledger) = ledger(&[3, 7]);
    let reader = ledger.reader();
    let proof = member_proof(&batch(2, 7), 0).unwrap();
    let content = contents(2, 0).remove(0);
    assert!(reader.receipt(2, &proof, &content).is_ok());
    let foreign = |number, proof: &MemberProof, content: &ReceiptContent| {
        matches!(
            reader.receipt(number, proof, content),
            Err(LedgerError::MemberForeign { .. })
        )
    };
    assert!(foreign(1, &proof, &content));
    assert!(foreign(2, &proof, &contents(2, 2)[0]));
    assert!(foreign(
        2,
        &member_proof(&batch(2, 7), 2).unwrap(),
        &content
    ));
    let mut salted = proof.clone();
    salted.salt[0] ^= 1;
    assert!(foreign(2, &salted, &content));
    for number in [0, 3, u64::MAX] {
        let error = reader.receipt(number, &proof, &content).unwrap_err();
        assert!(
            matches!(error, LedgerError::BatchUnknown { next: 3, .. }),
            "{error}"
        );
    }
}

#[test]
fn headers_by_range() {
    let (_dir, ledger) = ledger(&[1, 2, 3, 4]);
    let check = |range, count_max, numbers: &[u64]| {
        let found = ledger.reader().headers(range, count_max).unwrap();
        assert_eq!(
            found.iter().map(|header| header.number).collect::<Vec<_>>(),
            numbers
        );
        assert!(
            found
                .iter()
                .all(|header| header.members.count == header.number)
        );
    };
    check(0..10, 10, &[1, 2, 3, 4]);
    check(2..4, 10, &[2, 3]);
    check(2..u64::MAX, 2, &[2, 3]);
    check(5..9, 10, &[]);
    let (start, end) = (3, 1);
    check(start..end, 10, &[]);
    let previous: Vec<Hash> = ledger
        .reader()
        .headers(1..5, 9)
        .unwrap()
        .iter()
        .map(|header| header.previous)
        .collect();
    assert_eq!(previous[0], [0; 32]);
    assert_eq!(
        previous[1],
        sha256(ledger.reader().header(1).unwrap().text().as_bytes())
    );
}

#[test]
fn the_seed_is_never_written() {
    let (dir, ledger) = ledger(&[3, 3]);
    let proof = member_proof(&batch(1, 3), 0).unwrap();
    let receipt = ledger
        .reader()
        .receipt(1, &proof, &contents(1, 0)[0])
        .unwrap();
    let mut written = vec![
        receipt.clone().into_bytes(),
        extra_of(&receipt).into_bytes(),
    ];
    collect(dir.path(), &mut written);
    assert!(written.len() > 6, "receipt, lock, checkpoint and tiles");
    for number in [1, 2] {
        let seed = batch(number, 3).seed;
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in [&seed[..], hex.as_bytes(), STANDARD.encode(seed).as_bytes()] {
            for bytes in &written {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret));
            }
        }
    }
}

fn collect(dir: &std::path::Path, files: &mut Vec<Vec<u8>>) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn readers_always_see_a_whole_log_while_batches_are_added() {
    let (_dir, mut ledger) = ledger(&[4]);
    let is_done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (reader, is_done) = (ledger.reader(), is_done.clone());
            std::thread::spawn(move || {
                let policy = policy_of(&key().vkey());
                let (proof, content) = (
                    member_proof(&batch(1, 4), 2).unwrap(),
                    contents(1, 2).remove(0),
                );
                let mut sizes = vec![0];
                while !is_done.load(Ordering::Relaxed) || sizes.len() < 3 {
                    let receipt = reader.receipt(1, &proof, &content).unwrap();
                    sizes.push(verify(&receipt, &policy).unwrap().tree_size);
                    reader.anchor(reader.size()).unwrap();
                }
                assert!(sizes.is_sorted(), "the log only grows");
            })
        })
        .collect();
    for number in 2..300 {
        ledger.add(&batch(number, 4)).unwrap();
    }
    is_done.store(true, Ordering::Relaxed);
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
}

fn extra_of(receipt: &str) -> String {
    let line = receipt
        .lines()
        .nth(1)
        .unwrap()
        .strip_prefix("extra ")
        .unwrap();
    String::from_utf8(STANDARD.decode(line).unwrap()).unwrap()
}

fn with_extra(receipt: &str, extra: &[u8]) -> String {
    let line = receipt.lines().nth(1).unwrap();
    receipt.replacen(line, &format!("extra {}", STANDARD.encode(extra)), 1)
}

fn older_postings(batch: &BatchInput) -> ListRoot {
    let leaf = |(index, posting): (u64, &Posting)| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&batch.seed).unwrap();
        mac.update(&[2]);
        mac.update(&index.to_be_bytes());
        let salt = mac.finalize().into_bytes();
        let content = format!(
            "{} {} {}",
            posting.participant, posting.asset, posting.amount
        );
        leaf_hash(&sha256(&[&salt[..], content.as_bytes()].concat()))
    };
    let edge: Edge = (0..).zip(&batch.postings).map(leaf).collect();
    ListRoot {
        count: edge.size(),
        root: edge.root(),
    }
}

/// Receipts are kept for years: the files that the verifier's own tests read are what is written today.
/// Their batches' postings were committed to in the form before the points.
#[test]
fn receipts_are_written_as_the_stored_ones() {
    let (_dir, mut ledger) = ledger(&[]);
    for (number, members) in [(1, 2), (2, 6), (3, 1)] {
        let batch = batch(number, members);
        let header = Header {
            postings: older_postings(&batch),
            ..batch.commit().unwrap()
        };
        ledger.add_header(header).unwrap();
    }
    let batch = batch(2, 6);
    let check = |index, content: &ReceiptContent, stored: &str| {
        let proof = member_proof(&batch, index).unwrap();
        assert_eq!(ledger.reader().receipt(2, &proof, content).unwrap(), stored);
    };
    let trade = contents(2, 1);
    check(
        0,
        &contents(2, 0)[0],
        include_str!("../../verify/tests/data/payment.tlog-proof"),
    );
    check(
        1,
        &trade[0],
        include_str!("../../verify/tests/data/trade-first.tlog-proof"),
    );
    check(
        1,
        &trade[1],
        include_str!("../../verify/tests/data/trade-second.tlog-proof"),
    );
    assert_eq!(
        key().policy(),
        include_str!("../../verify/tests/data/policy")
    );
}
