//! A load of gross payments, made, encoded and sent by clients on the same machine: what is measured.
#![allow(clippy::float_arithmetic)] // rates and latencies, not money

use crate::scheme::{BANKS, payment, uetr_text};
use crate::server::Client;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use valuta_proto::v1;

/// Instructions of one request on a stream.
const BATCH: u64 = 1_000;
/// Requests on one stream that wait for their answer.
const WINDOW: usize = 4;
/// Unary calls in flight, over all connections.
const UNARY_IN_FLIGHT: usize = 128;

/// What is sent, and how.
#[derive(Clone, Copy)]
pub struct Load {
    instructions: u64,
    /// Calls of one bank in flight, each with one instruction; `None`: a stream of batches.
    unary: Option<u64>,
    /// Of each bank's instructions: none is sent twice.
    first: u64,
}

/// What came of it.
#[derive(Clone, Copy, Default)]
pub struct Measured {
    /// Instructions a second, or requests.
    pub per_second: f64,
    /// Of requests, from making one to its answer.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
}

impl Measured {
    /// Requests that took so many microseconds each, and `time` together.
    pub fn of(mut each: Vec<u32>, time: Duration) -> Self {
        each.sort_unstable();
        let at = |percent: usize| match each.len() {
            0 => 0.0,
            count => f64::from(each[(count - 1) * percent / 100]) / 1_000.0,
        };
        Self {
            per_second: each.len() as f64 / time.as_secs_f64(),
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }

    /// The one with more instructions a second.
    #[must_use]
    pub fn best(self, other: Self) -> Self {
        if other.per_second > self.per_second {
            other
        } else {
            self
        }
    }
}

impl Load {
    /// Streams of batches, one a bank.
    pub fn stream(instructions: u64) -> Self {
        Self {
            instructions,
            unary: None,
            first: 0,
        }
    }

    /// One call for each instruction, many in flight.
    pub fn unary(instructions: u64) -> Self {
        Self {
            unary: Some((UNARY_IN_FLIGHT / BANKS.len()) as u64),
            ..Self::stream(instructions)
        }
    }

    /// One call for each instruction, each bank's after its last answer.
    pub fn one_by_one(instructions: u64) -> Self {
        Self {
            unary: Some(1),
            ..Self::stream(instructions)
        }
    }

    /// The instructions after so many that were sent before.
    #[must_use]
    pub fn after(self, sent: u64) -> Self {
        Self {
            first: sent,
            ..self
        }
    }

    /// One connection a bank.
    pub async fn run(
        &self,
        address: &str,
        tokens: &BTreeMap<String, String>,
    ) -> anyhow::Result<Measured> {
        let each = self.instructions / BANKS.len() as u64;
        let mut clients = Vec::new();
        for bank in BANKS {
            clients.push(Client::connect(address, &tokens[bank]).await?);
        }
        let started = Instant::now();
        let tasks: Vec<_> = (0..)
            .zip(clients)
            .map(|(bank, client)| {
                let numbers = self.first..self.first + each;
                let template = template(bank);
                match self.unary {
                    Some(lanes) => tokio::spawn(unary(client, bank, template, numbers, lanes)),
                    None => tokio::spawn(stream(client, bank, template, numbers)),
                }
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        let time = started.elapsed();
        Ok(Measured {
            per_second: (each * BANKS.len() as u64) as f64 / time.as_secs_f64(),
            ..Measured::of(latencies, time)
        })
    }
}

fn template(bank: usize) -> v1::Instruction {
    let to = BANKS[(bank + 1) % BANKS.len()];
    payment(0, BANKS[bank], to, "125.50", "USD")
}

fn numbered(template: &v1::Instruction, bank: usize, number: u64) -> v1::Instruction {
    v1::Instruction {
        uetr: uetr_text((bank as u128) << 50 | u128::from(number)),
        ..template.clone()
    }
}

/// Microseconds from making a request to its answer.
async fn stream(
    mut client: Client,
    bank: usize,
    template: v1::Instruction,
    all: Range<u64>,
) -> anyhow::Result<Vec<u32>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(WINDOW);
    let window = Arc::new(Semaphore::new(WINDOW));
    let sent = Arc::new(Mutex::new(VecDeque::new()));
    let maker = {
        let (window, sent) = (Arc::clone(&window), Arc::clone(&sent));
        tokio::spawn(async move {
            for batch in 0..(all.end - all.start) / BATCH {
                window.acquire().await?.forget();
                sent.lock().expect("not poisoned").push_back(Instant::now());
                let first = all.start + batch * BATCH;
                let numbers = first..first + BATCH;
                let request = v1::SubmitInstructionsRequest {
                    instructions: numbers
                        .map(|number| numbered(&template, bank, number))
                        .collect(),
                    full_answers: false,
                };
                sender.send(request).await?;
            }
            anyhow::Ok(())
        })
    };
    let mut answers = client
        .payments
        .stream_instructions(ReceiverStream::new(receiver))
        .await?
        .into_inner();
    let mut latencies = Vec::new();
    while let Some(answer) = answers.message().await? {
        let accepted: u32 = answer.accepted.iter().map(|range| range.count).sum();
        anyhow::ensure!(u64::from(accepted) == BATCH, "not all accepted: {answer:?}");
        let at = sent.lock().expect("not poisoned").pop_front();
        let at = at.ok_or_else(|| anyhow::anyhow!("an answer to nothing"))?;
        latencies.push(u32::try_from(at.elapsed().as_micros())?);
        window.add_permits(1);
    }
    maker.await??;
    Ok(latencies)
}

async fn unary(
    client: Client,
    bank: usize,
    template: v1::Instruction,
    all: Range<u64>,
    lanes: u64,
) -> anyhow::Result<Vec<u32>> {
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let (mut client, template, all) = (client.clone(), template.clone(), all.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for turn in 0..(all.end - all.start) / lanes {
                    let started = Instant::now();
                    let request = v1::SubmitInstructionRequest {
                        instruction: Some(numbered(
                            &template,
                            bank,
                            all.start + turn * lanes + lane,
                        )),
                    };
                    client.payments.submit_instruction(request).await?;
                    latencies.push(u32::try_from(started.elapsed().as_micros())?);
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(latencies)
}
