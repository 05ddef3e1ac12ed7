//! Every kind of proof, written by the writer of these tests, and every bit of it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::*;
use valuta_verify::{
    Kind, Policy, Proven, Side, Step, VerifyError, verify, verify_any, verify_with,
};

/// Texts longer than this are flipped byte by byte, not bit by bit.
const BITS_BYTES_MAX: usize = 1_700;

fn policy() -> Policy {
    Policy::parse(&policy_text("two")).unwrap()
}

/// One proof of each kind: its name and its lines.
fn kinds() -> Vec<(&'static str, String)> {
    vec![
        ("receipt", receipt_lines(2, 0)),
        ("receipt", receipt_lines(3, 1)),
        ("balance", balance_lines(3)),
        ("posting", posting_lines(2)),
        ("conservation", conservation_lines(&lines())),
        ("disclosure", disclosure_lines(&[(0, 0), (1, 1), (3, 0)])),
        ("disclosure", disclosure_lines(&[(4, 0)])),
    ]
}

#[test]
fn every_kind_verifies() {
    let log = Log::new();
    for (kind, lines) in kinds() {
        let proven = verify_any(log.proof(kind, &lines), &policy()).unwrap();
        let entry = match proven {
            Proven::Receipt(found) => {
                let names: Vec<_> = found.cosigned_by.iter().map(|by| &by.witness).collect();
                assert_eq!(names, ["a", "b"]);
                continue;
            }
            Proven::Balance(found) | Proven::Posting(found) => {
                let line = &common::lines()[found.index as usize];
                assert_eq!(
                    (found.participant.as_str(), found.asset.as_str()),
                    (line.participant, line.asset)
                );
                assert_eq!((found.amount, found.count), (line.amount, 6));
                found.entry
            }
            Proven::Conservation(found) => {
                assert_eq!(found.assets, ["EUR", "USD"]);
                found.entry
            }
            Proven::Disclosure(found) => {
                for member in &found.members {
                    let side = usize::from(matches!(member.trade, Some((Side::Second, _))));
                    assert_eq!(member.content, content(member.index as usize, side));
                }
                found.entry
            }
        };
        assert_eq!(
            (entry.origin.as_str(), entry.tree_size, entry.log_index),
            (ORIGIN, 3, 1)
        );
        assert_eq!(
            (entry.header.number, entry.text.as_str()),
            (2, log.header.as_str())
        );
        assert_eq!(entry.cosigned_by.len(), 2);
        assert!(entry.cosigned_by.iter().all(|by| by.time_s == TIME_S));
    }
}

#[test]
fn every_line_of_every_list_verifies() {
    let log = Log::new();
    for index in 0..6 {
        for (kind, lines) in [
            ("balance", balance_lines(index)),
            ("posting", posting_lines(index)),
        ] {
            assert!(
                verify_any(log.proof(kind, &lines), &policy()).is_ok(),
                "{kind} {index}"
            );
        }
    }
    for index in 0..MEMBERS {
        for side in 0..=index % 2 {
            assert!(verify(log.proof("receipt", &receipt_lines(index, side)), &policy()).is_ok());
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (log, policy) = (Log::new(), policy());
    let check = |text: &str, whole: &dyn Fn(&[u8]) -> Vec<u8>| {
        assert!(verify_any(whole(text.as_bytes()), &policy).is_ok());
        let is_short = text.len() <= BITS_BYTES_MAX;
        let bits: Vec<u8> = if is_short { (0..8).collect() } else { vec![0] };
        for at in 0..text.len() {
            for bit in &bits {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let result = verify_any(whole(&bytes), &policy);
                assert!(result.is_err(), "bit {bit} of byte {at}: {result:?}");
            }
        }
    };
    for (kind, lines) in kinds() {
        check(&log.proof(kind, &lines), &|file| file.to_vec());
        // What `extra` holds, too: most flips outside leave no base64 at all.
        let file = log.proof(kind, &lines);
        let extra = file.lines().nth(1).unwrap().to_owned();
        check(&log.extra(kind, &lines), &|changed| {
            file.replacen(&extra, &format!("extra {}", b64(changed)), 1)
                .into_bytes()
        });
    }
}

#[test]
fn cut_doubled_swapped_and_missing_lines_are_refused() {
    let (log, policy) = (Log::new(), policy());
    for (kind, lines) in kinds() {
        let extra = log.extra(kind, &lines);
        let parts: Vec<&str> = extra.split_inclusive('\n').collect();
        let refused = |parts: &[&str], what: &str| {
            let changed = parts.concat();
            match verify_any(log.file(&changed), &policy) {
                // Two lines that are the same were swapped.
                Ok(_) if changed == extra => {}
                // Of fewer members it is a disclosure too.
                Ok(Proven::Disclosure(found)) => assert!(found.members.len() < 3, "{kind}: {what}"),
                result => assert!(result.is_err(), "{kind}: {what}: {result:?}"),
            }
        };
        for at in 0..parts.len() {
            refused(&parts[..at], &format!("cut at {at}"));
            refused(
                &[&parts[..=at], &parts[at..]].concat(),
                &format!("{at} twice"),
            );
            refused(
                &[&parts[..at], &parts[at + 1..]].concat(),
                &format!("without {at}"),
            );
            for other in 0..at {
                let mut swapped = parts.clone();
                swapped.swap(at, other);
                refused(&swapped, &format!("{at} and {other} swapped"));
            }
        }
        for more in ["\n", "x\n", "path AA==\n", "sum USD 0 AA==\n", "member 4\n"] {
            refused(&[&extra, more], more);
        }
    }
}

/// A proof of one kind is none of another, whatever it is called.
#[test]
fn kinds_are_not_mixed() {
    let log = Log::new();
    for (kind, lines) in kinds() {
        for (other, _) in kinds().iter().filter(|(other, _)| *other != kind) {
            let result = verify_any(log.proof(other, &lines), &policy());
            assert!(
                matches!(result, Err(VerifyError::Extra { .. })),
                "{kind} as {other}: {result:?}"
            );
        }
        if kind != "receipt" {
            let error = verify(log.proof(kind, &lines), &policy()).unwrap_err();
            assert!(matches!(error, VerifyError::Kind { .. }), "{error}");
        }
    }
}

#[test]
fn the_error_says_where() {
    let log = Log::new();
    let check = |kind: &str, lines: &str, line: &str, value: &str, sentence: &str| {
        let old = lines.lines().find(|found| found.starts_with(line)).unwrap();
        let changed = lines.replacen(old, &format!("{line} {value}"), 1);
        assert_ne!(changed, lines);
        let error = verify_any(log.proof(kind, &changed), &policy())
            .unwrap_err()
            .to_string();
        assert!(error.contains(sentence), "{kind} {line} {value}: {error}");
    };
    let hash = b64(&[0x42; 32]);
    let zero = b64(&[0; 32]);
    let account = |text: &str| b64(text.as_bytes());

    let lines = balance_lines(1);
    check(
        "balance",
        &lines,
        "balance",
        "1 7",
        "says that the batch has 7 balances, its header says 6",
    );
    check(
        "balance",
        &lines,
        "balance",
        "2 6",
        "the batch's balances root",
    );
    check(
        "balance",
        &lines,
        "balance",
        "6 6",
        "the batch's balances root",
    );
    check(
        "balance",
        &lines,
        "commitment",
        &hash,
        "the batch's balances root",
    );
    check(
        "balance",
        &lines,
        "path",
        &hash,
        "the batch's balances root",
    );
    check("balance", &lines, "salt", &hash, "the salt does not open");
    check(
        "balance",
        &lines,
        "digest",
        &hash,
        "the content is not what was settled",
    );
    check(
        "balance",
        &lines,
        "content",
        &account("CHASUS33 USD 501"),
        "the content is not what",
    );
    for text in [
        "A USD",
        "A USD +1",
        "A USD 01",
        "A USD -0",
        "A  USD 1",
        " USD 1",
        "A USD 1 ",
        "A USD 1.0",
        "\u{e4} USD 1",
    ] {
        check(
            "balance",
            &lines,
            "content",
            &account(text),
            "line 5: `content` and base64 of part",
        );
    }

    let lines = posting_lines(1);
    check(
        "posting",
        &lines,
        "posting",
        "1 5",
        "says that the batch has 5 postings, its header says 6",
    );
    check(
        "posting",
        &lines,
        "posting",
        "0 6",
        "the batch's postings root",
    );
    check(
        "posting",
        &lines,
        "content",
        &account("CHASUS33 USD 501"),
        "the batch's postings root",
    );
    check(
        "posting",
        &lines,
        "salt",
        &hash,
        "the batch's postings root",
    );
    check(
        "posting",
        &lines,
        "blinding",
        &zero,
        "the batch's postings root",
    );
    check(
        "posting",
        &lines,
        "blinding",
        &b64(&[0xff; 32]),
        "line 7: `blinding` and base64 of a scalar",
    );

    let lines = conservation_lines(&common::lines());
    let point = b64(curve25519_dalek::constants::RISTRETTO_BASEPOINT_COMPRESSED.as_bytes());
    check(
        "conservation",
        &lines,
        "posting",
        &format!("USD {point} {hash}"),
        "do not have its postings root",
    );
    check(
        "conservation",
        &lines,
        "posting",
        &format!("USD {} {hash}", b64(&[0xff; 32])),
        "none of Ristretto255",
    );
    check(
        "conservation",
        &lines,
        "posting",
        &format!("USD {point} x"),
        "line 4: `posting`, asset, point",
    );
    check(
        "conservation",
        &lines,
        "sum EUR",
        &format!("0 {zero}"),
        "the postings of EUR do not sum to zero",
    );
    check(
        "conservation",
        &lines,
        "sum USD",
        &format!("0 {zero}"),
        "the postings of USD do not sum to zero",
    );
    check(
        "conservation",
        &lines,
        "sum USD",
        &format!("1 {zero}"),
        "line 11: `sum`, asset, 0",
    );
    check(
        "conservation",
        &lines,
        "sum USD",
        &format!("0 {}", b64(&[0xff; 32])),
        "line 11: `sum`, asset, 0",
    );

    let lines = disclosure_lines(&[(1, 0), (2, 0)]);
    check(
        "disclosure",
        &lines,
        "count",
        "6",
        "has 6 members, its header says 5",
    );
    check(
        "disclosure",
        &lines,
        "member",
        "0",
        "member 0: the member path does not lead",
    );
    check("disclosure", &lines, "member", "2", "members must ascend");
    check("disclosure", &lines, "member", "3", "members must ascend");
    check(
        "disclosure",
        &lines,
        "side",
        "second",
        "member 1: the salt does not open",
    );
    check(
        "disclosure",
        &lines,
        "content",
        &account("other"),
        "member 1: the content is not what",
    );
}

/// Money that was made shows, however the blindings are chosen for it.
#[test]
fn what_does_not_sum_to_zero_is_refused() {
    let mut postings = lines();
    postings[1].amount += 1;
    let log = Log::with_postings(&postings);
    let result = verify_any(
        log.proof("conservation", &conservation_lines(&postings)),
        &policy(),
    );
    assert_eq!(
        result,
        Err(VerifyError::Conservation {
            asset: "USD".into()
        })
    );
    // An asset cannot make up for another one.
    let mut postings = lines();
    postings[1].amount += 1;
    postings[4].amount -= 1;
    let log = Log::with_postings(&postings);
    let result = verify_any(
        log.proof("conservation", &conservation_lines(&postings)),
        &policy(),
    );
    assert_eq!(
        result,
        Err(VerifyError::Conservation {
            asset: "EUR".into()
        })
    );
}

#[test]
fn a_batch_without_postings_conserves() {
    let log = Log::with_postings(&[]);
    let proven = verify_any(log.proof("conservation", ""), &policy()).unwrap();
    assert!(matches!(proven, Proven::Conservation(found) if found.assets.is_empty()));
}

/// The same amount in two places has nothing in common that shows.
#[test]
fn equal_postings_do_not_look_equal() {
    let line = |amount| Line {
        participant: "A",
        asset: "USD",
        amount,
    };
    let (first, second) = (posting_leaf(0, &line(5)), posting_leaf(1, &line(5)));
    let words = |leaf: &str| -> Vec<String> { leaf.split(' ').map(str::to_owned).collect() };
    let common = words(&first)
        .into_iter()
        .filter(|word| words(&second).contains(word));
    assert_eq!(common.collect::<Vec<_>>(), ["USD"]);
}

#[test]
fn the_quorum_is_asked_for() {
    let log = Log::new();
    let proof = log.proof("receipt", &receipt_lines(0, 0));
    let check = |quorum: &str, good: bool| {
        let policy = Policy::parse(&policy_text(quorum)).unwrap();
        let result = verify(&proof, &policy);
        match result {
            Ok(_) => assert!(good, "{quorum}"),
            Err(error) => assert_eq!(
                (good, error.to_string().as_str()),
                (
                    false,
                    "the checkpoint is not witnessed: the policy's quorum `c` is not there, only [a, b] cosigned"
                ),
            ),
        }
    };
    check("none", true);
    check("a", true);
    check("two", true);
    check("c", false);
}

#[test]
fn each_step_is_told() {
    let log = Log::new();
    let steps = |proof: &str| -> (Vec<Step>, bool) {
        let mut steps = Vec::new();
        let result = verify_with(proof, &policy(), &mut |step| steps.push(step));
        (steps, result.is_ok())
    };
    let names = |steps: &[Step]| -> Vec<&'static str> { steps.iter().map(Step::name).collect() };
    let receipt = log.proof("receipt", &receipt_lines(0, 0));
    let (found, good) = steps(&receipt);
    assert!(good);
    let all = [
        "form",
        "signature",
        "cosignatures",
        "log path",
        "header",
        "path",
        "content",
    ];
    assert_eq!(names(&found), all);
    assert_eq!(
        found[0],
        Step::Form {
            kind: Kind::Receipt
        }
    );
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told[1],
        "valuta.example/log signed its checkpoint of 3 entries"
    );
    assert_eq!(
        told[2],
        "the quorum `two` is there: a cosigned at 1763640000, b cosigned at 1763640000"
    );
    let (found, good) = steps(&receipt.replacen("index 1", "index 0", 1));
    assert_eq!((names(&found), good), (all[..3].to_vec(), false));
    let (found, _) = steps(&log.proof("conservation", &conservation_lines(&lines())));
    assert_eq!(names(&found)[5..], ["postings", "sum", "sum"]);
    let (found, _) = steps(&log.proof("disclosure", &disclosure_lines(&[(0, 0), (2, 0)])));
    assert_eq!(names(&found)[5..], ["path", "content", "path", "content"]);
}
