//! A full disk refuses new work clearly, serves what is there, and passes.

use crate::support::{Held, Running, ask, payment, set_up_commands, statistics};
use settlement_core::view::Status;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use valuta_engine::{EngineError, StopReason};
use valuta_journal::{AppendError, FileError};

fn failure(action: &'static str, kind: io::ErrorKind) -> FileError {
    FileError {
        action,
        file: PathBuf::from("segment.tmp"),
        source: kind.into(),
    }
}

fn full() -> AppendError {
    AppendError::Full(failure("preallocate", io::ErrorKind::StorageFull))
}

fn broken() -> AppendError {
    AppendError::Sync(failure("sync", io::ErrorKind::Other))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let handle = &running.handle;
    journal.fail_reserve(Some(full));
    // The space for this one was taken before it came.
    let answer = handle.submit(payment(1, 100)).await.unwrap();
    assert_eq!(answer.accepted.len(), 1);
    let durable = *handle.durable().borrow();

    for number in 2..5 {
        let error = handle.submit(payment(number, 100)).await.unwrap_err();
        let EngineError::Unavailable {
            retry_after_ms,
            reason,
        } = error
        else {
            panic!("{error:?}");
        };
        assert!(reason.contains("full") && retry_after_ms > 0, "{reason}");
    }
    let [.., deposit] = set_up_commands();
    assert!(matches!(
        handle.command(deposit.clone()).await,
        Err(EngineError::Unavailable { .. })
    ));
    assert!(matches!(
        ask(handle, 1).await[0].status,
        Status::Settled { .. }
    ));
    assert!(ask(handle, 2).await.is_empty());
    assert_eq!(statistics(handle).await.unwrap().0.instructions, 1);
    assert_eq!(*handle.durable().borrow(), durable);

    journal.fail_reserve(None);
    let freed = Instant::now();
    while handle.submit(payment(2, 100)).await.is_err() {
        assert!(
            freed.elapsed() < Duration::from_secs(10),
            "it never came back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(handle.command(deposit).await.unwrap().unwrap().repeated);
    assert_eq!(statistics(handle).await.unwrap().0.instructions, 2);
    assert_eq!(running.stop().await, StopReason::ShutDown);
}

/// Taking space can meet a failing disk too; that is no full disk, and ends the engine.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_while_taking_space_stops_the_engine() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.fail_reserve(Some(broken));
    let _unsure = running.handle.submit(payment(1, 100)).await;
    match running.join().await {
        StopReason::Journal(message) => assert!(message.contains("segment.tmp"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_starts_on_a_full_disk_serves_reads() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    running.handle.submit(payment(1, 100)).await.unwrap();
    running.stop().await;

    journal.fail_reserve(Some(full));
    let running = Running::on(journal.clone());
    assert_eq!(ask(&running.handle, 1).await.len(), 1);
    assert!(running.handle.submit(payment(2, 100)).await.is_err());
    journal.fail_reserve(None);
    let freed = Instant::now();
    while running.handle.submit(payment(2, 100)).await.is_err() {
        assert!(
            freed.elapsed() < Duration::from_secs(10),
            "it never came back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
}
