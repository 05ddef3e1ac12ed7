//! Unary calls of `PaymentService`.

use super::*;
use crate::ports::EngineError;
use std::time::Duration;

pub(super) async fn submit(
    rig: &Rig,
    token: &str,
    instruction: v1::Instruction,
) -> Result<v1::InstructionStatus, Status> {
    let request = v1::SubmitInstructionRequest {
        instruction: Some(instruction),
    };
    let answer = rig.payment().submit_instruction(by(token, request)).await?;
    Ok(answer.into_inner().status.unwrap())
}

#[tokio::test]
async fn one_instruction_gets_its_status() {
    let rig = Rig::start().await;
    let first = submit(&rig, TOKEN_A, payment(1)).await.unwrap();
    assert_eq!(first.status(), v1::Status::Acsc);
    assert_eq!((first.sequence, first.batch), (1, 1));
    assert_eq!(first.uetr, payment(1).uetr);
    assert_eq!(
        submit(&rig, TOKEN_A, payment(1)).await.unwrap(),
        first,
        "sent again"
    );

    let mut other = payment(1);
    other.legs[0].amount = "2.00".into();
    let refused = submit(&rig, TOKEN_A, other).await.unwrap();
    assert_eq!(refused.status(), v1::Status::Rjct);
    assert_eq!(refused.rejection.unwrap().code, "AM05");

    let mut malformed = payment(2);
    malformed.lane = 0;
    let rejection = submit(&rig, TOKEN_A, malformed)
        .await
        .unwrap()
        .rejection
        .unwrap();
    assert_eq!(
        (rejection.code.as_str(), rejection.field.as_str()),
        ("NARR", "lane")
    );
}

#[tokio::test]
async fn what_is_not_journaled_fails_the_unary_call() {
    let rig = Rig::start().await;
    let check = async |token: &str, change: fn(&mut v1::Instruction), expected: &str| {
        let mut instruction = payment(1);
        change(&mut instruction);
        let status = submit(&rig, token, instruction).await.unwrap_err();
        assert_eq!(shown(&status), expected);
    };
    check(
        TOKEN_A,
        |m| m.uetr.clear(),
        "InvalidArgument UETR_MISSING instruction.uetr",
    )
    .await;
    check(
        TOKEN_A,
        |m| m.kind = 9,
        "InvalidArgument KIND_UNKNOWN instruction.kind",
    )
    .await;
    check(
        TOKEN_B,
        |_| {},
        "PermissionDenied INSTRUCTING_MUST_BE_CALLER instruction.instructing",
    )
    .await;
    check(TOKEN_OPERATOR, |_| {}, "PermissionDenied NOT_PERMITTED -").await;
    check("vt_nobody", |_| {}, "Unauthenticated TOKEN_UNKNOWN -").await;
    assert_eq!(rig.double.submissions(), 0);
}

#[tokio::test]
async fn every_index_of_a_batch_is_answered_once() {
    let rig = Rig::start().await;
    submit(&rig, TOKEN_A, payment(2)).await.unwrap();
    let mut request = batch(0..6);
    request.instructions[1].uetr = "x".into();
    request.instructions[3].lane = 0;
    request.instructions[4].instructing = BANK_B.into();
    let send = async |request| {
        let answer = rig
            .payment()
            .submit_instructions(by(TOKEN_A, request))
            .await;
        answer.unwrap().into_inner()
    };
    let answer = send(request.clone()).await;
    let ranges: Vec<_> = answer
        .accepted
        .iter()
        .map(|r| (r.first_index, r.count, r.first_sequence))
        .collect();
    assert_eq!(ranges, [(0, 1, 2), (5, 1, 4)]);
    let others: Vec<_> = answer.others.iter().map(|o| o.index).collect();
    assert_eq!(others, [2, 3], "the repeated one, and the malformed one");
    let errors: Vec<_> = answer
        .errors
        .iter()
        .map(|e| (e.index, e.error.as_ref().unwrap().reason.as_str()))
        .collect();
    assert_eq!(
        errors,
        [(1, "UETR_MALFORMED"), (4, "INSTRUCTING_MUST_BE_CALLER")]
    );

    // Again, now asked in full.
    request.full_answers = true;
    request.instructions.push(payment(6));
    let full = send(request).await;
    assert!(full.accepted.is_empty());
    let sequences: Vec<_> = full
        .others
        .iter()
        .map(|o| (o.index, o.status.as_ref().unwrap().sequence))
        .collect();
    assert_eq!(sequences, [(0, 2), (2, 1), (3, 3), (5, 4), (6, 5)]);
    let last = full.others[4].status.as_ref().unwrap();
    assert_eq!(last.uetr, payment(6).uetr);
}

#[tokio::test]
async fn a_run_of_accepted_ones_is_one_range() {
    let rig = Rig::start().await;
    let answer = rig
        .payment()
        .submit_instructions(by(TOKEN_A, batch(0..1_000)))
        .await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.accepted.len(), 1);
    assert_eq!(answer.accepted[0].count, 1_000);
    let empty = rig
        .payment()
        .submit_instructions(by(TOKEN_A, batch([])))
        .await;
    assert_eq!(
        empty.unwrap().into_inner(),
        v1::SubmitInstructionsResponse::default()
    );
    assert_eq!(
        rig.double.submissions(),
        1,
        "an empty batch does not reach the engine"
    );
}

#[tokio::test]
async fn too_much_is_refused_as_a_whole() {
    let rig = Rig::start().await;
    let many = v1::SubmitInstructionsRequest {
        instructions: vec![v1::Instruction::default(); 10_001],
        full_answers: false,
    };
    let status = rig
        .payment()
        .submit_instructions(by(TOKEN_A, many))
        .await
        .unwrap_err();
    assert_eq!(
        shown(&status),
        "OutOfRange TOO_MANY_INSTRUCTIONS instructions"
    );
    let mut large = batch([0]);
    large.instructions[0].iso_message = vec![0; serve::MESSAGE_BYTES_MAX];
    let status = rig
        .payment()
        .submit_instructions(by(TOKEN_A, large))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(rig.double.submissions(), 0);
}

#[tokio::test]
async fn an_engine_that_cannot_says_when_to_retry() {
    let rig = Rig::start().await;
    rig.double.fail(Some(EngineError::Unavailable {
        retry_after_ms: 700,
        reason: "the disk is full".into(),
    }));
    let status = submit(&rig, TOKEN_A, payment(1)).await.unwrap_err();
    assert_eq!(shown(&status), "Unavailable ENGINE_UNAVAILABLE -");
    assert_eq!(status.message(), "the disk is full");
    let delay = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_millis(700)));
}

#[tokio::test]
async fn parties_get_an_instruction_and_others_do_not() {
    let rig = Rig::start().await;
    submit(&rig, TOKEN_A, payment(1)).await.unwrap();
    let mut own = payment(2);
    own.legs[0].creditor = "CCCCJPJT".into();
    submit(&rig, TOKEN_A, own).await.unwrap();
    let get = async |token: &str, n: u32| {
        let request = v1::GetInstructionRequest {
            uetr: payment(n).uetr,
            min_sequence: 0,
        };
        let answer = rig.payment().get_instruction(by(token, request)).await;
        answer.map(|answer| answer.into_inner().instructions)
    };
    let found = get(TOKEN_B, 1).await.unwrap();
    assert_eq!(
        found[0].instruction,
        Some(payment(1)),
        "the creditor reads the content"
    );
    assert_eq!(get(TOKEN_A, 2).await.unwrap().len(), 1);
    assert_eq!(get(TOKEN_OPERATOR, 2).await.unwrap().len(), 1);
    assert_eq!(
        shown(&get(TOKEN_B, 2).await.unwrap_err()),
        "NotFound NOT_FOUND uetr"
    );
    assert_eq!(
        shown(&get(TOKEN_A, 3).await.unwrap_err()),
        "NotFound NOT_FOUND uetr"
    );
    assert_eq!(
        get(TOKEN_AGENT, 1).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_read_waits_for_its_sequence_until_the_deadline() {
    let rig = Rig::start().await;
    submit(&rig, TOKEN_A, payment(1)).await.unwrap();
    let mut request = by(
        TOKEN_A,
        v1::GetInstructionRequest {
            uetr: payment(1).uetr,
            min_sequence: 5,
        },
    );
    request.set_timeout(Duration::from_secs(2));
    let status = rig.payment().get_instruction(request).await.unwrap_err();
    assert_eq!(shown(&status), "DeadlineExceeded DEADLINE_EXCEEDED -");
    assert!(status.message().contains("sequence 5"));

    let waiting = tokio::spawn({
        let mut client = rig.payment();
        let request = v1::ListInstructionsRequest {
            min_sequence: 1,
            ..Default::default()
        };
        async move { client.list_instructions(by(TOKEN_A, request)).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "the read model is not there yet");
    rig.double.project(1, Vec::new(), Vec::new());
    assert_eq!(
        waiting
            .await
            .unwrap()
            .unwrap()
            .into_inner()
            .instructions
            .len(),
        1
    );
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let rig = Rig::start().await;
    rig.payment()
        .submit_instructions(by(TOKEN_A, batch(1..=5)))
        .await
        .unwrap();
    rig.double.project(3, Vec::new(), Vec::new());
    let mut request = v1::ListInstructionsRequest {
        page_size: 2,
        ..Default::default()
    };
    let mut sequences = Vec::new();
    loop {
        let page = rig
            .payment()
            .list_instructions(by(TOKEN_A, request.clone()))
            .await;
        let page = page.unwrap().into_inner();
        let state = page.read_model.unwrap();
        assert_eq!((state.sequence, state.behind), (3, 2));
        sequences.extend(
            page.instructions
                .iter()
                .map(|i| i.status.as_ref().unwrap().sequence),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(sequences, [5, 4, 3, 2, 1]);
    let check = async |expected: &str, request: v1::ListInstructionsRequest| {
        let status = rig
            .payment()
            .list_instructions(by(TOKEN_A, request))
            .await
            .unwrap_err();
        assert_eq!(shown(&status), expected);
    };
    let empty = v1::ListInstructionsRequest::default;
    check(
        "InvalidArgument FIELD_INVALID page_token",
        v1::ListInstructionsRequest {
            page_token: "x".into(),
            ..empty()
        },
    )
    .await;
    check(
        "InvalidArgument FIELD_INVALID page_size",
        v1::ListInstructionsRequest {
            page_size: -1,
            ..empty()
        },
    )
    .await;
    check(
        "InvalidArgument FIELD_INVALID status",
        v1::ListInstructionsRequest {
            status: 99,
            ..empty()
        },
    )
    .await;
    check(
        "InvalidArgument FIELD_INVALID cycle",
        v1::ListInstructionsRequest {
            cycle: "1".into(),
            ..empty()
        },
    )
    .await;
    check(
        "PermissionDenied NOT_PERMITTED -",
        v1::ListInstructionsRequest {
            participant: BANK_B.into(),
            ..empty()
        },
    )
    .await;
}
