//! A day's work for a server that may die at any moment: banks that stream and send one by one, and the
//! operator's jobs that take one cycle after the other through its life. All of it can be sent again.

use crate::history::{History, Told, major};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use valuta_proto::v1;
use valuta_tests::scheme::{
    ASSETS, BANKS, MORNING_MS, TODAY, World, payment, timestamp, uetr_text,
};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// Whether the long form of a test is asked for.
pub fn long() -> bool {
    std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1")
}

/// Requests that one stream has in flight.
const STREAM_AHEAD: usize = 4;
/// What every bank has at first in USD, EUR and JPY; of KWD there is none, so what pays it waits.
const OPENING: &str = "1000000";

/// A server's work, over all its lives.
pub struct Load {
    pub history: Mutex<History>,
    numbers: AtomicU64,
    job: tokio::sync::Mutex<Job>,
}

/// The cycle that the operator's jobs are at.
#[derive(Clone, Debug)]
struct Job {
    number: u16,
    cut_off_ms: i64,
    completed: u64,
}

impl Load {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            history: Mutex::default(),
            numbers: AtomicU64::new(1),
            job: tokio::sync::Mutex::new(Job {
                number: 1,
                cut_off_ms: MORNING_MS + 2_000,
                completed: 0,
            }),
        })
    }

    /// A client that sees a wrong answer panics with this in its hands, and so ends the test.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no client saw a wrong answer")
    }

    /// Cycles that went through all of their life.
    pub async fn cycles_completed(&self) -> u64 {
        self.job.lock().await.completed
    }

    fn number(&self) -> u128 {
        u128::from(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Deposits for every bank. Can be called again.
    pub async fn fund(&self, world: &World) -> Result<(), Status> {
        for bank in BANKS {
            for (asset, _, agent) in &ASSETS[..3] {
                let request = movement(v1::MovementKind::Deposit, bank, asset, OPENING, "");
                self.move_money(world, agent, request).await?;
            }
        }
        Ok(())
    }

    async fn move_money(
        &self,
        world: &World,
        caller: &str,
        request: v1::RecordMovementRequest,
    ) -> Result<(), Status> {
        self.history().move_money(caller, &request);
        let mut client = client(world, caller).await?;
        let answer = client
            .settlement
            .record_movement(request.clone())
            .await?
            .into_inner();
        self.history().moved(&request.request_id, &answer);
        Ok(())
    }

    /// Sends everything again: each gets the answer that it had, or the first one.
    pub async fn send_again(&self, world: &World) -> Result<(), Status> {
        let movements = self.history().movements_again();
        for (caller, request) in movements {
            self.move_money(world, &caller, request).await?;
        }
        for bank in BANKS {
            let requests = self.history().again(bank);
            let mut client = client(world, bank).await?;
            for instructions in requests {
                let request = v1::SubmitInstructionsRequest {
                    instructions: instructions.clone(),
                    full_answers: false,
                };
                let answer = client
                    .payments
                    .submit_instructions(request)
                    .await?
                    .into_inner();
                self.history().told_all(&instructions, &answer);
            }
        }
        Ok(())
    }

    /// Works until the server dies, or `calls` are made by each client.
    pub async fn work(self: &Arc<Self>, world: &World, seed: u64, calls: u64) {
        let mut tasks = Vec::new();
        for (at, bank) in (0u64..).zip(BANKS) {
            let random = || Random(seed.wrapping_mul(31).wrapping_add(at));
            let Ok(streaming) = client(world, bank).await else {
                return;
            };
            let (load, random_stream, random_unary) = (Arc::clone(self), random(), random());
            let other = (Arc::clone(self), streaming.clone());
            tasks.push(tokio::spawn(async move {
                load.stream(streaming, bank, random_stream, calls).await
            }));
            tasks.push(tokio::spawn(async move {
                other.0.one_by_one(other.1, bank, random_unary, calls).await
            }));
        }
        // The jobs end with their cycle, or with the server.
        let jobs = self.jobs(world).await;
        for task in tasks {
            let ended = task.await.unwrap();
            ended.unwrap_or_else(|status| assert_is_death(&status));
        }
        jobs.unwrap_or_else(|status| assert_is_death(&status));
    }

    async fn stream(
        &self,
        mut client: valuta_tests::server::Client,
        bank: &str,
        mut random: Random,
        calls: u64,
    ) -> Result<(), Status> {
        let (requests, outgoing) = tokio::sync::mpsc::channel(STREAM_AHEAD);
        let sent = Arc::new(Mutex::new(std::collections::VecDeque::new()));
        let call = client
            .payments
            .stream_instructions(ReceiverStream::new(outgoing));
        let (answers, fed) =
            tokio::join!(call, self.feed(requests, &sent, bank, &mut random, calls));
        // A server that died takes no more requests; its answers say so too.
        let _ = fed;
        let mut answers = answers?.into_inner();
        while let Some(answer) = answers.message().await? {
            let instructions: Vec<v1::Instruction> = sent.lock().unwrap().pop_front().unwrap();
            self.history().told_all(&instructions, &answer);
        }
        assert!(
            sent.lock().unwrap().is_empty(),
            "a stream ended without its answers"
        );
        Ok(())
    }

    /// Writes requests ahead of their answers, as far as the channel and the server let it.
    async fn feed(
        &self,
        requests: tokio::sync::mpsc::Sender<v1::SubmitInstructionsRequest>,
        sent: &Mutex<std::collections::VecDeque<Vec<v1::Instruction>>>,
        bank: &str,
        random: &mut Random,
        calls: u64,
    ) -> Option<()> {
        for _ in 0..calls.min(12) {
            let instructions: Vec<_> = (0..=random.below(6))
                .map(|_| self.instruction(bank, random))
                .collect();
            self.history().send(&instructions);
            sent.lock().unwrap().push_back(instructions.clone());
            let request = v1::SubmitInstructionsRequest {
                instructions,
                full_answers: false,
            };
            let sending = requests.send(request);
            tokio::time::timeout(Duration::from_secs(2), sending)
                .await
                .ok()?
                .ok()?;
        }
        Some(())
    }

    async fn one_by_one(
        &self,
        mut client: valuta_tests::server::Client,
        bank: &str,
        mut random: Random,
        calls: u64,
    ) -> Result<(), Status> {
        for _ in 0..calls {
            let instruction = self.instruction(bank, &mut random);
            self.history().send(std::slice::from_ref(&instruction));
            let request = v1::SubmitInstructionRequest {
                instruction: Some(instruction.clone()),
            };
            let answer = client
                .payments
                .submit_instruction(request)
                .await?
                .into_inner();
            let told = Told::of(answer.status.as_ref().unwrap());
            self.history().told(&instruction.uetr, told);
        }
        Ok(())
    }

    /// One of what banks send, right and wrong.
    fn instruction(&self, bank: &str, random: &mut Random) -> v1::Instruction {
        let others: Vec<_> = BANKS.iter().filter(|&&other| other != bank).collect();
        let other = random.pick(&others);
        let number = self.number();
        let cents = i128::from(1 + random.below(50_000));
        let asset = ASSETS[usize::try_from(random.below(3)).unwrap()].0;
        let gross = payment(number, bank, other, &major(cents, asset), asset);
        match random.below(20) {
            0..9 => gross,
            9..14 => v1::Instruction {
                lane: v1::Lane::Net.into(),
                ..gross
            },
            14 => payment(number, bank, other, "1.000", "KWD"),
            15 => payment(number, bank, other, "0.5", "JPY"),
            16 => payment(number, bank, bank, "1.00", "USD"),
            _ => trade_side(number, bank, other, random),
        }
    }

    /// Takes the cycle at hand through its next steps. Every step can be done again.
    async fn jobs(&self, world: &World) -> Result<(), Status> {
        let mut job = self.job.lock().await;
        let cycle = format!("{TODAY}/{}", job.number);
        let mut operator = world.operator.clone();
        let instant = |seconds: i64| Some(timestamp(job.cut_off_ms + seconds * 1_000));
        let request = v1::OpenCycleRequest {
            cycle: cycle.clone(),
            cut_off: instant(0),
            pay_in_deadline: instant(1),
            completion_deadline: instant(2),
            created: None,
            request_id: format!("open-{cycle}"),
        };
        operator.settlement.open_cycle(request).await?;
        tokio::time::sleep(Duration::from_millis(60)).await;
        let step = |name: &str| v1::CycleRequest {
            cycle: cycle.clone(),
            created: None,
            request_id: format!("{name}-{cycle}"),
        };
        operator.set_time(job.cut_off_ms).await?;
        operator.settlement.close_cycle(step("close")).await?;
        let netted = operator
            .settlement
            .net_cycle(step("net"))
            .await?
            .into_inner();
        let positions = netted.cycle.unwrap_or_default().positions;
        for (at, position) in positions.iter().enumerate() {
            // Now and then one does not pay, and what needs its money is left behind.
            if position.pay_in_due.trim_matches(['0', '.']).is_empty() || at % 7 == 3 {
                continue;
            }
            self.pay_in(world, position, &cycle).await?;
        }
        operator.set_time(job.cut_off_ms + 1_000).await?;
        operator.settlement.settle_cycle(step("settle")).await?;
        operator.set_time(job.cut_off_ms + 2_000).await?;
        for _ in 0..200 {
            let settled = operator
                .settlement
                .settle_cycle(step("complete"))
                .await?
                .into_inner();
            if settled.cycle.unwrap_or_default().state() == v1::CycleState::Completed {
                job.number += 1;
                job.completed += 1;
                job.cut_off_ms += 5_000;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{cycle} does not complete");
    }

    async fn pay_in(
        &self,
        world: &World,
        position: &v1::CyclePosition,
        cycle: &str,
    ) -> Result<(), Status> {
        let (bank, asset) = (&position.participant, &position.asset);
        let agent = ASSETS.iter().find(|(code, ..)| code == asset).unwrap().2;
        let pay_in = v1::MovementKind::PayIn;
        let request = movement(pay_in, bank, asset, &position.pay_in_due, cycle);
        self.move_money(world, agent, request).await
    }
}

fn movement(
    kind: v1::MovementKind,
    bank: &str,
    asset: &str,
    amount: &str,
    cycle: &str,
) -> v1::RecordMovementRequest {
    v1::RecordMovementRequest {
        request_id: format!(
            "{}{bank}{asset}{cycle}",
            if cycle.is_empty() { "d" } else { "p" }
        ),
        created: Some(timestamp(MORNING_MS)),
        kind: kind.into(),
        participant: bank.to_owned(),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        cycle: cycle.to_owned(),
    }
}

/// A side of a trade whose other side may come from the other bank, by chance: amounts are few.
pub fn trade_side(number: u128, bank: &str, other: &str, random: &mut Random) -> v1::Instruction {
    let (first, second) = if bank < other {
        (bank, other)
    } else {
        (other, bank)
    };
    let rate = 1 + random.below(2);
    let leg = |debtor: &str, creditor: &str, amount: String, asset: &str| v1::Leg {
        debtor: debtor.to_owned(),
        creditor: creditor.to_owned(),
        amount,
        asset: asset.to_owned(),
        kind: v1::LegKind::Unspecified.into(),
    };
    v1::Instruction {
        uetr: uetr_text(number),
        kind: v1::Kind::TradeSide.into(),
        lane: v1::Lane::Gross.into(),
        instructing: bank.to_owned(),
        created: Some(timestamp(MORNING_MS)),
        value_date: TODAY.to_owned(),
        legs: vec![
            leg(first, second, format!("{rate}.00"), "USD"),
            leg(second, first, format!("{rate}.50"), "EUR"),
        ],
        trade_reference: format!("T{rate}"),
        ..Default::default()
    }
}

async fn client(world: &World, name: &str) -> Result<valuta_tests::server::Client, Status> {
    let client = world.client(name).await;
    client.map_err(|error| Status::unavailable(error.to_string()))
}

/// A call may fail only because the server has died.
fn assert_is_death(status: &Status) {
    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
    let message = status.message();
    let transport = [
        "transport",
        "connect",
        "h2",
        "broken pipe",
        "stopped",
        "error reading",
    ];
    // A connection that closes under a call says so in the error's source alone.
    let source = std::error::Error::source(status);
    let is_transport = source.is_some_and(|source| source.is::<tonic::transport::Error>())
        || transport
            .iter()
            .any(|word| message.to_lowercase().contains(word));
    let dead =
        matches!(status.code(), Unavailable | Cancelled | Unknown | Internal) && is_transport;
    assert!(dead, "a call failed for another reason: {status:?}");
}
