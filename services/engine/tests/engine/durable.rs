//! Nothing leaves before it is durable; what comes meanwhile becomes one record.

use crate::support::{
    Held, Random, Running, a_while, ask, command, flat, payment, payments, seeds, send, statistics,
    submit,
};
use settlement_core::command::{Action, Caller, Token};
use settlement_core::ids::Sequence;
use settlement_core::instruction::ShortText;
use settlement_core::view::{Query, Status, View};
use std::time::Duration;
use valuta_engine::StopReason;
use valuta_journal::{Journal, Source};

fn token(label: &str) -> Token {
    Token {
        label: ShortText::parse(label.as_bytes()).unwrap(),
        hash: [9; 32],
        caller: Caller::Treasury,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_it_is_durable() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let handle = &running.handle;
    let before = *handle.durable().borrow();

    journal.close();
    let payment = submit(handle, payment(1, 100));
    journal.wait_for_append();
    // A question now would show what may be lost, and so would a token or another's repeat.
    let question = tokio::spawn({
        let handle = handle.clone();
        async move { ask(&handle, 1).await }
    });
    let repeat = submit(handle, crate::support::payment(1, 100));
    let create = command(Caller::Operator, "token", Action::CreateToken(token("t")));
    let create = send(handle, create);
    a_while().await;
    assert!(!payment.is_finished() && !question.is_finished() && !repeat.is_finished());
    assert!(!create.is_finished());
    assert_eq!(handle.caller(&[9; 32]), None);
    assert_eq!(*handle.durable().borrow(), before);
    assert_eq!(journal.tail().sequence, before);

    journal.open();
    let answer = flat(&payment.await.unwrap().unwrap());
    assert!(
        matches!(answer[..], [(0, sequence, Status::Settled { .. })] if sequence.0 == before + 1)
    );
    assert!(journal.tail().sequence > before);
    let repeated = repeat.await.unwrap().unwrap();
    assert_eq!(flat(&repeated), answer);
    assert!(repeated.others[0].1.repeated);
    assert_eq!(question.await.unwrap()[0].sequence, answer[0].1);
    let created = create.await.unwrap().unwrap().unwrap();
    assert!(created.sequence.0 <= *handle.durable().borrow());
    assert_eq!(handle.caller(&[9; 32]), Some(Caller::Treasury));

    let label = ShortText::parse(b"t").unwrap();
    let revoke = command(Caller::Operator, "revoke", Action::RevokeToken { label });
    handle.command(revoke).await.unwrap().unwrap();
    assert_eq!(handle.caller(&[9; 32]), None);
    assert_eq!(running.stop().await, StopReason::ShutDown);
}

/// Callers that come while the journal writes share its next record.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_during_a_write_is_one_record() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let before = journal.appends();
    journal.close();
    let first = submit(&running.handle, payment(0, 1));
    journal.wait_for_append();
    let calls: Vec<_> = (1..500)
        .map(|at| submit(&running.handle, payment(at, 1)))
        .collect();
    a_while().await;
    journal.open();
    let mut sequences = vec![flat(&first.await.unwrap().unwrap())[0].1];
    for call in calls {
        sequences.push(flat(&call.await.unwrap().unwrap())[0].1);
    }
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 500);
    // One for the first, one for the rest; a tick may have closed the batch in one of its own.
    let records = journal.appends() - before;
    assert!((2..=4).contains(&records), "{records} records");
    running.stop().await;
}

/// One append is in flight at a time, in sequence order, each batch in one piece.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_whole_batches_in_order() {
    for seed in seeds(5) {
        let mut random = Random(seed);
        let journal = Held::memory();
        let running = Running::with_scheme(journal.clone()).await;
        let mut next = 0;
        let mut calls = Vec::new();
        for _ in 0..40 {
            let count = 1 + random.below(50);
            calls.push((
                count,
                submit(&running.handle, payments(next..next + count, 1)),
            ));
            next += count;
            if random.below(4) == 0 {
                tokio::task::yield_now().await;
            }
        }
        for (count, call) in calls {
            let answers = flat(&call.await.unwrap().unwrap());
            assert_eq!(answers.len() as u64, count, "seed {seed}");
            let consecutive = answers
                .windows(2)
                .all(|pair| pair[1].1.0 == pair[0].1.0 + 1);
            assert!(consecutive, "seed {seed}: {answers:?}");
        }
        assert_eq!(
            statistics(&running.handle).await.unwrap().0.instructions,
            next
        );
        running.stop().await;
        let mut reader = journal.reader(None).unwrap();
        let mut sequence = 0;
        while let Some(record) = reader.next().unwrap() {
            assert_eq!(record.header.first_sequence, sequence + 1, "seed {seed}");
            sequence = record.header.last_sequence;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_the_sequence_that_it_names() {
    let running = Running::with_scheme(Held::memory()).await;
    let handle = running.handle.clone();
    let next = Sequence(*handle.durable().borrow() + 2);
    let question = tokio::spawn(async move { handle.query(Query::Statistics, next).await });
    a_while().await;
    running.handle.submit(payment(1, 1)).await.unwrap();
    a_while().await;
    assert!(!question.is_finished());
    running.handle.submit(payment(2, 1)).await.unwrap();
    let answered = question.await.unwrap().unwrap();
    assert!(answered.sequence >= next);
    assert!(matches!(answered.view, View::Statistics(counts) if counts.instructions == 2));

    // One that never comes leaves with its caller's deadline, and with the engine.
    let never = running.handle.query(Query::Statistics, Sequence(1 << 40));
    let never = tokio::time::timeout(Duration::from_millis(20), never).await;
    assert!(never.is_err());
    let handle = running.handle.clone();
    let never =
        tokio::spawn(async move { handle.query(Query::Statistics, Sequence(1 << 40)).await });
    running.stop().await;
    assert!(never.await.unwrap().is_err());
}

/// An answer's sequence is that of the state it shows, not of what came after it in the same step.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_of_the_sequence_that_it_names() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let handle = &running.handle;
    let (none, base) = statistics(handle).await.unwrap();
    assert_eq!(none.instructions, 0);
    journal.close();
    let first = submit(handle, payment(0, 1));
    journal.wait_for_append();
    let mut questions = Vec::new();
    let mut calls = Vec::new();
    for number in 1..20 {
        let handle = handle.clone();
        questions.push(tokio::spawn(async move { statistics(&handle).await }));
        a_while().await;
        calls.push(submit(&running.handle, payment(number, 1)));
        a_while().await;
        if number == 5 {
            break;
        }
    }
    journal.open();
    first.await.unwrap().unwrap();
    for (at, question) in (1..).zip(questions) {
        let (counts, sequence) = question.await.unwrap().unwrap();
        assert_eq!(counts.instructions, at);
        // Ticks that close a batch have sequences too.
        assert!(
            (base + at..=base + at + 1).contains(&sequence),
            "{at}: {sequence} after {base}"
        );
    }
    running.stop().await;
}

/// More than may be on its way at once waits outside, and all of it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_waits_outside() {
    const BATCH: u64 = 10_000;
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.close();
    let first = submit(&running.handle, payment(0, 1));
    journal.wait_for_append();
    let calls: Vec<_> = (1..=30)
        .map(|at| submit(&running.handle, payments(at * BATCH..(at + 1) * BATCH, 1)))
        .collect();
    a_while().await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    journal.open();
    first.await.unwrap().unwrap();
    for call in calls {
        assert_eq!(flat(&call.await.unwrap().unwrap()).len() as u64, BATCH);
    }
    assert_eq!(
        statistics(&running.handle).await.unwrap().0.settled,
        30 * BATCH + 1
    );
    running.stop().await;
}
