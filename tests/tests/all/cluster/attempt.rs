//! One piece of a client's work, tried over both gateways until it is answered.

use super::seen::Seen;
use crate::load::Random;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use valuta_proto::v1;
use valuta_tests::server::Client;

/// What most calls may take; a fault's length is bridged by trying again.
const PATIENCE: Duration = Duration::from_secs(5);
/// One call in so many is cut after some milliseconds.
const CUT_ONE_IN: u64 = 6;
const CUT_MS_MAX: u64 = 40;
/// Instructions in one request of a stream.
const STREAMED: usize = 3;
/// Between two tries, longer from one to the next.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What a client wants done. Tried again it is the same.
#[derive(Clone, Debug)]
pub enum Work {
    Submit(Box<v1::Instruction>),
    SubmitMany(Vec<v1::Instruction>),
    /// The same over a stream, in several requests.
    Stream(Vec<v1::Instruction>),
    Move(v1::RecordMovementRequest),
    Cancel(v1::CancelInstructionRequest),
    Approve(v1::ApproveInstructionRequest),
    Show(v1::ShowPreimageRequest),
    Quote(v1::LockQuoteRequest),
    /// A rehearsal's time.
    Time(i64),
    OpenCycle(v1::OpenCycleRequest),
    /// A cycle's next step.
    Step(Step, v1::CycleRequest),
}

/// What the operator does with an open cycle, in this order.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Close,
    Net,
    Settle,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Answered,
    /// For good, with the reason.
    Refused(String),
}

/// The way to both gateways, for everyone.
pub struct Way {
    pub seen: Mutex<Seen>,
    gateways: [String; 2],
    tokens: BTreeMap<String, String>,
    /// Calls that were answered.
    answers: AtomicU64,
    /// Calls that were not.
    failures: AtomicU64,
}

/// One caller's connections.
#[derive(Default)]
pub struct Connections(BTreeMap<(usize, String), Client>);

impl Way {
    pub fn new(gateways: [String; 2], tokens: BTreeMap<String, String>) -> Self {
        Self {
            seen: Mutex::default(),
            gateways,
            tokens,
            answers: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// A panic of a client ends the test by itself.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no client panicked")
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Tries until it is answered, or `going` says no more.
    pub async fn until_answered(
        &self,
        caller: &str,
        work: &Work,
        connections: &mut Connections,
        random: &mut Random,
        going: impl Fn() -> bool,
    ) -> Option<Came> {
        let mut pause = PAUSE;
        loop {
            let gateway = usize::from(random.below(2) == 1);
            let patience = match random.below(CUT_ONE_IN) {
                0 => Duration::from_millis(1 + random.below(CUT_MS_MAX)),
                _ => PATIENCE,
            };
            match self
                .once(caller, work, gateway, patience, connections)
                .await
            {
                Ok(came) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    return Some(came);
                }
                Err(status) if !is_passing(&status) => {
                    let wrong = format!("{caller}: {work:?}: {status:?}");
                    self.seen().wrong.push(wrong);
                    return None;
                }
                Err(_) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    connections.0.remove(&(gateway, caller.to_owned()));
                }
            }
            if !going() {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    /// One call, cut after `patience`.
    pub async fn once(
        &self,
        caller: &str,
        work: &Work,
        gateway: usize,
        patience: Duration,
        connections: &mut Connections,
    ) -> Result<Came, Status> {
        let asked = self.seen().instant();
        let call = async {
            let client = self.client(caller, gateway, connections).await?;
            self.call(caller, work, patience, client, asked).await
        };
        let cut = tokio::time::timeout(patience, call).await;
        match cut.unwrap_or_else(|_| Err(Status::deadline_exceeded("cut by the client"))) {
            Err(status) if is_refusal(work, &status) => Ok(Came::Refused(reason(&status))),
            came => came,
        }
    }

    async fn client<'a>(
        &self,
        caller: &str,
        gateway: usize,
        connections: &'a mut Connections,
    ) -> Result<&'a mut Client, Status> {
        let key = (gateway, caller.to_owned());
        if !connections.0.contains_key(&key) {
            let (address, token) = (&self.gateways[gateway], &self.tokens[caller]);
            let connected = Client::connect(address, token).await;
            let client = connected.map_err(|error| Status::unavailable(error.to_string()))?;
            connections.0.insert(key.clone(), client);
        }
        Ok(connections.0.get_mut(&key).expect("just there"))
    }

    async fn call(
        &self,
        caller: &str,
        work: &Work,
        patience: Duration,
        client: &mut Client,
        asked: u64,
    ) -> Result<Came, Status> {
        match work {
            Work::Submit(instruction) => {
                let message = v1::SubmitInstructionRequest {
                    instruction: Some((**instruction).clone()),
                };
                let answer = client
                    .payments
                    .submit_instruction(within(message, patience));
                let status = answer.await?.into_inner().status.unwrap_or_default();
                let content = instruction.encode_to_vec();
                self.seen().told(content, &status, asked);
            }
            Work::SubmitMany(instructions) => {
                let message = within(many(instructions), patience);
                let answer = client.payments.submit_instructions(message);
                self.told_all(instructions, &answer.await?.into_inner(), asked);
            }
            Work::Stream(instructions) => {
                let requests: Vec<_> = instructions.chunks(STREAMED).map(many).collect();
                let requests = within(tokio_stream::iter(requests), patience);
                let answers = client.payments.stream_instructions(requests);
                let mut answers = answers.await?.into_inner();
                for sent in instructions.chunks(STREAMED) {
                    match answers.message().await? {
                        Some(answer) => self.told_all(sent, &answer, asked),
                        None => self.seen().wrong.push("a stream ended early".to_owned()),
                    }
                }
            }
            Work::Move(request) => {
                let answer = client
                    .settlement
                    .record_movement(within(request.clone(), patience));
                let answer = answer.await?.into_inner();
                if let Some(rejection) = answer.rejection {
                    return Ok(Came::Refused(rejection.code));
                }
                self.seen()
                    .done(caller, &request.request_id, answer.sequence);
            }
            Work::Cancel(request) => {
                let answer = client
                    .payments
                    .cancel_instruction(within(request.clone(), patience));
                let answer = answer.await?.into_inner();
                self.seen()
                    .done(caller, &request.request_id, answer.sequence);
            }
            Work::Approve(request) => {
                let message = within(request.clone(), patience);
                let answer = client.payments.approve_instruction(message).await?;
                let sequence = answer.into_inner().sequence;
                self.seen().done(caller, &request.request_id, sequence);
            }
            Work::Show(request) => {
                let message = within(request.clone(), patience);
                let answer = client.payments.show_preimage(message).await?;
                let sequence = answer.into_inner().sequence;
                self.seen().done(caller, &request.request_id, sequence);
            }
            Work::Quote(request) => {
                let message = within(request.clone(), patience);
                let answer = client.fx.lock_quote(message).await?.into_inner();
                let mut seen = self.seen();
                seen.done(caller, &request.request_id, answer.sequence);
                seen.quotes.extend(answer.quote);
            }
            Work::Time(ms) => {
                let sequence = client.set_time(*ms).await?;
                self.seen().done(caller, &format!("time-{ms}"), sequence);
            }
            Work::OpenCycle(request) => {
                let answer = client
                    .settlement
                    .open_cycle(within(request.clone(), patience));
                let cycle = answer.await?.into_inner().cycle;
                self.seen().told_cycle(cycle.unwrap_or_default());
            }
            Work::Step(step, request) => {
                let (settlement, message) =
                    (&mut client.settlement, within(request.clone(), patience));
                let answer = match step {
                    Step::Close => settlement.close_cycle(message).await?,
                    Step::Net => settlement.net_cycle(message).await?,
                    Step::Settle => settlement.settle_cycle(message).await?,
                };
                let cycle = answer.into_inner().cycle;
                self.seen().told_cycle(cycle.unwrap_or_default());
            }
        }
        Ok(Came::Answered)
    }

    /// Each index has its answer.
    fn told_all(
        &self,
        sent: &[v1::Instruction],
        answer: &v1::SubmitInstructionsResponse,
        asked: u64,
    ) {
        let mut seen = self.seen();
        let mut indexes: Vec<u32> = Vec::new();
        for other in &answer.others {
            indexes.push(other.index);
            let status = other.status.clone().unwrap_or_default();
            let content = sent[other.index as usize].encode_to_vec();
            seen.told(content, &status, asked);
        }
        indexes.sort_unstable();
        let all: Vec<u32> = (0..).take(sent.len()).collect();
        if indexes != all || !answer.errors.is_empty() || !answer.accepted.is_empty() {
            seen.wrong.push(format!("not each index: {answer:?}"));
        }
    }
}

fn many(instructions: &[v1::Instruction]) -> v1::SubmitInstructionsRequest {
    v1::SubmitInstructionsRequest {
        instructions: instructions.to_vec(),
        full_answers: true,
    }
}

fn within<T>(message: T, patience: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}

/// A fault's, which trying again gets over.
fn is_passing(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
        // What the transport makes of a connection that breaks.
        Code::Unknown | Code::Internal => status.get_error_details().error_info().is_none(),
        _ => false,
    }
}

/// The business's, for good.
fn is_refusal(work: &Work, status: &Status) -> bool {
    match (work, status.code()) {
        (_, Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound) => true,
        // Tried until its time was over.
        (Work::Quote(_), Code::InvalidArgument) => {
            status.message() == "accept_until: is not in the future"
        }
        _ => false,
    }
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info();
    info.map_or_else(String::new, |info| info.reason.clone())
}
