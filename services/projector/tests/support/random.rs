//! Random rows that keep the rules of rows: what a projection could have made, by seed.

use settlement_core::command::{AccountState, AssetLine, MovementKind, ParticipantState, Position};
use settlement_core::ids::{
    AccountId, AssetId, Bic, CycleName, Date, ParticipantId, Sequence, Timestamp, Uetr,
};
use settlement_core::instruction::{Identity, Kind, Lane, LegKind, Priority, ShortText};
use settlement_core::rejection::Rejection;
use settlement_core::rows::RunOrder;
use settlement_core::view::{Status, Waiting};
use valuta_journal::{Cursor, JournalId};
use valuta_projector::*;

/// splitmix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

pub fn bics() -> Vec<Bic> {
    [
        "AAAAUS33",
        "BBBBDEFF",
        "CCCCJPJT",
        "DDDDGB22XXX",
        "EEEECHZZ",
    ]
    .map(|text| Bic::parse(text.as_bytes()).unwrap())
    .to_vec()
}

const ASSETS: [(&str, u8); 3] = [("EUR", 2), ("USD", 2), ("JPY", 0)];

pub fn cursor(sequence: Sequence) -> Cursor {
    Cursor {
        journal: JournalId([9; 16]),
        offset: 4096 * (sequence.0 + 1),
        sequence: sequence.0,
        chain: [u8::try_from(sequence.0 % 251).unwrap(); 32],
    }
}

struct Live {
    sequence: Sequence,
    day: Date,
    parties: Vec<(ParticipantId, Roles)>,
    cycle: Option<CycleName>,
}

/// Makes rows input by input.
pub struct Inputs {
    random: Random,
    sequence: Sequence,
    live: Vec<Live>,
    batch: u64,
    member_index: u32,
}

impl Inputs {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            sequence: Sequence(0),
            live: Vec::new(),
            batch: 1,
            member_index: 0,
        }
    }

    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn time(&self) -> Timestamp {
        Timestamp(1_795_000_000_000 + i64::try_from(self.sequence.0).unwrap())
    }

    /// The first input's rows: the directory, and a cycle.
    pub fn scheme(&mut self, rows: &mut Rows) {
        self.sequence.0 += 1;
        for (at, (code, decimals)) in (0..).zip(ASSETS) {
            let line = AssetLine {
                code: fx::AssetCode::parse(code.as_bytes()).unwrap(),
                decimals,
                agent: Bic::parse(b"AGNTBEBB").unwrap(),
                enabled: true,
            };
            rows.directory.push(DirectoryChange::Asset {
                id: AssetId(at),
                line,
            });
        }
        for (at, bic) in (0..).zip(bics()) {
            rows.directory.push(DirectoryChange::Participant {
                id: ParticipantId(at),
                bic,
                name: format!("Bank \"{bic}\""),
                state: ParticipantState::Active,
            });
            rows.directory.push(DirectoryChange::Account {
                id: AccountId(u32::from(at)),
                participant: ParticipantId(at),
                asset: AssetId(0),
                state: AccountState::Open,
            });
        }
        let opened = CycleChange::Opened {
            cut_off: Timestamp(1),
            pay_in_deadline: Timestamp(2),
            completion_deadline: Timestamp(3),
            pay_in_cut_offs: vec![(AssetId(1), Timestamp(1))],
        };
        rows.cycles.push((cycle(1), opened));
    }

    /// One more input's rows: an instruction, or what happens to those that wait.
    pub fn input(&mut self, rows: &mut Rows) {
        self.sequence.0 += 1;
        match self.random.below(8) {
            0 => self.change_some(rows),
            1 => self.close_batch(rows),
            _ => self.instruction(rows),
        }
    }

    fn instruction(&mut self, rows: &mut Rows) {
        let refused = self.random.one_in(5);
        let count = self.random.below(3) + 1;
        let mut parties: Vec<(ParticipantId, Roles)> = Vec::new();
        for at in 0..count {
            let who = ParticipantId(u16::try_from(self.random.below(5)).unwrap());
            let roles =
                Roles([1, 2, 4, 7][usize::try_from((at + self.random.below(3)) % 4).unwrap()]);
            if parties.iter().all(|(party, _)| *party != who) {
                parties.push((who, roles));
            }
        }
        let added = self.added(refused);
        let day = added.day;
        self.legs(&added, rows);
        rows.parties
            .extend(parties.iter().map(|&(participant, roles)| PartyAdded {
                participant,
                instruction: self.sequence,
                day,
                roles,
            }));
        rows.instructions.push(added);
        let live = Live {
            sequence: self.sequence,
            day,
            parties,
            cycle: None,
        };
        let status = if refused {
            Status::Rejected(Rejection::AmountInvalid { leg: 3 })
        } else {
            self.random.pick(&[
                Status::Waiting(Waiting::Liquidity),
                Status::Waiting(Waiting::Unmatched),
                Status::Waiting(Waiting::Approval),
                Status::Member(cycle(1)),
                Status::Settled { batch: self.batch },
            ])
        };
        self.change(live, status, 0, rows);
    }

    fn legs(&mut self, added: &InstructionAdded, rows: &mut Rows) {
        let count = if added.order.is_some() {
            self.random.below(3) + 1
        } else {
            0
        };
        for index in (0..).take(usize::try_from(count).unwrap()) {
            rows.legs.push(LegAdded {
                instruction: added.sequence,
                day: added.day,
                index,
                kind: self.random.pick(&[LegKind::Principal, LegKind::Charge]),
                debtor: ParticipantId(u16::try_from(self.random.below(5)).unwrap()),
                creditor: ParticipantId(u16::try_from(self.random.below(5)).unwrap()),
                asset: AssetId(u16::try_from(self.random.below(3)).unwrap()),
                amount: self.random.pick(&[0, 1, 99, 100, 123_456_789, i64::MAX]),
            });
        }
    }

    fn added(&mut self, refused: bool) -> InstructionAdded {
        let order = OrderAdded {
            lane: self.random.pick(&[Lane::Gross, Lane::Net]),
            priority: self
                .random
                .pick(&[Priority::Urgent, Priority::High, Priority::Normal]),
            created: Timestamp(self.time().0 - 5),
            value_date: self
                .random
                .pick(&[date(), Date(date().0 + 1), Date(date().0 + 40)]),
            assets: self
                .random
                .pick(&[" EUR ", " USD ", " EUR USD ", " JPY "])
                .to_owned(),
            quote: self
                .random
                .one_in(4)
                .then(|| (ParticipantId(0), ShortText::parse(b"Q 1").unwrap())),
        };
        let day = if refused {
            self.time().date()
        } else {
            order.value_date
        };
        InstructionAdded {
            sequence: self.sequence,
            day,
            identity: Identity {
                uetr: Uetr(u128::from(self.random.next()) << 64 | u128::from(self.random.next())),
                instructing: self.random.pick(&bics()),
                kind: self.random.pick(&[
                    Kind::Payment,
                    Kind::Cover,
                    Kind::Return,
                    Kind::TradeSide,
                ]),
            },
            order: (!refused).then_some(order),
            received: self.time(),
            content: self.random.next().to_be_bytes()
                [..usize::try_from(self.random.below(9)).unwrap()]
                .to_vec(),
            standing: Standing::default(),
        }
    }

    fn change_some(&mut self, rows: &mut Rows) {
        let mut index = 0;
        for live in std::mem::take(&mut self.live) {
            self.approve(&live, rows);
            if self.random.one_in(3) {
                self.live.push(live);
                continue;
            }
            let status = self.random.pick(&[
                Status::Waiting(Waiting::Held),
                Status::Irrevocable(live.cycle.unwrap_or(cycle(2))),
                Status::Settled { batch: self.batch },
                Status::Rejected(Rejection::ExpiredInQueue),
                Status::Cancelled,
            ]);
            self.change(live, status, index, rows);
            index += 1;
        }
    }

    /// Perhaps one that is asked to.
    fn approve(&mut self, live: &Live, rows: &mut Rows) {
        let mut asked = live
            .parties
            .iter()
            .filter(|(_, roles)| roles.has(Roles::APPROVER));
        let asked = asked.next().filter(|_| self.random.one_in(3));
        rows.approvals
            .extend(asked.map(|&(participant, _)| ApprovalAdded {
                participant,
                instruction: live.sequence,
                day: live.day,
            }));
    }

    fn change(&mut self, mut live: Live, status: Status, index: u32, rows: &mut Rows) {
        let position = Position {
            sequence: self.sequence,
            index,
        };
        let cycle = match status {
            Status::Member(cycle) | Status::Irrevocable(cycle) => Some(cycle),
            _ => None,
        };
        live.cycle = cycle.or(live.cycle);
        let matched_with =
            (live.sequence.0.is_multiple_of(3)).then_some(Sequence(live.sequence.0 + 1));
        let waits = status == Status::Waiting(Waiting::Liquidity);
        let standing = Standing {
            status: Some((status, matched_with)),
            cycle,
            member_index: None,
            queued: waits.then_some(QueuePlace {
                priority: Priority::High,
                rank: live.sequence,
                unit: live.sequence,
            }),
        };
        rows.stand(live.sequence, live.day, &standing);
        let change = ChangeAdded {
            position,
            instruction: live.sequence,
            day: live.day,
            status,
            matched_with,
            time: self.time(),
        };
        rows.changes.push(change);
        let concern = |&(participant, _): &(ParticipantId, Roles)| Concern {
            participant,
            position,
            instruction: live.sequence,
            day: live.day,
        };
        if !change.is_entry() {
            rows.concerns.extend(live.parties.iter().map(concern));
        }
        if let Status::Settled { batch } = status {
            self.settle(&live, batch, rows);
            let credited = live
                .parties
                .iter()
                .filter(|(_, roles)| roles.has(Roles::CREDITOR));
            rows.credits.extend(credited.map(concern));
        } else if cycle.is_some() || matches!(status, Status::Waiting(_)) {
            self.live.push(live);
        }
    }

    fn settle(&mut self, live: &Live, batch: u64, rows: &mut Rows) {
        let member_index = Some(self.member_index);
        rows.stand(
            live.sequence,
            live.day,
            &Standing {
                member_index,
                ..Standing::default()
            },
        );
        rows.members.push(MemberAdded {
            batch,
            instruction: live.sequence,
            day: live.day,
            member_index: self.member_index,
        });
        self.member_index += 1;
    }

    fn close_batch(&mut self, rows: &mut Rows) {
        let of_cycle = self.random.one_in(2);
        let large = i128::from(i64::MAX) * 7;
        let posting = |asset, mirror, amount| PostingAdded {
            holder: bics()[usize::from(mirror)],
            asset: AssetId(asset),
            mirror,
            amount,
            balance: -amount,
        };
        rows.batches.push(BatchAdded {
            number: self.batch,
            cycle: of_cycle.then_some(cycle(1)),
            time: self.time(),
            sequence: self.sequence,
            member_count: self.member_index,
            certificate_hash: of_cycle.then_some([7; 32]),
            order: RunOrder::of(
                of_cycle
                    .then(|| self.random.pick(&[None, Some(false), Some(true)]))
                    .flatten(),
            ),
            postings: vec![
                posting(2, false, large),
                posting(2, true, -large),
                posting(0, false, 0),
            ],
        });
        let sequence = self.sequence;
        rows.cycles
            .push((cycle(1), CycleChange::Closed { sequence }));
        rows.movements.push(MovementAdded {
            sequence,
            kind: self
                .random
                .pick(&[MovementKind::Deposit, MovementKind::PayIn]),
            participant: ParticipantId(1),
            asset: AssetId(0),
            amount: 5,
            cycle: of_cycle.then_some(cycle(1)),
            batch: self.batch,
            time: self.time(),
        });
        let scheduled = CycleChange::Scheduled {
            version: u32::try_from(self.batch).unwrap(),
            reason: "netted".to_owned(),
            lines: vec![ScheduleAdded {
                participant: ParticipantId(1),
                asset: AssetId(0),
                net: -7,
                pay_in_due: 7,
                pay_out_due: 0,
            }],
        };
        rows.cycles.push((cycle(1), scheduled));
        (self.batch, self.member_index) = (self.batch + 1, 0);
    }
}

fn date() -> Date {
    Date::parse(b"2026-11-20").unwrap()
}

fn cycle(number: u16) -> CycleName {
    CycleName {
        value_date: date(),
        number,
    }
}
