//! An engine that is told to end answers all that it has taken, and takes nothing more.

use crate::support::{Held, Random, Running, a_while, flat, payment, replayed, seeds, submit};
use valuta_engine::{EngineError, StopReason};

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_answers_what_was_taken() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.close();
    let first = submit(&running.handle, payment(0, 1));
    journal.wait_for_append();
    let calls: Vec<_> = (1..100)
        .map(|at| submit(&running.handle, payment(at, 1)))
        .collect();
    a_while().await;
    running.handle.shut_down();
    a_while().await;
    let late = submit(&running.handle, payment(1_000, 1));
    a_while().await;
    assert!(!first.is_finished());
    journal.open();
    first.await.unwrap().unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(late.await.unwrap().is_err());
    assert_eq!(running.join().await, StopReason::ShutDown);
    // The last mark says that all of it was acknowledged.
    assert!(journal.is_marked());
    assert_eq!(replayed(&journal, true).0.instruction_count(), 100);
}

/// Whoever is refused at the end was not journaled; whoever is answered was.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_under_load_lies_to_nobody() {
    for seed in seeds(10) {
        let mut random = Random(seed);
        let journal = Held::memory();
        let running = Running::with_scheme(journal.clone()).await;
        let mut calls = Vec::new();
        let stop_at = random.below(200);
        for number in 0..200 {
            if number == stop_at {
                running.handle.shut_down();
            }
            calls.push(submit(&running.handle, payment(number, 1)));
            if random.below(8) == 0 {
                tokio::task::yield_now().await;
            }
        }
        let mut answered = Vec::new();
        for call in calls {
            match call.await.unwrap() {
                Ok(answer) => answered.push(flat(&answer)[0]),
                Err(EngineError::Unavailable { .. } | EngineError::Stopped) => {}
            }
        }
        assert_eq!(running.join().await, StopReason::ShutDown, "seed {seed}");
        let (state, _) = replayed(&journal, true);
        assert_eq!(
            state.instruction_count(),
            answered.len() as u64,
            "seed {seed}"
        );
    }
}
