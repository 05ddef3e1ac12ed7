//! Ten thousand bad messages: good ones mutated, by seed, in their bytes and in their fields. Each
//! gets a clear error or a regular answer; the server lives; the books are those of what it accepted.

use crate::support::{A, B, C, CYCLE, D, SplitMix64, Town, minor, quote_request};
use prost::Message;
use std::collections::BTreeMap;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, payment, timestamp, uetr_text};

/// Messages, half of them mutated in bytes and half in fields.
const MESSAGES: usize = 10_000;
/// Senders at once.
const SENDERS: usize = 16;
const FUNDED: i128 = 1_000_000;

/// Texts that a field may be replaced with: near misses, and far ones.
const TEXTS: [&str; 26] = [
    "",
    " ",
    "0",
    "-1",
    "1e9",
    "0.001",
    "999999999999999999",
    "9223372036854775808",
    "NaN",
    "\0",
    "é",
    "\u{202e}",
    "AAAAUS33",
    "BBBBDEFF",
    "ZZZZUS33",
    "aaaaus33",
    "USD",
    "EUR",
    "XXX",
    "2026-11-20",
    "2026-11-21",
    "2026-02-30",
    "2026-11-20/1",
    "00000000-0000-4000-8000-000000000001",
    "EUR/USD",
    "a text that is longer than any identifier of 35 characters, and still goes on",
];
const NUMBERS: [i32; 8] = [0, 1, 2, 3, 5, -1, i32::MAX, i32::MIN];

/// A good instruction of one of four forms; sometimes one that came before.
fn good(random: &mut SplitMix64, bank: &str) -> v1::Instruction {
    let uetr = u128::from(random.next() % 20_000) + 10;
    let to = *random.pick(&[A, B, C, D]);
    let to = if to == bank { B } else { to };
    let to = if to == bank { A } else { to };
    let amount = format!("{}.{:02}", random.below(50), random.below(99) + 1);
    let mut instruction = payment(uetr, bank, to, &amount, "USD");
    match random.below(4) {
        0 => instruction.lane = v1::Lane::Net.into(),
        1 => {
            instruction.kind = v1::Kind::TradeSide.into();
            instruction.trade_reference = "T".to_owned();
            let mut back = instruction.legs[0].clone();
            std::mem::swap(&mut back.debtor, &mut back.creditor);
            back.asset = "EUR".to_owned();
            instruction.legs.push(back);
        }
        2 => instruction
            .legs
            .resize(random.below(4) + 1, instruction.legs[0].clone()),
        _ => {}
    }
    instruction
}

fn mutate_text(random: &mut SplitMix64, text: &mut String) {
    match random.below(4) {
        0 => text.clear(),
        1 => text.push_str(TEXTS[random.below(TEXTS.len())]),
        2 => *text = text.chars().rev().collect(),
        _ => TEXTS[random.below(TEXTS.len())].clone_into(text),
    }
}

fn mutate_field(random: &mut SplitMix64, instruction: &mut v1::Instruction) {
    let number = *random.pick(&NUMBERS);
    match random.below(24) {
        0 => mutate_text(random, &mut instruction.uetr),
        1 => instruction.kind = number,
        2 => instruction.lane = number,
        3 => instruction.priority = number,
        4 => mutate_text(random, &mut instruction.instructing),
        5 => {
            let seconds = *random.pick(&[0, i64::MAX, i64::MIN, MORNING_MS / 1_000 + 600]);
            instruction.created = Some(prost_types::Timestamp {
                seconds,
                nanos: number,
            });
        }
        6 => instruction.created = None,
        7 => mutate_text(random, &mut instruction.value_date),
        8 => instruction.legs.clear(),
        9 => instruction
            .legs
            .resize(random.below(20), v1::Leg::default()),
        10 => mutate_text(random, &mut instruction.instruction_id),
        11 => mutate_text(random, &mut instruction.end_to_end_id),
        12 => mutate_text(random, &mut instruction.quote_id),
        13 => mutate_text(random, &mut instruction.trade_reference),
        14 => mutate_text(random, &mut instruction.remittance),
        15 => mutate_text(random, &mut instruction.purpose),
        16 => instruction.charge_bearer = number,
        17 => mutate_text(random, &mut instruction.instructed_amount),
        18 => mutate_text(random, &mut instruction.instructed_asset),
        19 => instruction.iso_message = vec![0; random.below(20_000)],
        20 => mutate_text(random, &mut instruction.return_reason),
        _ => mutate_leg(random, instruction),
    }
}

fn mutate_leg(random: &mut SplitMix64, instruction: &mut v1::Instruction) {
    let count = instruction.legs.len();
    if count == 0 {
        return;
    }
    let leg = &mut instruction.legs[random.below(count)];
    match random.below(5) {
        0 => mutate_text(random, &mut leg.debtor),
        1 => mutate_text(random, &mut leg.creditor),
        2 => leg.kind = *random.pick(&NUMBERS),
        3 => mutate_text(random, &mut leg.asset),
        _ => mutate_text(random, &mut leg.amount),
    }
}

/// Flips, cuts, drops, doubles or inserts: one to four times.
fn mutate_bytes(random: &mut SplitMix64, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = *random.pick(&[0, 0x7f, 0x80, 0xff]),
            2 => bytes.truncate(at),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            _ => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// A service's method and a good message of it, in bytes.
fn other_call(random: &mut SplitMix64, seed: usize) -> (&'static str, &'static str, Vec<u8>) {
    let request_id = format!("fuzz-{seed}");
    match random.below(7) {
        0 => {
            let request = v1::CancelInstructionRequest {
                request_id,
                uetr: uetr_text(u128::from(random.next() % 20_000) + 10),
                kind: v1::Kind::Payment.into(),
                created: Some(timestamp(MORNING_MS)),
            };
            (
                "PaymentService",
                "CancelInstruction",
                request.encode_to_vec(),
            )
        }
        1 => {
            let request = v1::ListInstructionsRequest {
                page_size: 3,
                value_date: TODAY.to_owned(),
                counterparty: B.to_owned(),
                cycle: CYCLE.to_owned(),
                ..Default::default()
            };
            (
                "PaymentService",
                "ListInstructions",
                request.encode_to_vec(),
            )
        }
        2 => (
            "FxService",
            "LockQuote",
            quote_request(&format!("F{seed}"), &request_id).encode_to_vec(),
        ),
        3 => {
            let request = v1::GetCycleRequest {
                cycle: CYCLE.to_owned(),
                min_sequence: 0,
            };
            ("SettlementService", "GetCycle", request.encode_to_vec())
        }
        4 => {
            let request = v1::AcknowledgeReceivedRequest {
                request_id,
                position: "3.0".to_owned(),
                created: Some(timestamp(MORNING_MS)),
            };
            (
                "PaymentService",
                "AcknowledgeReceived",
                request.encode_to_vec(),
            )
        }
        5 => {
            let request = v1::GetReceiptRequest {
                uetr: uetr_text(11),
                ..Default::default()
            };
            ("LedgerService", "GetReceipt", request.encode_to_vec())
        }
        _ => {
            let request = v1::GetPositionsRequest {
                participant: A.to_owned(),
                min_sequence: 0,
            };
            ("TreasuryService", "GetPositions", request.encode_to_vec())
        }
    }
}

/// The message of one seed: bank, service, method, bytes.
fn bad_message(seed: usize) -> (&'static str, &'static str, &'static str, Vec<u8>) {
    let mut random = SplitMix64(seed as u64);
    let bank = *random.pick(&[A, B, C, D]);
    let mut instruction = good(&mut random, bank);
    if seed.is_multiple_of(2) {
        for _ in 0..=random.below(3) {
            mutate_field(&mut random, &mut instruction);
        }
        let request = v1::SubmitInstructionRequest {
            instruction: Some(instruction),
        };
        return (
            bank,
            "PaymentService",
            "SubmitInstruction",
            request.encode_to_vec(),
        );
    }
    let (service, method, mut bytes) = match random.below(4) {
        0 => other_call(&mut random, seed),
        1 => {
            let request = v1::SubmitInstructionRequest {
                instruction: Some(instruction),
            };
            (
                "PaymentService",
                "SubmitInstruction",
                request.encode_to_vec(),
            )
        }
        _ => {
            let instructions = vec![instruction, good(&mut random, bank)];
            let request = v1::SubmitInstructionsRequest {
                instructions,
                full_answers: true,
            };
            (
                "PaymentService",
                "SubmitInstructions",
                request.encode_to_vec(),
            )
        }
    };
    mutate_bytes(&mut random, &mut bytes);
    (bank, service, method, bytes)
}

/// A regular answer, or an error that says something and blames the sender.
fn check_answer(seed: usize, method: &str, answer: Result<Vec<u8>, Status>) {
    match answer {
        Ok(_) => {}
        Err(status) => {
            assert!(
                !status.message().is_empty(),
                "seed {seed} {method}: {status:?}"
            );
            let blames_the_sender = [
                Code::InvalidArgument,
                Code::NotFound,
                Code::PermissionDenied,
                Code::FailedPrecondition,
                Code::AlreadyExists,
                Code::OutOfRange,
                // What a mutated `min_sequence` waits for never comes.
                Code::DeadlineExceeded,
            ];
            let clear = blames_the_sender.contains(&status.code());
            assert!(clear, "seed {seed} {method}: {status:?}");
        }
    }
}

async fn send(channel: Channel, token: String, seeds: impl Iterator<Item = usize>) {
    for seed in seeds {
        let (_, service, method, bytes) = bad_message(seed);
        let answer = call_with_deadline(channel.clone(), &token, service, method, bytes).await;
        check_answer(seed, method, answer);
    }
}

/// As [`crate::support::call_raw_on`], with 200 ms to wait in.
async fn call_with_deadline(
    channel: Channel,
    token: &str,
    service: &str,
    method: &str,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let called = crate::support::call_raw_on(channel, token, service, method, message);
    match tokio::time::timeout(std::time::Duration::from_millis(1_000), called).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded("the message waits for something")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bad_messages() {
    let mut town = Town::start().await;
    for bic in [A, B, C, D] {
        for asset in ["USD", "EUR"] {
            town.deposit(bic, &FUNDED.to_string(), asset).await;
        }
    }
    town.open_cycle(CYCLE).await;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let address = format!("http://{}", town.world.server.address);
        let channel = Endpoint::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap();
        for bank in [A, B, C, D] {
            let of_bank = move |seed: &usize| bad_message(*seed).0 == bank;
            let seeds = (sender..MESSAGES).step_by(SENDERS).filter(of_bank);
            senders.spawn(send(
                channel.clone(),
                town.world.tokens[bank].clone(),
                seeds,
            ));
        }
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    // It lives, and has remembered.
    assert!(town.world.server.is_running());
    check_books(&town).await;
    town.restart().await;
    check_books(&town).await;
}

/// The books are the deposits and what was settled, recomputed from the listed contents.
async fn check_books(town: &Town) {
    let listed = list_all(town).await;
    let mut balances = BTreeMap::new();
    for bic in [A, B, C, D] {
        for asset in ["USD", "EUR"] {
            balances.insert((bic.to_owned(), asset.to_owned()), FUNDED * 100);
        }
    }
    let (mut settled, mut refused) = (0, 0);
    for view in &listed {
        let (status, content) = (
            view.status.as_ref().unwrap(),
            view.instruction.as_ref().unwrap(),
        );
        refused += u64::from(status.status == i32::from(v1::Status::Rjct));
        // A trade's two sides have the same legs: they move once.
        let second = status.matched_with != 0 && status.matched_with < status.sequence;
        if status.status != i32::from(v1::Status::Acsc) {
            continue;
        }
        settled += 1;
        for leg in content.legs.iter().filter(|_| !second) {
            let amount = in_cents(&leg.amount);
            *balances
                .entry((leg.debtor.clone(), leg.asset.clone()))
                .or_default() -= amount;
            *balances
                .entry((leg.creditor.clone(), leg.asset.clone()))
                .or_default() += amount;
        }
    }
    balances.retain(|_, balance| *balance != 0);
    assert_eq!(town.books().await.balances(), balances);
    assert!(
        settled > 100 && refused > 1_000,
        "a mixture: {settled} settled, {refused} refused"
    );
}

/// Of USD and EUR: texts with at most two decimals.
fn in_cents(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    minor(&format!("{whole}{part:0<2}"))
}

async fn list_all(town: &Town) -> Vec<v1::InstructionView> {
    let status = town
        .operator()
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap();
    let mut request = v1::ListInstructionsRequest {
        page_size: 1_000,
        min_sequence: status.into_inner().sequence,
        ..Default::default()
    };
    let mut found = Vec::new();
    loop {
        let page = town
            .operator()
            .payments
            .list_instructions(request.clone())
            .await
            .unwrap()
            .into_inner();
        found.extend(page.instructions);
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}
