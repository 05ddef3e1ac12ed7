//! The journal, followed: who may, from where, how many, and how it ends.

use super::*;
use std::time::Duration;
use tokio_stream::StreamExt;
use v1::follow_journal_response::Item;

/// Long enough for everything that can happen on a loopback connection to have happened.
const SETTLE: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// As the server bounds them.
const FOLLOWERS_MAX: usize = crate::audit::FOLLOWERS_MAX;

type Answers = tonic::Streaming<v1::FollowJournalResponse>;

fn after(sequence: u64, chain: &[u8]) -> v1::FollowJournalRequest {
    v1::FollowJournalRequest {
        after_sequence: sequence,
        after_chain: chain.to_vec(),
    }
}

async fn follow(
    rig: &Rig,
    token: &str,
    request: v1::FollowJournalRequest,
) -> Result<Answers, Status> {
    let answers = rig.audit().follow_journal(by(token, request)).await;
    answers.map(tonic::Response::into_inner)
}

async fn from_start(rig: &Rig) -> Answers {
    follow(rig, TOKEN_AUDITOR, after(0, &[])).await.unwrap()
}

/// `head ...`, or a record's number and payload.
async fn next(answers: &mut Answers) -> String {
    match answers.next().await.unwrap().unwrap().item.unwrap() {
        Item::Head(head) => format!("head {:?} {}", head.journal[0], head.rehearsal),
        Item::Record(record) => {
            assert_eq!(record.header.len(), 80);
            let payload = String::from_utf8(record.payload).unwrap();
            format!("{} {payload}", record.header[0])
        }
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(10), waits).await;
    within.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn auditor_and_operator_alone_follow() {
    let rig = Rig::start().await;
    for (token, expected) in [
        (TOKEN_AUDITOR, "ok"),
        (TOKEN_OPERATOR, "ok"),
        (TOKEN_TREASURY, "PermissionDenied NOT_PERMITTED -"),
        (TOKEN_AGENT, "PermissionDenied NOT_PERMITTED -"),
        (TOKEN_A, "PermissionDenied NOT_PERMITTED -"),
        ("vt_x", "Unauthenticated TOKEN_UNKNOWN -"),
    ] {
        let answered = match follow(&rig, token, after(0, &[])).await {
            Ok(_) => "ok".to_owned(),
            Err(status) => shown(&status),
        };
        assert_eq!(answered, expected, "{token}");
    }
}

#[tokio::test]
async fn all_of_it_and_then_what_comes() {
    let rig = Rig::start().await;
    let journal = rig.double.journaled();
    journal.append(b"one".to_vec());
    journal.append(b"two".to_vec());
    let mut all = from_start(&rig).await;
    for expected in ["head 15 true", "1 one", "2 two"] {
        assert_eq!(next(&mut all).await, expected);
    }
    let mut rest = follow(&rig, TOKEN_AUDITOR, after(1, &[1; 32]))
        .await
        .unwrap();
    assert_eq!(next(&mut rest).await, "head 15 true");
    assert_eq!(next(&mut rest).await, "2 two");
    journal.append(b"three".to_vec());
    for answers in [&mut all, &mut rest] {
        assert_eq!(next(answers).await, "3 three");
    }
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let rig = Rig::start().await;
    rig.double.journaled().append(b"one".to_vec());
    let check = async |sequence: u64, chain: &[u8], expected: &str| {
        let refused = follow(&rig, TOKEN_AUDITOR, after(sequence, chain)).await;
        let status = refused.unwrap_err();
        assert_eq!(shown(&status), expected, "{sequence} {chain:?}");
        let may_retry = status.get_error_details().retry_info().is_some();
        assert_eq!(may_retry, status.code() == Code::Unavailable);
    };
    check(1, &[7; 32], "FailedPrecondition NOT_IN_JOURNAL -").await;
    check(0, &[7; 32], "FailedPrecondition NOT_IN_JOURNAL -").await;
    check(2, &[2; 32], "Unavailable JOURNAL_BEHIND -").await;
    check(1, &[1; 31], "InvalidArgument FIELD_INVALID after_chain").await;
    check(1, &[], "InvalidArgument FIELD_MISSING after_chain").await;
    // None of them took the place of another.
    let mut places = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        places.push(from_start(&rig).await);
    }
}

#[tokio::test]
async fn so_many_at_once_and_a_place_is_free_when_one_leaves() {
    let rig = Rig::start().await;
    let journal = rig.double.journaled();
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        followers.push(from_start(&rig).await);
    }
    let refused = follow(&rig, TOKEN_AUDITOR, after(0, &[])).await;
    let status = refused.unwrap_err();
    assert_eq!(shown(&status), "ResourceExhausted BUSY -");
    assert!(status.get_error_details().retry_info().is_some());
    followers.pop();
    until("it does not end", || journal.followers() < FOLLOWERS_MAX).await;
    let admitted = async {
        loop {
            match follow(&rig, TOKEN_AUDITOR, after(0, &[])).await {
                Ok(answers) => break answers,
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let mut answers = admitted.await;
    assert_eq!(next(&mut answers).await, "head 15 true");
}

#[tokio::test]
async fn one_that_does_not_read_is_not_read_ahead_for() {
    let rig = Rig::start().await;
    let journal = rig.double.journaled();
    for _ in 0..64 {
        journal.append(vec![b'x'; 1 << 20]);
    }
    let mut answers = from_start(&rig).await;
    assert_eq!(next(&mut answers).await, "head 15 true");
    tokio::time::sleep(SETTLE).await;
    let ahead = journal.read();
    assert!(ahead < 16, "{ahead} of 1 MiB each");
    // Nor does it have to come back to be rid of.
    drop(answers);
    until("it goes on", || journal.followers() == 0).await;
    assert!(journal.read() < 32);
}

#[tokio::test]
async fn a_revoked_token_follows_no_more() {
    let rig = Rig::start().await;
    let journal = rig.double.journaled();
    journal.append(b"one".to_vec());
    let mut answers = from_start(&rig).await;
    next(&mut answers).await;
    assert_eq!(next(&mut answers).await, "1 one");
    rig.double.revoke(TOKEN_AUDITOR);
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(shown(&status), "Unauthenticated TOKEN_UNKNOWN -");
    until("it goes on", || journal.followers() == 0).await;
}

#[tokio::test]
async fn a_stop_ends_it() {
    let rig = Rig::start().await;
    let mut answers = from_start(&rig).await;
    next(&mut answers).await;
    rig.stop.send(true).unwrap();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(shown(&status), "Unavailable STOPPING -");
    let ended = tokio::time::timeout(Duration::from_secs(5), rig.served).await;
    ended.expect("no stream holds the server").unwrap().unwrap();
}
