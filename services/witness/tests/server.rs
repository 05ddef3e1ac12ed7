//! The status table of C2SP tlog-witness, over real HTTP.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use valuta_verify::{Checkpoint, Evidence, KeyKind, Policy, Refusal, VerifierKey, open_checkpoint};
use valuta_witness::{
    ADD_CHECKPOINT_BYTES_MAX, Finding, Invalid, Rate, Validator, Witness, WitnessConfig,
    request_text,
};

/// A witness of `ORIGIN` and of another log, in a directory of its own.
struct Bench {
    served: Served,
    witness: Arc<Witness>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut WitnessConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (log, other) = (SimLog::new(), SimLog::of("other.example", 2, u64::MAX));
        let mut config = config(&[&log, &other]);
        change(&mut config);
        let witness = Arc::new(Witness::open(&dir.path().join("state"), config).unwrap());
        Self {
            served: Served::witness(witness.clone()),
            witness,
            _dir: dir,
        }
    }

    /// Posts, and wants this status; the body of the answer.
    fn check(&self, body: &str, status: u16) -> String {
        let (found, content_type, answer) = post(&self.served.url, body.as_bytes());
        assert_eq!(found, status, "{body}: {answer}");
        let wanted = match status {
            409 => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!(content_type, wanted);
        answer
    }
}

/// The policy that trusts the log if the witness cosigned.
fn policy(log: &SimLog) -> Policy {
    let (log, witness) = (log.vkey(), key(11).vkey());
    Policy::parse(&format!("log {log}\nwitness w {witness}\nquorum w\n")).unwrap()
}

#[test]
fn a_growing_log_is_cosigned() {
    let (bench, log) = (Bench::new(), SimLog::new());
    let mut times = vec![0];
    for (old, new) in [(0, 1), (1, 2), (2, 2), (2, 7), (7, 8), (8, 300), (300, 300)] {
        let line = bench.check(&log.request(old, new), 200);
        let cosigned = format!("{}{line}", log.note(new));
        let opened = open_checkpoint(&cosigned, &policy(&log)).unwrap();
        assert_eq!(opened.checkpoint, log.checkpoint(new));
        times.push(opened.cosigned_by[0].time_s);
        assert_eq!(
            bench.witness.latest(ORIGIN).unwrap(),
            Some(log.checkpoint(new))
        );
    }
    assert!(
        times.is_sorted_by(|earlier, later| earlier < later),
        "the time is the clock's"
    );
}

#[test]
fn what_the_specification_refuses() {
    let (bench, log) = (Bench::new(), SimLog::new());
    let other = SimLog::forked(3);
    let check = |body: &str, status, sentence: &str| {
        let answer = bench.check(body, status);
        assert!(answer.contains(sentence), "{body}: {answer}");
        assert!(!answer.contains('\u{2014}'), "{body}: {answer}");
    };
    let ask = |old, proof: &[[u8; 32]], note: &str| request_text(old, proof, note);

    // Before anything was cosigned.
    check(&log.request(1, 5), 409, "0\n");
    check(
        &ask(0, &[[0; 32]], &log.note(5)),
        422,
        "the proof must be empty where the old size is 0",
    );
    let mut empty = log.checkpoint(0);
    check(
        &ask(0, &[[0; 32]], &log.sign(&empty.body())),
        422,
        "the proof must be empty",
    );
    empty.root = [1; 32];
    check(
        &ask(0, &[], &log.sign(&empty.body())),
        422,
        "a tree of no entries has another root",
    );
    bench.check(&log.request(0, 0), 200);
    check(
        &ask(0, &[[0; 32]], &log.note(5)),
        422,
        "the proof must be empty where the old size is 0",
    );
    bench.check(&log.request(0, 5), 200);

    // 400: the form, and an old size that is too large.
    check("", 400, "no empty line");
    check("old 5\n", 400, "no empty line");
    check(
        &format!("old 05\n\n{}", log.note(5)),
        400,
        "`old` and a size expected",
    );
    check(
        &format!("new 5\n\n{}", log.note(5)),
        400,
        "`old` and a size expected",
    );
    check(
        &ask(5, &[[0; 32]; 64], &log.note(8)),
        400,
        "more than 63 proof lines",
    );
    check("old 5\n\nnote\n", 400, "the checkpoint is malformed");
    check(
        "old 5\n\na\n5\nAAAA\n\n\u{2014} x\n",
        400,
        "the checkpoint is malformed in its line 3",
    );
    check(
        &log.request(5, 8).replace("\n8\n", "\n08\n"),
        400,
        "the checkpoint is malformed in its line 2",
    );
    check(&ask(6, &[], &log.note(5)), 400, "the old size is larger");
    check(
        &ask(u64::MAX, &[], &log.note(5)),
        400,
        "the old size is larger",
    );

    // 404 and 403.
    let foreign = SimLog::of("foreign.example", 1, u64::MAX);
    check(&foreign.request(5, 8), 404, "no log with this origin");
    check(&foreign.request(9, 8), 404, "no log with this origin");
    let unknown_key = SimLog::of(ORIGIN, 3, u64::MAX);
    check(
        &unknown_key.request(5, 8),
        403,
        "no signature on the checkpoint",
    );
    check(
        &unknown_key.request(9, 8),
        403,
        "no signature on the checkpoint",
    );
    let forged = log.request(5, 8).replace("\n8\n", "\n9\n");
    check(&forged, 403, "does not verify");
    let body = log.checkpoint(8).body();
    let by_other = SimLog::of("other.example", 2, u64::MAX).sign(&body);
    check(
        &ask(5, &log.proof(5, 8), &by_other),
        403,
        "no signature on the checkpoint",
    );

    // 409: whatever else is wrong with it.
    for old in [0, 1, 4] {
        check(&log.request(old, 8), 409, "5\n");
        check(&other.request(old, 8), 409, "5\n");
        check(&log.request(old, 4), 409, "5\n");
    }
    check(&log.request(6, 8), 409, "5\n");

    // 422: another tree, or no proof that it is the same.
    check(
        &ask(5, &[], &other.note(5)),
        422,
        "another tree of this size was cosigned",
    );
    check(
        &ask(5, &log.proof(4, 5), &log.note(5)),
        422,
        "the consistency proof does not verify",
    );
    check(
        &other.request(5, 8),
        422,
        "the consistency proof does not verify",
    );
    check(
        &ask(5, &[], &log.note(8)),
        422,
        "the consistency proof does not verify",
    );
    check(
        &ask(5, &log.proof(5, 7), &log.note(8)),
        422,
        "the consistency proof does not verify",
    );
    check(
        &ask(5, &[[7; 32]; 63], &log.note(8)),
        422,
        "the consistency proof does not verify",
    );

    // Nothing of all this was recorded.
    assert_eq!(
        bench.witness.latest(ORIGIN).unwrap(),
        Some(log.checkpoint(5))
    );
    bench.check(&log.request(5, 8), 200);
}

#[test]
fn other_requests() {
    let (bench, log) = (Bench::new(), SimLog::new());
    let url = &bench.served.url;
    assert_eq!(get(&format!("{url}/refusals")).0, 200);
    assert_eq!(get(&format!("{url}/refusals/1")).0, 404);
    let long = format!(
        "{}{}",
        log.request(0, 5),
        "x".repeat(ADD_CHECKPOINT_BYTES_MAX)
    );
    let (status, ..) = post(url, long.as_bytes());
    assert_eq!(status, 413);
    let (status, ..) = post(url, b"old 0\n\n\xff\n");
    assert_eq!(status, 400);
}

/// Logs are told apart by their origin; several keys of one are one log.
#[test]
fn several_logs_and_keys() {
    let log = SimLog::new();
    let rotated = SimLog::of(ORIGIN, 5, u64::MAX);
    let bench = Bench::with(|config| config.logs.push(rotated.vkey()));
    let other = SimLog::of("other.example", 2, 0);
    bench.check(&log.request(0, 5), 200);
    bench.check(&other.request(0, 7), 200);
    bench.check(&rotated.request(5, 6), 200);
    bench.check(&log.request(6, 8), 200);
    bench.check(&other.request(7, 9), 200);
    assert_eq!(
        bench.witness.latest(ORIGIN).unwrap(),
        Some(log.checkpoint(8))
    );
    assert_eq!(
        bench.witness.latest("other.example").unwrap(),
        Some(other.checkpoint(9))
    );
    assert_eq!(bench.witness.latest("foreign.example").unwrap(), None);
}

/// The log's signature beside unknown ones, and extension lines: cosigned as they are.
#[test]
fn what_else_a_checkpoint_may_hold() {
    let (bench, log) = (Bench::new(), SimLog::new());
    let unknown = SimLog::of("unknown.example", 9, u64::MAX);
    let body = format!("{}an extension\n", log.checkpoint(5).body());
    let line = unknown.sign(&body).lines().last().unwrap().to_owned();
    let note = format!("{}{line}\n", log.sign(&body));
    let cosignature = bench.check(&request_text(0, &[], &note), 200);
    assert!(open_checkpoint(&format!("{note}{cosignature}"), &policy(&log)).is_ok());
}

#[test]
fn a_log_has_its_share_only() {
    let rate = Rate {
        per_second: 1,
        burst: 2,
    };
    let now_s = Arc::new(Mutex::new(1_000_000));
    let clock = now_s.clone();
    let bench = Bench::with(move |config| {
        config.rate = Some(rate);
        config.clock = Arc::new(move || *clock.lock().unwrap() * 1_000);
    });
    let (log, other) = (SimLog::new(), SimLog::of("other.example", 2, u64::MAX));
    bench.check(&log.request(0, 1), 200);
    bench.check(&log.request(1, 2), 200);
    bench.check(&log.request(2, 3), 429);
    bench.check(&other.request(0, 1), 200);
    // What no log signed takes no token.
    bench.check(&SimLog::of("other.example", 3, 0).request(1, 2), 403);
    bench.check(&SimLog::of("other.example", 3, 0).request(1, 2), 403);
    bench.check(&other.request(1, 2), 200);
    *now_s.lock().unwrap() += 1;
    bench.check(&log.request(2, 3), 200);
    bench.check(&log.request(3, 4), 429);
}

/// Whoever shows two trees is published, once, with evidence that anyone can check.
#[test]
fn forks_are_published() {
    let (bench, log) = (Bench::new(), SimLog::new());
    let url = format!("{}/refusals", bench.served.url);
    let verifier = VerifierKey::parse(&key(11).vkey(), KeyKind::Cosignature).unwrap();
    let logs = Policy::parse(&format!("log {}\nquorum none\n", log.vkey())).unwrap();
    bench.check(&log.request(0, 5), 200);
    let same_size = request_text(5, &[], &SimLog::forked(3).note(5));
    let larger = SimLog::forked(3).request(5, 8);
    for _ in 0..2 {
        bench.check(&same_size, 422);
        bench.check(&larger, 422);
        // A bad proof shows nothing.
        bench.check(&request_text(5, &[[1; 32]], &log.note(9)), 422);
    }
    assert_eq!(get(&url).2, "1\n2\n");
    for (number, size) in [(1, 5), (2, 8)] {
        let (status, _, note) = get(&format!("{url}/{number}"));
        assert_eq!(status, 200);
        let refusal = Refusal::open(&note, &verifier).unwrap();
        assert!(refusal.reason.starts_with("fork: "), "{}", refusal.reason);
        assert_eq!(refusal.checkpoint, SimLog::forked(3).note(size));
        let evidence = Evidence::parse(refusal.evidence.unwrap()).unwrap();
        let fork = evidence.verify(&logs).unwrap();
        assert_eq!(fork.older.checkpoint, log.checkpoint(5));
        assert_eq!(fork.newer.checkpoint, SimLog::forked(3).checkpoint(size));
    }
}

/// Finds fault with sizes that are in its list, and cannot say of others.
struct Picky(Arc<Mutex<Seen>>);

/// Old and new sizes.
type Seen = Vec<(Option<u64>, u64)>;

impl Validator for Picky {
    fn validate(&self, old: Option<&Checkpoint>, new: &Checkpoint) -> Result<(), Invalid> {
        self.0
            .lock()
            .unwrap()
            .push((old.map(|old| old.size), new.size));
        match new.size {
            13 => Err(Invalid::Finding(Finding {
                reason: "postings of batch 12 do not sum to zero".into(),
                evidence: Some("batch 12\n".into()),
            })),
            14 => Err(Invalid::Unavailable("the content cannot be fetched".into())),
            15 => panic!("a validator's fault"),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_validator_is_asked_first() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let validator = Picky(seen.clone());
    let bench = Bench::with(|config| config.validator = Some(Arc::new(validator)));
    let log = SimLog::new();
    bench.check(&log.request(0, 5), 200);
    bench.check(&log.request(5, 12), 200);
    // Not asked for what is refused anyway, or was validated before.
    bench.check(&log.request(5, 12), 409);
    bench.check(&log.request(12, 12), 200);
    bench.check(&SimLog::forked(3).request(12, 20), 422);
    for _ in 0..2 {
        let answer = bench.check(&log.request(12, 13), 422);
        assert_eq!(answer, "postings of batch 12 do not sum to zero\n");
    }
    let answer = bench.check(&log.request(12, 14), 503);
    assert_eq!(answer, "the content cannot be fetched\n");
    bench.check(&log.request(12, 15), 503);
    bench.check(&log.request(12, 16), 200);
    let wanted = [
        (None, 5),
        (Some(5), 12),
        (Some(12), 13),
        (Some(12), 13),
        (Some(12), 14),
        (Some(12), 15),
        (Some(12), 16),
    ];
    assert_eq!(*seen.lock().unwrap(), wanted);
    // The fork, then the finding, once.
    assert_eq!(bench.witness.refusals().unwrap(), [1, 2]);
    let note = bench.witness.refusal(2).unwrap().unwrap();
    let verifier = VerifierKey::parse(&key(11).vkey(), KeyKind::Cosignature).unwrap();
    let refusal = Refusal::open(&note, &verifier).unwrap();
    assert_eq!(refusal.reason, "postings of batch 12 do not sum to zero");
    assert_eq!(refusal.evidence.as_deref(), Some("batch 12\n"));
    assert_eq!(refusal.checkpoint, log.note(13));
}

#[test]
fn keys_of_logs_must_be_log_keys() {
    let dir = tempfile::tempdir().unwrap();
    let check = |vkey: String| {
        let mut config = config(&[&SimLog::new()]);
        config.logs.push(vkey);
        let error = Witness::open(&dir.path().join("state"), config)
            .err()
            .unwrap();
        assert!(error.to_string().contains("the key of log 2"), "{error}");
    };
    check("x".into());
    check(key(11).vkey());
}

/// A caller that sends half a request is answered that it is late, and does not keep its connection.
#[test]
fn half_a_request_holds_no_connection() {
    let bench = Bench::new();
    let router = valuta_witness::router_within(bench.witness.clone(), Duration::from_millis(100));
    let served = Served::router(router);
    let mut stream = TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    let half = "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold 0\n";
    stream.write_all(half.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
