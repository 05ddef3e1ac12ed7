//! What a treasury's what-ifs, asked back to back over many waiting instructions, cost those who send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use valuta_proto::v1;
use valuta_tests::load::{Load, Measured};
use valuta_tests::scheme::{BANKS, World, payment};
use valuta_tests::server::Client;

/// Instructions that no account has the money for.
const WAITING: u64 = 100_000;
/// Of them in one request.
const BATCH: usize = 1_000;
const WITHOUT_MONEY: &str = "KWD";
const WITH_MONEY: &str = "USD";
const FUNDS: &str = "100000000000";
/// Calls of each bank, one after the other.
const ONE_BY_ONE: u64 = 40_000;
const STREAMED: u64 = 1_000_000;

/// Prints a row for each load alone, and one beside what-ifs.
pub async fn measure(scale: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::start(&dir.path().join("data")).await?;
    for bank in BANKS {
        world.deposit(bank, WITH_MONEY, FUNDS).await?;
    }
    wait_for_money(&world, WAITING / scale).await?;
    println!("beside {} waiting instructions:", WAITING / scale);
    let mut sent = WAITING;
    for (name, load) in [
        ("one by one", Load::one_by_one(ONE_BY_ONE / scale)),
        ("stream", Load::stream(STREAMED / scale)),
    ] {
        for asking in [false, true] {
            let load = load.after(sent);
            sent += STREAMED;
            let (measured, what_ifs) = beside(&world, load, asking).await?;
            let name = format!("  {name}{}", if asking { ", what-ifs" } else { "" });
            crate::row(&name, measured, None);
            if let Some(what_ifs) = what_ifs {
                crate::row("    these what-ifs", what_ifs, None);
            }
        }
    }
    Ok(())
}

/// One bank owes another, and nobody owes it: no run settles any of it.
async fn wait_for_money(world: &World, instructions: u64) -> anyhow::Result<()> {
    let mut bank = world.client(BANKS[0]).await?;
    for first in (0..instructions).step_by(BATCH) {
        let numbers = u128::from(first)..u128::from(first) + BATCH as u128;
        let owed = |number| payment(number, BANKS[0], BANKS[1], "125.500", WITHOUT_MONEY);
        let request = v1::SubmitInstructionsRequest {
            instructions: numbers.map(owed).collect(),
            full_answers: false,
        };
        bank.payments.submit_instructions(request).await?;
    }
    Ok(())
}

async fn beside(
    world: &World,
    load: Load,
    asking: bool,
) -> anyhow::Result<(Measured, Option<Measured>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let treasury = world.client("TREASURY").await?;
    let asked = asking.then(|| tokio::spawn(ask(treasury, Arc::clone(&stop))));
    let measured = load.run(&world.server.address, &world.tokens).await?;
    stop.store(true, Ordering::Relaxed);
    match asked {
        Some(asked) => Ok((measured, Some(asked.await??))),
        None => Ok((measured, None)),
    }
}

/// Back to back, until told to stop.
async fn ask(mut treasury: Client, stop: Arc<AtomicBool>) -> anyhow::Result<Measured> {
    let pay_in = v1::AccountAmount {
        participant: BANKS[0].to_owned(),
        asset: WITHOUT_MONEY.to_owned(),
        amount: "1000.000".to_owned(),
        counterparty: String::new(),
    };
    let request = v1::WhatIfRequest {
        changes: vec![v1::Change {
            change: Some(v1::change::Change::PayIn(pay_in)),
        }],
        ..v1::WhatIfRequest::default()
    };
    let (begun, mut each) = (Instant::now(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = treasury.treasury.what_if(request.clone()).await?;
        anyhow::ensure!(!answer.into_inner().settles.is_empty(), "it frees nothing");
        each.push(u32::try_from(asked.elapsed().as_micros())?);
    }
    Ok(Measured::of(each, begun.elapsed()))
}
