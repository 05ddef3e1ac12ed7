//! Record time: never back, no silent jump, kept by a restart.

use crate::support::{
    Held, MORNING, OPENING, Running, ask, command, is_long, payment, payments, replayed, set_up,
    statistics, submit,
};
use settlement_core::command::{Action, Caller};
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::view::{Query, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use valuta_engine::{Clock, EngineError, FORWARD_JUMP_MS_MAX, StopReason};
use valuta_journal::Source;

/// A clock whose hands a test moves.
#[derive(Clone, Default)]
struct Hands {
    wall_ms: Arc<AtomicI64>,
    elapsed_ms: Arc<AtomicI64>,
}

impl Hands {
    fn at(wall: Timestamp) -> Self {
        let hands = Self::default();
        hands.wall_ms.store(wall.0, Ordering::SeqCst);
        hands
    }

    fn turn(&self, wall_ms: i64, elapsed_ms: i64) {
        // Elapsed first: read in between, time seems to have stood still, never to have jumped.
        self.elapsed_ms.fetch_add(elapsed_ms, Ordering::SeqCst);
        self.wall_ms.fetch_add(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Sets the scheme up in a live journal, whose time the clock gives.
async fn live(journal: &Held<valuta_journal::MemoryJournal>, hands: &Hands) -> Running {
    let running = Running::with(journal.clone(), Box::new(hands.clone()), false);
    let [_, scheme, deposit] = crate::support::set_up_commands();
    running.handle.command(scheme).await.unwrap().unwrap();
    running.handle.command(deposit).await.unwrap().unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_stops_the_engine() {
    let journal = Held::memory();
    let hands = Hands::at(MORNING);
    let running = live(&journal, &hands).await;
    running.handle.submit(payment(1, 100)).await.unwrap();
    let jump = FORWARD_JUMP_MS_MAX + 1;
    hands.turn(jump, 0);
    assert_eq!(
        running.handle.submit(payment(2, 100)).await.unwrap_err(),
        EngineError::Stopped
    );
    assert_eq!(running.join().await, StopReason::ClockJumped(jump));
    let (state, at) = replayed(&journal, false);
    assert_eq!(state.instruction_count(), 1);
    assert_eq!(at.time, MORNING);

    // At a start any jump is taken: somebody has looked.
    let running = live(&journal, &hands).await;
    assert!(
        running.handle.submit(payment(1, 100)).await.unwrap().others[0]
            .1
            .repeated
    );
    running.handle.submit(payment(2, 100)).await.unwrap();
    assert_eq!(running.stop().await, StopReason::ShutDown);
    assert_eq!(replayed(&journal, false).1.time.0, MORNING.0 + jump);
}

/// Ticks look at the clock, so nobody need ask for the jump to be seen.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_engine_sees_the_jump() {
    let hands = Hands::at(MORNING);
    let running = live(&Held::memory(), &hands).await;
    hands.turn(10 * FORWARD_JUMP_MS_MAX, 0);
    assert_eq!(
        running.join().await,
        StopReason::ClockJumped(10 * FORWARD_JUMP_MS_MAX)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_passed_is_no_jump_and_time_never_goes_back() {
    let journal = Held::memory();
    let hands = Hands::at(MORNING);
    let running = live(&journal, &hands).await;
    let day = 8 * 3_600_000;
    let mut number = 0;
    for (wall, elapsed) in [
        (day, day),
        (-day, 0),
        (60_000, 60_000),
        (FORWARD_JUMP_MS_MAX, 0),
    ] {
        hands.turn(wall, elapsed);
        number += 1;
        running.handle.submit(payment(number, 100)).await.unwrap();
    }
    assert_eq!(running.stop().await, StopReason::ShutDown);
    let mut reader = journal.reader(None).unwrap();
    let mut last = i64::MIN;
    while let Some(record) = reader.next().unwrap() {
        assert!(record.header.time_ms >= last);
        last = record.header.time_ms;
    }
    assert_eq!(last, MORNING.0 + day);
}

/// In a rehearsal the time set is all there is: shown at once, and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_was_set_holds_after_a_restart() {
    let journal = Held::memory();
    let running = Running::on(journal.clone());
    set_up(&running.handle).await;
    let noon = Timestamp(MORNING.0 + 4 * 3_600_000);
    let set = command(Caller::Operator, "noon", Action::SetTime(noon));
    running.handle.command(set).await.unwrap().unwrap();
    assert_eq!(running.handle.now(), noon);
    let shown = running
        .handle
        .query(Query::Statistics, Sequence(0))
        .await
        .unwrap()
        .time;
    assert_eq!(shown, noon);
    // No further record: the time is in the command alone.
    running.stop().await;

    let running = Running::on(journal.clone());
    assert_eq!(running.handle.now(), noon);
    let shown = running
        .handle
        .query(Query::Statistics, Sequence(0))
        .await
        .unwrap()
        .time;
    assert_eq!(shown, noon);
    running.handle.submit(payment(1, 100)).await.unwrap();
    running.stop().await;
    let mut reader = journal.reader(None).unwrap();
    let mut last = Timestamp::default();
    while let Some(record) = reader.next().unwrap() {
        last = Timestamp(record.header.time_ms);
    }
    assert_eq!(last, noon);
}

/// Those that come with a `SetTime` are before it or after it: never at a mixture.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_set_time_is_at_that_time() {
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    journal.close();
    let first = submit(&running.handle, payment(0, 1));
    journal.wait_for_append();
    let tomorrow = Timestamp(MORNING.0 + 86_400_000);
    let set = command(Caller::Operator, "tomorrow", Action::SetTime(tomorrow));
    let set = crate::support::send(&running.handle, set);
    crate::support::a_while().await;
    let after = submit(&running.handle, payment(1, 1));
    crate::support::a_while().await;
    journal.open();
    first.await.unwrap().unwrap();
    set.await.unwrap().unwrap().unwrap();
    // The gross lane's value date is yesterday's by then.
    let answer = after.await.unwrap().unwrap();
    assert_eq!(answer.others.len(), 1, "{answer:?}");
    assert_eq!(statistics(&running.handle).await.unwrap().0.rejected, 1);
    running.stop().await;
}

/// Everything that waits is rejected by one tick, which must fit one record.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_ends_rejects_a_queue_of_any_length() {
    // As many as plain events of a record could not hold.
    let count = if is_long() { 1_600_000 } else { 40_000 };
    let journal = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    for first in (0..count).step_by(10_000) {
        let waiting = payments(first..first + 10_000, OPENING + 1);
        running.handle.submit(waiting).await.unwrap();
    }
    let (before, _) = statistics(&running.handle).await.unwrap();
    assert_eq!(before.waiting, count);
    let tomorrow = Timestamp(MORNING.0 + 24 * 3_600_000);
    let set = command(Caller::Operator, "tomorrow", Action::SetTime(tomorrow));
    running.handle.command(set).await.unwrap().unwrap();
    let (after, _) = statistics(&running.handle).await.unwrap();
    assert_eq!((after.waiting, after.rejected), (0, count));
    assert_eq!(running.stop().await, StopReason::ShutDown);
    let (mut reader, mut late_bytes) = (journal.reader(None).unwrap(), 0);
    while let Some(record) = reader.next().unwrap() {
        if record.header.time_ms >= tomorrow.0 {
            late_bytes += record.payload.len() as u64;
        }
    }
    assert!((count..4 * count).contains(&late_bytes), "{late_bytes}");

    let running = Running::on(journal.clone());
    let (again, _) = statistics(&running.handle).await.unwrap();
    assert_eq!(again.rejected, count);
    let last = ask(&running.handle, count - 1).await;
    assert!(matches!(last[0].status, Status::Rejected(_)), "{last:?}");
    running.stop().await;
}
