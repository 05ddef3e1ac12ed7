//! Collecting cosignatures from witnesses that answer, and from others.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::post;
use common::*;
use tokio::sync::Semaphore;
use valuta_verify::{Hash, Opened, Policy, open_checkpoint};
use valuta_witness::{AskError, Collector, Log, Pace, Witness, WitnessClient};

const PACE: Pace = Pace {
    request_timeout: Duration::from_secs(60),
    poll: Duration::from_millis(20),
    backoff_min: Duration::from_millis(10),
    backoff_max: Duration::from_millis(100),
};

/// A log that grows when it is told to, and passes on what was witnessed.
struct Growing {
    log: SimLog,
    note: Mutex<Arc<str>>,
    witnessed: Mutex<Sender<String>>,
    /// `witnessed` fails while it is set.
    is_full: AtomicBool,
}

impl Growing {
    fn new(size: u64) -> (Arc<Self>, Receiver<String>) {
        let (sender, receiver) = channel();
        let growing = Self {
            log: SimLog::new(),
            note: Mutex::new(SimLog::new().note(size).into()),
            witnessed: Mutex::new(sender),
            is_full: AtomicBool::new(false),
        };
        (Arc::new(growing), receiver)
    }

    fn grow(&self, size: u64) {
        *self.note.lock().unwrap() = self.log.note(size).into();
    }
}

impl Log for Growing {
    fn checkpoint(&self) -> Arc<str> {
        self.note.lock().unwrap().clone()
    }

    fn consistency(&self, old_size: u64, new_size: u64) -> Option<Vec<Hash>> {
        (old_size <= new_size).then(|| self.log.proof(old_size, new_size))
    }

    fn witnessed(&self, note: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err("no space left".into());
        }
        Ok(self.witnessed.lock().unwrap().send(note.to_owned())?)
    }
}

/// A witness with this seed, in memory.
fn witness(seed: u8) -> Arc<Witness> {
    let mut config = config(&[&SimLog::new()]);
    config.key = key(seed);
    let backend = redb::backends::InMemoryBackend::new();
    Arc::new(Witness::with_backend(backend, config).unwrap())
}

fn policy(witnesses: &[(u8, &str)], quorum: usize) -> Policy {
    let mut text = format!("log {}\n", SimLog::new().vkey());
    let mut names = String::new();
    for (seed, url) in witnesses {
        writeln!(text, "witness w{seed} {} {url}", key(*seed).vkey()).unwrap();
        write!(names, " w{seed}").unwrap();
    }
    write!(text, "group g {quorum}{names}\nquorum g\n").unwrap();
    Policy::parse(&text).unwrap()
}

/// The next note that is handed over, which has the quorum.
fn next(witnessed: &Receiver<String>, policy: &Policy) -> Opened {
    open_checkpoint(&witnessed.recv().unwrap(), policy).unwrap()
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers as the witness does, but with what `change` makes of a cosignature, and only when `gate` lets it.
fn served_with(
    witness: Arc<Witness>,
    gate: Arc<Semaphore>,
    change: fn(String) -> String,
) -> Served {
    let through = move |request: Request, next: Next| {
        let gate = gate.clone();
        async move {
            drop(gate.acquire().await.unwrap());
            let (parts, body) = next.run(request).await.into_parts();
            if parts.status != StatusCode::OK {
                return Response::from_parts(parts, body);
            }
            let line = to_bytes(body, usize::MAX).await.unwrap();
            let line = change(String::from_utf8(line.to_vec()).unwrap());
            Response::from_parts(parts, Body::from(line))
        }
    };
    Served::router(valuta_witness::router(witness).layer(from_fn(through)))
}

/// Another time than the one that was signed.
fn lie(line: String) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let (name, blob) = line.trim_end().rsplit_once(' ').unwrap();
    let mut blob = base64.decode(blob).unwrap();
    blob[11] ^= 1;
    format!("{name} {}\n", base64.encode(blob))
}

#[test]
fn every_checkpoint_gets_its_quorum() {
    let served = [11, 12, 13].map(|seed| (seed, Served::witness(witness(seed))));
    let urls: Vec<(u8, &str)> = served
        .iter()
        .map(|(seed, s)| (*seed, s.url.as_str()))
        .collect();
    let policy = policy(&urls, 3);
    let (log, witnessed) = Growing::new(1);
    let collector = Collector::start(log.clone(), policy.clone(), PACE).unwrap();
    for size in [1, 2, 7, 8, 300] {
        log.grow(size);
        collector.wake();
        assert_eq!(
            next(&witnessed, &policy).checkpoint,
            log.log.checkpoint(size)
        );
    }
    let progress = collector.progress();
    assert!(
        progress
            .iter()
            .all(|w| w.cosigned_size == Some(300) && w.error.is_none())
    );
    collector.stop();
    assert!(witnessed.try_recv().is_err(), "nothing twice");
}

/// Of five witnesses one is dead, one slow and one lies: the other two are the quorum.
#[test]
fn dead_slow_and_lying_witnesses_delay_nothing() {
    let (gate, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(1)));
    let good = [11, 12].map(|seed| Served::witness(witness(seed)));
    let slow = served_with(witness(13), gate.clone(), |line| line);
    let liar = served_with(witness(14), open, lie);
    let dead = nobody();
    let urls = [
        (11, good[0].url.as_str()),
        (12, &good[1].url),
        (13, &slow.url),
        (14, &liar.url),
        (15, &dead),
    ];
    let policy = policy(&urls, 2);
    let (log, witnessed) = Growing::new(5);
    let collector = Collector::start(log.clone(), policy.clone(), PACE).unwrap();
    let names = |opened: &Opened| -> Vec<String> {
        opened
            .cosigned_by
            .iter()
            .map(|by| by.witness.clone())
            .collect()
    };
    for size in [5, 6, 9] {
        log.grow(size);
        collector.wake();
        let opened = next(&witnessed, &policy);
        assert_eq!(opened.checkpoint, log.log.checkpoint(size));
        assert_eq!(names(&opened), ["w11", "w12"]);
    }
    // The slow one answers at last, and then for the newest checkpoint: it is added.
    gate.add_permits(1);
    let opened = next(&witnessed, &policy);
    assert_eq!(opened.checkpoint, log.log.checkpoint(9));
    assert_eq!(names(&opened), ["w11", "w12", "w13"]);
    let progress = collector.progress();
    let error = |index: usize| progress[index].error.clone().unwrap_or_default();
    assert!(error(3).contains("its answer is wrong"), "{}", error(3));
    assert!(error(4).contains("it cannot be asked"), "{}", error(4));
    collector.stop();
}

/// A witness that saw the log before names its size, and is asked again with the proof from there.
#[test]
fn after_a_conflict_it_is_asked_from_its_size() {
    let (witness, log) = (witness(11), SimLog::new());
    block_on(witness.add_checkpoint(log.request(0, 6).as_bytes())).unwrap();
    let served = Served::witness(witness);
    let policy = policy(&[(11, &served.url)], 1);
    let (log, witnessed) = Growing::new(9);
    let collector = Collector::start(log.clone(), policy.clone(), PACE).unwrap();
    assert_eq!(next(&witnessed, &policy).checkpoint.size, 9);
    collector.stop();
}

#[test]
fn a_witness_that_has_seen_more_is_reported() {
    let (witness, log) = (witness(11), SimLog::new());
    block_on(witness.add_checkpoint(log.request(0, 20).as_bytes())).unwrap();
    let served = Served::witness(witness);
    let policy = policy(&[(11, &served.url)], 1);
    let (log, witnessed) = Growing::new(9);
    let collector = Collector::start(log.clone(), policy.clone(), PACE).unwrap();
    while collector.progress()[0].error.is_none() {
        std::thread::yield_now();
    }
    let error = collector.progress()[0].error.clone().unwrap();
    assert!(
        error.contains("it has seen a checkpoint of 20 entries; this one has 9"),
        "{error}"
    );
    log.grow(21);
    collector.wake();
    assert_eq!(next(&witnessed, &policy).checkpoint.size, 21);
    collector.stop();
}

/// A witness that was down when it was asked first; and a log that could not keep what it got.
#[test]
fn what_failed_comes_again() {
    let (log, witnessed) = Growing::new(5);
    log.is_full.store(true, Ordering::Relaxed);
    let gate = Arc::new(Semaphore::new(1));
    let served = served_with(witness(11), gate.clone(), |line| line);
    let policy = policy(&[(11, &served.url)], 1);
    let collector = Collector::start(log.clone(), policy.clone(), PACE).unwrap();
    while collector.progress()[0].cosigned_size.is_none() {
        std::thread::yield_now();
    }
    assert!(witnessed.try_recv().is_err());
    log.is_full.store(false, Ordering::Relaxed);
    assert_eq!(next(&witnessed, &policy).checkpoint.size, 5);
    collector.stop();
}

/// What the log kept before a restart is not asked for again.
#[test]
fn cosignatures_that_are_there_are_kept() {
    let (witnesses, log) = ([witness(11), witness(12)], SimLog::new());
    let cosign = |index: usize| {
        let request = log.request(0, 5);
        block_on(witnesses[index].add_checkpoint(request.as_bytes())).unwrap()
    };
    let lines = [cosign(0), cosign(1)];
    let served = witnesses.map(Served::witness);
    let policy = policy(&[(11, &served[0].url), (12, &served[1].url)], 2);
    let (growing, witnessed) = Growing::new(5);
    *growing.note.lock().unwrap() = format!("{}{}", log.note(5), lines[0]).into();
    let collector = Collector::start(growing.clone(), policy.clone(), PACE).unwrap();
    let note = witnessed.recv().unwrap();
    assert!(note.contains(&lines[0]));
    assert_eq!(
        open_checkpoint(&note, &policy).unwrap().cosigned_by.len(),
        2
    );
    assert_eq!(
        collector.progress()[0].cosigned_size,
        None,
        "it was not asked"
    );
    collector.stop();
}

#[test]
fn it_stops_while_witnesses_are_down() {
    let dead = nobody();
    let (log, _witnessed) = Growing::new(5);
    let patient = Pace {
        backoff_min: Duration::from_secs(3_600),
        backoff_max: Duration::from_secs(3_600),
        ..PACE
    };
    let policy = policy(&[(11, &dead)], 1);
    let collector = Collector::start(log, policy, patient).unwrap();
    while collector.progress()[0].error.is_none() {
        std::thread::yield_now();
    }
    collector.stop();
}

#[test]
fn what_a_client_makes_of_answers() {
    type Answer = (u16, &'static str, String);
    type Asked = Result<Vec<String>, AskError>;
    let log = SimLog::new();
    let check = |answer: Answer, wanted: &dyn Fn(&Asked) -> bool| {
        let (status, content_type, body) = answer.clone();
        let handler = move || async move {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("content-type", content_type)], body)
        };
        let router = axum::Router::new().route("/at/add-checkpoint", post(handler));
        let served = Served::router(router);
        let policy = policy(&[(11, &format!("{}/at/", served.url))], 1);
        let client = WitnessClient::new(&policy.witnesses()[0], PACE.request_timeout).unwrap();
        let found = client.ask(0, &[], &log.note(5));
        assert!(wanted(&found), "{answer:?}: {found:?}");
    };
    let (text, size) = ("text/plain", "text/x.tlog.size");
    let line = block_on(witness(11).add_checkpoint(log.request(0, 5).as_bytes())).unwrap();
    let other = block_on(witness(12).add_checkpoint(log.request(0, 5).as_bytes())).unwrap();
    let moved = block_on(witness(11).add_checkpoint(log.request(0, 6).as_bytes())).unwrap();

    let is_line = |found: &Asked| *found == Ok(vec![line.clone()]);
    check((200, text, line.clone()), &is_line);
    check((200, text, format!("{other}{line}")), &is_line);
    let is_wrong = |found: &Asked| matches!(found, Err(AskError::Malformed { .. }));
    for wrong in [
        String::new(),
        "\n".into(),
        "x\n".into(),
        other,
        moved,
        lie(line.clone()),
    ] {
        check((200, text, wrong), &is_wrong);
    }
    check((200, text, line.trim_end().to_owned()), &is_wrong);
    check((200, text, format!("{line}\n{}", log.note(5))), &is_wrong);
    check((409, size, "7\n".into()), &|found| {
        *found == Err(AskError::Conflict { size: 7 })
    });
    for wrong in ["7", "07\n", "x\n", "", "7\n\n"] {
        check((409, size, wrong.into()), &is_wrong);
    }
    for status in [400, 403, 404, 409, 422, 301] {
        let is_refused = |found: &Asked| {
            let wanted = AskError::Refused {
                status,
                reason: "why".into(),
            };
            *found == Err(wanted)
        };
        check((status, text, "why\nand more\n".into()), &is_refused);
    }
    let is_later = |found: &Asked| matches!(found, Err(AskError::Unreachable { .. }));
    for status in [408, 429, 500, 503] {
        check((status, text, "why\n".into()), &is_later);
    }
    check((200, text, "x".repeat(1 << 20)), &is_later);
}
