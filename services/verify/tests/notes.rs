//! Checkpoint notes, cosignatures, evidence of forks and refusals.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::*;
use valuta_verify::{
    Evidence, KeyKind, Note, Policy, Refusal, VerifierKey, VerifyError, consistency_path,
    open_checkpoint,
};

fn policy(quorum: &str) -> Policy {
    Policy::parse(&policy_text(quorum)).unwrap()
}

fn note(lines: &[String]) -> String {
    format!("{}\n{}", body(ORIGIN, 3, &[7; 32]), lines.concat())
}

/// What opening gives: who cosigned at which time, or the error.
fn open(note: &str, policy: &Policy) -> String {
    match open_checkpoint(note, policy) {
        Ok(opened) => {
            let by = opened
                .cosigned_by
                .iter()
                .map(|by| format!("{}@{}", by.witness, by.time_s));
            by.collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn cosignatures() {
    let text = body(ORIGIN, 3, &[7; 32]);
    let log = Key::log(1).sign(&text);
    let by = |seed, time_s| Key::witness(seed).cosign(&text, time_s);
    let check = |quorum: &str, lines: &[String], wanted: &str| {
        let found = open(&note(lines), &policy(quorum));
        assert!(
            found == wanted || (!wanted.is_empty() && found.contains(wanted)),
            "{found}: {wanted}"
        );
    };
    let log = || log.clone();
    check("none", &[log()], "");
    check(
        "two",
        &[log()],
        "not witnessed: the policy's quorum `two` is not there, only [] cosigned",
    );
    check("two", &[log(), by(11, 5)], "only [a] cosigned");
    check("two", &[log(), by(11, 5), by(13, 6)], "a@5 c@6");
    check("two", &[by(13, 6), by(11, 5), log()], "a@5 c@6");
    check("two", &[log(), by(11, 5), by(11, 7)], "only [a] cosigned");
    check("a", &[log(), by(11, 7), by(11, 5)], "a@7");
    check(
        "none",
        &[log(), by(11, 0), by(12, i64::MAX as u64)],
        "a@0 b@9223372036854775807",
    );
    check(
        "none",
        &[log(), by(11, 1 << 63)],
        "the cosignature by the witness `a` does not verify",
    );
    check("none", &[by(11, 5)], "unknown log");
    // Unknown: another name, another key, the same key as a plain note signature.
    let unknown = [
        Key::witness(99).cosign(&text, 5),
        Key::new("other.example", 4, 11).cosign(&text, 5),
        Key::new("witness11.example", 1, 11).sign(&text),
        Key::new(ORIGIN, 4, 1).cosign(&text, 5),
    ];
    check("none", &[&[log()], &unknown[..]].concat(), "");
    check("a", &[&[log()], &unknown[..]].concat(), "only [] cosigned");
    // Known, but not its.
    let moved = Key::witness(11).cosign(&body(ORIGIN, 4, &[7; 32]), 5);
    check(
        "none",
        &[log(), moved],
        "the cosignature by the witness `a` does not verify",
    );
    let plain = Key::witness(11).sign(&text);
    check(
        "none",
        &[log(), plain],
        "the cosignature by the witness `a` does not verify",
    );
    let forged = Key::log(1).sign(&body(ORIGIN, 4, &[7; 32]));
    check(
        "none",
        &[log(), forged],
        "the checkpoint signature by `valuta.example/log` does not verify",
    );
    check(
        "none",
        &[log(), by(11, 5), by(11, 5)],
        "line 7: the same signature line twice",
    );
}

/// A public log's checkpoint, cosigned by a public witness that neither we nor the log run.
#[test]
fn a_public_witness_verifies() {
    let note = "coachandhorses2026h1.staging.certificate.transparency.goog\n185550722\n\
        YXAM0VmnrfvLaBCOOYSJhCaE5F10oGBOo+hkbDa1kng=\n\n\
        \u{2014} coachandhorses2026h1.staging.certificate.transparency.goog MpXgsHy8ZwxXnO+WjtVrPxAzL49Rs1g\
        WTkNVNeEa//5peAzaocRCB3qt3EaibjzY5GILLtGgBP7dBhgcSHy+JQh0OAc=\n\
        \u{2014} witness.navigli.sunlight.geomys.org o+AP4gAAAABqb7DzNrGFRJnQ9vrJ8xpnwZytnr/ZYczDIsvwvouiSjw\
        Ojn7a72ccxBk+lKnZ7dKqkYKER1s/KxLTaVwQD7lJZTC/CQ==\n";
    let witnesses = "\
        witness navigli witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G\n\
        witness remora remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\n\
        quorum navigli\n";
    let policy = Policy::parse_with_log(witnesses, &Key::log(1).vkey()).unwrap();
    let cosigned = |note: &str| Note::parse(note).unwrap().cosigned_by(policy.witnesses());
    let found = cosigned(note).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].witness.as_str(), found[0].time_s),
        ("navigli", 0x6a6f_b0f3)
    );
    let changed = note.replace("\n185550722\n", "\n185550723\n");
    assert!(matches!(
        cosigned(&changed),
        Err(VerifyError::Cosignature { .. })
    ));
}

#[test]
fn every_flipped_bit_of_a_cosigned_checkpoint_is_refused() {
    let text = body(ORIGIN, 3, &[7; 32]);
    let lines = [Key::log(1).sign(&text), Key::witness(11).cosign(&text, 5)];
    let (note, policy) = (note(&lines), policy("a"));
    open_checkpoint(&note, &policy).unwrap();
    for bit in 0..note.len() * 8 {
        let mut bytes = note.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(
                open_checkpoint(&text, &policy).is_err(),
                "bit {bit}: {text}"
            );
        }
    }
}

/// A log that rotates its keys signs with both for a while; who knows one of them is served.
#[test]
fn several_keys_of_one_origin() {
    let text = body(ORIGIN, 3, &[7; 32]);
    let (old, new) = (Key::log(1), Key::log(2));
    let check = |policy: &[&Key], lines: &[String], signed: Option<usize>| {
        let logs: String = policy
            .iter()
            .map(|key| format!("log {}\n", key.vkey()))
            .collect();
        let policy = Policy::parse(&format!("{logs}quorum none\n")).unwrap();
        let opened = open_checkpoint(&note(lines), &policy).ok();
        assert_eq!(opened.map(|opened| opened.signed_by.len()), signed);
    };
    let both = [old.sign(&text), new.sign(&text)];
    check(&[&old], &both, Some(1));
    check(&[&new], &both, Some(1));
    check(&[&old, &new], &both, Some(2));
    check(&[&old, &new], &both[..1], Some(1));
    check(&[&old, &new], &both[1..], Some(1));
    check(&[&old], &both[1..], None);
    // A log speaks for itself only, also if it is trusted.
    let other = Key::new("other.example", 1, 3);
    check(&[&other], &[other.sign(&text)], None);
    check(&[&old, &other], &[other.sign(&text)], None);
    check(
        &[&old, &other],
        &[old.sign(&text), other.sign(&text)],
        Some(1),
    );
    let forged = new.sign(&body(ORIGIN, 4, &[7; 32]));
    check(&[&old, &new], &[old.sign(&text), forged], None);
}

#[test]
fn malformed_notes() {
    let check = |note: &str, sentence: &str| {
        let error = Note::parse(note).unwrap_err().to_string();
        assert!(error.contains(sentence), "{note:?}: {error}");
    };
    let root = b64(&[7; 32]);
    let line = Key::log(1).sign("");
    check("", "no empty line");
    check(&format!("o\n3\n{root}\n{line}"), "no empty line");
    check(&format!("o\n3\n\n{line}"), "line 1: origin, size and root");
    check(&format!("o\n03\n{root}\n\n{line}"), "line 2: tree size");
    check(&format!("o\n-3\n{root}\n\n{line}"), "line 2: tree size");
    check(
        &format!("o\n3\n{}\n\n{line}", &root[1..]),
        "line 3: root hash",
    );
    check(
        &format!("o\n3\n{root}\n\n"),
        "line 5: no newline at the end",
    );
    check(
        &format!("o\n3\n{root}\n\n{line}x"),
        "line 6: no newline at the end",
    );
    check(
        &format!("o\n3\n{root}\n\n{line}\n"),
        "line 7: no newline at the end",
    );
    check(
        &format!("\n3\n{root}\n\n{line}"),
        "line 1: an empty line before",
    );
    check(
        &format!("o\n3\n{root}\nx\n\nx\n\n{line}"),
        "an empty line before",
    );
    for bad in [
        "\u{2014} o",
        "- o AAAAAAA=",
        "\u{2014}  AAAAAAA=",
        "\u{2014} o+p AAAAAAA=",
        "\u{2014} o AAAAAA=",
        "\u{2014} o AAAAAA==",
        "\u{2014} o AAAAAAA= x",
    ] {
        check(
            &format!("o\n3\n{root}\n\n{bad}\n"),
            "the checkpoint is malformed in its line 5",
        );
    }
    let many: String = (0..65).map(|seed| Key::witness(seed).sign("")).collect();
    check(&format!("o\n3\n{root}\n\n{many}"), "too many signatures");
}

/// Extension lines are signed and cosigned with the rest, and mean nothing here.
#[test]
fn extension_lines_are_part_of_what_is_signed() {
    let text = format!("{}extension 1\nextension 2\n", body(ORIGIN, 3, &[7; 32]));
    let lines = [Key::log(1).sign(&text), Key::witness(11).cosign(&text, 5)].concat();
    let note = format!("{text}\n{lines}");
    assert_eq!(open(&note, &policy("a")), "a@5");
    let error = open(&note.replace("extension 2", "extension 3"), &policy("a"));
    assert!(error.contains("does not verify"), "{error}");
}

fn leaves(size: u64, other_from: u64) -> Vec<Hash> {
    let data = |index: u64| {
        [index, u64::from(index >= other_from)]
            .map(u64::to_be_bytes)
            .concat()
    };
    (0..size).map(|index| leaf(&data(index))).collect()
}

fn signed(origin: &str, leaves: &[Hash]) -> String {
    let text = body(origin, leaves.len() as u64, &root(leaves));
    format!("{text}\n{}", Key::new(origin, 1, 1).sign(&text))
}

/// Of two trees that differ from leaf `fork` on, at two sizes; every size that matters.
#[test]
fn forks_of_every_shape_are_proved() {
    let policy = policy("none");
    for new in 1..=20 {
        for old in 1..=new {
            for fork in 0..old {
                let (ours, theirs) = (leaves(new, u64::MAX), leaves(old, fork));
                let subtree = |start, end| root(&ours[start as usize..end as usize]);
                let evidence = Evidence {
                    older: signed(ORIGIN, &theirs),
                    newer: signed(ORIGIN, &ours),
                    path: consistency_path(old, new, subtree),
                };
                let read = Evidence::parse(evidence.to_string()).unwrap();
                assert_eq!(read, evidence);
                let found = read.verify(&policy).unwrap();
                assert_eq!(found.older.checkpoint.size, old);
                assert_eq!(found.newer.checkpoint.size, new);
                let honest = Evidence {
                    older: signed(ORIGIN, &ours[..old as usize]),
                    ..evidence
                };
                assert_eq!(
                    honest.verify(&policy),
                    Err(VerifyError::NoFork),
                    "{old} {new}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_evidence() {
    let policy = policy("none");
    let (ours, theirs) = (leaves(7, u64::MAX), leaves(5, 2));
    let subtree = |start: u64, end: u64| root(&ours[start as usize..end as usize]);
    let good = Evidence {
        older: signed(ORIGIN, &theirs),
        newer: signed(ORIGIN, &ours),
        path: consistency_path(5, 7, subtree),
    };
    assert!(good.verify(&policy).is_ok());
    let check = |change: &dyn Fn(&mut Evidence), sentence: &str| {
        let mut evidence = good.clone();
        change(&mut evidence);
        let error = evidence.verify(&policy).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    };
    check(&|evidence| evidence.path[1][0] ^= 1, "no fork is proved");
    check(&|evidence| evidence.path.truncate(1), "no fork is proved");
    check(&|evidence| evidence.path.clear(), "no fork is proved");
    check(&|evidence| evidence.path.push([0; 32]), "no fork is proved");
    check(
        &|evidence| std::mem::swap(&mut evidence.older, &mut evidence.newer),
        "no fork is proved",
    );
    check(
        &|evidence| evidence.older = signed("other.example", &theirs),
        "unknown log",
    );
    check(
        &|evidence| evidence.newer = signed("other.example", &ours),
        "unknown log",
    );
    check(
        &|evidence| evidence.older = evidence.older.replacen("5\n", "4\n", 1),
        "does not verify",
    );
    check(
        &|evidence| evidence.older = evidence.newer.clone(),
        "do not contradict",
    );
    // Two logs of one policy may well differ.
    let other = Key::new("other.example", 1, 1);
    let both = format!(
        "log {}\nlog {}\nquorum none\n",
        Key::log(2).vkey(),
        other.vkey()
    );
    let text = body(ORIGIN, 5, &root(&theirs));
    let older = format!("{text}\n{}", Key::log(2).sign(&text));
    let newer = signed("other.example", &leaves(5, 1));
    let evidence = Evidence {
        older,
        newer,
        path: vec![],
    };
    let found = evidence.verify(&Policy::parse(&both).unwrap());
    assert_eq!(found, Err(VerifyError::NoFork));

    let text = good.to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let result = Evidence::parse(&bytes).and_then(|evidence| evidence.verify(&policy));
        assert!(result.is_err(), "byte {at}: {result:?}");
        let cut =
            Evidence::parse(&text.as_bytes()[..at]).and_then(|evidence| evidence.verify(&policy));
        assert!(cut.is_err(), "cut at {at}: {cut:?}");
    }
}

#[test]
fn refusals() {
    let refusal = Refusal {
        time_s: TIME_S,
        reason: "postings do not sum to zero".into(),
        checkpoint: note(&[Key::log(1).sign(&body(ORIGIN, 3, &[7; 32]))]),
        evidence: Some("batch 2\n".into()),
    };
    let vkey = Key::witness(11).vkey();
    let key = VerifierKey::parse(&vkey, KeyKind::Cosignature).unwrap();
    let signer = Key::new("witness11.example", 1, 11);
    let sign = |text: &str| format!("{text}\n{}", signer.sign(text));
    for evidence in [refusal.evidence.clone(), None] {
        let refusal = Refusal {
            evidence,
            ..refusal.clone()
        };
        let note = sign(&refusal.text());
        assert_eq!(Refusal::open(&note, &key), Ok(refusal));
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(Refusal::open(&text, &key).is_err(), "bit {bit}");
            }
        }
    }
    let check = |note: &str| assert!(Refusal::open(note, &key).is_err(), "{note}");
    check("");
    check(&refusal.text());
    check(&sign(&refusal.text().replace("refusal/v1", "refusal/v2")));
    check(&sign(&format!("{}more\n", refusal.text())));
    let other = Key::new("witness11.example", 1, 12);
    check(&format!(
        "{}\n{}",
        refusal.text(),
        other.sign(&refusal.text())
    ));
    let reason = "two\nlines".to_owned();
    let split = Refusal { reason, ..refusal };
    let read = Refusal::open(&sign(&split.text()), &key).unwrap();
    assert_eq!(read.reason, "two lines");
}
