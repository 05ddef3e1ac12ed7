//! Identity and quotes: nothing is paid twice, and a quote is consumed once.

use super::{Desk, Door, Mutate, add_legs, amount, instructed, leg, net, send};
use crate::support::{
    A, B, C, CYCLE, D, HOUR_MS, call_raw, get, outcome, quote_request, shown, submit,
};
use prost::Message;
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, timestamp};

#[tokio::test]
async fn the_same_content_gets_its_answer_and_other_content_am05() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let first = desk.good(A);
    let request = v1::SubmitInstructionRequest {
        instruction: Some(first.clone()),
    };
    let answer = client
        .payments
        .submit_instruction(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown(answer.status.as_ref().unwrap()), "ACSC");
    let books = desk.town.books().await;

    let again = client
        .payments
        .submit_instruction(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, answer, "sequence and batch too");
    let table: &[Mutate] = &[
        |i| amount(i, "10.01"),
        |i| amount(i, "10"),
        |i| i.remittance = "x".into(),
        |i| i.priority = v1::Priority::Normal.into(),
        |i| i.created.as_mut().unwrap().nanos = 1,
        |i| i.lane = 0,
        |i| i.legs.clear(),
        |i| add_legs(i, 17),
        |i| instructed(i, "10.00", "USD"),
    ];
    for mutate in table {
        let mut other = first.clone();
        mutate(&mut other);
        for door in [Door::Alone, Door::Batch, Door::Stream] {
            let answer = send(&mut client, door, other.clone()).await;
            assert_eq!(
                answer, "RJCT AM05 DUPLICATE_WITH_OTHER_CONTENT uetr",
                "{other:?}"
            );
        }
    }
    assert_eq!(
        get(&mut client, &first.uetr).await,
        "ACSC",
        "the first is untouched"
    );
    assert_eq!(desk.town.books().await, books);
}

#[tokio::test]
async fn twice_in_one_batch_is_once() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let (one, mut other) = (desk.good(A), desk.good(A));
    other.uetr.clone_from(&one.uetr);
    let request = v1::SubmitInstructionsRequest {
        instructions: vec![one.clone(), one.clone(), other, one],
        full_answers: true,
    };
    let answer = client
        .payments
        .submit_instructions(request)
        .await
        .unwrap()
        .into_inner();
    let statuses: Vec<_> = answer
        .others
        .iter()
        .map(|other| other.status.clone().unwrap())
        .collect();
    let words: Vec<_> = statuses.iter().map(shown).collect();
    assert_eq!(
        words,
        [
            "ACSC",
            "ACSC",
            "RJCT AM05 DUPLICATE_WITH_OTHER_CONTENT uetr",
            "ACSC"
        ]
    );
    assert_eq!(statuses[0], statuses[1]);
    assert_eq!(statuses[0], statuses[3]);
    assert_eq!(desk.town.books().await.balance(A, "USD"), "999990.00");
}

#[tokio::test]
async fn a_uetr_travels_with_each_kind_and_each_sender() {
    let mut desk = Desk::open().await;
    let payment = desk.good(A);
    let mut client = desk.town.client(A).await;
    for kind in [v1::Kind::Payment, v1::Kind::Cover, v1::Kind::Return] {
        let mut one = payment.clone();
        one.kind = kind.into();
        assert_eq!(submit(&mut client, one).await, "ACSC");
    }
    let mut onward = desk.good(B);
    onward.uetr.clone_from(&payment.uetr);
    leg(&mut onward, C, "10.00", "USD");
    assert_eq!(submit(&mut desk.town.client(B).await, onward).await, "ACSC");
    for (bic, count) in [(A, 3), (B, 4), (C, 1)] {
        let request = v1::GetInstructionRequest {
            uetr: payment.uetr.clone(),
            min_sequence: 0,
        };
        let answer = desk
            .town
            .client(bic)
            .await
            .payments
            .get_instruction(request)
            .await;
        assert_eq!(
            answer.unwrap().into_inner().instructions.len(),
            count,
            "{bic}"
        );
    }
    let request = v1::GetInstructionRequest {
        uetr: payment.uetr,
        min_sequence: 0,
    };
    let answer = desk
        .town
        .client(D)
        .await
        .payments
        .get_instruction(request)
        .await;
    assert_eq!(
        outcome(&answer),
        "NotFound NOT_FOUND uetr -",
        "no party to any"
    );
}

#[tokio::test]
async fn what_is_refused_stays_refused() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let mut over = desk.good(A);
    amount(&mut over, "500000.01");
    let refused = "RJCT AM13 ABOVE_INSTRUCTION_LIMIT legs[0].amount";
    assert_eq!(submit(&mut client, over.clone()).await, refused);
    let lift = v1::SetLimitRequest {
        request_id: desk.town.request_id(),
        created: None,
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "USD".to_owned(),
            counterparty: String::new(),
            amount: String::new(),
        }),
    };
    desk.town.operator().admin.set_limit(lift).await.unwrap();
    assert_eq!(submit(&mut client, over.clone()).await, refused);
    let mut corrected = over.clone();
    amount(&mut corrected, "1.00");
    let duplicate = "RJCT AM05 DUPLICATE_WITH_OTHER_CONTENT uetr";
    assert_eq!(submit(&mut client, corrected.clone()).await, duplicate);
    corrected.uetr = desk.good(A).uetr;
    assert_eq!(submit(&mut client, corrected).await, "ACSC");
    over.uetr = desk.good(A).uetr;
    assert_eq!(submit(&mut client, over).await, "ACSC");
}

/// Who encodes the fields in another order says the same.
#[tokio::test]
async fn the_encoding_is_no_content() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let one = desk.good(A);
    assert_eq!(submit(&mut client, one.clone()).await, "ACSC");
    // The later fields first, and a default in full: field 4, priority 0.
    let (head, tail) = (
        v1::Instruction {
            legs: vec![],
            instruction_id: String::new(),
            end_to_end_id: String::new(),
            ..one.clone()
        },
        v1::Instruction {
            legs: one.legs.clone(),
            instruction_id: one.instruction_id.clone(),
            end_to_end_id: one.end_to_end_id.clone(),
            ..Default::default()
        },
    );
    let mut bytes = tail.encode_to_vec();
    bytes.extend([4 << 3, 0]);
    bytes.extend(head.encode_to_vec());
    let mut message = vec![(1 << 3) | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut message);
    message.extend(bytes);
    let answer = call_raw(
        &desk.town,
        A,
        "PaymentService",
        "SubmitInstruction",
        message,
    )
    .await
    .unwrap();
    let answer = v1::SubmitInstructionResponse::decode(&answer[..]).unwrap();
    assert_eq!(shown(&answer.status.unwrap()), "ACSC");
    assert_eq!(
        desk.town.books().await.balance(A, "USD"),
        "999990.00",
        "once"
    );
}

/// A's payment under B's quote: 110.00 USD to B, which pays D 100.00 EUR.
fn quoted(desk: &mut Desk, quote_id: &str) -> v1::Instruction {
    let mut instruction = desk.good(A);
    quote_id.clone_into(&mut instruction.quote_id);
    amount(&mut instruction, "110.00");
    let target = v1::Leg {
        debtor: B.to_owned(),
        creditor: D.to_owned(),
        amount: "100.00".to_owned(),
        asset: "EUR".to_owned(),
        kind: 0,
    };
    instruction.legs.push(target);
    instruction
}

#[tokio::test]
async fn a_quote_is_consumed_once_and_as_it_is() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let locked = desk.town.lock_quote("Q1").await;
    assert_eq!(
        (locked.source_amount.as_str(), locked.target_amount.as_str()),
        ("110.00", "100.00")
    );
    desk.town.lock_quote("Q2").await;
    desk.town.open_cycle("2026-11-23/1").await;
    let before = desk.town.books().await;
    let differs = "RJCT NARR QUOTE_DIFFERS quote_id";
    let table: &[(&str, Mutate)] = &[
        (differs, |i| amount(i, "109.99")),
        (differs, |i| i.legs[1].amount = "100.01".into()),
        (differs, |i| i.legs[1].asset = "USD".into()),
        (differs, |i| i.legs.truncate(1)),
        (differs, |i| i.legs.push(i.legs[1].clone())),
        (differs, |i| net(i, "2026-11-23")),
        ("RJCT NARR QUOTE_UNKNOWN quote_id", |i| {
            i.quote_id = "Q3".into()
        }),
        ("RJCT NARR QUOTE_UNKNOWN quote_id", |i| {
            i.legs[0].creditor = C.into()
        }),
        // Without the quote, nobody pays from another bank's account.
        ("RJCT NARR DEBTOR_MUST_INSTRUCT legs[1].debtor", |i| {
            i.quote_id.clear()
        }),
    ];
    for (expected, mutate) in table {
        let mut bad = quoted(&mut desk, "Q1");
        mutate(&mut bad);
        assert_eq!(submit(&mut client, bad.clone()).await, *expected, "{bad:?}");
        assert_eq!(desk.town.books().await, before);
    }
    // Another taker's: C has none from B.
    let mut other = quoted(&mut desk, "Q1");
    C.clone_into(&mut other.instructing);
    C.clone_into(&mut other.legs[0].debtor);
    let answer = submit(&mut desk.town.client(C).await, other).await;
    assert_eq!(answer, "RJCT NARR QUOTE_UNKNOWN quote_id");

    let first = quoted(&mut desk, "Q1");
    assert_eq!(submit(&mut client, first.clone()).await, "ACSC");
    assert_eq!(
        submit(&mut client, first).await,
        "ACSC",
        "a repeat is not a second use"
    );
    let second = quoted(&mut desk, "Q1");
    assert_eq!(
        submit(&mut client, second).await,
        "RJCT NARR QUOTE_ALREADY_USED quote_id"
    );
    let books = desk.town.books().await;
    assert_eq!(books.balance(A, "USD"), "999890.00");
    assert_eq!(books.balance(B, "USD"), "1000110.00");
    assert_eq!(books.balance(B, "EUR"), "999900.00");
    assert_eq!(books.balance(D, "EUR"), "1000100.00");

    desk.town.set_time(MORNING_MS + 4 * HOUR_MS - 1).await;
    let late = quoted(&mut desk, "Q2");
    desk.town.set_time(MORNING_MS + 4 * HOUR_MS).await;
    assert_eq!(
        submit(&mut client, late).await,
        "RJCT NARR QUOTE_EXPIRED quote_id",
        "exclusive"
    );
}

#[tokio::test]
async fn a_quote_that_its_cycle_outlives_is_expired() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let mut request = quote_request("Q1", "q1");
    // A millisecond before the cycle completes.
    request.settle_by = Some(timestamp(crate::support::COMPLETION_MS - 1));
    desk.town
        .client(B)
        .await
        .fx
        .lock_quote(request.clone())
        .await
        .unwrap();
    let mut instruction = quoted(&mut desk, "Q1");
    net(&mut instruction, TODAY);
    assert_eq!(
        submit(&mut client, instruction).await,
        "RJCT NARR QUOTE_EXPIRED quote_id"
    );
    request = quote_request("Q2", "q2");
    request.settle_by = Some(timestamp(crate::support::COMPLETION_MS));
    desk.town
        .client(B)
        .await
        .fx
        .lock_quote(request)
        .await
        .unwrap();
    let mut instruction = quoted(&mut desk, "Q2");
    net(&mut instruction, TODAY);
    assert_eq!(
        submit(&mut client, instruction).await,
        format!("ACTC {CYCLE}")
    );
}
