//! Clients that retry everything: banks that send one and many, agents that deposit, an operator that lets
//! time pass, and its job, which runs the cycles. All by seed, over both gateways, with calls that get cut.

use super::attempt::{Came, Connections, Way, Work};
use super::cycles::Job;
use super::pledges;
use super::whole::Whole;
use crate::history::major;
use crate::load::{Random, trade_side};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use valuta_proto::v1;
use valuta_tests::scheme::{ASSETS, BANKS, MORNING_MS, payment, timestamp};

/// Between two pieces of a bank's work.
const THINK_MS_MAX: u64 = 6;
/// Between two seconds of the rehearsal's time: each may close a batch.
const TICK_EVERY: Duration = Duration::from_millis(150);
const TICK_MS: i64 = 1_000;
/// What every account has at first: some of what is sent has to wait.
const OPENING_CENTS: i128 = 500_000;
const AMOUNT_CENTS_MAX: u64 = 60_000;
const BATCH_MAX: u64 = 12;
/// Instructions in one call when everything is sent again.
const AGAIN: usize = 250;
/// Answers that do not come by then never will.
const PROGRESS_WITHIN: Duration = Duration::from_secs(120);

/// Over all scenes of one cluster.
pub struct Clients {
    pub way: Way,
    /// All that was ever sent.
    sent: Mutex<Vec<v1::Instruction>>,
    commands: Mutex<Vec<(String, Work)>>,
    numbers: AtomicU64,
    pub(super) time_ms: AtomicI64,
    /// The cycle that the operator's job is at.
    pub(super) cycle: Mutex<Option<v1::OpenCycleRequest>>,
}

/// Clients at work. They stop when told to.
pub struct Working {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Every account gets its opening balance.
    pub async fn start(whole: &Whole) -> Arc<Self> {
        let gateways = [0, 1].map(|at| whole.gateways[at].address.clone());
        let clients = Arc::new(Self {
            way: Way::new(gateways, whole.tokens.clone()),
            sent: Mutex::default(),
            commands: Mutex::default(),
            numbers: AtomicU64::new(1),
            time_ms: AtomicI64::new(MORNING_MS),
            cycle: Mutex::default(),
        });
        let (mut connections, mut random) = (Connections::default(), Random(0));
        for bank in BANKS {
            // Of KWD there is none: what pays it waits.
            for (asset, _, agent) in &ASSETS[..3] {
                let deposit = clients.deposit(bank, asset, OPENING_CENTS);
                clients
                    .done(agent, deposit, &mut connections, &mut random, || true)
                    .await;
            }
        }
        clients
    }

    /// Banks and the operator begin to work.
    pub fn work(self: &Arc<Self>, seed: u64) -> Working {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for (at, bank) in (0u64..).zip(BANKS) {
            let (clients, stop) = (Arc::clone(self), Arc::clone(&stop));
            let random = Random(seed.wrapping_mul(31).wrapping_add(at));
            tasks.push(tokio::spawn(async move {
                clients.bank(bank, random, &stop).await;
            }));
        }
        let (clients, of_operator) = (Arc::clone(self), Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            clients.operator(Random(seed), &of_operator).await;
        }));
        let (clients, of_job) = (Arc::clone(self), Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            Job::new(&clients, Random(!seed), &of_job).cycles().await;
        }));
        Working { stop, tasks }
    }

    /// Waits until so many more calls are answered; how long it took.
    pub async fn answered(&self, more: u64) -> Duration {
        let (begun, until) = (Instant::now(), self.way.answers() + more);
        while self.way.answers() < until {
            let wrong = self.way.seen().wrong.clone();
            assert!(wrong.is_empty(), "{wrong:?}");
            assert!(begun.elapsed() < PROGRESS_WITHIN, "answers stay out");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    async fn bank(&self, bank: &str, mut random: Random, stop: &AtomicBool) {
        let going = || !stop.load(Ordering::Relaxed);
        let mut connections = Connections::default();
        while going() {
            let (caller, work) = self.choose(bank, &mut random);
            self.done(&caller, work, &mut connections, &mut random, going)
                .await;
            tokio::time::sleep(Duration::from_millis(random.below(THINK_MS_MAX))).await;
        }
    }

    async fn operator(&self, mut random: Random, stop: &AtomicBool) {
        let going = || !stop.load(Ordering::Relaxed);
        let mut connections = Connections::default();
        while going() {
            let time = self.time_ms.fetch_add(TICK_MS, Ordering::Relaxed) + TICK_MS;
            let work = Work::Time(time);
            self.done("OPERATOR", work, &mut connections, &mut random, going)
                .await;
            tokio::time::sleep(TICK_EVERY).await;
        }
    }

    /// Remembers it, and does it.
    async fn done(
        &self,
        caller: &str,
        work: Work,
        connections: &mut Connections,
        random: &mut Random,
        going: impl Fn() -> bool,
    ) {
        let changed = is_changed(&work);
        self.remember(caller, &work, changed);
        let came = self
            .way
            .until_answered(caller, &work, connections, random, going)
            .await;
        let expected = match (&work, changed) {
            (Work::Move(_), true) => Came::Refused("REQUEST_ID_REUSED".to_owned()),
            // It may be settled, rejected or matched by now, or its time may be over.
            (Work::Cancel(_) | Work::Approve(_) | Work::Show(_) | Work::Quote(_), _) => return,
            _ => Came::Answered,
        };
        if came.as_ref().is_some_and(|came| *came != expected) {
            let wrong = format!("{caller}: {work:?}: {came:?}");
            self.way.seen().wrong.push(wrong);
        }
    }

    pub(super) fn remember(&self, caller: &str, work: &Work, changed: bool) {
        let mut sent = self.sent.lock().unwrap();
        match work {
            Work::Submit(instruction) if !changed => sent.push((**instruction).clone()),
            Work::SubmitMany(instructions) | Work::Stream(instructions) => {
                sent.extend(instructions.iter().cloned());
            }
            Work::Move(_) | Work::Cancel(_) | Work::Approve(_) | Work::Show(_) | Work::Quote(_)
                if !changed =>
            {
                let mut commands = self.commands.lock().unwrap();
                commands.push((caller.to_owned(), work.clone()));
            }
            Work::Submit(_)
            | Work::Move(_)
            | Work::Cancel(_)
            | Work::Approve(_)
            | Work::Show(_)
            | Work::Quote(_)
            | Work::Time(_)
            | Work::OpenCycle(_)
            | Work::Step(..) => {}
        }
    }

    /// Who does what next.
    fn choose(&self, bank: &str, random: &mut Random) -> (String, Work) {
        let chosen = match random.below(100) {
            0..13 => Some(Work::SubmitMany(self.several(bank, random))),
            13..24 => Some(Work::Stream(self.several(bank, random))),
            24..37 => self
                .earlier(bank, random)
                .map(|earlier| Work::SubmitMany(vec![earlier])),
            37..43 => self
                .answered_before(bank, random)
                .map(|earlier| Work::Submit(changed(earlier).into())),
            43..51 => return self.movement(bank, random),
            51..57 => self
                .answered_before(bank, random)
                .map(|earlier| self.cancel(&earlier)),
            57..65 => pledges::fulfil(bank, &self.sent.lock().unwrap(), self.number(), random),
            65..69 => {
                let taker = self.another(bank, random);
                Some(pledges::quote(taker, self.number(), self.now_ms(), random))
            }
            _ => None,
        };
        let single = || Work::Submit(self.instruction(bank, random).into());
        (bank.to_owned(), chosen.unwrap_or_else(single))
    }

    /// Some of any kind, at times two that hang together among them.
    fn several(&self, bank: &str, random: &mut Random) -> Vec<v1::Instruction> {
        let many = 0..=random.below(BATCH_MAX);
        let mut all: Vec<_> = many.map(|_| self.instruction(bank, random)).collect();
        if random.below(4) == 0 {
            let pair = [(); 2].map(|()| self.plain(bank, random));
            all.extend(pledges::group(pair));
        }
        all
    }

    fn another(&self, bank: &str, random: &mut Random) -> &'static str {
        let others: Vec<_> = BANKS.into_iter().filter(|&other| other != bank).collect();
        random.pick::<&str>(&others)
    }

    fn now_ms(&self) -> i64 {
        self.time_ms.load(Ordering::Relaxed)
    }

    /// A payment without anything special.
    fn plain(&self, bank: &str, random: &mut Random) -> v1::Instruction {
        let (other, number) = (self.another(bank, random), u128::from(self.number()));
        let cents = i128::from(1 + random.below(AMOUNT_CENTS_MAX));
        let asset = ASSETS[usize::try_from(random.below(3)).unwrap()].0;
        payment(number, bank, other, &major(cents, asset), asset)
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// One of what banks send, right and wrong.
    fn instruction(&self, bank: &str, random: &mut Random) -> v1::Instruction {
        let other = self.another(bank, random);
        let number = || u128::from(self.number());
        match random.below(20) {
            0 => payment(number(), bank, other, "1.000", "KWD"),
            1 => payment(number(), bank, other, "0.5", "JPY"),
            2 => payment(number(), bank, bank, "1.00", "USD"),
            3 | 4 => trade_side(number(), bank, other, random),
            5..=9 => v1::Instruction {
                lane: v1::Lane::Net.into(),
                ..self.plain(bank, random)
            },
            10..=12 => v1::Instruction {
                conditions: Some(pledges::conditions(other, self.now_ms(), random)),
                ..self.plain(bank, random)
            },
            13 => self
                .taking_quote(bank, random)
                .unwrap_or_else(|| self.plain(bank, random)),
            _ => self.plain(bank, random),
        }
    }

    fn taking_quote(&self, bank: &str, random: &mut Random) -> Option<v1::Instruction> {
        let seen = self.way.seen();
        pledges::take_quote(bank, &seen.quotes, self.number(), random)
    }

    /// Any that this bank has sent, answered or not.
    fn earlier(&self, bank: &str, random: &mut Random) -> Option<v1::Instruction> {
        let sent = self.sent.lock().unwrap();
        if sent.is_empty() {
            return None;
        }
        let found = random.pick(&sent);
        (found.instructing == bank).then(|| found.clone())
    }

    /// One that was answered: it is the first of its identity.
    fn answered_before(&self, bank: &str, random: &mut Random) -> Option<v1::Instruction> {
        use prost::Message as _;
        let seen = self.way.seen();
        if seen.answers.is_empty() {
            return None;
        }
        let answer = random.pick(&seen.answers);
        let found = v1::Instruction::decode(&*answer.content).ok()?;
        (found.instructing == bank && answer.code != "AM05").then_some(found)
    }

    /// A deposit: new, sent again, or again with another amount.
    fn movement(&self, bank: &str, random: &mut Random) -> (String, Work) {
        let before = self.way.seen().commands.last().cloned();
        let known = before.and_then(|done| {
            let commands = self.commands.lock().unwrap();
            let found = commands.iter().rev().find(|(_, work)| {
                matches!(work, Work::Move(request) if request.request_id == done.request_id)
            });
            found.cloned()
        });
        match (random.below(3), known) {
            (0, Some(again)) => again,
            (1, Some((agent, Work::Move(request)))) => {
                let other = v1::RecordMovementRequest {
                    amount: CHANGED_AMOUNT.to_owned(),
                    ..request
                };
                (agent, Work::Move(other))
            }
            _ => {
                let (asset, _, agent) = ASSETS[usize::try_from(random.below(3)).unwrap()];
                let cents = i128::from(1 + random.below(AMOUNT_CENTS_MAX));
                (agent.to_owned(), self.deposit(bank, asset, cents))
            }
        }
    }

    fn deposit(&self, bank: &str, asset: &str, cents: i128) -> Work {
        Work::Move(v1::RecordMovementRequest {
            request_id: format!("deposit-{}", self.number()),
            created: Some(timestamp(MORNING_MS)),
            kind: v1::MovementKind::Deposit.into(),
            participant: bank.to_owned(),
            asset: asset.to_owned(),
            amount: major(cents, asset),
            cycle: String::new(),
        })
    }

    fn cancel(&self, earlier: &v1::Instruction) -> Work {
        Work::Cancel(v1::CancelInstructionRequest {
            request_id: format!("cancel-{}", self.number()),
            uetr: earlier.uetr.clone(),
            kind: earlier.kind,
            created: Some(timestamp(MORNING_MS)),
        })
    }

    /// Sends everything again, and then all is answered.
    pub async fn all_again(&self) {
        let (mut connections, mut random) = (Connections::default(), Random(1));
        let mut all = self.sent.lock().unwrap().clone();
        all.sort_by(|one, other| one.instructing.cmp(&other.instructing));
        for of_bank in all.chunk_by(|one, other| one.instructing == other.instructing) {
            for some in of_bank.chunks(AGAIN) {
                let (bank, work) = (&some[0].instructing, Work::SubmitMany(some.to_vec()));
                self.again(bank, &work, &mut connections, &mut random).await;
            }
        }
        let commands = self.commands.lock().unwrap().clone();
        for (caller, work) in commands {
            self.again(&caller, &work, &mut connections, &mut random)
                .await;
        }
    }

    async fn again(
        &self,
        caller: &str,
        work: &Work,
        connections: &mut Connections,
        random: &mut Random,
    ) {
        let end = Instant::now() + PROGRESS_WITHIN;
        let going = || Instant::now() < end;
        let came = self
            .way
            .until_answered(caller, work, connections, random, going)
            .await;
        assert!(came.is_some(), "never answered: {caller}: {work:?}");
    }
}

impl Working {
    /// Stops them all; what was not answered stays open.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Its end-to-end id tells it from the first.
const CHANGED_ID: &str = "changed";
/// No deposit of ours is so large.
const CHANGED_AMOUNT: &str = "99999999";

fn changed(first: v1::Instruction) -> v1::Instruction {
    v1::Instruction {
        end_to_end_id: CHANGED_ID.to_owned(),
        ..first
    }
}

fn is_changed(work: &Work) -> bool {
    match work {
        Work::Submit(instruction) => instruction.end_to_end_id == CHANGED_ID,
        Work::Move(request) => request.amount == CHANGED_AMOUNT,
        Work::SubmitMany(_)
        | Work::Stream(_)
        | Work::Cancel(_)
        | Work::Approve(_)
        | Work::Show(_)
        | Work::Quote(_)
        | Work::Time(_)
        | Work::OpenCycle(_)
        | Work::Step(..) => false,
    }
}
