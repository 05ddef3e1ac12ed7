//! A journal made event by event: what an engine would have journaled, without one.

use fx::AssetCode;
use settlement_core::command::{
    AccountLine, AccountState, Action, AssetLine, Caller, Command, MovementKind, ParticipantState,
};
use settlement_core::event::{
    AccountAmount, Batch, Entry, Event, Legs, MirrorAmount, Order, OrderLeg, ScheduleLine, i128Cbor,
};
use settlement_core::ids::{
    AccountId, AssetId, Bic, CycleName, Date, ParticipantId, Sequence, Timestamp, Uetr,
};
use settlement_core::instruction::{Digest, Identity, Kind, Lane, LegKind, Priority, ShortText};
use settlement_core::record::{self, Input, RunResult};
use settlement_core::rejection::Rejection;
use valuta_journal::{Journal, JournalId, MemoryJournal};

/// In the order of their numbers; each has one account per asset, numbered bank by bank.
pub const BANKS: [&str; 4] = ["AAAAUS33", "BBBBDEFF", "CCCCJPJT", "DDDDGB22XXX"];
pub const ASSETS: [(&str, u8); 2] = [("EUR", 2), ("USD", 2)];
/// 2026-11-20, a Friday, 10:00 UTC.
pub const START: Timestamp = Timestamp(1_795_168_800_000);
/// Longer than any content that a test looks at: of the size that payments have.
const CONTENT_BYTES: usize = 240;

pub fn bic(bank: u16) -> Bic {
    Bic::parse(BANKS[usize::from(bank)].as_bytes()).unwrap()
}

pub fn date() -> Date {
    START.date()
}

pub fn cycle(number: u16) -> CycleName {
    CycleName {
        value_date: date(),
        number,
    }
}

pub fn account(bank: u16, asset: u16) -> AccountId {
    AccountId(u32::from(bank) * u32::try_from(ASSETS.len()).unwrap() + u32::from(asset))
}

pub fn leg(debtor: u16, creditor: u16, asset: u16, amount: i64) -> OrderLeg {
    OrderLeg {
        debtor: account(debtor, asset),
        creditor: account(creditor, asset),
        amount,
        kind: LegKind::Principal,
    }
}

/// Appends inputs to a journal in memory, some in each record.
pub struct Script {
    pub journal: MemoryJournal,
    pub sequence: Sequence,
    pub time: Timestamp,
    payload: Vec<u8>,
    first: u64,
}

impl Script {
    /// With the scheme as its first record.
    pub fn new() -> Self {
        let mut script = Self {
            journal: MemoryJournal::new(JournalId([3; 16])),
            sequence: Sequence(0),
            time: START,
            payload: Vec::new(),
            first: 1,
        };
        script.scheme();
        script.record();
        script
    }

    /// Adds an input to the record; its sequence.
    pub fn input(&mut self, input: &Input<'_>, events: &[Event]) -> Sequence {
        self.sequence.0 += 1;
        record::push(&mut self.payload, input, events);
        self.sequence
    }

    /// Ends the record: all its inputs are durable.
    pub fn record(&mut self) {
        let payload = std::mem::take(&mut self.payload);
        if !payload.is_empty() {
            self.append(&payload, self.sequence.0);
        }
    }

    /// Any payload as the next record.
    pub fn append(&mut self, payload: &[u8], last: u64) {
        self.journal
            .append(self.first, last, self.time.0, payload)
            .unwrap();
        self.first = last + 1;
    }

    pub fn command(&mut self, events: &[Event]) -> Sequence {
        let text = ShortText::parse(b"r").unwrap();
        let command = Command {
            caller: Caller::Operator,
            request_id: text,
            created: self.time,
            digest: Digest([0; 16]),
            action: Action::RevokeToken { label: text },
        };
        self.input(&Input::Command(Box::new(command)), events)
    }

    pub fn tick(&mut self, events: &[Event]) -> Sequence {
        self.input(&Input::Tick { seed: [1; 32] }, events)
    }

    fn scheme(&mut self) {
        let asset = |(code, decimals): (&str, u8)| AssetLine {
            code: AssetCode::parse(code.as_bytes()).unwrap(),
            decimals,
            agent: Bic::parse(b"AGNTBEBB").unwrap(),
            enabled: true,
        };
        let mut events: Vec<Event> = ASSETS.map(|line| Event::AssetSet(asset(line))).into();
        events.extend((0..).zip(BANKS).map(|(bank, name)| Event::ParticipantSet {
            bic: bic(bank),
            name: name.to_owned(),
            state: ParticipantState::Active,
        }));
        for bank in (0..).take(BANKS.len()) {
            events.extend(ASSETS.map(|line| {
                Event::AccountSet(AccountLine {
                    participant: bic(bank),
                    asset: asset(line).code,
                    state: AccountState::Open,
                })
            }));
        }
        self.command(&events);
    }

    /// The canonical bytes of the instruction that becomes the next input.
    pub fn content(&self) -> Vec<u8> {
        let mut content = format!("instruction {} ", self.sequence.0 + 1).into_bytes();
        content.resize(CONTENT_BYTES, b'.');
        content
    }

    pub fn identity(&self, bank: u16, kind: Kind) -> Identity {
        Identity {
            // Spread, as random ones are.
            uetr: Uetr(
                u128::from(self.sequence.0 + 1)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            ),
            instructing: bic(bank),
            kind,
        }
    }

    pub fn accepted(&mut self, bank: u16, legs: &[OrderLeg], entry: Entry) -> Sequence {
        self.accepted_then(bank, legs, entry, &[])
    }

    /// An instruction with its consequences. A trade side if it is unmatched.
    pub fn accepted_then(
        &mut self,
        bank: u16,
        legs: &[OrderLeg],
        entry: Entry,
        then: &[Event],
    ) -> Sequence {
        let side = entry == Entry::Unmatched;
        let net = matches!(entry, Entry::Member(_))
            || then.iter().any(|event| {
                matches!(
                    event,
                    Event::Matched {
                        entry: Entry::Member(_),
                        ..
                    }
                )
            });
        let order = Order {
            identity: self.identity(bank, if side { Kind::TradeSide } else { Kind::Payment }),
            instructing: ParticipantId(bank),
            digest: Digest([5; 16]),
            lane: if net { Lane::Net } else { Lane::Gross },
            priority: Priority::Normal,
            created: self.time,
            value_date: date(),
            conditions: None,
            legs: Legs::new(legs),
            quote: None,
            trade: side.then_some(Digest([6; 16])),
        };
        let mut events = vec![Event::Accepted { order, entry }];
        events.extend_from_slice(then);
        let content = self.content();
        self.input(&Input::Instruction(&content), &events)
    }

    pub fn refused(&mut self, instructing: Bic, rejection: Rejection) -> Sequence {
        let event = Event::Refused {
            identity: Identity {
                instructing,
                ..self.identity(0, Kind::Payment)
            },
            digest: Digest([5; 16]),
            remembered: rejection != Rejection::DuplicateWithOtherContent,
            rejection,
        };
        let content = self.content();
        self.input(&Input::Instruction(&content), &[event])
    }

    pub fn deposit(&mut self, bank: u16, then: &[Event]) -> Sequence {
        let mut events = vec![Event::Moved {
            kind: MovementKind::Deposit,
            account: account(bank, 0),
            amount: 10_000,
            cycle: None,
        }];
        events.extend_from_slice(then);
        self.command(&events)
    }

    pub fn open_cycle(&mut self, number: u16) -> Sequence {
        self.command(&[Event::CycleOpened {
            cycle: cycle(number),
            cut_off: Timestamp(START.0 + 1),
            pay_in_deadline: Timestamp(START.0 + 2),
            completion_deadline: Timestamp(START.0 + 3),
            calendar: None,
        }])
    }

    pub fn close_and_net(&mut self, number: u16) -> (Sequence, Sequence) {
        let cycle = cycle(number);
        let closed = self.command(&[Event::CycleClosed { cycle }]);
        let line = ScheduleLine {
            account: account(0, 0),
            net: 0,
            pay_in_due: 0,
            pay_out_due: 0,
        };
        let scheduled = self.command(&[Event::CycleScheduled {
            cycle,
            version: 1,
            reason: "netted".to_owned(),
            lines: vec![line],
            gross_value: i128Cbor(0),
            net_value: i128Cbor(0),
        }]);
        (closed, scheduled)
    }

    /// A run that settles the units whose bit is set, in queue order.
    pub fn run(&mut self, number: u16, settled: &[bool], batch: u64, then: &[Event]) -> Sequence {
        let mut bits = vec![0; settled.len().div_ceil(8)];
        for (at, _) in settled.iter().enumerate().filter(|(_, settled)| **settled) {
            bits[at / 8] |= 1 << (at % 8);
        }
        let result = RunResult {
            cycle: cycle(number),
            version: 1,
            settled: bits.clone(),
            certificate_hash: [8; 32],
            seed: [9; 32],
            bypassed: None,
            caps: Vec::new(),
        };
        let count = settled.iter().filter(|settled| **settled).count();
        let mut events = vec![Event::CycleRan {
            cycle: cycle(number),
            settled: bits,
            batch: Batch {
                cycle: Some(cycle(number)),
                certificate_hash: Some([8; 32]),
                ..batch_of(batch, count)
            },
            caps: Vec::new(),
        }];
        events.extend_from_slice(then);
        self.input(&Input::Ran(Box::new(result)), &events)
    }
}

/// A gross batch with two postings and their balances, one account's the agent's mirror.
pub fn batch_of(number: u64, members: usize) -> Batch {
    let line = |amount| AccountAmount {
        account: account(1, 0),
        amount,
    };
    let mirror = |amount| MirrorAmount {
        asset: AssetId(0),
        amount: i128Cbor(amount),
    };
    Batch {
        number,
        cycle: None,
        member_count: u32::try_from(members).unwrap(),
        postings: vec![line(500)],
        mirror_postings: vec![mirror(-500)],
        balances: vec![line(1_500)],
        mirror_balances: vec![mirror(-(1 << 70))],
        certificate_hash: None,
        seed: [4; 32],
        bypassed: None,
    }
}
