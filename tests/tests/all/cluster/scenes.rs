//! Faults at a whole cluster under load. A scene ends when clients work again; then all is judged.

use super::attempt::{Connections, Work};
use super::clients::{Clients, Working};
use super::service::Service;
use super::whole::{Follower, Whole};
use crate::load::Random;
use std::sync::Arc;
use std::time::Duration;

/// Answers that show that clients work.
pub const WORKS: u64 = 60;

/// A cluster and its clients, for scenes.
pub struct Scenery {
    pub whole: Whole,
    pub clients: Arc<Clients>,
    pub random: Random,
    /// A ledger of other keys, from before anything was published: it must end.
    pub other_ledger: Option<Service>,
}

impl Scenery {
    pub async fn start() -> Self {
        let mut whole = Whole::start().await;
        whole.follower(Follower::Ledger).until("working").await;
        let mut other_ledger = whole.ledger_of_other_keys();
        other_ledger.start().await;
        let clients = Clients::start(&whole).await;
        Self {
            whole,
            clients,
            random: Random(0),
            other_ledger: Some(other_ledger),
        }
    }

    /// Clients that are at work.
    pub async fn busy(&mut self, seed: u64) -> Working {
        self.random = Random(seed);
        let working = self.clients.work(seed);
        self.clients.answered(WORKS).await;
        working
    }

    /// Some milliseconds, by seed.
    pub async fn a_moment(&mut self, max_ms: u64) {
        tokio::time::sleep(Duration::from_micros(self.random.below(max_ms * 1_000))).await;
    }

    /// One call, without trying again.
    pub async fn once(
        &self,
        gateway: usize,
        caller: &str,
        work: &Work,
    ) -> Result<(), tonic::Status> {
        let patience = Duration::from_secs(12);
        let mut connections = Connections::default();
        let once = self
            .clients
            .way
            .once(caller, work, gateway, patience, &mut connections);
        once.await.map(drop)
    }
}
