//! Messages as a whole: too large, not UTF-8, unknown fields, and streams that are cut.

use super::{Desk, Door, send};
use crate::support::{A, B, call_raw, failure, rejection_words, shown, status_name};
use prost::Message;
use std::collections::BTreeMap;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use valuta_proto::v1;
use valuta_tests::server::Client;

fn request(instructions: Vec<v1::Instruction>) -> v1::SubmitInstructionsRequest {
    v1::SubmitInstructionsRequest {
        instructions,
        full_answers: false,
    }
}

/// Every index, in words; panics if one is answered twice or not at all.
fn by_index(answer: &v1::SubmitInstructionsResponse, count: usize) -> Vec<String> {
    let mut words = BTreeMap::new();
    let mut put = |index: u32, word: String| {
        assert_eq!(
            words.insert(index, word),
            None,
            "index {index} twice: {answer:?}"
        );
    };
    for range in &answer.accepted {
        assert!(range.first_sequence > 0 && range.count > 0);
        (0..range.count)
            .for_each(|at| put(range.first_index + at, status_name(range.status).to_owned()));
    }
    for other in &answer.others {
        put(other.index, shown(other.status.as_ref().unwrap()));
    }
    for error in &answer.errors {
        put(error.index, rejection_words(error.error.as_ref().unwrap()));
    }
    assert!(
        words.keys().copied().eq(0..u32::try_from(count).unwrap()),
        "{answer:?}"
    );
    words.into_values().collect()
}

#[tokio::test]
async fn each_index_of_a_batch_gets_its_answer() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let goods: Vec<_> = (0..8).map(|_| desk.good(A)).collect();
    let mut batch = goods.clone();
    batch[1].uetr.clear();
    batch[3].legs[0].amount = "0".to_owned();
    batch[4].instructing = B.to_owned();
    batch[6] = batch[5].clone();
    let answer = client
        .payments
        .submit_instructions(request(batch))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        by_index(&answer, 8),
        [
            "ACSC",
            "NARR UETR_MISSING uetr",
            "ACSC",
            "RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount",
            "NARR INSTRUCTING_MUST_BE_CALLER instructing",
            "ACSC",
            "ACSC",
            "ACSC",
        ]
    );
    assert_eq!(
        desk.town.books().await.balance(A, "USD"),
        "999960.00",
        "four of them"
    );
    let none = client
        .payments
        .submit_instructions(request(vec![]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(by_index(&none, 0), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_has_its_limits() {
    let mut desk = Desk::open().await;
    let before = desk.town.books().await;
    let mut client = desk.town.client(A).await;
    let one = desk.good(A);
    let many = request(vec![one.clone(); 10_001]);
    let refused = client.payments.submit_instructions(many).await.unwrap_err();
    assert_eq!(
        failure(&refused),
        "OutOfRange TOO_MANY_INSTRUCTIONS instructions -"
    );

    let mut large = one.clone();
    large.iso_message = vec![0; 9 << 20];
    let alone = v1::SubmitInstructionRequest {
        instruction: Some(large.clone()),
    };
    let refused = client.payments.submit_instruction(alone).await.unwrap_err();
    assert!(
        [Code::OutOfRange, Code::ResourceExhausted].contains(&refused.code()),
        "{refused:?}"
    );
    assert!(
        refused.message().contains("8388608"),
        "the limit is named: {refused:?}"
    );
    let refused = client
        .payments
        .submit_instructions(request(vec![large]))
        .await
        .unwrap_err();
    assert!(
        [Code::OutOfRange, Code::ResourceExhausted].contains(&refused.code()),
        "{refused:?}"
    );

    let mut large = one.clone();
    large.iso_message = vec![0; 65 * 1024];
    let answer = send(&mut client, Door::Batch, large).await;
    assert_eq!(answer, "ERROR NARR INSTRUCTION_TOO_LARGE");
    assert_eq!(desk.town.books().await, before);
    assert_eq!(
        send(&mut client, Door::Alone, one).await,
        "ACSC",
        "the connection is as good as before"
    );
}

/// A good instruction's bytes in which every occurrence of `from` is `to`.
fn patched(desk: &mut Desk, from: &str, to: &[u8]) -> Vec<u8> {
    let bytes = desk.good(A).encode_to_vec();
    let (mut out, mut at) = (Vec::new(), 0);
    assert_eq!(from.len(), to.len());
    while at < bytes.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            out.extend(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    assert_ne!(out, bytes, "{from}");
    out
}

async fn send_bytes(desk: &Desk, bytes: Vec<u8>) -> String {
    let mut message = vec![(1 << 3) | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut message);
    message.extend(bytes);
    let answer = call_raw(
        &desk.town,
        A,
        "PaymentService",
        "SubmitInstructions",
        message,
    )
    .await;
    match answer {
        Ok(answer) => by_index(
            &v1::SubmitInstructionsResponse::decode(&answer[..]).unwrap(),
            1,
        )
        .remove(0),
        Err(status) => failure(&status),
    }
}

#[tokio::test]
async fn what_is_not_utf_8_is_named() {
    let mut desk = Desk::open().await;
    let before = desk.town.books().await;
    let number = format!("I{}", desk.next + 1);
    for (from, expected) in [
        ("-4000-", "NARR UETR_MALFORMED uetr"),
        ("2026-11-20", "RJCT NARR VALUE_DATE_MALFORMED value_date"),
        ("BBBB", "RJCT RC01 LEG_CREDITOR_MALFORMED legs[0].creditor"),
        ("10.00", "RJCT AM12 AMOUNT_INVALID legs[0].amount"),
        ("USD", "RJCT AM11 ASSET_UNKNOWN legs[0].asset"),
    ] {
        let to = vec![0xff; from.len()];
        let bytes = patched(&mut desk, from, &to);
        assert_eq!(send_bytes(&desk, bytes).await, expected, "{from}");
    }
    desk.next = number[1..].parse::<u128>().unwrap() + 100;
    let id = format!("I{}", desk.next + 1);
    let bytes = patched(&mut desk, &id, &vec![0xc3; id.len()]);
    let words = send_bytes(&desk, bytes).await;
    assert_eq!(words, "RJCT NARR INSTRUCTION_ID_MALFORMED instruction_id");
    let mut remittance = desk.good(A).encode_to_vec();
    remittance.extend([(13 << 3) | 2, 2, 0xc3, 0x28]);
    assert_eq!(
        send_bytes(&desk, remittance).await,
        "RJCT NARR REMITTANCE_MALFORMED remittance"
    );
    // In any other message too.
    let message = vec![(1 << 3) | 2, 2, 0xc3, 0x28];
    let status = call_raw(&desk.town, A, "PaymentService", "GetInstruction", message).await;
    let expected = "InvalidArgument MESSAGE_UNDECODABLE uetr -";
    assert_eq!(failure(&status.unwrap_err()), expected);
    assert_eq!(desk.town.books().await, before);
}

#[tokio::test]
async fn what_valuta_v1_does_not_have_is_refused() {
    let mut desk = Desk::open().await;
    let before = desk.town.books().await;
    for (what, appended, expected) in [
        (
            "an unknown field",
            vec![0xa0, 0x06, 1],
            "RJCT NARR MESSAGE_UNKNOWN",
        ),
        (
            "a wrong wire type",
            vec![(3 << 3) | 2, 1, 0],
            "RJCT NARR MESSAGE_UNKNOWN",
        ),
        (
            "a cut varint",
            vec![3 << 3, 0x80],
            "NARR INSTRUCTION_UNDECODABLE",
        ),
        (
            "a cut text",
            vec![(13 << 3) | 2, 100, b'x'],
            "NARR INSTRUCTION_UNDECODABLE",
        ),
        ("field number 0", vec![0, 0], "NARR INSTRUCTION_UNDECODABLE"),
    ] {
        let mut bytes = desk.good(A).encode_to_vec();
        bytes.extend(appended);
        assert_eq!(send_bytes(&desk, bytes).await, expected, "{what}");
    }
    assert_eq!(
        send_bytes(&desk, vec![0xff; 40]).await,
        "NARR INSTRUCTION_UNDECODABLE"
    );
    assert_eq!(send_bytes(&desk, vec![]).await, "NARR UETR_MISSING uetr");
    let broken = vec![0xff; 40];
    let status = call_raw(
        &desk.town,
        A,
        "PaymentService",
        "SubmitInstructions",
        broken,
    )
    .await;
    let expected = "InvalidArgument MESSAGE_UNDECODABLE - -";
    assert_eq!(failure(&status.unwrap_err()), expected);
    assert_eq!(desk.town.books().await, before);
}

/// Opens a stream, sends `requests`, reads `answers` answers, and drops it all.
async fn cut_stream(
    client: &mut Client,
    requests: &[v1::SubmitInstructionsRequest],
    answers: usize,
) -> Vec<v1::SubmitInstructionsResponse> {
    let (sender, receiver) = tokio::sync::mpsc::channel(requests.len());
    for request in requests {
        sender.send(request.clone()).await.unwrap();
    }
    let mut incoming = client
        .payments
        .stream_instructions(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    let mut seen = Vec::new();
    for _ in 0..answers {
        seen.push(incoming.message().await.unwrap().unwrap());
    }
    seen
}

#[tokio::test]
async fn a_stream_cut_half_way_is_sent_again() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let requests: Vec<_> = (0..10)
        .map(|_| request((0..20).map(|_| desk.good(A)).collect()))
        .collect();
    let seen = cut_stream(&mut client, &requests, 3).await;
    // On a connection of its own, as after a crash of the sender.
    let mut client = desk.town.client(A).await;
    let mut again = client
        .payments
        .stream_instructions(tokio_stream::iter(requests.clone()))
        .await
        .unwrap()
        .into_inner();
    let mut sequences = Vec::new();
    for at in 0..requests.len() {
        let answer = again.message().await.unwrap().unwrap();
        assert!(
            by_index(&answer, 20).iter().all(|word| word == "ACSC"),
            "{answer:?}"
        );
        let repeated = answer
            .others
            .iter()
            .map(|other| other.status.as_ref().unwrap().sequence);
        let fresh = answer.accepted.iter().flat_map(|range| {
            (0..u64::from(range.count)).map(|index| range.first_sequence + index)
        });
        let all: Vec<_> = repeated.chain(fresh).collect();
        if let Some(first) = seen.get(at) {
            let range = first.accepted[0];
            assert_eq!(
                (answer.accepted.len(), range.count),
                (0, 20),
                "answered before: all repeats"
            );
            assert_eq!(all[0], range.first_sequence);
        }
        sequences.extend(all);
    }
    assert_eq!(
        again.message().await.unwrap(),
        None,
        "the stream ends when the sender's does"
    );
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 200, "each has its own sequence");
    assert_eq!(
        desk.town.books().await.balance(A, "USD"),
        "998000.00",
        "200 payments of 10.00, once"
    );
}

#[tokio::test]
async fn a_broken_message_ends_its_stream_after_its_answers() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let good = request(vec![desk.good(A)]);
    let too_many = request(vec![desk.good(A); 10_001]);
    let after = request(vec![desk.good(A)]);
    let requests = tokio_stream::iter([good, too_many, after.clone()]);
    let mut answers = client
        .payments
        .stream_instructions(requests)
        .await
        .unwrap()
        .into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(by_index(&first, 1), ["ACSC"]);
    let ended = answers.message().await.unwrap_err();
    assert_eq!(
        failure(&ended),
        "OutOfRange TOO_MANY_INSTRUCTIONS instructions -"
    );
    let again = client
        .payments
        .submit_instructions(after)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(by_index(&again, 1), ["ACSC"]);
    assert_eq!(desk.town.books().await.balance(A, "USD"), "999980.00");
}
