//! An engine in small: the core's real decisions, journaled in memory, a day's mixed traffic by seed.

use super::random::Random;
use fx::{AssetCode, DecimalText};
use settlement_core::command::*;
use settlement_core::event::Event;
use settlement_core::ids::{Bic, CycleName, Sequence, Timestamp, Uetr};
use settlement_core::instruction::*;
use settlement_core::record::{self, Input};
use settlement_core::state::State;
use settlement_core::view::{InstructionAnswer, Query, View};
use valuta_journal::{Journal, JournalId, MemoryJournal};

/// 2026-11-20, a Friday, at 09:00 UTC; cycles cut off three hours later.
const MORNING: Timestamp = Timestamp(1_795_165_200_000);
const HOUR_MS: i64 = 3_600_000;
const BANKS: [&str; 5] = [
    "AAAAUS33",
    "BBBBDEFF",
    "CCCCJPJT",
    "DDDDGB22XXX",
    "EEEECHZZ",
];
const ASSETS: [(&str, u8); 3] = [("USD", 2), ("EUR", 2), ("JPY", 0)];
const AGENT: &str = "AGNTBEBB";

pub fn banks() -> Vec<Bic> {
    BANKS
        .map(|text| Bic::parse(text.as_bytes()).unwrap())
        .to_vec()
}

fn code(text: &str) -> AssetCode {
    AssetCode::parse(text.as_bytes()).unwrap()
}

fn cycle(number: u16) -> CycleName {
    CycleName {
        value_date: MORNING.date(),
        number,
    }
}

pub struct Engine {
    pub state: State,
    pub journal: MemoryJournal,
    pub sent: Vec<(Sequence, Uetr, Vec<u8>)>,
    pub now: Timestamp,
    random: Random,
    sequence: u64,
    payload: Vec<u8>,
    first: u64,
    names: u64,
    trades: Vec<(Vec<LegSent>, Lane, ShortText)>,
}

impl Engine {
    pub fn new(seed: u64) -> Self {
        let mut engine = Self {
            state: State::new(true),
            journal: MemoryJournal::new(JournalId([3; 16])),
            sent: Vec::new(),
            now: MORNING,
            random: Random(seed),
            sequence: 0,
            payload: Vec::new(),
            first: 1,
            names: 0,
            trades: Vec::new(),
        };
        engine.operate(Action::ApplyScheme(scheme()));
        for number in 1..=2 {
            engine.operate(Action::OpenCycle {
                cycle: cycle(number),
                cut_off: None,
                pay_in_deadline: None,
                completion_deadline: None,
            });
        }
        engine
    }

    /// The whole day, in steps that `after` sees; each is durable by then.
    pub fn day(&mut self, inputs: u64, mut after: impl FnMut(&mut Self)) {
        for _ in 0..inputs {
            self.one();
            if self.random.one_in(5) {
                self.record();
                after(self);
            }
        }
        for (hours, number) in [(3, 1), (3, 2), (5, 1), (6, 2)] {
            self.now = Timestamp(MORNING.0 + hours * HOUR_MS);
            self.settle_cycle(number);
            self.tick();
            self.record();
            after(self);
        }
    }

    fn one(&mut self) {
        match self.random.below(20) {
            0 => self.tick(),
            1 | 2 => self.deposit(),
            3 => self.cancel(),
            4 => self.suspend_or_reinstate(),
            5..=7 => self.trade_side(),
            8 => self.repeat_or_duplicate(),
            _ => self.payment(),
        }
    }

    fn take(&mut self, input: &Input<'_>, events: &[Event]) {
        assert!(!events.is_empty());
        self.sequence += 1;
        record::push(&mut self.payload, input, events);
    }

    /// Ends the record: all its inputs are durable.
    pub fn record(&mut self) {
        let payload = std::mem::take(&mut self.payload);
        if !payload.is_empty() {
            let time = self.now.0;
            let appended = self
                .journal
                .append(self.first, self.sequence, time, &payload);
            appended.unwrap();
            self.first = self.sequence + 1;
        }
    }

    /// What the state says of an instruction; `None` if its identity is another one's.
    pub fn answer(&self, sequence: Sequence, uetr: Uetr) -> Option<InstructionAnswer> {
        let View::Instructions(answers) = self.state.query(&Query::Instructions(uetr), self.now)
        else {
            panic!("instructions were asked for");
        };
        answers
            .into_iter()
            .find(|answer| answer.sequence == sequence)
    }

    fn command(&mut self, caller: Caller, action: Action) {
        self.names += 1;
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.names.to_be_bytes());
        let command = Command {
            caller,
            request_id: ShortText::parse(format!("r{}", self.names).as_bytes()).unwrap(),
            created: self.now,
            digest: Digest(digest),
            action,
        };
        let (next, now, mut events) = (Sequence(self.sequence + 1), self.now, Vec::new());
        let done = self.state.execute_command(&command, next, now, &mut events);
        if done.is_ok() {
            self.take(&Input::Command(Box::new(command)), &events);
        }
    }

    fn operate(&mut self, action: Action) {
        self.command(Caller::Operator, action);
    }

    pub fn tick(&mut self) {
        let (next, now, mut events) = (Sequence(self.sequence + 1), self.now, Vec::new());
        self.state.execute_tick([7; 32], next, now, &mut events);
        if !events.is_empty() {
            self.take(&Input::Tick { seed: [7; 32] }, &events);
        }
    }

    fn runs(&mut self) {
        while let Some(request) = self.state.take_run_request(self.now) {
            let result = request.run([9; 32]);
            let (next, now, mut events) = (Sequence(self.sequence + 1), self.now, Vec::new());
            self.state.execute_ran(&result, next, now, &mut events);
            self.take(&Input::Ran(Box::new(result)), &events);
        }
    }

    fn settle_cycle(&mut self, number: u16) {
        self.operate(Action::CloseCycle(cycle(number)));
        self.operate(Action::NetCycle(cycle(number)));
        for bank in banks() {
            for (asset, _) in ASSETS {
                let amount = i64::try_from(self.random.below(40)).unwrap();
                self.movement(
                    MovementKind::PayIn,
                    bank,
                    asset,
                    amount,
                    Some(cycle(number)),
                );
            }
        }
        self.operate(Action::SettleCycle(cycle(number)));
        self.runs();
        self.operate(Action::SettleCycle(cycle(number)));
        self.runs();
    }

    fn movement(
        &mut self,
        kind: MovementKind,
        participant: Bic,
        asset: &str,
        amount: i64,
        cycle: Option<CycleName>,
    ) {
        let movement = Movement {
            kind,
            participant,
            asset: Some(code(asset)),
            mantissa: Some(amount),
            scale: 0,
            negative: false,
            cycle,
        };
        let agent = Bic::parse(AGENT.as_bytes()).unwrap();
        self.command(Caller::Agent(agent), Action::Move(movement));
    }

    fn deposit(&mut self) {
        let bank = self.random.pick(&banks());
        let (asset, _) = self.random.pick(&ASSETS);
        let amount = 1 + i64::try_from(self.random.below(60)).unwrap();
        self.movement(MovementKind::Deposit, bank, asset, amount, None);
    }

    fn cancel(&mut self) {
        let count = self.sent.len() as u64;
        if count > 0 {
            let at = usize::try_from(self.random.below(count)).unwrap();
            let (sequence, uetr, _) = self.sent[at];
            if let Some(answer) = self.answer(sequence, uetr) {
                let Identity {
                    instructing, kind, ..
                } = answer.identity;
                self.command(
                    Caller::Participant(instructing),
                    Action::Cancel { uetr, kind },
                );
            }
        }
    }

    fn suspend_or_reinstate(&mut self) {
        let state = self.random.pick(&[
            ParticipantState::Active,
            ParticipantState::Active,
            ParticipantState::Suspended,
        ]);
        let bic = banks()[4];
        let reason = "test".to_owned();
        self.operate(Action::SetParticipantState { bic, state, reason });
    }

    fn leg(&mut self, debtor: Bic, creditor: Bic, asset: &str) -> LegSent {
        let amount = (self.random.below(30)).to_string();
        LegSent {
            kind: LegKind::Principal,
            debtor,
            creditor,
            asset: Some(code(asset)),
            amount: DecimalText::parse(amount.as_bytes()).ok(),
        }
    }

    fn payment(&mut self) {
        let (from, mut to) = (self.random.pick(&banks()), self.random.pick(&banks()));
        if self.random.one_in(30) {
            to = Bic::parse(b"XXXXFRPP").unwrap();
        }
        let count = self.random.below(2) + 1;
        let legs = (0..count).map(|_| {
            let (asset, _) = self.random.pick(&ASSETS);
            self.leg(from, to, asset)
        });
        let legs = legs.collect();
        let lane = self.random.pick(&[Lane::Gross, Lane::Net]);
        self.submit(from, Kind::Payment, lane, legs, None);
    }

    /// The other side of a trade that waits, or the first of a new one.
    fn trade_side(&mut self) {
        if self.random.one_in(2) && !self.trades.is_empty() {
            let (legs, lane, reference) = self.trades.remove(0);
            self.submit(legs[1].debtor, Kind::TradeSide, lane, legs, Some(reference));
            return;
        }
        let (a, b) = (banks()[0], self.random.pick(&banks()[1..4]));
        let legs = vec![self.leg(a, b, "USD"), self.leg(b, a, "EUR")];
        self.names += 1;
        let reference = ShortText::parse(format!("t{}", self.names).as_bytes()).unwrap();
        let lane = self.random.pick(&[Lane::Gross, Lane::Net]);
        self.trades.push((legs.clone(), lane, reference));
        self.submit(a, Kind::TradeSide, lane, legs, Some(reference));
    }

    /// An old UETR with its content, or with other content.
    fn repeat_or_duplicate(&mut self) {
        if let Some((sequence, uetr, _)) = self.sent.first().cloned() {
            let Some(answer) = self.answer(sequence, uetr) else {
                return;
            };
            let legs = vec![self.leg(banks()[0], banks()[1], "USD")];
            let identity = answer.identity;
            self.submit_as(identity, Lane::Gross, legs, None);
        }
    }

    fn submit(
        &mut self,
        instructing: Bic,
        kind: Kind,
        lane: Lane,
        legs: Vec<LegSent>,
        reference: Option<ShortText>,
    ) {
        let uetr = Uetr(u128::from(self.random.next()) << 64 | u128::from(self.random.next()));
        let identity = Identity {
            uetr,
            instructing,
            kind,
        };
        self.submit_as(identity, lane, legs, reference);
    }

    fn submit_as(
        &mut self,
        identity: Identity,
        lane: Lane,
        legs: Vec<LegSent>,
        trade_reference: Option<ShortText>,
    ) {
        self.names += 1;
        let content = format!("content {}", self.names).into_bytes();
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.names.to_be_bytes());
        let body = Body {
            lane,
            priority: self
                .random
                .pick(&[Priority::Urgent, Priority::High, Priority::Normal]),
            created: self.now,
            value_date: self.now.date(),
            quote_id: None,
            trade_reference,
            conditions: None,
        };
        let item = Submission {
            index: 0,
            identity,
            digest: Digest(digest),
            content: 0..u32::try_from(content.len()).unwrap(),
            legs: 0..u32::try_from(legs.len()).unwrap(),
            body: Ok(body),
        };
        let batch = Submissions {
            items: vec![item],
            legs,
            content: content.clone(),
            conditions: Vec::new(),
        };
        let (next, now, mut events) = (Sequence(self.sequence + 1), self.now, Vec::new());
        let item = &batch.items[0];
        self.state
            .execute_instruction(&batch, item, next, now, &mut events);
        if !events.is_empty() {
            self.take(&Input::Instruction(&content), &events);
            self.sent.push((next, identity.uetr, content));
        }
    }
}

fn scheme() -> Scheme {
    let accounts = banks().into_iter().flat_map(|participant| {
        ASSETS.map(|(asset, _)| AccountLine {
            participant,
            asset: code(asset),
            state: AccountState::Open,
        })
    });
    Scheme {
        name: ShortText::parse(b"test").unwrap(),
        base_asset: code("USD"),
        assets: ASSETS
            .map(|(asset, decimals)| AssetLine {
                code: code(asset),
                decimals,
                agent: Bic::parse(AGENT.as_bytes()).unwrap(),
                enabled: true,
            })
            .to_vec(),
        participants: banks()
            .into_iter()
            .map(|bic| ParticipantLine {
                bic,
                name: bic.to_string(),
                state: ParticipantState::Active,
            })
            .collect(),
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
