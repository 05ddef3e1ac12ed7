//! What clients sent and were answered, and what must hold of it whatever happens to the server:
//! answered is durable, once, with the same answer; an answer only advances; the books are what the
//! settled instructions and movements make of them, by a model that does nothing but add.

use std::collections::{BTreeMap, BTreeSet};
use valuta_proto::v1::{self, Status};
use valuta_tests::scheme::{ASSETS, BANKS};
use valuta_tests::server::Client;

/// Instructions in one request when everything is sent again.
const AGAIN_INSTRUCTIONS: usize = 500;

/// What one instruction was told. Ranges tell neither cycle nor batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub sequence: u64,
    pub status: Status,
    pub reason: String,
}

impl Told {
    pub fn of(status: &v1::InstructionStatus) -> Self {
        Self {
            sequence: status.sequence,
            status: status.status(),
            reason: status
                .rejection
                .as_ref()
                .map(|why| why.reason.clone())
                .unwrap_or_default(),
        }
    }
}

/// Whether an answer may become another while time passes.
pub fn may_follow(before: Status, after: Status) -> bool {
    use Status::{Acsc, Acsp, Actc, Canc, Pdng, Rjct, Unspecified};
    match before {
        // A waiting trade side becomes a member; a gross one settles.
        Pdng => after != Unspecified,
        // A member may be held (PDNG) while a party is suspended.
        Actc => after != Unspecified,
        // Left behind at completion, it is a member of the next cycle, or rejected.
        Acsp => matches!(after, Acsp | Acsc | Actc | Rjct),
        Acsc | Rjct | Canc => after == before,
        Unspecified => false,
    }
}

struct Entry {
    instruction: v1::Instruction,
    told: Option<Told>,
}

/// A movement, and its sequence once answered.
struct Movement {
    caller: String,
    request: v1::RecordMovementRequest,
    sequence: Option<u64>,
}

/// Everything that was sent in one server's life, over all its deaths.
#[derive(Default)]
pub struct History {
    /// By UETR: no test sends two kinds under one.
    entries: BTreeMap<String, Entry>,
    movements: BTreeMap<String, Movement>,
}

impl History {
    /// Before it is sent.
    pub fn send(&mut self, instructions: &[v1::Instruction]) {
        for instruction in instructions {
            let entry = Entry {
                instruction: instruction.clone(),
                told: None,
            };
            let before = self.entries.insert(instruction.uetr.clone(), entry);
            assert!(before.is_none(), "the test's own UETRs differ");
        }
    }

    pub fn move_money(&mut self, caller: &str, request: &v1::RecordMovementRequest) {
        let movement = Movement {
            caller: caller.to_owned(),
            request: request.clone(),
            sequence: None,
        };
        self.movements
            .entry(request.request_id.clone())
            .or_insert(movement);
    }

    pub fn moved(&mut self, request_id: &str, answer: &v1::RecordMovementResponse) {
        assert_eq!(answer.status(), Status::Acsc, "{request_id}: {answer:?}");
        let movement = self.movements.get_mut(request_id).unwrap();
        let known = *movement.sequence.get_or_insert(answer.sequence);
        assert_eq!(known, answer.sequence, "{request_id} was taken twice");
    }

    /// The answer to one: the same as before, or further on.
    pub fn told(&mut self, uetr: &str, told: Told) {
        let entry = self
            .entries
            .get_mut(uetr)
            .unwrap_or_else(|| panic!("{uetr} was never sent"));
        if let Some(before) = &entry.told {
            assert_eq!(
                before.sequence, told.sequence,
                "{uetr} was {before:?}, now {told:?}"
            );
            let legal = may_follow(before.status, told.status)
                && (before.status != Status::Rjct || before.reason == told.reason);
            assert!(legal, "{uetr} was {before:?}, now {told:?}");
        }
        entry.told = Some(told);
    }

    /// The answers to one request, which cover each index once.
    pub fn told_all(&mut self, sent: &[v1::Instruction], answer: &v1::SubmitInstructionsResponse) {
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        let mut indexes = BTreeSet::new();
        for range in &answer.accepted {
            for at in 0..range.count {
                let index = range.first_index + at;
                assert!(indexes.insert(index), "index {index} is answered twice");
                let told = Told {
                    sequence: range.first_sequence + u64::from(at),
                    status: range.status(),
                    reason: String::new(),
                };
                self.told(&sent[index as usize].uetr, told);
            }
        }
        for other in &answer.others {
            assert!(
                indexes.insert(other.index),
                "index {} is answered twice",
                other.index
            );
            let status = other.status.as_ref().unwrap();
            assert_eq!(status.uetr, sent[other.index as usize].uetr);
            self.told(&status.uetr, Told::of(status));
        }
        assert_eq!(indexes.len(), sent.len(), "not every index is answered");
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many were answered.
    pub fn answered(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.told.is_some())
            .count()
    }

    /// What one bank has sent, in requests to send again.
    pub fn again(&self, bank: &str) -> Vec<Vec<v1::Instruction>> {
        let of_bank = self.entries.values().map(|entry| &entry.instruction);
        let of_bank: Vec<_> = of_bank
            .filter(|sent| sent.instructing == bank)
            .cloned()
            .collect();
        of_bank
            .chunks(AGAIN_INSTRUCTIONS)
            .map(<[_]>::to_vec)
            .collect()
    }

    /// Movements to send again: (caller, request).
    pub fn movements_again(&self) -> Vec<(String, v1::RecordMovementRequest)> {
        let all = self.movements.values();
        all.map(|movement| (movement.caller.clone(), movement.request.clone()))
            .collect()
    }

    /// Nothing is in the server that was not sent, nothing twice, and the books are the model's.
    /// Everything must have been answered.
    pub async fn check(&mut self, operator: &mut Client, treasury: &mut Client) {
        let mut seen = BTreeMap::new();
        for view in list_all(operator).await {
            let status = view.status.unwrap();
            let told = Told::of(&status);
            let sequences = seen.insert(status.uetr.clone(), told.sequence);
            assert_eq!(sequences, None, "{} is there twice", status.uetr);
            self.told(&status.uetr, told);
        }
        assert_eq!(seen.len(), self.entries.len(), "the list lacks some");
        let distinct: BTreeSet<_> = seen.values().collect();
        assert_eq!(distinct.len(), seen.len(), "a sequence is there twice");
        let counts = operator
            .admin
            .get_status(v1::GetStatusRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(counts.instructions, self.entries.len() as u64);
        self.check_books(treasury).await;
    }

    async fn check_books(&self, treasury: &mut Client) {
        let request = v1::GetPositionsRequest::default();
        let answer = treasury
            .treasury
            .get_positions(request)
            .await
            .unwrap()
            .into_inner();
        let model = self.model();
        for position in &answer.positions {
            let account = (position.participant.clone(), position.asset.clone());
            let expected = model.get(&account).copied().unwrap_or_default();
            let found = minor(&position.balance, &position.asset);
            assert_eq!(found, expected, "{account:?}");
        }
        assert_eq!(answer.positions.len(), BANKS.len() * ASSETS.len());
        let request = v1::GetControlTotalsRequest::default();
        let totals = treasury
            .treasury
            .get_control_totals(request)
            .await
            .unwrap()
            .into_inner()
            .totals;
        for total in totals {
            assert!(total.balanced, "{total:?}");
            let accounts = model.iter().filter(|((_, asset), _)| *asset == total.asset);
            let sum: i128 = accounts.map(|(_, balance)| balance).sum();
            assert_eq!(minor(&total.closing, &total.asset), sum, "{total:?}");
        }
    }

    /// Balances by (bank, asset) in minor units.
    fn model(&self) -> BTreeMap<(String, String), i128> {
        let mut balances = BTreeMap::new();
        let mut add = |bank: &str, asset: &str, amount: i128| {
            *balances
                .entry((bank.to_owned(), asset.to_owned()))
                .or_insert(0) += amount;
        };
        for movement in self.movements.values() {
            let request = &movement.request;
            let amount = minor(&request.amount, &request.asset);
            let sign = match request.kind() {
                v1::MovementKind::Deposit | v1::MovementKind::PayIn => 1,
                v1::MovementKind::Withdrawal | v1::MovementKind::PayOut => -1,
                v1::MovementKind::Transfer | v1::MovementKind::Unspecified => 0,
            };
            add(&request.participant, &request.asset, sign * amount);
        }
        let settled = |entry: &&Entry| {
            let told = entry.told.as_ref().expect("everything was answered");
            told.status == Status::Acsc
        };
        for entry in self.entries.values().filter(settled) {
            let sent = &entry.instruction;
            // The two sides of a trade are the same two legs: those of the first debtor's count.
            if sent.kind() == v1::Kind::TradeSide && sent.legs[0].debtor != sent.instructing {
                continue;
            }
            for leg in &sent.legs {
                let amount = minor(&leg.amount, &leg.asset);
                add(&leg.debtor, &leg.asset, -amount);
                add(&leg.creditor, &leg.asset, amount);
            }
        }
        balances
    }
}

/// Every instruction that the read model has, once it has all.
pub async fn list_all(operator: &mut Client) -> Vec<v1::InstructionView> {
    let now = operator
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut request = v1::ListInstructionsRequest {
        page_size: 1_000,
        min_sequence: now.sequence,
        ..Default::default()
    };
    let mut all = Vec::new();
    loop {
        let page = operator
            .payments
            .list_instructions(request.clone())
            .await
            .unwrap()
            .into_inner();
        all.extend(page.instructions);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

/// Minor units of an amount's text.
pub fn minor(text: &str, asset: &str) -> i128 {
    let decimals = ASSETS.iter().find(|(code, ..)| *code == asset).unwrap().1 as usize;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= decimals, "{text} {asset}");
    format!("{whole}{fraction:0<decimals$}").parse().unwrap()
}

/// Text of minor units.
pub fn major(minor: i128, asset: &str) -> String {
    let decimals = ASSETS.iter().find(|(code, ..)| *code == asset).unwrap().1;
    fx::format_minor_units(minor, u8::try_from(decimals).unwrap())
}

#[test]
fn answers_only_advance() {
    use Status::{Acsc, Acsp, Actc, Canc, Pdng, Rjct};
    for (before, after, legal) in [
        (Pdng, Acsc, true),
        (Pdng, Actc, true),
        (Actc, Acsp, true),
        (Actc, Canc, true),
        (Acsp, Acsc, true),
        (Acsp, Canc, false),
        (Acsp, Pdng, false),
        (Acsc, Acsc, true),
        (Acsc, Actc, false),
        (Acsc, Rjct, false),
        (Rjct, Actc, false),
        (Canc, Pdng, false),
    ] {
        assert_eq!(may_follow(before, after), legal, "{before:?} to {after:?}");
    }
    assert_eq!(minor("-1.5", "KWD"), -1_500);
    assert_eq!(minor(&major(1_234, "USD"), "USD"), 1_234);
}

#[test]
#[should_panic(expected = "was taken twice")]
fn a_second_sequence_is_found() {
    let mut history = History::default();
    let request = v1::RecordMovementRequest {
        request_id: "r".to_owned(),
        ..Default::default()
    };
    history.move_money("FRNYUS33", &request);
    for sequence in [4, 5] {
        let answer = v1::RecordMovementResponse {
            sequence,
            status: Status::Acsc.into(),
            rejection: None,
        };
        history.moved("r", &answer);
    }
}
