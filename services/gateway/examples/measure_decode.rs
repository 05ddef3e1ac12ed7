//! Measures `wire::decode_into`, digest included, beside prost's decode of the same bytes and SHA-256
//! alone, each by its best round: `cargo run --release -p valuta-gateway --example measure_decode`.

use prost::Message;
use settlement_core::instruction::Submissions;
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Instant;
use valuta_gateway::wire::decode_into;
use valuta_proto::v1;

const BATCH: u32 = 1_000;
const ROUNDS: u32 = 500;

fn main() {
    let messages: Vec<Vec<u8>> = (0..BATCH).map(|n| message(n).encode_to_vec()).collect();
    let bytes: usize = messages.iter().map(Vec::len).sum();
    println!("{} bytes a message", bytes / messages.len());
    let mut out = Submissions::default();
    measure("decode_into", || {
        out.items.clear();
        out.legs.clear();
        out.content.clear();
        for (index, message) in (0..).zip(&messages) {
            decode_into(message, index, &mut out).expect("well formed");
        }
        black_box(&out);
    });
    measure("prost decode", || {
        for message in &messages {
            black_box(v1::Instruction::decode(&message[..]).expect("well formed"));
        }
    });
    measure("SHA-256", || {
        for message in &messages {
            black_box(Sha256::digest(message));
        }
    });
}

fn measure(name: &str, mut round: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    let nanos = best.min().unwrap_or_default().as_nanos() / u128::from(BATCH);
    println!("{name:>14}: {nanos} ns a message");
}

fn message(n: u32) -> v1::Instruction {
    v1::Instruction {
        uetr: format!("eb6305c9-1f7f-49de-aed0-{n:012x}"),
        kind: v1::Kind::Payment as i32,
        lane: v1::Lane::Gross as i32,
        instructing: "AAAAUS33".into(),
        created: Some(prost_types::Timestamp {
            seconds: 1_795_000_000,
            nanos: 0,
        }),
        value_date: "2026-11-20".into(),
        legs: vec![v1::Leg {
            debtor: "AAAAUS33".into(),
            creditor: "BBBBDEFF".into(),
            amount: format!("{n}.25"),
            asset: "USD".into(),
            kind: 0,
        }],
        instruction_id: format!("INSTR-{n}"),
        end_to_end_id: format!("E2E-{n}"),
        ..Default::default()
    }
}
