//! A journal that fails: before or after the write, and whether the record survives or not.

use crate::support::{
    Held, JOURNAL, OPENING, Running, ask, flat, payment, replayed, set_up, set_up_commands,
    statistics, submit,
};
use settlement_core::ids::Sequence;
use settlement_core::view::{Query, Status, View};
use valuta_engine::{EngineError, StopReason};
use valuta_journal::{Fault, FaultPoint, MemoryJournal};

/// Payments before the one that meets the fault.
const BEFORE: u64 = 5;

/// Sends payments one by one until the journal fails at one; then what is left is restarted and
/// everything is sent again.
async fn check(at: FaultPoint, persisted: bool) {
    let case = format!("{at:?}, persisted: {persisted}");
    let set_up_records = set_up_commands().len() as u64;
    let journal = Held::new(MemoryJournal::new(JOURNAL));
    let running = Running::with_scheme(journal.clone()).await;
    let fault = Fault {
        at,
        after: set_up_records + BEFORE,
        persisted,
    };
    journal.fail(fault);

    let mut answered = Vec::new();
    let stopped = loop {
        match running
            .handle
            .submit(payment(answered.len() as u64, 100))
            .await
        {
            Ok(answer) => answered.push(flat(&answer)[0]),
            Err(error) => break error,
        }
        assert!(answered.len() < 100, "{case}: no fault");
    };
    assert_eq!(stopped, EngineError::Stopped, "{case}");
    let last = answered.len() as u64;
    // A tick's record may have met the fault instead of the payment's.
    assert!((BEFORE - 1..=BEFORE).contains(&last), "{case}: {last}");
    assert_eq!(
        running.handle.submit(payment(90, 1)).await.unwrap_err(),
        EngineError::Stopped,
        "{case}"
    );
    assert!(
        running
            .handle
            .query(Query::Statistics, Sequence(0))
            .await
            .is_err()
    );
    match running.join().await {
        StopReason::Journal(message) => assert!(message.contains("memory"), "{case}: {message}"),
        other => panic!("{case}: {other:?}"),
    }

    let journal = Held::new(journal.into_inner().crash());
    let (state, before) = replayed(&journal, true);
    let running = Running::on(journal.clone());
    // Setting up again is a repeat.
    set_up(&running.handle).await;
    let survived = state.instruction_count();
    assert!((last..=last + 1).contains(&survived), "{case}: {survived}");
    assert!(persisted || survived == last, "{case}");
    for (number, &(_, sequence, status)) in (0..).zip(&answered) {
        let again = running.handle.submit(payment(number, 100)).await.unwrap();
        assert_eq!(flat(&again), vec![(0, sequence, status)], "{case}");
        assert!(again.others[0].1.repeated, "{case}");
        assert_eq!(ask(&running.handle, number).await.len(), 1, "{case}");
    }
    let (_, at) = statistics(&running.handle).await.unwrap();
    let unsure = running.handle.submit(payment(last, 100)).await.unwrap();
    let (_, sequence, status) = flat(&unsure)[0];
    assert!(
        matches!(status, Status::Settled { .. }),
        "{case}: {status:?}"
    );
    assert_eq!(sequence.0 <= before.sequence, survived > last, "{case}");
    assert!(sequence.0 <= at + 2, "{case}: sequences have a gap");
    check_positions(&running, 100 * (last as i128 + 1)).await;
    running.stop().await;
    assert!(replayed(&journal, true).0.conserves());
}

async fn check_positions(running: &Running, paid: i128) {
    let answered = running
        .handle
        .query(Query::Positions(None), Sequence(0))
        .await;
    let View::Positions(positions) = answered.unwrap().view else {
        panic!("not positions");
    };
    let balances: Vec<_> = positions.iter().map(|position| position.balance).collect();
    assert_eq!(balances, [i128::from(OPENING) - paid, paid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_append_answers_nothing_and_a_restart_knows() {
    for at in [FaultPoint::Write, FaultPoint::Sync] {
        for persisted in [false, true] {
            check(at, persisted).await;
        }
    }
}

/// All that shares the failing record shares its fate.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_a_failed_step_is_answered() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.close();
    let first = submit(&running.handle, payment(0, 1));
    journal.wait_for_append();
    let fault = Fault {
        at: FaultPoint::Sync,
        after: journal.appends(),
        persisted: true,
    };
    // The syncs count from 0: the one in flight goes through, the next fails.
    journal.fail(fault);
    let calls: Vec<_> = (1..50)
        .map(|at| submit(&running.handle, payment(at, 1)))
        .collect();
    let question = tokio::spawn({
        let handle = running.handle.clone();
        async move { statistics(&handle).await }
    });
    crate::support::a_while().await;
    journal.open();
    assert!(first.await.unwrap().is_ok());
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err(), EngineError::Stopped);
    }
    assert_eq!(question.await.unwrap().unwrap_err(), EngineError::Stopped);
    assert!(matches!(running.join().await, StopReason::Journal(_)));
    let journal = journal.into_inner().crash();
    assert_eq!(replayed(&journal, true).0.instruction_count(), 50);
}

/// A mark that fails is a failed sync: the journal's disk cannot be trusted any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_mark_stops_the_engine() {
    let fault = Fault {
        at: FaultPoint::Mark,
        after: 0,
        persisted: false,
    };
    let running = Running::on(MemoryJournal::with_faults(JOURNAL, vec![fault]));
    let [time, ..] = set_up_commands();
    // Answered: it is durable. The mark follows when the journal is idle.
    running.handle.command(time).await.unwrap().unwrap();
    assert!(matches!(running.join().await, StopReason::Journal(_)));
}

#[tokio::test]
async fn a_panic_on_the_journals_thread_stops_the_engine() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.fail_reserve(Some(|| panic!("injected")));
    let answer = running.handle.submit(payment(1, 100)).await;
    assert_eq!(answer.unwrap_err(), EngineError::Stopped);
    assert!(matches!(running.join().await, StopReason::Journal(_)));
}
