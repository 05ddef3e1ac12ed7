//! One cycle after the other: an operator's job, and who pays in. What a fault or a scene's end cuts short
//! goes on where it was.

use super::attempt::{Came, Connections, Step, Work};
use super::clients::Clients;
use crate::load::Random;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use valuta_proto::v1;
use valuta_tests::scheme::{ASSETS, MORNING_MS, TODAY, timestamp};

/// Record time from the opening to the cut-off, and on to each deadline.
const APART_MS: i64 = 3_000;
/// Between two tries of a step whose time has not come.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// One pay-in in so many does not come, and what needs it is left behind.
const UNPAID_ONE_IN: u64 = 5;

/// Until it is told to stop.
pub struct Job<'a> {
    clients: &'a Clients,
    connections: Connections,
    random: Random,
    stop: &'a AtomicBool,
}

impl<'a> Job<'a> {
    pub fn new(clients: &'a Clients, random: Random, stop: &'a AtomicBool) -> Self {
        Self {
            clients,
            connections: Connections::default(),
            random,
            stop,
        }
    }

    pub async fn cycles(mut self) {
        while self.cycle().await.is_some() {
            *self.clients.cycle.lock().unwrap() = None;
        }
    }

    /// A cycle's whole life; `None` as soon as the job is to stop.
    async fn cycle(&mut self) -> Option<()> {
        let request = self.at_hand();
        let name = request.cycle.clone();
        self.until_done(Work::OpenCycle(request)).await?;
        self.step(Step::Close, &name).await?;
        let netted = self.step(Step::Net, &name).await?;
        self.pay_in(netted).await?;
        while self.step(Step::Settle, &name).await?.state() != v1::CycleState::Completed {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(())
    }

    /// The one that is under way, or the next one. Opened again, it is the same.
    fn at_hand(&self) -> v1::OpenCycleRequest {
        let mut at_hand = self.clients.cycle.lock().unwrap();
        let next = || {
            let number = self.clients.way.seen().cycles.len() + 1;
            let now = self.clients.time_ms.load(Ordering::Relaxed);
            let after = |apart: i64| Some(timestamp(now + apart * APART_MS));
            v1::OpenCycleRequest {
                cycle: format!("{TODAY}/{number}"),
                cut_off: after(1),
                pay_in_deadline: after(2),
                completion_deadline: after(3),
                created: None,
                request_id: format!("open-{number}"),
            }
        };
        at_hand.get_or_insert_with(next).clone()
    }

    /// The cycle as it is then. A step that was done before changes nothing.
    async fn step(&mut self, step: Step, cycle: &str) -> Option<v1::Cycle> {
        let request = v1::CycleRequest {
            cycle: cycle.to_owned(),
            created: None,
            request_id: format!("step-{}", self.clients.number()),
        };
        self.until_done(Work::Step(step, request)).await?;
        self.clients.way.seen().cycles.get(cycle).cloned()
    }

    async fn until_done(&mut self, work: Work) -> Option<()> {
        loop {
            match self.until_answered("OPERATOR", &work).await? {
                Came::Answered => return Some(()),
                Came::Refused(reason) if reason == "TOO_EARLY" => {}
                Came::Refused(reason) => {
                    let wrong = format!("{work:?} was refused: {reason}");
                    self.clients.way.seen().wrong.push(wrong);
                    return None;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Most of what the schedule asks for; begun again, the same.
    async fn pay_in(&mut self, netted: v1::Cycle) -> Option<()> {
        for (at, position) in (netted.members..).zip(netted.positions) {
            let is_nothing = position.pay_in_due.trim_matches(['0', '.']).is_empty();
            if is_nothing || at.is_multiple_of(UNPAID_ONE_IN) {
                continue;
            }
            let (bank, asset) = (position.participant, position.asset);
            let agent = ASSETS.iter().find(|(code, ..)| *code == asset)?.2;
            let work = Work::Move(v1::RecordMovementRequest {
                request_id: format!("pay-{}-{bank}-{asset}", netted.name),
                created: Some(timestamp(MORNING_MS)),
                kind: v1::MovementKind::PayIn.into(),
                participant: bank,
                asset,
                amount: position.pay_in_due,
                cycle: netted.name.clone(),
            });
            self.clients.remember(agent, &work, false);
            self.until_answered(agent, &work).await?;
        }
        Some(())
    }

    async fn until_answered(&mut self, caller: &str, work: &Work) -> Option<Came> {
        let going = || !self.stop.load(Ordering::Relaxed);
        let (connections, random) = (&mut self.connections, &mut self.random);
        let way = &self.clients.way;
        way.until_answered(caller, work, connections, random, going)
            .await
    }
}
