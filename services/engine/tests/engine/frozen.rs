//! A frozen view is of a durable sequence, stays as it is, and is shared by those who ask at once.

use crate::support::{Held, Running, a_while, identity, payment, payments, statistics, submit};
use settlement_core::ids::Sequence;
use settlement_core::state::FrozenView;
use settlement_core::view::{Query, Status, View};
use std::sync::Arc;
use valuta_engine::{EngineError, Handle, StopReason};

/// Where a view has an instruction; `None` if it does not know it.
fn status(view: &FrozenView, number: u64) -> Option<Status> {
    let query = Query::Instructions(identity(number).uetr);
    match view.state().query(&query, view.time()) {
        View::Instructions(answers) => answers.first().map(|answer| answer.status),
        other => panic!("{other:?}"),
    }
}

async fn frozen(handle: &Handle) -> Arc<FrozenView> {
    handle.frozen(Sequence(0)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_waits_for_what_it_shows_to_be_durable() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    let handle = &running.handle;
    journal.close();
    let sent = submit(handle, payment(1, 100));
    journal.wait_for_append();
    let view = tokio::spawn({
        let handle = handle.clone();
        async move { frozen(&handle).await }
    });
    a_while().await;
    assert!(!view.is_finished() && !sent.is_finished());
    journal.open();
    let view = view.await.unwrap();
    assert!(matches!(status(&view, 1), Some(Status::Settled { .. })));
    assert!(view.sequence().0 <= *handle.durable().borrow());
    assert_eq!(running.stop().await, StopReason::ShutDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_stays_as_it_is_and_the_next_shows_what_came() {
    let running = Running::with_scheme(Held::memory()).await;
    let handle = &running.handle;
    handle.submit(payments(0..500, 100)).await.unwrap();
    let before = frozen(handle).await;
    let digest = before.state().digest();
    handle.submit(payments(400..900, 100)).await.unwrap();
    assert_eq!(before.state().digest(), digest);
    assert!(before.state().conserves());
    assert_eq!(status(&before, 700), None);
    let after = frozen(handle).await;
    assert!(status(&after, 700).is_some() && status(&after, 3).is_some());
    assert_eq!(after.sequence().0, statistics(handle).await.unwrap().1);
    assert_eq!(after.state().instruction_count(), 900);
    assert_eq!(running.stop().await, StopReason::ShutDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_at_one_sequence_share_a_view() {
    let running = Running::with_scheme(Held::memory()).await;
    let handle = &running.handle;
    let (one, two) = tokio::join!(frozen(handle), frozen(handle));
    assert!(Arc::ptr_eq(&one, &two));
    let asked = one.sequence().0 + 1;
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.frozen(Sequence(asked)).await }
    });
    a_while().await;
    assert!(
        !waiting.is_finished(),
        "it waits for the sequence that it names"
    );
    handle.submit(payment(1, 100)).await.unwrap();
    assert!(waiting.await.unwrap().unwrap().sequence().0 >= asked);
    let handle = handle.clone();
    assert_eq!(running.stop().await, StopReason::ShutDown);
    let gone = handle.frozen(Sequence(asked + 1)).await;
    assert!(matches!(gone, Err(EngineError::Stopped)));
}
