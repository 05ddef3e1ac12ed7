//! A replica shows what the journal holds, takes no write, and may be led from.

use crate::support::{Held, Running, ask, payment, payments, recovered, statistics};
use settlement_core::command::{Action, Caller};
use settlement_core::ids::Sequence;
use std::path::Path;
use valuta_engine::{
    Engine, EngineError, Replica, ReplicaError, SnapshotOptions, Snapshots, StopReason, SystemClock,
};
use valuta_journal::{Journal, MemoryJournal};

pub fn replica(
    journal: &Held<MemoryJournal>,
    dir: &Path,
    every_bytes: u64,
) -> (Replica, valuta_engine::Handle) {
    let options = SnapshotOptions {
        dir: dir.to_owned(),
        every_bytes,
    };
    Replica::start(journal, recovered(journal, dir), true, Some(options)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_what_is_durable_and_takes_no_write() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let (replica, reads) = replica(&journal, dir.path(), 1 << 40);
    let answer = running.handle.submit(payments(0..500, 100)).await.unwrap();
    let last = answer.accepted.last().unwrap();
    let last = Sequence(last.first_sequence.0 + u64::from(last.count) - 1);
    let view = reads.frozen(last).await.unwrap();
    assert_eq!(view.state().instruction_count(), 500);
    assert_eq!(ask(&reads, 499).await, ask(&running.handle, 499).await);
    assert_eq!(*reads.durable().borrow(), last.0);
    assert_eq!(reads.now(), running.handle.now());
    let content = reads.content(last).await.unwrap();
    assert_eq!(content, running.handle.content(last).await.unwrap());
    // A token of the leader's is one here, and a write is refused.
    let refused = reads.submit(payment(900, 1)).await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    let command = crate::support::command(Caller::Operator, "x", Action::SetRates(Vec::new()));
    let refused = reads.command(command).await;
    assert!(matches!(refused, Err(EngineError::Unavailable { .. })));
    let handle = running.handle.clone();
    running.stop().await;
    let (state, read) = replica.stop().unwrap();
    assert_eq!(read.sequence, *handle.durable().borrow());
    assert_eq!(
        state.digest(),
        recovered(&journal, dir.path()).state.digest()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_starts_from_a_replica() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let (replica, _) = replica(&journal, dir.path(), 1);
    running.handle.submit(payments(0..100, 100)).await.unwrap();
    assert_eq!(running.stop().await, StopReason::ShutDown);
    let (state, read) = replica.stop().unwrap();
    assert_eq!(read.sequence, journal.tail().sequence);
    assert!(
        !Snapshots::new(dir.path().to_owned())
            .newest_first()
            .is_empty()
    );
    let clock = Box::new(SystemClock::default());
    let (engine, handle) =
        Engine::start(Box::new(journal), state, read, clock, true, None).unwrap();
    handle.submit(payments(50..150, 100)).await.unwrap();
    let (counts, _) = statistics(&handle).await.unwrap();
    assert_eq!(counts.instructions, 150);
    handle.shut_down();
    assert_eq!(engine.join(), StopReason::ShutDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_journal_does() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let (replica, reads) = replica(&journal, dir.path(), 1 << 40);
    journal.fail(valuta_journal::Fault {
        at: valuta_journal::FaultPoint::Write,
        after: journal.appends(),
        persisted: false,
    });
    assert!(running.handle.submit(payment(1, 1)).await.is_err());
    let ended = tokio::task::spawn_blocking(|| replica.join())
        .await
        .unwrap();
    assert!(matches!(ended, Err(ReplicaError::JournalClosed)));
    assert_eq!(statistics(&reads).await.unwrap_err(), EngineError::Stopped);
}
