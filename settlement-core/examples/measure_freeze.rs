//! Measures a frozen view: `cargo run --release -p settlement-core --example measure_freeze [identities]`.
//!
//! A million accounts, 100,000 waiting units, ten million identities unless told otherwise. Prints what
//! taking a view costs the writer, what a batch of 1,000 takes before, right after, and later, and what
//! explanations and what-if over a view take, with the batches beside them: time
//! on the wall, so that on a machine that others use the medians say more than the longest.

use fx::{AssetCode, DecimalText};
use settlement_core::command::*;
use settlement_core::ids::*;
use settlement_core::instruction::*;
use settlement_core::state::{Change, FrozenView, RunScope, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// 2026-11-20, a Friday, at 09:00 UTC.
const NOW: Timestamp = Timestamp(1_795_165_200_000);
const BANKS: u64 = 62_500;
const ASSETS: u64 = 16;
const WAITING: u64 = 100_000;
const BATCH_ITEMS: u64 = 1_000;
const VIEWS: usize = 40;
/// Batches between two views: as many instructions as come in a few hundredths of a second.
const BATCHES_BETWEEN: usize = 25;

fn bic(bank: u64) -> Bic {
    let letter =
        |at: u32| char::from(b'A' + u8::try_from(bank / 26_u64.pow(at) % 26).expect("below 26"));
    let text = format!("{}{}{}{}USAA", letter(3), letter(2), letter(1), letter(0));
    Bic::parse(text.as_bytes()).expect("a BIC")
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
        self.next += 1;
    }

    fn submit(&mut self, batch: &Submissions) {
        let mut events = Vec::with_capacity(64);
        self.state.warm(batch);
        for item in &batch.items {
            let sequence = Sequence(self.next);
            let answer = self
                .state
                .execute_instruction(batch, item, sequence, NOW, &mut events);
            std::hint::black_box(answer);
            events.clear();
            self.next += 1;
        }
    }

    fn tick(&mut self) {
        let mut events = Vec::new();
        self.state
            .execute_tick([0; 32], Sequence(self.next), NOW, &mut events);
        self.next += u64::from(!events.is_empty());
    }
}

fn scheme() -> Scheme {
    let line = |number| AssetLine {
        code: asset(number),
        decimals: 2,
        agent: bic(26 * 26 * 26 * 26 - 1),
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

/// Even banks pay and have money in a tenth of their accounts; odd ones have none, and wait.
fn batch(first: u64, count: u64, waiting: bool) -> Submissions {
    let mut batch = Submissions::default();
    for index in 0..count {
        let random = mix(first + index);
        let debtor = if waiting {
            random % (BANKS / 2) * 2 + 1
        } else {
            random % (BANKS / 20) * 20
        };
        let creditor = if waiting {
            debtor + 2
        } else {
            debtor + 2 + (random >> 20) % 18
        };
        batch.legs.push(LegSent {
            kind: LegKind::Principal,
            debtor: bic(debtor),
            creditor: bic(creditor % BANKS),
            asset: Some(asset((random >> 40) % ASSETS)),
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
                lane: Lane::Gross,
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

fn set_up() -> Engine {
    let mut engine = Engine {
        state: State::new(false),
        next: 1,
    };
    engine.command(Caller::Operator, Action::ApplyScheme(scheme()));
    for bank in (0..BANKS).step_by(20) {
        for number in 0..ASSETS {
            let movement = Movement {
                kind: MovementKind::Deposit,
                participant: bic(bank),
                asset: Some(asset(number)),
                mantissa: Some(10_000_000_000_000),
                scale: 2,
                negative: false,
                cycle: None,
            };
            engine.command(
                Caller::Agent(bic(26 * 26 * 26 * 26 - 1)),
                Action::Move(movement),
            );
        }
    }
    engine
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).expect("short")
}

struct Times(Vec<u64>);

impl Times {
    fn line(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |per_cent: usize| self.0[(self.0.len() - 1) * per_cent / 100] / 1_000;
        println!(
            "{what}: shortest {} us, p50 {} us, p99 {} us, longest {} us, of {}",
            at(0),
            at(50),
            at(99),
            at(100),
            self.0.len()
        );
    }
}

fn main() {
    let argument = std::env::args().nth(1);
    let count = argument
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000_000_u64);
    let mut engine = set_up();
    for start in (0..WAITING).step_by(1_000) {
        engine.submit(&batch(1 << 50 | start, 1_000, true));
    }
    for start in (0..count).step_by(1_000) {
        engine.submit(&batch(start, 1_000, false));
        if start % 50_000 == 0 {
            engine.tick();
        }
    }
    println!(
        "{} identities, {WAITING} waiting",
        engine.state.instruction_count()
    );
    let mut next = 1 << 40;
    let mut timed = |engine: &mut Engine| {
        next += BATCH_ITEMS;
        let batch = batch(next, BATCH_ITEMS, false);
        let started = Instant::now();
        engine.submit(&batch);
        nanoseconds(started)
    };
    let before: Vec<u64> = (0..VIEWS * BATCHES_BETWEEN)
        .map(|_| timed(&mut engine))
        .collect();
    Times(before).line("a batch without views");
    let (mut taking, mut again) = (Vec::new(), Vec::new());
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for view in 0..VIEWS {
        let started = Instant::now();
        let frozen = engine.state.freeze();
        let took = nanoseconds(started);
        if view == 0 {
            println!("the first view of all: {} us", took / 1_000);
        } else {
            taking.push(took);
        }
        let started = Instant::now();
        let same = engine.state.freeze();
        again.push(nanoseconds(started));
        drop(same);
        first.push(timed(&mut engine));
        later.extend((1..BATCHES_BETWEEN).map(|_| timed(&mut engine)));
        // Elsewhere, as a reader would.
        std::thread::spawn(move || drop(frozen))
            .join()
            .expect("dropped");
    }
    Times(taking).line("taking a view");
    Times(again).line("taking it again, with nothing written since");
    Times(first).line("the batch right after");
    Times(later).line("batches after that");
    questions(&mut engine, &mut timed);
}

/// What questions over a view take, and what the engine's batches take meanwhile.
fn questions(engine: &mut Engine, timed: &mut impl FnMut(&mut Engine) -> u64) {
    let frozen = engine.state.freeze();
    let view = Arc::new(FrozenView::new(frozen, Sequence(engine.next - 1), NOW));
    let waiting = view
        .explain_all(RunScope::Gross, None, 0, 64, false)
        .expect("the gross lane is always there");
    let mut explain = Vec::new();
    for waits in &waiting {
        let started = Instant::now();
        std::hint::black_box(view.explain(waits.answer.sequence));
        explain.push(nanoseconds(started));
    }
    Times(explain).line("explaining one, each on an account of its own");
    let changes = [Change::PayIn {
        participant: waiting[0].participant,
        asset: waiting[0].asset.code,
        amount: 100_000,
    }];
    let stop = Arc::new(AtomicBool::new(false));
    let asking = {
        let (view, stop) = (Arc::clone(&view), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut took = Vec::new();
            while !stop.load(Relaxed) || took.is_empty() {
                let started = Instant::now();
                std::hint::black_box(view.what_if(RunScope::Gross, &changes)).expect("supposed");
                took.push(nanoseconds(started));
            }
            took
        })
    };
    let beside: Vec<u64> = (0..VIEWS * BATCHES_BETWEEN)
        .map(|_| timed(engine))
        .collect();
    stop.store(true, Relaxed);
    Times(asking.join().expect("asked")).line("what-if, one after the other");
    Times(beside).line("a batch beside them");
}
