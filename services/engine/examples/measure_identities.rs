//! Measures old identities: `cargo run --release -p valuta-engine --example measure_identities [count] [dir]`.
//!
//! Four files of `count` instructions each: what leaving costs a tick, how long a file takes beside it,
//! and what looking up costs per instruction, new and repeated. Processor time.

use fx::{AssetCode, DecimalText};
use settlement_core::command::*;
use settlement_core::event::Event;
use settlement_core::ids::*;
use settlement_core::instruction::*;
use settlement_core::remembered::Key;
use settlement_core::state::State;
use std::path::{Path, PathBuf};
use valuta_engine::OldIdentities;
use valuta_journal::{Cursor, Journal, JournalId, MemoryJournal};

/// 2026-11-20, a Friday, at 09:00 UTC.
const MORNING: Timestamp = Timestamp(1_795_165_200_000);
const DAY_MS: i64 = 86_400_000;
/// Nineteen weeks, so that each day has a file of its own.
const APART_DAYS: i64 = 133;
const FILES: u64 = 4;
const BATCH_ITEMS: u64 = 1_000;

fn bic(text: &str) -> Bic {
    Bic::parse(text.as_bytes()).expect("a BIC")
}

fn short(text: &str) -> ShortText {
    ShortText::parse(text.as_bytes()).expect("an identifier")
}

fn asset() -> AssetCode {
    AssetCode::parse(b"AS1").expect("a code")
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

struct World {
    state: State,
    files: OldIdentities,
    cursor: Cursor,
    next: u64,
    now: Timestamp,
}

impl World {
    fn new(dir: &Path) -> Self {
        let journal = MemoryJournal::new(JournalId([1; 16]));
        let mut world = Self {
            state: State::new(true),
            files: OldIdentities::open(dir, &journal),
            cursor: journal.tail(),
            next: 1,
            now: MORNING,
        };
        world.state.files_hold(0);
        world.command(Caller::Operator, Action::ApplyScheme(scheme()));
        world.deposit();
        world
    }

    fn deposit(&mut self) {
        let deposit = Movement {
            kind: MovementKind::Deposit,
            participant: bic("AAAAUS33"),
            asset: Some(asset()),
            mantissa: Some(10_000_000_000_000_000),
            scale: 2,
            negative: false,
            cycle: None,
        };
        self.command(Caller::Agent(bic("FRNYUS33")), Action::Move(deposit));
    }

    fn command(&mut self, caller: Caller, action: Action) {
        let command = Command {
            caller,
            request_id: short(&format!("R{}", self.next)),
            created: self.now,
            digest: Digest([0; 16]),
            action,
        };
        let sequence = Sequence(self.next);
        let taken = self
            .state
            .execute_command(&command, sequence, self.now, &mut Vec::new());
        taken.expect("the command is taken");
        self.next += 1;
    }

    /// So many payments from a number on, and how long they took with what files say of them.
    fn pay(&mut self, first: u64, count: u64) -> (u128, u128) {
        let (mut asked, mut decided) = (0, 0);
        let mut events: Vec<Event> = Vec::new();
        for start in (first..first + count).step_by(BATCH_ITEMS as usize) {
            let batch = batch(start, self.now);
            let started = processor_ns();
            let keys: Vec<Key> = Key::of_batch(&batch).collect();
            let found = self.files.find(&keys).expect("files are whole");
            self.state.recall(found);
            asked += processor_ns() - started;
            let started = processor_ns();
            self.state.warm(&batch);
            for item in &batch.items {
                events.clear();
                let sequence = Sequence(self.next);
                self.state
                    .execute_instruction(&batch, item, sequence, self.now, &mut events);
                self.next += 1;
            }
            decided += processor_ns() - started;
        }
        (asked, decided)
    }

    fn tick(&mut self) -> u128 {
        let started = processor_ns();
        let sequence = Sequence(self.next);
        self.state
            .execute_tick([0; 32], sequence, self.now, &mut Vec::new());
        self.next += 1;
        processor_ns() - started
    }
}

/// Processor time of this thread so far, in nanoseconds: of use on a machine that others use too.
fn processor_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split(' ').next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0) / 1_024
}

fn scheme() -> Scheme {
    let banks = ["AAAAUS33", "BBBBDEFF"];
    let participant = |name: &str| ParticipantLine {
        bic: bic(name),
        name: name.to_owned(),
        state: ParticipantState::Active,
    };
    let account = |name: &str| AccountLine {
        participant: bic(name),
        asset: asset(),
        state: AccountState::Open,
    };
    Scheme {
        name: short("measure"),
        base_asset: asset(),
        assets: vec![AssetLine {
            code: asset(),
            decimals: 2,
            agent: bic("FRNYUS33"),
            enabled: true,
        }],
        participants: banks.map(participant).to_vec(),
        accounts: banks.map(account).to_vec(),
        limits: Vec::new(),
        cut_offs: None,
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        risk: Vec::new(),
    }
}

fn batch(first: u64, now: Timestamp) -> Submissions {
    let mut batch = Submissions::default();
    for number in first..first + BATCH_ITEMS {
        let index = (number - first) as u32;
        batch.legs.push(LegSent {
            kind: LegKind::Principal,
            debtor: bic("AAAAUS33"),
            creditor: bic("BBBBDEFF"),
            asset: Some(asset()),
            amount: DecimalText::parse(b"0.01").ok(),
        });
        let high = mix(number);
        batch.items.push(Submission {
            index,
            identity: Identity {
                uetr: Uetr(u128::from(high) << 64 | u128::from(mix(high))),
                instructing: bic("AAAAUS33"),
                kind: Kind::Payment,
            },
            digest: Digest([7; 16]),
            content: 0..0,
            legs: index..index + 1,
            body: Ok(Body {
                lane: Lane::Gross,
                priority: Priority::Normal,
                created: now,
                value_date: now.date(),
                quote_id: None,
                trade_reference: None,
                conditions: None,
            }),
        });
    }
    batch
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments
        .next()
        .map_or(1_000_000, |count| count.parse().expect("a count"));
    let dir = arguments.next().map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| std::env::temp_dir().join("valuta-measure-identities"));
    let mut world = World::new(&dir);
    let each = |took: u128, count: u64| took / u128::from(count);
    println!("file  asked  decided | aged     file     left     | MB resident");
    for day in 0..FILES {
        world.now = Timestamp(MORNING.0 + day as i64 * APART_DAYS * DAY_MS);
        let (asked, decided) = world.pay(day * count, count);
        world.tick();
        world.now.0 += 8 * DAY_MS;
        // Another day begins with its first input.
        world.deposit();
        let (mut aged, mut wrote, mut left) = (0, 0, 0);
        while world.state.held_count() > 0 {
            aged += world.tick();
            let Some(place) = world.state.aged() else {
                continue;
            };
            let view = world.state.freeze();
            let started = processor_ns();
            let file = world.files.write(&view, &world.cursor).expect("written");
            wrote += processor_ns() - started;
            drop(view);
            world.state.files_hold(place.number);
            world.files.put(file, &world.state);
            left += world.tick();
        }
        println!(
            "{day}     {:3} ns {:4} ns  | {:5} ms {:5} ms {:5} ms | {}",
            each(asked, count),
            each(decided, count),
            aged / 1_000_000,
            wrote / 1_000_000,
            left / 1_000_000,
            resident_mb(),
        );
    }
    let (asked, decided) = world.pay(FILES * count, count);
    println!(
        "new:      {} ns asked, {} ns decided",
        each(asked, count),
        each(decided, count)
    );
    let repeats = count.min(100_000);
    let (asked, decided) = world.pay(count / 2 / BATCH_ITEMS * BATCH_ITEMS, repeats);
    println!(
        "repeated: {} ns asked, {} ns decided",
        each(asked, repeats),
        each(decided, repeats)
    );
    std::fs::remove_dir_all(&dir).expect("removed");
}
