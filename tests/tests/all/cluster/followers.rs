//! Faults of what follows the journal.

use super::judge::{judge, receipts};
use super::scenes::{Scenery, WORKS};
use super::service::Service;
use super::whole::Follower;
use std::time::{Duration, Instant};

/// Several times what the group needs to name another.
const CHANGES_WITHIN: Duration = Duration::from_secs(60);

/// Relay, ledger and projector are killed in the midst of their work, each several times, and started
/// again: nothing is twice or missing.
pub async fn followers_killed(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    if let Some(early) = scenery.other_ledger.take() {
        is_refused(early).await;
    }
    for _ in 0..2 {
        for which in [Follower::Relay, Follower::Ledger, Follower::Projector] {
            scenery.a_moment(400).await;
            scenery.whole.follower(which).kill();
            scenery.clients.answered(WORKS).await;
            scenery.whole.follower(which).start().await;
        }
    }
    for which in [Follower::Relay, Follower::Projector, Follower::Ledger] {
        taken_over(scenery, which).await;
    }
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    let facts = judge(&mut scenery.whole, &scenery.clients).await;
    println!(
        "followers killed: {} batches, each once",
        facts.batches.len()
    );
}

/// One that stands by goes on where the first one stood still; that one continues as if nothing had been, finds
/// out, and stands by itself, until the other is killed.
async fn taken_over(scenery: &mut Scenery, which: Follower) {
    // Of two that join at once, either may be named.
    until(scenery.whole.follower(which), true).await;
    let mut other = scenery.whole.another(which).await;
    assert!(!works(&other), "{which:?}: {}", other.printed());
    scenery.a_moment(400).await;
    scenery.whole.follower(which).pause();
    other.until("working").await;
    scenery.clients.answered(WORKS).await;
    if which == Follower::Ledger {
        let complaints = receipts(&scenery.whole, &scenery.clients).await;
        assert!(complaints.is_empty(), "{complaints:?}");
        let mut late = scenery.whole.ledger_of_other_keys();
        late.spawn();
        is_refused(late).await;
    }
    scenery.whole.follower(which).resume();
    until(scenery.whole.follower(which), false).await;
    assert!(works(&other), "{which:?}: {}", other.printed());
    scenery.clients.answered(WORKS).await;
    scenery.a_moment(400).await;
    other.kill();
    scenery.whole.ended(which, other);
    until(scenery.whole.follower(which), true).await;
    println!("{which:?}: taken over, and back");
}

/// A ledger of other keys.
async fn is_refused(mut ledger: Service) {
    let words = ledger.ended().await;
    assert!(words.contains("is of another log"), "{words}");
}

/// By what it said last.
fn works(service: &Service) -> bool {
    service.printed().lines().last() == Some("working")
}

async fn until(service: &Service, working: bool) {
    let end = Instant::now() + CHANGES_WITHIN;
    while works(service) != working {
        assert!(Instant::now() < end, "{}", service.printed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
