//! Measures the state machine alone: `cargo run --release -p settlement-core --example measure_state [count]`.
//!
//! One line per kind of traffic, in nanoseconds of processor time per instruction: decided, applied and
//! answered, without wire, hashing of content or journal; then what a replay of the same events takes.
//! The first million identities fit no cache: what is left is mostly waiting for memory.

use fx::{AssetCode, DecimalText};
use settlement_core::command::*;
use settlement_core::event::Event;
use settlement_core::ids::*;
use settlement_core::instruction::*;
use settlement_core::state::State;

/// 2026-11-20, a Friday, at 09:00 UTC.
const NOW: Timestamp = Timestamp(1_795_165_200_000);
const BANKS: u64 = 12;
const ASSETS: u64 = 10;
const BATCH_ITEMS: u64 = 1_000;

fn bic(bank: u64) -> Bic {
    let letter = char::from(b'A' + u8::try_from(bank % 26).expect("below 26"));
    Bic::parse(format!("BANKUS{letter}{letter}").as_bytes()).expect("a BIC")
}

fn asset(number: u64) -> AssetCode {
    AssetCode::parse(format!("AS{number}").as_bytes()).expect("a code")
}

fn short(text: &str) -> ShortText {
    ShortText::parse(text.as_bytes()).expect("an identifier")
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

struct Engine {
    state: State,
    next: u64,
    journal: Vec<(Sequence, Event)>,
    keep: bool,
}

impl Engine {
    fn command(&mut self, caller: Caller, action: Action) {
        let command = Command {
            caller,
            request_id: short(&format!("R{}", self.next)),
            created: NOW,
            digest: Digest([0; 16]),
            action,
        };
        let mut events = Vec::new();
        let taken = self
            .state
            .execute_command(&command, Sequence(self.next), NOW, &mut events);
        taken.expect("the command is taken");
        self.keep(&mut events);
    }

    fn keep(&mut self, events: &mut Vec<Event>) {
        if self.keep {
            let sequence = Sequence(self.next);
            self.journal
                .extend(events.drain(..).map(|event| (sequence, event)));
        }
        events.clear();
        self.next += 1;
    }

    fn set_up(keep: bool) -> Self {
        let mut engine = Self {
            state: State::new(false),
            next: 1,
            journal: Vec::new(),
            keep,
        };
        engine.command(Caller::Operator, Action::ApplyScheme(scheme()));
        for bank in 0..BANKS {
            for number in 0..ASSETS {
                let movement = Movement {
                    kind: MovementKind::Deposit,
                    participant: bic(bank),
                    asset: Some(asset(number)),
                    mantissa: Some(100_000_000_000_000_000),
                    scale: 2,
                    negative: false,
                    cycle: None,
                };
                engine.command(Caller::Agent(bic(25)), Action::Move(movement));
            }
        }
        let cycle = CycleName {
            value_date: NOW.date(),
            number: 1,
        };
        let later = |hours: i64| Some(Timestamp(NOW.0 + hours * 3_600_000));
        engine.command(
            Caller::Operator,
            Action::OpenCycle {
                cycle,
                cut_off: later(1),
                pay_in_deadline: later(2),
                completion_deadline: later(3),
            },
        );
        engine
    }

    fn submit(&mut self, batch: &Submissions) {
        let mut events = Vec::with_capacity(4);
        self.state.warm(batch);
        for item in &batch.items {
            let sequence = Sequence(self.next);
            let answer = self
                .state
                .execute_instruction(batch, item, sequence, NOW, &mut events);
            std::hint::black_box(answer);
            self.keep(&mut events);
        }
    }
}

fn scheme() -> Scheme {
    let line = |number| AssetLine {
        code: asset(number),
        decimals: 2,
        agent: bic(25),
        enabled: true,
    };
    let participant = |bank| ParticipantLine {
        bic: bic(bank),
        name: format!("Bank {bank}"),
        state: ParticipantState::Active,
    };
    let accounts = (0..BANKS).flat_map(|bank| {
        (0..ASSETS).map(move |number| AccountLine {
            participant: bic(bank),
            asset: asset(number),
            state: AccountState::Open,
        })
    });
    Scheme {
        name: short("measure"),
        base_asset: asset(0),
        assets: (0..ASSETS).map(line).collect(),
        participants: (0..BANKS).map(participant).collect(),
        accounts: accounts.collect(),
        limits: Vec::new(),
        cut_offs: None,
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        risk: Vec::new(),
    }
}

fn batch(first: u64, count: u64, lane: Lane) -> Submissions {
    let mut batch = Submissions::default();
    for index in 0..count {
        let random = mix(first + index);
        let debtor = random % BANKS;
        let creditor = (debtor + 1 + (random >> 8) % (BANKS - 1)) % BANKS;
        batch.legs.push(LegSent {
            kind: LegKind::Principal,
            debtor: bic(debtor),
            creditor: bic(creditor),
            asset: Some(asset((random >> 16) % ASSETS)),
            amount: DecimalText::parse(b"10.00").ok(),
        });
        let index = u32::try_from(index).expect("a batch is small");
        batch.items.push(Submission {
            index,
            identity: Identity {
                uetr: Uetr(u128::from(random) << 64 | u128::from(mix(random))),
                instructing: bic(debtor),
                kind: Kind::Payment,
            },
            digest: Digest([0; 16]),
            content: 0..0,
            legs: index..index + 1,
            body: Ok(Body {
                lane,
                priority: Priority::Normal,
                created: NOW,
                value_date: NOW.date(),
                quote_id: None,
                trade_reference: None,
                conditions: None,
            }),
        });
    }
    batch
}

/// Submits so many, in batches that are made outside the clock; nanoseconds for each.
fn measure(engine: &mut Engine, first: u64, count: u64, lane: Lane) -> (u128, u128) {
    let (mut spent, mut longest) = (0, 0);
    for start in (first..first + count).step_by(usize::try_from(BATCH_ITEMS).expect("small")) {
        let batch = batch(start, BATCH_ITEMS, lane);
        let start_ns = processor_ns();
        engine.submit(&batch);
        let took = processor_ns() - start_ns;
        spent += took;
        longest = longest.max(took);
    }
    (spent / u128::from(count), longest / 1_000)
}

/// Processor time of this process so far, in nanoseconds: of use on a machine that others use too.
fn processor_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split(' ').next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}

fn main() {
    let argument = std::env::args().nth(1);
    let count = argument
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    for lane in [Lane::Gross, Lane::Net] {
        let mut engine = Engine::set_up(false);
        let before = resident_kb();
        let (each, longest) = measure(&mut engine, 1, count, lane);
        let bytes = (resident_kb() - before) * 1024 / count;
        println!(
            "{lane:?}: {each} ns each, longest batch of {BATCH_ITEMS} {longest} us, {bytes} bytes each"
        );
        let (again, _) = measure(&mut engine, 1, count.min(1_000_000), lane);
        println!("{lane:?} repeated: {again} ns each");
    }
    let mut engine = Engine::set_up(true);
    measure(&mut engine, 1, count.min(1_000_000), Lane::Gross);
    measure(&mut engine, 1 << 40, count.min(1_000_000), Lane::Net);
    let events = engine.journal.len();
    let mut replayed = State::new(false);
    let start_ns = processor_ns();
    for (sequence, event) in &engine.journal {
        replayed.apply(*sequence, NOW, event);
    }
    let took = processor_ns() - start_ns;
    assert_eq!(replayed.digest(), engine.state.digest());
    println!(
        "replay: {} ns an event, {events} events",
        took / events as u128
    );
}
