//! Lists, watches, receipts and restarts: what was answered can be read again, and proven.

use super::{net, send, status};
use crate::support::{A, B, C, CYCLE, Town, failure, get, outcome, shown};
use prost::Message;
use std::time::Duration;
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, payment, uetr_text};
use valuta_verify::Policy;

async fn sequence(town: &Town) -> u64 {
    let status = town
        .operator()
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap();
    status.into_inner().sequence
}

/// What comes within a moment; `None` if nothing does.
async fn next<T>(stream: &mut tonic::Streaming<T>) -> Option<Result<Option<T>, tonic::Status>> {
    tokio::time::timeout(Duration::from_secs(3), stream.message())
        .await
        .ok()
}

async fn message<T>(stream: &mut tonic::Streaming<T>) -> T {
    next(stream)
        .await
        .expect("in time")
        .unwrap()
        .expect("not the end")
}

/// Listed UETRs as numbers, newest first, page by page.
async fn list(town: &Town, name: &str, request: &v1::ListInstructionsRequest) -> Vec<u128> {
    let mut request = v1::ListInstructionsRequest {
        min_sequence: sequence(town).await,
        ..request.clone()
    };
    let mut client = town.client(name).await;
    let mut found = Vec::new();
    loop {
        let page = client
            .payments
            .list_instructions(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.instructions.len() <= usize::try_from(request.page_size.max(100)).unwrap());
        for view in page.instructions {
            let uetr = view.status.unwrap().uetr;
            assert_eq!(uetr, view.instruction.unwrap().uetr);
            found.push((1..100).find(|number| uetr_text(*number) == uetr).unwrap());
        }
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn lists_filter_and_page() {
    let town = Town::funded().await;
    for uetr in 1..=5 {
        send(&town, payment(uetr, A, B, "10.00", "USD")).await;
    }
    send(&town, payment(6, B, C, "10", "JPY")).await;
    send(&town, net(7, A, C, "10.00", "EUR")).await;
    send(&town, payment(8, A, B, "0", "USD")).await;
    send(&town, payment(9, A, B, "2000000.00", "USD")).await;
    let all = v1::ListInstructionsRequest::default();
    type Filter = fn(&mut v1::ListInstructionsRequest);
    let table: &[(&str, &[u128], Filter)] = &[
        (A, &[9, 8, 7, 5, 4, 3, 2, 1], |_| {}),
        // What was refused never entered: it is its sender's alone.
        (B, &[9, 6, 5, 4, 3, 2, 1], |_| {}),
        (C, &[7, 6], |_| {}),
        ("TREASURY", &[9, 8, 7, 6, 5, 4, 3, 2, 1], |r| {
            r.page_size = 2
        }),
        ("TREASURY", &[7, 6], |r| r.participant = C.into()),
        (A, &[9, 8, 7, 5, 4, 3, 2, 1], |r| r.page_size = 1),
        (A, &[5, 4, 3, 2, 1], |r| r.status = v1::Status::Acsc.into()),
        (A, &[9], |r| r.status = v1::Status::Pdng.into()),
        (A, &[8], |r| r.status = v1::Status::Rjct.into()),
        (A, &[7], |r| r.status = v1::Status::Actc.into()),
        (A, &[], |r| r.status = v1::Status::Canc.into()),
        (A, &[7], |r| r.lane = v1::Lane::Net.into()),
        (A, &[7], |r| r.cycle = CYCLE.into()),
        (A, &[], |r| r.cycle = "2026-11-20/2".into()),
        (A, &[7], |r| r.counterparty = C.into()),
        (A, &[7], |r| r.asset = "EUR".into()),
        (B, &[6], |r| r.asset = "JPY".into()),
        (A, &[], |r| r.kind = v1::Kind::Cover.into()),
        (A, &[], |r| r.value_date = "2026-11-23".into()),
        (A, &[5, 4, 3, 2, 1], |r| {
            r.counterparty = B.into();
            r.status = v1::Status::Acsc.into();
            r.page_size = 3;
        }),
    ];
    for (name, expected, filter) in table {
        let mut request = all.clone();
        filter(&mut request);
        assert_eq!(
            list(&town, name, &request).await,
            *expected,
            "{name} {request:?}"
        );
    }
}

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let mut town = Town::start().await;
    let start = v1::WatchInstructionsRequest {
        resume_token: "0".to_owned(),
    };
    let mut watch = town
        .client(B)
        .await
        .payments
        .watch_instructions(start.clone())
        .await
        .unwrap()
        .into_inner();
    send(&town, payment(1, A, B, "10.00", "USD")).await;
    send(&town, payment(2, A, C, "10.00", "USD")).await;
    let first = message(&mut watch).await;
    assert_eq!(shown(first.status.as_ref().unwrap()), "PDNG LIQUIDITY");
    town.deposit(A, "10.00", "USD").await;
    let second = message(&mut watch).await;
    assert_eq!(shown(second.status.as_ref().unwrap()), "ACSC");
    assert_eq!(
        second.status.as_ref().unwrap().uetr,
        uetr_text(1),
        "A's payment to C is not B's"
    );
    drop(watch);

    town.restart().await;
    let resume = v1::WatchInstructionsRequest {
        resume_token: first.resume_token.clone(),
    };
    let mut watch = town
        .client(B)
        .await
        .payments
        .watch_instructions(resume)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(message(&mut watch).await, second);
    let mut all = town
        .client("TREASURY")
        .await
        .payments
        .watch_instructions(start)
        .await
        .unwrap()
        .into_inner();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(message(&mut all).await.resume_token);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    // From now on: nothing of what was.
    let now = v1::WatchInstructionsRequest::default();
    let mut later = town
        .client(A)
        .await
        .payments
        .watch_instructions(now)
        .await
        .unwrap()
        .into_inner();
    send(&town, payment(3, A, B, "0", "USD")).await;
    let change = message(&mut later).await.status.unwrap();
    assert_eq!(
        (change.uetr, change.status),
        (uetr_text(3), v1::Status::Rjct.into())
    );
}

async fn receive(town: &Town, bic: &str) -> tonic::Streaming<v1::ReceivedInstruction> {
    let request = v1::ReceiveRequest::default();
    town.client(bic)
        .await
        .payments
        .receive(request)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn what_is_received_is_gapless_until_acknowledged() {
    let mut town = Town::funded().await;
    for uetr in 1..=4 {
        send(&town, payment(uetr, A, B, "10.00", "USD")).await;
    }
    send(&town, payment(5, B, A, "10.00", "USD")).await;
    let mut stream = receive(&town, B).await;
    let mut received = Vec::new();
    for uetr in 1..=4 {
        let one = message(&mut stream).await;
        let view = one.instruction.clone().unwrap();
        assert_eq!(view.status.unwrap().uetr, uetr_text(uetr));
        assert_eq!(
            view.instruction.unwrap(),
            payment(uetr, A, B, "10.00", "USD"),
            "with its content"
        );
        received.push(one);
    }
    assert!(
        next(&mut stream).await.is_none(),
        "what B pays is not received"
    );
    drop(stream);
    let acknowledge = |request_id: &str, position: &str| v1::AcknowledgeReceivedRequest {
        request_id: request_id.to_owned(),
        position: position.to_owned(),
        created: None,
    };
    let mut client = town.client(B).await;
    let second = acknowledge("a-2", &received[1].position);
    client.payments.acknowledge_received(second).await.unwrap();
    // Going back is no change.
    let first = acknowledge("a-1", &received[0].position);
    client.payments.acknowledge_received(first).await.unwrap();
    town.restart().await;
    let mut stream = receive(&town, B).await;
    assert_eq!(message(&mut stream).await, received[2]);
    assert_eq!(message(&mut stream).await, received[3]);
    let from = v1::ReceiveRequest {
        after_position: "0".to_owned(),
    };
    let mut again = town
        .client(B)
        .await
        .payments
        .receive(from)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(message(&mut again).await, received[0]);
    // What settles later comes at once.
    send(&town, payment(6, C, B, "1.00", "USD")).await;
    assert_eq!(
        message(&mut stream)
            .await
            .instruction
            .unwrap()
            .status
            .unwrap()
            .uetr,
        uetr_text(6)
    );
}

#[tokio::test]
async fn positions_are_watched() {
    let town = Town::funded().await;
    let request = v1::GetPositionsRequest {
        participant: B.to_owned(),
        min_sequence: 0,
    };
    let mut watch = town
        .client("TREASURY")
        .await
        .treasury
        .watch_positions(request)
        .await
        .unwrap()
        .into_inner();
    let balance = |answer: &v1::GetPositionsResponse| {
        let usd = answer
            .positions
            .iter()
            .find(|position| position.asset == "USD");
        usd.unwrap().balance.clone()
    };
    assert_eq!(balance(&message(&mut watch).await), "1000000.00");
    send(&town, payment(1, A, C, "10.00", "USD")).await;
    send(&town, payment(2, A, B, "10.00", "USD")).await;
    assert_eq!(balance(&message(&mut watch).await), "1000010.00");
}

#[tokio::test]
async fn a_read_sees_what_was_answered() {
    let town = Town::funded().await;
    let mut client = town.client(A).await;
    for uetr in 1..=20 {
        let request = v1::SubmitInstructionRequest {
            instruction: Some(payment(uetr, A, B, "1.00", "USD")),
        };
        let answer = client
            .payments
            .submit_instruction(request)
            .await
            .unwrap()
            .into_inner()
            .status
            .unwrap();
        let list = v1::ListInstructionsRequest {
            min_sequence: answer.sequence,
            page_size: 1,
            ..Default::default()
        };
        let page = client
            .payments
            .list_instructions(list)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.instructions[0].status.as_ref(), Some(&answer));
        assert!(page.read_model.unwrap().sequence >= answer.sequence);
    }
}

async fn receipt(town: &Town, name: &str, uetr: u128) -> String {
    let request = v1::GetReceiptRequest {
        uetr: uetr_text(uetr),
        wait: true,
        ..Default::default()
    };
    town.client(name)
        .await
        .ledger
        .get_receipt(request)
        .await
        .unwrap()
        .into_inner()
        .receipt
}

#[tokio::test]
async fn a_receipt_verifies_offline_and_a_changed_one_does_not() {
    let mut town = Town::funded().await;
    town.open_cycle("2026-11-23/1").await;
    for uetr in 1..=3 {
        send(&town, payment(uetr, A, B, "10.00", "USD")).await;
    }
    let early = v1::GetReceiptRequest {
        uetr: uetr_text(1),
        ..Default::default()
    };
    let answer = town.client(A).await.ledger.get_receipt(early).await;
    assert_eq!(
        outcome(&answer),
        "FailedPrecondition NOT_ANCHORED - -",
        "its batch is open"
    );
    town.set_time(MORNING_MS + 1_000).await;
    let text = receipt(&town, A, 2).await;
    assert_eq!(
        receipt(&town, B, 2).await,
        text,
        "both parties have the same"
    );
    let checkpoint = town
        .operator()
        .ledger
        .get_checkpoint(v1::GetCheckpointRequest {})
        .await
        .unwrap()
        .into_inner();
    let policy = Policy::parse(&checkpoint.policy).unwrap();
    let verified = valuta_verify::verify(text.as_bytes(), &policy).unwrap();
    let content = v1::Instruction::decode(&verified.content[..]).unwrap();
    assert_eq!(content, payment(2, A, B, "10.00", "USD"));
    assert_eq!(verified.scheme, "test");
    for at in (0..text.len()).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = valuta_verify::verify(&bytes, &policy);
        assert!(
            changed.is_err(),
            "byte {at}: {:?}",
            text.get(at.saturating_sub(20)..at + 20)
        );
    }
    let batch = v1::GetBatchRequest {
        batch: verified.batch,
        wait: true,
    };
    let batch = town
        .operator()
        .settlement
        .get_batch(batch)
        .await
        .unwrap()
        .into_inner()
        .batch
        .unwrap();
    assert!(batch.anchored && !batch.header.is_empty());
    let mut sums = std::collections::BTreeMap::<_, i128>::new();
    for posting in &batch.postings {
        *sums.entry(posting.asset.clone()).or_default() += crate::support::minor(&posting.amount);
    }
    assert!(
        !sums.is_empty() && sums.values().all(|sum| *sum == 0),
        "{:?}",
        batch.postings
    );
    let all = v1::ListReceiptsRequest {
        batch: verified.batch,
        wait: true,
    };
    let mut stream = town
        .client(B)
        .await
        .ledger
        .list_receipts(all)
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        let one = message(&mut stream).await;
        valuta_verify::verify(one.receipt.as_bytes(), &policy).unwrap();
    }
    assert_eq!(stream.message().await.unwrap(), None);
    // The same receipt after a restart, perhaps under a later checkpoint, by the same key.
    town.restart().await;
    let later = receipt(&town, A, 2).await;
    valuta_verify::verify(later.as_bytes(), &policy).unwrap();
}

#[tokio::test]
async fn a_stop_ends_open_streams_and_loses_nothing() {
    let mut town = Town::funded().await;
    let mut client = town.client(A).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let one = |uetr: u128| v1::SubmitInstructionsRequest {
        instructions: vec![payment(uetr, A, B, "1.00", "USD")],
        full_answers: true,
    };
    sender.send(one(1)).await.unwrap();
    let mut answers = client
        .payments
        .stream_instructions(requests)
        .await
        .unwrap()
        .into_inner();
    message(&mut answers).await;
    let start = v1::WatchInstructionsRequest::default();
    let mut watch = client
        .payments
        .watch_instructions(start)
        .await
        .unwrap()
        .into_inner();
    let mut received = receive(&town, B).await;
    message(&mut received).await;
    let started = std::time::Instant::now();
    town.restart().await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "no stream holds a stop up: {:?}",
        started.elapsed()
    );
    for ended in [
        next(&mut answers).await.unwrap().map(drop),
        next(&mut watch).await.unwrap().map(drop),
        next(&mut received).await.unwrap().map(drop),
    ] {
        assert_eq!(failure(&ended.unwrap_err()), "Unavailable STOPPING - -");
    }
    assert_eq!(status(&town, A, 1).await, "ACSC");
}

#[tokio::test]
async fn a_restart_keeps_every_answer() {
    let mut town = Town::funded().await;
    town.lock_quote("Q1").await;
    let sent = [
        payment(1, A, B, "10.00", "USD"),
        payment(2, A, B, "2000000.00", "USD"),
        payment(3, A, B, "0", "USD"),
        net(4, A, B, "10.00", "USD"),
        payment(5, A, C, "1.00", "USD"),
        v1::Instruction {
            legs: vec![],
            ..payment(6, A, B, "1.00", "USD")
        },
    ];
    let mut answers = Vec::new();
    for instruction in &sent {
        answers.push(send(&town, instruction.clone()).await);
    }
    let books = town.books().await;
    for kill in [false, true] {
        if kill {
            town.world.server.kill();
            town.start_again().await;
        } else {
            town.restart().await;
        }
        assert_eq!(town.books().await, books);
        // The first tick of a start may close a batch.
        let before = sequence(&town).await;
        for (instruction, answer) in sent.iter().zip(&answers) {
            assert_eq!(send(&town, instruction.clone()).await, *answer);
            assert_eq!(
                get(&mut town.client(A).await, &instruction.uetr).await,
                *answer
            );
        }
        assert_eq!(sequence(&town).await, before, "repeats leave no trace");
        assert_eq!(
            list(&town, A, &v1::ListInstructionsRequest::default()).await,
            [6, 5, 4, 3, 2, 1]
        );
    }
}
