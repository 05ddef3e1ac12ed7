//! One bank's client stream: batches out, answers in, each answer kept for its instruction.

use super::instruction::Planned;
use super::world::World;
use crate::client::{CliError, Connection};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::ReceiverStream;
use valuta_proto::v1::{self, Status};

/// Of the morning's streams.
pub const BATCH_INSTRUCTIONS: usize = 1_000;
/// Batches of one bank in flight: what a bank with one message queue has.
const BATCHES_IN_FLIGHT: usize = 2;

/// What the server said to one instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Its number for good; 0 if it was not journaled.
    pub sequence: u64,
    /// ISO 20022.
    pub status: Status,
    /// The rejection's code; empty otherwise.
    pub code: String,
    /// What the rejection says to people.
    pub detail: String,
}

/// What one stream came to.
#[derive(Default)]
pub struct Streamed {
    /// In the order sent; `None` where the stream broke first.
    pub answers: Vec<Option<Answer>>,
    /// Of each answered batch.
    pub latencies: Vec<Duration>,
    /// Why it broke.
    pub error: Option<CliError>,
}

/// Holds back the end of every stream until it is opened.
#[derive(Clone)]
pub struct Gate {
    /// Batches that pass before it opens, in percent.
    pub percent: usize,
    /// Opened when it turns true.
    pub open: watch::Receiver<bool>,
}

/// What all streams of a scene share.
#[derive(Clone)]
pub struct Streaming {
    /// Whose instructions.
    pub world: Arc<World>,
    /// Instructions in a batch.
    pub batch: usize,
    /// Counts answered instructions.
    pub answered: Arc<AtomicU64>,
    /// `None`: everything is sent.
    pub gate: Option<Gate>,
}

type Sent = Arc<Mutex<VecDeque<Instant>>>;

impl Streaming {
    /// Without a gate, in batches of [`BATCH_INSTRUCTIONS`].
    pub fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            batch: BATCH_INSTRUCTIONS,
            answered: Arc::new(AtomicU64::new(0)),
            gate: None,
        }
    }

    /// Sends `planned` in order and collects the answers.
    pub async fn run(self, connection: Connection, planned: Arc<Vec<Planned>>) -> Streamed {
        let mut streamed = Streamed {
            answers: vec![None; planned.len()],
            ..Streamed::default()
        };
        let received = self.exchange(&connection, &planned, &mut streamed).await;
        streamed.error = received.err();
        streamed
    }

    async fn exchange(
        &self,
        connection: &Connection,
        planned: &Arc<Vec<Planned>>,
        streamed: &mut Streamed,
    ) -> Result<(), CliError> {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCHES_IN_FLIGHT);
        let in_flight = Arc::new(Semaphore::new(BATCHES_IN_FLIGHT));
        let sent = Sent::default();
        let feeding = self
            .clone()
            .feed(planned.clone(), sender, in_flight.clone(), sent.clone());
        let feeding = tokio::spawn(feeding);
        let mut payments = connection.unlimited().payments();
        let opened = payments
            .stream_instructions(ReceiverStream::new(receiver))
            .await;
        let mut answers = match opened {
            Ok(opened) => opened.into_inner(),
            Err(status) => {
                feeding.abort();
                return Err(status.into());
            }
        };
        let mut first = 0;
        while first < planned.len() {
            let next = answers.message().await;
            let Some(answer) = next.inspect_err(|_| feeding.abort())? else {
                feeding.abort();
                return Err(CliError::Unavailable("the stream ended early".into()));
            };
            if let Some(sent) = sent.lock().expect("no holder panics").pop_front() {
                streamed.latencies.push(sent.elapsed());
            }
            in_flight.add_permits(1);
            let end = (first + self.batch).min(planned.len());
            keep(&answer, &mut streamed.answers[first..end]);
            self.answered
                .fetch_add((end - first) as u64, Ordering::Relaxed);
            first = end;
        }
        Ok(())
    }

    async fn feed(
        self,
        planned: Arc<Vec<Planned>>,
        sender: tokio::sync::mpsc::Sender<v1::SubmitInstructionsRequest>,
        in_flight: Arc<Semaphore>,
        sent: Sent,
    ) {
        let batches = planned.len().div_ceil(self.batch);
        for (at, batch) in planned.chunks(self.batch).enumerate() {
            if let Some(gate) = &self.gate
                && at * 100 >= batches * gate.percent
            {
                let mut open = gate.open.clone();
                // A gate that is gone is open.
                let _ = open.wait_for(|open| *open).await;
            }
            let instructions = batch
                .iter()
                .map(|planned| planned.wire(&self.world))
                .collect();
            let request = v1::SubmitInstructionsRequest {
                instructions,
                full_answers: false,
            };
            let Ok(permit) = in_flight.acquire().await else {
                return;
            };
            // Given back by the answer.
            permit.forget();
            sent.lock()
                .expect("no holder panics")
                .push_back(Instant::now());
            if sender.send(request).await.is_err() {
                return;
            }
        }
    }
}

fn keep(answer: &v1::SubmitInstructionsResponse, answers: &mut [Option<Answer>]) {
    for range in &answer.accepted {
        let first = range.first_index as usize;
        let status = Status::try_from(range.status).unwrap_or_default();
        for (at, sequence) in (first..first + range.count as usize).zip(range.first_sequence..) {
            if let Some(slot) = answers.get_mut(at) {
                *slot = Some(Answer {
                    sequence,
                    status,
                    code: String::new(),
                    detail: String::new(),
                });
            }
        }
    }
    for other in &answer.others {
        let status = other.status.clone().unwrap_or_default();
        if let Some(slot) = answers.get_mut(other.index as usize) {
            *slot = Some(answer_of(status));
        }
    }
    for error in &answer.errors {
        let rejection = error.error.clone();
        let refused = v1::InstructionStatus {
            status: Status::Rjct.into(),
            rejection,
            ..Default::default()
        };
        if let Some(slot) = answers.get_mut(error.index as usize) {
            *slot = Some(answer_of(refused));
        }
    }
}

fn answer_of(status: v1::InstructionStatus) -> Answer {
    let rejection = status.rejection.unwrap_or_default();
    let detail = if rejection.detail.is_empty() {
        rejection.reason
    } else {
        rejection.detail
    };
    Answer {
        sequence: status.sequence,
        status: Status::try_from(status.status).unwrap_or_default(),
        code: rejection.code,
        detail,
    }
}

/// Runs one stream for each bank at the same time; results by bank.
pub async fn run_all(
    streaming: &Streaming,
    connections: &[Connection],
    streams: &[Arc<Vec<Planned>>],
) -> Result<Vec<Streamed>, CliError> {
    let tasks: Vec<_> = connections
        .iter()
        .zip(streams)
        .map(|(connection, planned)| {
            tokio::spawn(streaming.clone().run(connection.clone(), planned.clone()))
        })
        .collect();
    let mut streamed = Vec::new();
    for task in tasks {
        let result = task.await;
        streamed
            .push(result.map_err(|error| CliError::Refused(format!("a stream failed: {error}")))?);
    }
    Ok(streamed)
}

/// How many of each status, or of each refusal's code.
pub fn tally<'a>(answers: impl Iterator<Item = &'a Answer>) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        let name = match answer.code.as_str() {
            "" => answer.status.as_str_name().trim_start_matches("STATUS_"),
            code => code,
        };
        *tally.entry(name.to_owned()).or_default() += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_find_their_instructions() {
        let response = v1::SubmitInstructionsResponse {
            accepted: vec![v1::AcceptedRange {
                first_index: 1,
                count: 2,
                first_sequence: 9,
                status: Status::Acsc.into(),
                waiting_reason: 0,
            }],
            others: vec![],
            errors: vec![v1::IndexedError {
                index: 0,
                error: Some(v1::Rejection {
                    code: "NARR".into(),
                    ..Default::default()
                }),
            }],
        };
        let mut answers = vec![None; 4];
        keep(&response, &mut answers);
        let seen: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().map(|a| (a.sequence, a.status)))
            .collect();
        let settled = |sequence| Some((sequence, Status::Acsc));
        assert_eq!(
            seen,
            [Some((0, Status::Rjct)), settled(9), settled(10), None]
        );
        assert_eq!(tally(answers.iter().flatten())["NARR"], 1);
    }
}
