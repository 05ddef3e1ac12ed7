//! From settled to anchored: one payment at a time, through gateway, engine, relay, topic and ledger.
//!
//! The tick that closes the payment's batch is asked for at once; a live scheme's comes within a second.

use crate::percentiles;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use valuta_proto::v1;
use valuta_tests::scheme::{BANKS, MORNING_MS, payment};
use valuta_tests::server::Client;

const PAYMENTS: u64 = 300;
/// Of the first payment; others' are far below.
const UETR: u128 = 1 << 58;
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Prints one row.
pub async fn measure(
    operator: &mut Client,
    address: &str,
    tokens: &BTreeMap<String, String>,
    scale: u64,
) -> anyhow::Result<()> {
    println!("\n== from settled to anchored: relay, topic, ledger (aim: p99 below 1 s)");
    let mut bank = Client::connect(address, &tokens[BANKS[0]]).await?;
    let (mut closed, mut settled) = (Vec::new(), Vec::new());
    let payments = i64::try_from(PAYMENTS / scale)?;
    let mut size = log_size(&mut bank).await?;
    for number in 0..payments {
        let uetr = UETR + u128::try_from(number)?;
        let instruction = payment(uetr, BANKS[0], BANKS[1], "1.00", "USD");
        let request = v1::SubmitInstructionRequest {
            instruction: Some(instruction),
        };
        let answer = bank
            .payments
            .submit_instruction(request)
            .await?
            .into_inner();
        let status = answer.status.unwrap_or_default().status();
        anyhow::ensure!(status == v1::Status::Acsc, "{status:?}");
        let is_settled = Instant::now();
        operator.set_time(MORNING_MS + 1_000 * (number + 1)).await?;
        let is_closed = Instant::now();
        while log_size(&mut bank).await? == size {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        settled.push(is_settled.elapsed().as_secs_f64() * 1e3);
        closed.push(is_closed.elapsed().as_secs_f64() * 1e3);
        size += 1;
    }
    for (what, each) in [
        ("settled to anchored", &mut settled),
        ("tick answered to anchored", &mut closed),
    ] {
        let (p50, p99) = percentiles(each);
        println!("{what:<36} p50 {p50:.1} ms, p99 {p99:.1} ms, of {payments}");
    }
    Ok(())
}

/// Entries of the signed log: a checkpoint's second line.
async fn log_size(client: &mut Client) -> anyhow::Result<u64> {
    let answer = client
        .ledger
        .get_checkpoint(v1::GetCheckpointRequest {})
        .await?;
    let checkpoint = answer.into_inner().checkpoint;
    Ok(checkpoint.lines().nth(1).unwrap_or("0").parse()?)
}
