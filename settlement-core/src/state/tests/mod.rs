//! Tests of the state machine, as tables over one `check`.
//!
//! A [`World`] is a scheme with five banks and its engine in small: it numbers and keeps every input's
//! events, follows them, and after each input counts the money anew. Instructions are lines of text:
//!
//! ```text
//! A -> B 100.00 EUR                              a gross payment of today
//! A -> B 100.00 EUR + A -> C 1.00 EUR, net       two legs, in today's cycle
//! A -> B 1.00 USD + B -> A 2.00 EUR, trade=T1    a trade side, sent by its first debtor
//! ```
//!
//! Options after a comma: `net`, `urgent`, `high`, `by=B`, `date=2026-11-23`, `created=-1d`, `quote=Q`,
//! `trade=T`, `after=1h`, `until=2h` (from the morning), `approvers=2/B/C/D`, `lock=word`, `document=word`,
//! `group=g/3`, `return`, `cover`, `charge` (the last leg is one), `id=7`, `content=x`, `bad`.

// Amounts in minor units are grouped as the asset prints them: `100_00` is 100.00.
#![allow(clippy::unwrap_used, clippy::inconsistent_digit_grouping)]

mod calendar;
mod caps;
mod commands;
mod conditions;
mod conditions_random;
mod continuous;
mod cycles;
mod frozen;
mod gross;
mod groups;
mod instructions;
mod leaving;
mod priorities;
mod quote_requests;
mod quotes;
mod rates;
mod simulation;
mod snapshots;
mod trades;
mod waiting;

use super::{FrozenView, State};
use crate::command::*;
use crate::conditions::*;
use crate::event::Event;
use crate::follow::{Fact, Follower};
use crate::ids::*;
use crate::instruction::*;
use crate::record;
use crate::rejection::{Fault, Field, Malformed};
use crate::remembered::Key;
use crate::view::*;
use fx::{AssetCode, DecimalText};
use std::collections::BTreeMap;

/// 2026-11-20, a Friday, at 09:00 UTC.
pub(super) const MORNING: Timestamp = Timestamp(1_795_165_200_000);
pub(super) const HOUR_MS: i64 = 3_600_000;
const BANKS: [(&str, &str); 5] = [
    ("A", "AAAAUS33"),
    ("B", "BBBBDEFF"),
    ("C", "CCCCJPJT"),
    ("D", "DDDDGB22"),
    ("E", "EEEECHZZ"),
];
pub(super) const AGENT: &str = "FEDRUS33";

pub(super) struct World {
    pub(super) state: State,
    follower: Follower,
    facts: BTreeMap<Sequence, (Status, Option<Sequence>)>,
    leaves: BTreeMap<BatchNumber, u32>,
    closed: BatchNumber,
    pub(super) journal: Vec<(Sequence, Timestamp, Vec<Event>)>,
    pub(super) now: Timestamp,
    next: u64,
    names: u64,
    /// Of old identities: with them, what is old leaves.
    files: Option<leaving::Files>,
}

pub(super) fn bic(name: &str) -> Bic {
    let known = BANKS.iter().find(|(short, _)| *short == name);
    Bic::parse(known.map_or(name, |(_, bic)| bic).as_bytes()).unwrap()
}

pub(super) fn code(text: &str) -> AssetCode {
    AssetCode::parse(text.as_bytes()).unwrap()
}

pub(super) fn short(text: &str) -> ShortText {
    ShortText::parse(text.as_bytes()).unwrap()
}

pub(super) fn date(text: &str) -> Date {
    Date::parse(text.as_bytes()).unwrap()
}

pub(super) fn cycle(number: u16) -> CycleName {
    CycleName {
        value_date: MORNING.date(),
        number,
    }
}

pub(super) fn scheme() -> Scheme {
    let assets = [
        ("USD", 2, true),
        ("EUR", 2, true),
        ("JPY", 0, true),
        ("KWD", 3, true),
        ("GBP", 2, false),
    ];
    let asset = |(name, decimals, enabled): (&str, u8, bool)| AssetLine {
        code: code(name),
        decimals,
        agent: bic(AGENT),
        enabled,
    };
    let participant = |(_, name): &(&str, &str)| ParticipantLine {
        bic: bic(name),
        name: format!("Bank {name}"),
        state: ParticipantState::Active,
    };
    // E has dollars only.
    let opens = |bank: &str, asset: &str| bank != "E" || asset == "USD";
    let accounts = BANKS.iter().flat_map(|(bank, name)| {
        let held = assets.iter().filter(move |(asset, ..)| opens(bank, asset));
        held.map(|(asset, ..)| AccountLine {
            participant: bic(name),
            asset: code(asset),
            state: AccountState::Open,
        })
    });
    Scheme {
        name: short("test"),
        base_asset: code("USD"),
        assets: assets.into_iter().map(asset).collect(),
        participants: BANKS.iter().map(participant).collect(),
        accounts: accounts.collect(),
        limits: Vec::new(),
        cut_offs: Some(CutOffs {
            zone: "Europe/Berlin".to_owned(),
            close_minutes: 12 * 60,
            pay_in_minutes: 13 * 60,
            completion_minutes: 14 * 60,
        }),
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        risk: Vec::new(),
    }
}

impl World {
    pub(super) fn empty() -> Self {
        Self {
            state: State::new(true),
            follower: Follower::new(),
            facts: BTreeMap::new(),
            leaves: BTreeMap::new(),
            closed: 0,
            journal: Vec::new(),
            now: MORNING,
            next: 1,
            names: 0,
            files: None,
        }
    }

    pub(super) fn new() -> Self {
        let mut world = Self::empty();
        world.operate(Action::ApplyScheme(scheme())).unwrap();
        world
    }

    /// With an open cycle for today: cut-off 11:00 UTC, pay-in 12:00, completion 13:00.
    pub(super) fn with_cycle() -> Self {
        let mut world = Self::new();
        world.open(1).unwrap();
        world
    }

    pub(super) fn open(&mut self, number: u16) -> Result<CommandAnswer, Refusal> {
        self.operate(open_action(cycle(number)))
    }

    /// Takes an input's events in: journals, follows and counts.
    fn take(&mut self, events: Vec<Event>) {
        assert!(self.state.conserves(), "after {events:?}");
        if events.is_empty() {
            return;
        }
        let sequence = Sequence(self.next);
        let (facts, leaves, closed) = (&mut self.facts, &mut self.leaves, &mut self.closed);
        for event in &events {
            self.follower
                .observe(sequence, self.now, event, &mut |fact| match fact {
                    Fact::Status {
                        sequence,
                        status,
                        matched_with,
                    } => {
                        facts.insert(sequence, (status, matched_with));
                    }
                    Fact::UnitSettled {
                        batch,
                        member_index,
                        ..
                    }
                    | Fact::MovementSettled {
                        batch,
                        member_index,
                        ..
                    } => {
                        let count = leaves.entry(batch).or_default();
                        assert_eq!(*count, member_index, "leaves come in order");
                        *count += 1;
                    }
                    Fact::Queued { .. } => {}
                    Fact::BatchClosed { batch, members } => {
                        *closed += 1;
                        assert_eq!(batch.number, *closed, "numbers close in order");
                        assert_eq!(batch.member_count as usize, members.len());
                        assert_eq!(leaves.get(&batch.number), Some(&batch.member_count));
                        check_batch(batch);
                    }
                });
        }
        // As bytes and back, as the journal does it.
        let mut payload = Vec::new();
        record::push(&mut payload, &record::Input::Instruction(&[]), &events);
        let mut decoded = Vec::new();
        record::entries(&payload)
            .unwrap()
            .next_into(&mut decoded)
            .unwrap();
        assert_eq!(decoded, events);
        self.journal.push((sequence, self.now, decoded));
        self.next += 1;
    }

    pub(super) fn command(
        &mut self,
        caller: Caller,
        action: Action,
    ) -> Result<CommandAnswer, Refusal> {
        self.names += 1;
        let name = format!("R{}", self.names);
        self.request(caller, &name, action)
    }

    pub(super) fn request(
        &mut self,
        caller: Caller,
        name: &str,
        action: Action,
    ) -> Result<CommandAnswer, Refusal> {
        let text = format!("{action:?}");
        let mut digest = [0; 16];
        text.bytes().enumerate().for_each(|(at, byte)| {
            let slot: &mut u8 = &mut digest[at % 16];
            *slot = slot.wrapping_mul(31).wrapping_add(byte);
        });
        let command = Command {
            caller,
            request_id: short(name),
            created: self.now,
            digest: Digest(digest),
            action,
        };
        self.recall(Key::of_command(&command));
        let before = self.state.clone();
        let mut events = Vec::new();
        let answer =
            self.state
                .execute_command(&command, Sequence(self.next), self.now, &mut events);
        match &answer {
            Ok(answer) if !answer.repeated => {
                assert!(matches!(events[0], Event::Requested { .. }));
                assert_eq!(answer.changes as usize, events.len() - 1);
            }
            _ => {
                assert!(events.is_empty(), "{events:?}");
                assert_eq!(before.digest(), self.state.digest(), "no trace");
            }
        }
        self.take(events);
        answer
    }

    pub(super) fn operate(&mut self, action: Action) -> Result<CommandAnswer, Refusal> {
        self.command(Caller::Operator, action)
    }

    /// Moves money: `deposit A 100.00 USD`, `pay-in A 1 JPY 1` (the last is the cycle's number).
    pub(super) fn money(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let kind = match words[0] {
            "deposit" => MovementKind::Deposit,
            "withdraw" => MovementKind::Withdrawal,
            "pay-in" => MovementKind::PayIn,
            "pay-out" => MovementKind::PayOut,
            "transfer" => MovementKind::Transfer,
            other => panic!("{other}"),
        };
        let participant = bic(words[1]);
        let amount = DecimalText::parse(words[2].as_bytes()).ok();
        let caller = match kind {
            MovementKind::Transfer => Caller::Participant(participant),
            _ => Caller::Agent(bic(AGENT)),
        };
        let movement = Movement {
            kind,
            participant,
            asset: AssetCode::parse(words[3].as_bytes()),
            mantissa: amount.map(|amount| amount.mantissa),
            scale: amount.map_or(0, |amount| amount.scale),
            negative: amount.is_some_and(|amount| amount.negative),
            cycle: words.get(4).map(|number| cycle(number.parse().unwrap())),
        };
        match self.command(caller, Action::Move(movement)) {
            Ok(_) => "done".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    /// Sends an instruction; answers its status in words.
    pub(super) fn send(&mut self, line: &str) -> String {
        words(&self.submit(line))
    }

    pub(super) fn submit(&mut self, line: &str) -> InstructionAnswer {
        let batch = self.parse(line);
        self.recall(Key::of_batch(&batch));
        let mut events = Vec::new();
        let answer = self.state.execute_instruction(
            &batch,
            &batch.items[0],
            Sequence(self.next),
            self.now,
            &mut events,
        );
        assert_eq!(answer.repeated, events.is_empty());
        self.take(events);
        answer
    }

    fn parse(&mut self, line: &str) -> Submissions {
        let mut parts = line.split(", ");
        let mut legs: Vec<LegSent> = parts.next().unwrap().split(" + ").map(parse_leg).collect();
        let sender = legs.first().map_or(bic("A"), |leg| leg.debtor);
        self.names += 1;
        let mut identity = Identity {
            uetr: uetr(self.names),
            instructing: sender,
            kind: Kind::Payment,
        };
        let mut body = Body {
            lane: Lane::Gross,
            priority: Priority::Normal,
            created: self.now,
            value_date: self.now.date(),
            quote_id: None,
            trade_reference: None,
            conditions: None,
        };
        let mut conditions = Conditions::default();
        let (mut content, mut malformed) = (line.to_owned(), None);
        for option in parts {
            match option.split_once('=').unwrap_or((option, "")) {
                ("net", _) => body.lane = Lane::Net,
                ("urgent", _) => body.priority = Priority::Urgent,
                ("high", _) => body.priority = Priority::High,
                ("by", name) => identity.instructing = bic(name),
                ("date", text) => body.value_date = date(text),
                ("created", text) => body.created.0 += text.parse::<i64>().unwrap(),
                ("quote", id) => body.quote_id = Some(short(id)),
                ("trade", reference) => {
                    identity.kind = Kind::TradeSide;
                    body.trade_reference = Some(short(reference));
                }
                ("after", text) => conditions.not_before = Some(clock(text)),
                ("until", text) => conditions.expires_at = Some(clock(text)),
                ("approvers", text) => {
                    let mut words = text.split('/');
                    conditions.approvals = Some(Approvals {
                        needed: words.next().unwrap().parse().unwrap(),
                        of: words.map(bic).collect(),
                    });
                }
                ("lock", word) => conditions.hash_lock = Some(Hash::of(word.as_bytes())),
                ("document", word) => conditions.document = Some(Hash::of(word.as_bytes())),
                ("group", text) => {
                    let (id, members) = text.split_once('/').unwrap();
                    let (id, members) = (short(id), members.parse().unwrap());
                    conditions.group = Some(Group { id, members });
                }
                ("return", _) => identity.kind = Kind::Return,
                ("cover", _) => identity.kind = Kind::Cover,
                ("charge", _) => legs.last_mut().unwrap().kind = LegKind::Charge,
                ("id", number) => {
                    identity.uetr = uetr(1_000_000 + number.parse::<u64>().unwrap());
                }
                ("content", text) => content = text.to_owned(),
                ("bad", _) => {
                    let (field, leg, fault) = (Field::EndToEndId, 0, Fault::TooLong);
                    malformed = Some(Malformed { field, leg, fault });
                }
                ("legs", count) => legs.resize(count.parse().unwrap(), legs[0]),
                other => panic!("{other:?}"),
            }
        }
        let conditional = conditions != Conditions::default();
        body.conditions = conditional.then_some(0);
        let mut digest = [0; 16];
        content.bytes().enumerate().for_each(|(at, byte)| {
            let slot: &mut u8 = &mut digest[at % 16];
            *slot = slot.wrapping_mul(31).wrapping_add(byte);
        });
        let item = Submission {
            index: 0,
            identity,
            digest: Digest(digest),
            content: 0..0,
            legs: 0..u32::try_from(legs.len()).unwrap(),
            body: malformed.map_or(Ok(body), Err),
        };
        Submissions {
            items: vec![item],
            legs,
            content: Vec::new(),
            conditions: vec![conditions],
        }
    }

    pub(super) fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.state
            .execute_tick([7; 32], Sequence(self.next), self.now, &mut events);
        self.take(events.clone());
        events
    }

    /// Does the runs that are due; answers how many were taken in.
    pub(super) fn run(&mut self) -> usize {
        let mut runs = 0;
        while let Some(request) = self.state.take_run_request(self.now) {
            let result = request.run([9; 32]);
            let mut events = Vec::new();
            self.state
                .execute_ran(&result, Sequence(self.next), self.now, &mut events);
            assert!(!events.is_empty(), "a fresh result is taken");
            self.take(events);
            runs += 1;
        }
        runs
    }

    pub(super) fn at(&mut self, hours: i64) -> &mut Self {
        self.now = Timestamp(MORNING.0 + hours * HOUR_MS);
        self
    }

    /// All up to now, frozen.
    pub(super) fn frozen(&self) -> FrozenView {
        FrozenView::new(self.state.clone(), Sequence(self.next - 1), self.now)
    }

    pub(super) fn status(&self, sequence: Sequence) -> String {
        status_words(self.state.status_of(sequence).unwrap())
    }

    /// `free+reserved`, in minor units.
    pub(super) fn balance(&self, name: &str, asset: &str) -> (i128, i128) {
        let View::Positions(positions) = self
            .state
            .query(&Query::Positions(Some(bic(name))), self.now)
        else {
            panic!("positions");
        };
        let found = positions
            .iter()
            .find(|position| position.asset.code == code(asset));
        let found = found.unwrap();
        (found.balance - found.reserved, found.reserved)
    }

    pub(super) fn view(&self, name: CycleName) -> CycleView {
        let View::Cycle(Some(view)) = self.state.query(&Query::Cycle(name, None), self.now) else {
            panic!("no cycle {name}");
        };
        *view
    }

    /// What a replay ends in, what followers were told and what the state says agree.
    pub(super) fn finish(&self) {
        let mut replayed = State::new(true);
        for (sequence, now, events) in &self.journal {
            events
                .iter()
                .for_each(|event| replayed.apply(*sequence, *now, event));
        }
        assert_eq!(
            replayed.digest(),
            self.state.digest(),
            "a replay ends in the same state"
        );
        snapshots::reloaded(&self.state);
        for (&sequence, (status, matched_with)) in &self.facts {
            let Some(known) = self.state.status_of(sequence) else {
                if let Some(left) = self.left(sequence) {
                    assert_eq!((left.status, left.matched_with), (*status, *matched_with));
                    continue;
                }
                // AM05 leaves the identity to the first.
                assert!(matches!(status, Status::Rejected(_)));
                continue;
            };
            assert_eq!(*status, as_followed(known), "{sequence:?}");
            let partner = self.state.identities.by_sequence(sequence);
            let partner = self.state.identities.partner(partner.unwrap());
            let partner = partner.map(|other| self.state.identities.sequence(other));
            assert_eq!(*matched_with, partner);
        }
        let View::Statistics(counts) = self.state.query(&Query::Statistics, self.now) else {
            panic!("statistics");
        };
        let sum = counts.settled + counts.rejected + counts.cancelled + counts.waiting;
        assert_eq!(counts.instructions, sum, "{counts:?}");
        assert_eq!(counts.instructions, self.state.instruction_count());
    }
}

fn check_batch(batch: &crate::event::Batch) {
    let mut sums: BTreeMap<u32, i128> = BTreeMap::new();
    // The scheme's accounts by id: five assets a bank.
    for posting in &batch.postings {
        *sums.entry(posting.account.0 % 5).or_default() += i128::from(posting.amount);
    }
    for posting in &batch.mirror_postings {
        *sums.entry(u32::from(posting.asset.0)).or_default() += posting.amount.0;
    }
    assert!(
        sums.values().all(|&sum| sum == 0),
        "postings sum to zero: {sums:?}"
    );
    assert_eq!(batch.postings.len(), batch.balances.len());
}

pub(super) fn open_action(cycle: CycleName) -> Action {
    Action::OpenCycle {
        cycle,
        cut_off: None,
        pay_in_deadline: None,
        completion_deadline: None,
    }
}

/// So many hours, or hours and minutes, after the morning: `1h`, `1h30`.
fn clock(text: &str) -> Timestamp {
    let (hours, minutes) = text.split_once('h').unwrap();
    let minutes: i64 = minutes.parse().unwrap_or(0);
    Timestamp(MORNING.0 + hours.parse::<i64>().unwrap() * HOUR_MS + minutes * 60_000)
}

fn parse_leg(text: &str) -> LegSent {
    let words: Vec<&str> = text.split(' ').collect();
    let [debtor, "->", creditor, amount, asset] = words[..] else {
        panic!("{text}");
    };
    LegSent {
        kind: LegKind::Principal,
        debtor: bic(debtor),
        creditor: bic(creditor),
        asset: AssetCode::parse(asset.as_bytes()),
        amount: DecimalText::parse(amount.as_bytes()).ok(),
    }
}

pub(super) fn uetr(number: u64) -> Uetr {
    // Spread, as random ones are.
    Uetr(u128::from(crate::table::mix(number)) << 64 | u128::from(number))
}

/// Followers do not know who stands before whom.
fn as_followed(status: Status) -> Status {
    match status {
        Status::Waiting(Waiting::Order) => Status::Waiting(Waiting::Liquidity),
        other => other,
    }
}

pub(super) fn words(answer: &InstructionAnswer) -> String {
    let repeated = if answer.repeated { " again" } else { "" };
    status_words(answer.status) + repeated
}

pub(super) fn status_words(status: Status) -> String {
    match status {
        Status::Member(cycle) => format!("member {}", cycle.number),
        Status::Irrevocable(cycle) => format!("irrevocable {}", cycle.number),
        Status::Waiting(Waiting::Unmatched) => "unmatched".to_owned(),
        Status::Waiting(Waiting::Order) => "order".to_owned(),
        Status::Waiting(Waiting::Liquidity) => "liquidity".to_owned(),
        Status::Waiting(Waiting::Held) => "held".to_owned(),
        Status::Waiting(Waiting::Approval) => "approval".to_owned(),
        Status::Waiting(Waiting::Preimage) => "preimage".to_owned(),
        Status::Waiting(Waiting::NotBefore) => "not before".to_owned(),
        Status::Waiting(Waiting::Group) => "group".to_owned(),
        Status::Settled { batch } => format!("settled {batch}"),
        Status::Rejected(rejection) => {
            let text = format!("{rejection:?}");
            let end = text.find([' ', '(']).unwrap_or(text.len());
            format!("{} {}", rejection.code(), &text[..end])
        }
        Status::Cancelled => "cancelled".to_owned(),
    }
}
