//! Streams: order, backpressure, resumption, and how they end.

use super::*;
use crate::ports::{ChangeRow, InstructionRow, ReceivedRow};
use crate::testing::Random;
use prost::Message;
use settlement_core::command::Position;
use settlement_core::ids::{Sequence, Timestamp, Uetr};
use settlement_core::instruction::{Identity, Kind};
use settlement_core::view::{InstructionAnswer, Status as Standing, View};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Long enough for everything that can happen on a loopback connection to have happened.
const SETTLE: Duration = Duration::from_millis(200);

type Answers = tonic::Streaming<v1::SubmitInstructionsResponse>;

async fn open(rig: &Rig) -> (mpsc::Sender<v1::SubmitInstructionsRequest>, Answers) {
    let (send, requests) = mpsc::channel(64);
    let request = by(TOKEN_A, ReceiverStream::new(requests));
    let answers = rig.payment().stream_instructions(request).await.unwrap();
    (send, answers.into_inner())
}

#[tokio::test]
async fn requests_are_answered_in_order() {
    let rig = Rig::start().await;
    let (send, mut answers) = open(&rig).await;
    let mut random = Random(7);
    let mut sizes = Vec::new();
    let mut next = 0;
    for _ in 0..60 {
        let size = random.below(20) as u32;
        send.send(batch(next..next + size)).await.unwrap();
        next += size;
        sizes.push(size);
    }
    drop(send);
    let mut sequence = 1;
    for size in sizes {
        let answer = answers.next().await.unwrap().unwrap();
        let counts: u32 = answer.accepted.iter().map(|range| range.count).sum();
        assert_eq!(counts, size);
        if let Some(range) = answer.accepted.first() {
            assert_eq!(range.first_sequence, sequence);
        }
        sequence += u64::from(size);
    }
    assert!(answers.next().await.is_none(), "and then it ends cleanly");
}

#[tokio::test]
async fn at_most_sixteen_are_read_ahead() {
    let rig = Rig::start().await;
    rig.double.release(0);
    let (send, mut answers) = open(&rig).await;
    for n in 0..40 {
        send.send(batch([n])).await.unwrap();
    }
    tokio::time::sleep(SETTLE).await;
    assert_eq!(rig.double.submissions(), 16);
    rig.double.release(3);
    for _ in 0..3 {
        answers.next().await.unwrap().unwrap();
    }
    tokio::time::sleep(SETTLE).await;
    assert_eq!(rig.double.submissions(), 19);
    rig.double.release(u64::MAX);
    drop(send);
    let mut rest = 0;
    while let Some(answer) = answers.next().await {
        answer.unwrap();
        rest += 1;
    }
    assert_eq!(rest, 37);
}

#[tokio::test]
async fn a_request_that_is_refused_ends_the_stream_after_the_answers_before_it() {
    let rig = Rig::start().await;
    let (send, mut answers) = open(&rig).await;
    send.send(batch([1])).await.unwrap();
    let many = vec![v1::Instruction::default(); 10_001];
    send.send(v1::SubmitInstructionsRequest {
        instructions: many,
        full_answers: false,
    })
    .await
    .unwrap();
    send.send(batch([2])).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap().accepted[0].count, 1);
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(
        shown(&status),
        "OutOfRange TOO_MANY_INSTRUCTIONS instructions"
    );
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_stream_cut_half_way_leaves_the_server_well() {
    let rig = Rig::start().await;
    rig.double.release(0);
    let (send, answers) = open(&rig).await;
    for n in 0..5 {
        send.send(batch([n])).await.unwrap();
    }
    tokio::time::sleep(SETTLE).await;
    drop((send, answers));
    rig.double.release(u64::MAX);
    let again = rig
        .payment()
        .submit_instructions(by(TOKEN_A, batch(0..6)))
        .await;
    let again = again.unwrap().into_inner();
    assert_eq!(again.others.len(), 5, "what was taken is known");
    assert_eq!(again.accepted[0].count, 1);
}

#[tokio::test]
async fn a_stop_answers_what_was_read_then_ends_every_stream() {
    let rig = Rig::start().await;
    rig.double.show(View::Acknowledged(Position::default()));
    let (send, mut answers) = open(&rig).await;
    send.send(batch([1])).await.unwrap();
    answers.next().await.unwrap().unwrap();
    let watch = v1::WatchInstructionsRequest::default();
    let mut changes = rig
        .payment()
        .watch_instructions(by(TOKEN_A, watch))
        .await
        .unwrap()
        .into_inner();
    let receive = v1::ReceiveRequest::default();
    let mut received = rig
        .payment()
        .receive(by(TOKEN_B, receive))
        .await
        .unwrap()
        .into_inner();

    rig.double.release(1);
    send.send(batch([2])).await.unwrap();
    tokio::time::sleep(SETTLE).await;
    rig.stop.send(true).unwrap();
    tokio::time::sleep(SETTLE).await;
    rig.double.release(u64::MAX);
    assert_eq!(
        answers.next().await.unwrap().unwrap().accepted[0].count,
        1,
        "accepted work is answered"
    );
    for status in [
        answers.next().await.unwrap().unwrap_err(),
        changes.next().await.unwrap().unwrap_err(),
        received.next().await.unwrap().unwrap_err(),
    ] {
        assert_eq!(shown(&status), "Unavailable STOPPING -");
        assert!(status.get_error_details().retry_info().is_some());
    }
    drop(send);
    let ended = tokio::time::timeout(Duration::from_secs(5), rig.served).await;
    ended.expect("no stream holds the server").unwrap().unwrap();
}

fn answer(sequence: u64) -> InstructionAnswer {
    InstructionAnswer {
        identity: Identity {
            uetr: Uetr(sequence.into()),
            instructing: bic(BANK_A),
            kind: Kind::Payment,
        },
        sequence: Sequence(sequence),
        status: Standing::Settled { batch: 1 },
        matched_with: None,
        repeated: false,
    }
}

fn position(sequence: u64, index: u32) -> Position {
    Position {
        sequence: Sequence(sequence),
        index,
    }
}

/// One input that changed `count` instructions.
fn changes(sequence: u64, count: u32) -> Vec<ChangeRow> {
    let row = |index| ChangeRow {
        position: position(sequence, index),
        answer: answer(sequence),
        time: Timestamp(0),
    };
    (0..count).map(row).collect()
}

#[tokio::test]
async fn a_watch_resumes_without_gap_or_repeat() {
    let rig = Rig::start().await;
    // More than a page under one input: a page may end in the middle of it.
    rig.double.make_durable(2);
    rig.double
        .project(2, [changes(1, 3), changes(2, 600)].concat(), Vec::new());
    let watch = async |token: &str| {
        let request = v1::WatchInstructionsRequest {
            resume_token: token.into(),
        };
        let stream = rig.payment().watch_instructions(by(TOKEN_A, request)).await;
        stream.map(tonic::Response::into_inner)
    };
    let mut all = watch("0").await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..603 {
        tokens.push(all.next().await.unwrap().unwrap().resume_token);
    }
    assert_eq!(tokens[0], "1.0");
    assert_eq!(tokens[602], "2.599");

    let mut resumed = watch(&tokens[300]).await.unwrap();
    assert_eq!(
        resumed.next().await.unwrap().unwrap().resume_token,
        tokens[301]
    );
    let mut live = watch("").await.unwrap();
    rig.double.make_durable(3);
    rig.double.project(3, changes(3, 1), Vec::new());
    for stream in [&mut live, &mut all] {
        assert_eq!(stream.next().await.unwrap().unwrap().resume_token, "3.0");
    }
    for token in ["x", "1", "9.0"] {
        let status = watch(token).await.unwrap_err();
        assert_eq!(
            shown(&status),
            "InvalidArgument FIELD_INVALID resume_token",
            "{token}"
        );
    }
}

#[tokio::test]
async fn receive_starts_after_what_was_acknowledged() {
    let rig = Rig::start().await;
    rig.double.show(View::Acknowledged(position(2, 0)));
    let rows = (1..=4).map(|sequence| ReceivedRow {
        position: position(sequence, 0),
        row: InstructionRow {
            answer: answer(sequence),
            content: payment(sequence as u32).encode_to_vec(),
            received: Timestamp(0),
        },
    });
    rig.double.make_durable(4);
    rig.double.project(4, Vec::new(), rows.collect());
    let receive = async |after: &str| {
        let request = v1::ReceiveRequest {
            after_position: after.into(),
        };
        rig.payment()
            .receive(by(TOKEN_B, request))
            .await
            .unwrap()
            .into_inner()
    };
    let first = receive("").await.next().await.unwrap().unwrap();
    assert_eq!(first.position, "3.0");
    assert_eq!(first.instruction.unwrap().instruction, Some(payment(3)));
    assert_eq!(
        receive("0").await.next().await.unwrap().unwrap().position,
        "1.0"
    );
    assert_eq!(
        receive("3.0").await.next().await.unwrap().unwrap().position,
        "4.0"
    );

    let request = v1::AcknowledgeReceivedRequest {
        request_id: "ack-1".into(),
        position: "3.0".into(),
        created: None,
    };
    rig.payment()
        .acknowledge_received(by(TOKEN_B, request))
        .await
        .unwrap();
    let action = rig.double.last_command().action;
    assert_eq!(
        action,
        settlement_core::command::Action::Acknowledge(position(3, 0))
    );

    let beyond = v1::AcknowledgeReceivedRequest {
        request_id: "ack-2".into(),
        position: "5.0".into(),
        created: None,
    };
    let status = rig
        .payment()
        .acknowledge_received(by(TOKEN_B, beyond))
        .await
        .unwrap_err();
    assert_eq!(shown(&status), "InvalidArgument FIELD_INVALID position");
}
