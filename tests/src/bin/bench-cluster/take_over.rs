//! Pauses of writes: the leading engine killed; the partition's leading broker killed, beside a raw producer of
//! the same settings when its broker is.

use crate::journal::produce;
use crate::pause::Confirmations;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use valuta_kafka::{KafkaConfig, KafkaLog, create_journal, leading_broker};
use valuta_proto::v1;
use valuta_tests::cluster::{Cluster, Stack};
use valuta_tests::scheme::{BANKS, payment};
use valuta_tests::server::Client;

const TURNS: usize = 3;
/// Far from other loads' numbers.
const UETR: u128 = 1 << 57;
const RECORD_BYTES: usize = 2_000;

/// Prints rows of a cluster's pauses.
pub async fn ours(
    stack: &Stack,
    cluster: &mut Cluster,
    tokens: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    println!("\n== pauses of writes (aims: engine under 3 s; broker Kafka's own + 2 s)");
    let (confirmations, stop) = (Confirmations::default(), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for (at, bank) in (0..).zip(BANKS) {
        let client = Client::connect(&cluster.gateway.address, &tokens[bank]).await?;
        let (confirmations, stop) = (confirmations.clone(), Arc::clone(&stop));
        clients.push(tokio::spawn(pay(client, at, confirmations, stop)));
    }
    let mut pauses = Vec::new();
    for _ in 0..TURNS {
        pauses.push(tokio::task::block_in_place(|| {
            let pause = confirmations.pause(|| cluster.replace_leader())?;
            cluster.start_standby()?;
            anyhow::Ok(pause)
        })?);
    }
    row("leading engine killed", &pauses);
    let config = KafkaConfig::new(&stack.brokers, &cluster.journal);
    let pauses: Vec<_> = (0..TURNS)
        .map(|_| tokio::task::block_in_place(|| broker_killed(stack, &config, &confirmations)))
        .collect::<anyhow::Result<_>>()?;
    row("leading broker killed", &pauses);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }
    Ok(())
}

/// One payment after the other; each must be answered, and settled.
async fn pay(
    mut client: Client,
    bank: u128,
    confirmations: Confirmations,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let from = usize::try_from(bank)?;
    let (debtor, creditor) = (BANKS[from], BANKS[(from + 1) % BANKS.len()]);
    let mut number = UETR + (bank << 50);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let request = v1::SubmitInstructionRequest {
            instruction: Some(payment(number, debtor, creditor, "1.00", "USD")),
        };
        let answer = client
            .payments
            .submit_instruction(request)
            .await?
            .into_inner();
        let status = answer.status.unwrap_or_default().status();
        anyhow::ensure!(status == v1::Status::Acsc, "{status:?}");
        confirmations.note();
    }
    Ok(())
}

/// Prints the row of a raw producer.
pub fn raw(stack: &Stack, name: &str) -> anyhow::Result<()> {
    let config = KafkaConfig::new(&stack.brokers, format!("{name}-killed-raw"));
    create_journal(&config)?;
    let mut link = KafkaLog::open(&config, None)?.link()?;
    let (confirmations, stop) = (Confirmations::default(), Arc::new(AtomicBool::new(false)));
    let (noted, stopped) = (confirmations.clone(), Arc::clone(&stop));
    let producer = std::thread::spawn(move || {
        let payload = vec![7; RECORD_BYTES];
        while !stopped.load(Ordering::Relaxed) {
            // One whose fate stays unknown is no confirmation.
            if produce(&mut *link, &payload).is_ok() {
                noted.note();
            }
        }
    });
    let pauses: Vec<_> = (0..TURNS)
        .map(|_| broker_killed(stack, &config, &confirmations))
        .collect::<anyhow::Result<_>>()?;
    row("  the same kill, a raw producer", &pauses);
    stop.store(true, Ordering::Relaxed);
    producer
        .join()
        .map_err(|_| anyhow::anyhow!("the producer panicked"))
}

/// The brokers are whole again after it.
fn broker_killed(
    stack: &Stack,
    config: &KafkaConfig,
    confirmations: &Confirmations,
) -> anyhow::Result<Duration> {
    let broker = leading_broker(config)?;
    let pause = confirmations.pause(|| stack.broker("kill", broker))?;
    stack.broker("start", broker)?;
    stack.whole()?;
    Ok(pause)
}

fn row(what: &str, pauses: &[Duration]) {
    let longest = pauses.iter().max().copied().unwrap_or_default();
    let all: Vec<_> = pauses
        .iter()
        .map(|pause| format!("{:.2}", pause.as_secs_f64()))
        .collect();
    println!(
        "{what:<36}{:>8.2} s at most, of {}",
        longest.as_secs_f64(),
        all.join(", ")
    );
}
