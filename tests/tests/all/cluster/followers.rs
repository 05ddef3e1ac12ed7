//! Faults of what follows the journal.

use super::judge::judge;
use super::scenes::{Scenery, WORKS};
use super::whole::Follower;

/// Relay, ledger and projector are killed in the midst of their work, each several times, and started
/// again: nothing is twice or missing.
pub async fn followers_killed(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    for _ in 0..2 {
        for which in [Follower::Relay, Follower::Ledger, Follower::Projector] {
            scenery.a_moment(400).await;
            scenery.whole.follower(which).kill();
            scenery.clients.answered(WORKS).await;
            scenery.whole.follower(which).start().await;
        }
    }
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    let facts = judge(&mut scenery.whole, &scenery.clients).await;
    println!(
        "followers killed: {} batches, each once",
        facts.batches.len()
    );
}
