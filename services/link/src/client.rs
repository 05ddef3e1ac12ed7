//! A gateway's side. One task holds all that is not answered; it follows the leader that the journal
//! names, and sends what is open again to each new one, in the order of the first sending.
//!
//! | event | what happens |
//! |---|---|
//! | a request | numbered, kept, sent |
//! | an answer | given to its caller, once |
//! | the stream breaks, or another leads | what is open is sent again, to the leader of then |
//! | nobody leads for [`LinkOptions::hold_max`] | what waits that long fails; if it was sent, nobody can say what became of it |

use crate::{HINDERED, MESSAGE_BYTES_MAX, Secret};
use bytes::Bytes;
use settlement_core::command::{Command, Refusal};
use settlement_core::ids::Sequence;
use settlement_core::instruction::Submissions;
use settlement_core::view::{CommandAnswer, SubmitAnswer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use valuta_engine::EngineError;
use valuta_journal::Leader;
use valuta_proto::link::engine_link_client::EngineLinkClient;
use valuta_proto::link::to_engine::Request as Asked;
use valuta_proto::link::to_gateway::Answer;
use valuta_proto::link::{ToEngine, ToGateway};

/// Instructions on their way to an answer; more wait outside.
const IN_FLIGHT_INSTRUCTIONS_MAX: u32 = 262_144;
/// Messages that wait for the stream's flow control.
const SENDING_MAX: usize = 16;
/// After a leader that cannot be reached, or that does not lead yet.
const RETRY_AFTER: Duration = Duration::from_millis(25);
/// How long a leader may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A leader that does not answer a ping within this is taken for gone.
const PING_EVERY: Duration = Duration::from_millis(500);
const WINDOW_BYTES: u32 = 16 << 20;
const UNAVAILABLE_RETRY_MS: u32 = 1_000;

/// How a gateway reaches the engine.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The scheme's.
    pub secret: Secret,
    /// PEM of the authority that signed the engines' certificates, for `https://` addresses.
    pub authority: Option<String>,
    /// How long a caller without a deadline is held while nobody leads.
    pub hold_max: Duration,
}

/// Cheap to clone. Ends with its last clone.
#[derive(Clone)]
pub struct Link {
    orders: mpsc::UnboundedSender<Open>,
    permits: Arc<Semaphore>,
    answered: Arc<AtomicU64>,
}

/// A request that is not answered.
struct Open {
    request: Asked,
    reply: oneshot::Sender<Result<Answer, EngineError>>,
    since: Instant,
    /// Someone may have it.
    sent: bool,
}

impl Link {
    /// Starts the task that follows `leader`. Within a tokio runtime.
    pub fn start(leader: watch::Receiver<Option<Leader>>, options: LinkOptions) -> Self {
        let (orders, ordered) = mpsc::unbounded_channel();
        let task = Task {
            leader,
            options,
            ordered,
            open: BTreeMap::new(),
            next_number: 1,
        };
        tokio::spawn(task.run());
        Self {
            orders,
            permits: Arc::new(Semaphore::new(IN_FLIGHT_INSTRUCTIONS_MAX as usize)),
            answered: Arc::default(),
        }
    }

    /// As [`valuta_engine::Handle::submit`]; held while nobody leads.
    ///
    /// # Errors
    /// As there; `Stopped` if nobody can say what became of it.
    pub async fn submit(&self, batch: Submissions) -> Result<SubmitAnswer, EngineError> {
        let weight = u32::try_from(batch.items.len()).unwrap_or(u32::MAX);
        let bytes = minicbor::to_vec(&batch).expect("a Vec takes every byte");
        let answer = self.ask(weight, Asked::Submit(Bytes::from(bytes))).await?;
        let Answer::Submitted(bytes) = answer else {
            return Err(not_of_this_version());
        };
        let answer: SubmitAnswer = minicbor::decode(&bytes).map_err(|_| not_of_this_version())?;
        let ranges = answer.accepted.iter();
        let last = ranges.map(|range| range.first_sequence.0 + u64::from(range.count) - 1);
        let others = answer.others.iter().map(|(_, other)| other.sequence.0);
        self.answered(last.chain(others).max());
        Ok(answer)
    }

    /// As [`valuta_engine::Handle::command`]; held while nobody leads.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn command(
        &self,
        command: Command,
    ) -> Result<Result<CommandAnswer, Refusal>, EngineError> {
        let bytes = minicbor::to_vec(&command).expect("a Vec takes every byte");
        let answer = self.ask(1, Asked::Command(Bytes::from(bytes))).await?;
        let Answer::Commanded(bytes) = answer else {
            return Err(not_of_this_version());
        };
        let answer: Result<CommandAnswer, Refusal> =
            minicbor::decode(&bytes).map_err(|_| not_of_this_version())?;
        self.answered(answer.as_ref().ok().map(|answer| answer.sequence.0));
        Ok(answer)
    }

    /// The newest sequence that this gateway has answered: what it reads must not be older.
    pub fn newest_answered(&self) -> Sequence {
        Sequence(self.answered.load(Ordering::Acquire))
    }

    fn answered(&self, newest: Option<u64>) {
        self.answered
            .fetch_max(newest.unwrap_or(0), Ordering::AcqRel);
    }

    async fn ask(&self, weight: u32, request: Asked) -> Result<Answer, EngineError> {
        let weight = weight.clamp(1, IN_FLIGHT_INSTRUCTIONS_MAX);
        let permits = self.permits.acquire_many(weight).await;
        let _permits = permits.map_err(|_| EngineError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let open = Open {
            request,
            reply,
            since: Instant::now(),
            sent: false,
        };
        self.orders.send(open).map_err(|_| EngineError::Stopped)?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }
}

fn not_of_this_version() -> EngineError {
    EngineError::Unavailable {
        retry_after_ms: UNAVAILABLE_RETRY_MS,
        reason: "the engine answers in another version's form".to_owned(),
    }
}

struct Task {
    leader: watch::Receiver<Option<Leader>>,
    options: LinkOptions,
    ordered: mpsc::UnboundedReceiver<Open>,
    open: BTreeMap<u64, Open>,
    next_number: u64,
}

/// Why a session with a leader ended.
enum Ended {
    /// Nobody uses the link any more.
    Unused,
    /// To be tried again, with whoever leads then.
    Broken,
}

impl Task {
    async fn run(mut self) {
        loop {
            let leader = self.leader.borrow_and_update().clone();
            let ended = match leader {
                Some(leader) => self.session(&leader).await,
                None => Ended::Broken,
            };
            if matches!(ended, Ended::Unused) {
                return;
            }
            if self.pause().await {
                return;
            }
        }
    }

    /// Takes orders while nobody is there to get them. `true`: the link is unused.
    async fn pause(&mut self) -> bool {
        let until = Instant::now() + RETRY_AFTER;
        self.give_up_on_the_oldest();
        loop {
            tokio::select! {
                order = self.ordered.recv() => match order {
                    Some(order) => drop(self.keep(order)),
                    None => return true,
                },
                // If the journal's reader is gone, the process is ending.
                _ = self.leader.changed() => return self.leader.has_changed().is_err(),
                () = tokio::time::sleep_until(until) => return false,
            }
        }
    }

    fn keep(&mut self, order: Open) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.open.insert(number, order);
        number
    }

    fn give_up_on_the_oldest(&mut self) {
        self.open.retain(|_, open| !open.reply.is_closed());
        while let Some(oldest) = self.open.first_entry() {
            if oldest.get().since.elapsed() < self.options.hold_max {
                return;
            }
            let open = oldest.remove();
            let error = if open.sent {
                EngineError::Stopped
            } else {
                EngineError::Unavailable {
                    retry_after_ms: UNAVAILABLE_RETRY_MS,
                    reason: "no engine leads".to_owned(),
                }
            };
            let _ = open.reply.send(Err(error));
        }
    }

    async fn session(&mut self, leader: &Leader) -> Ended {
        let (sending, outgoing) = mpsc::channel(SENDING_MAX);
        let incoming = match self.connect(leader, outgoing).await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::debug!(epoch = leader.epoch, address = leader.address, %error, "no link");
                return Ended::Broken;
            }
        };
        let again = self.open.values().filter(|open| open.sent).count();
        tracing::info!(
            epoch = leader.epoch,
            address = leader.address,
            again,
            "linked"
        );
        metrics::counter!("valuta_link_sessions_total").increment(1);
        self.exchange(leader, sending, incoming).await
    }

    async fn connect(
        &self,
        leader: &Leader,
        outgoing: mpsc::Receiver<ToEngine>,
    ) -> Result<Streaming<ToGateway>, Status> {
        let channel = channel(&leader.address, self.options.authority.as_deref()).await?;
        let mut client = EngineLinkClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        self.options.secret.put(&mut request);
        let exchange = tokio::time::timeout(CONNECT_WITHIN, client.exchange(request));
        let answered = exchange.await;
        Ok(answered
            .map_err(|_| Status::deadline_exceeded("no answer"))??
            .into_inner())
    }

    async fn exchange(
        &mut self,
        leader: &Leader,
        sending: mpsc::Sender<ToEngine>,
        mut incoming: Streaming<ToGateway>,
    ) -> Ended {
        self.open.retain(|_, open| !open.reply.is_closed());
        let mut to_send: VecDeque<u64> = self.open.keys().copied().collect();
        loop {
            tokio::select! {
                answer = incoming.message() => match answer {
                    Ok(Some(answer)) => self.answer(answer),
                    Ok(None) => return Ended::Broken,
                    Err(status) => {
                        tracing::warn!(%status, open = self.open.len(), "the link broke");
                        return Ended::Broken;
                    }
                },
                order = self.ordered.recv() => match order {
                    Some(order) => to_send.push_back(self.keep(order)),
                    None => return Ended::Unused,
                },
                room = sending.reserve(), if !to_send.is_empty() => {
                    let Ok(room) = room else { return Ended::Broken };
                    let number = to_send.pop_front().expect("it is not empty");
                    if let Some(open) = self.open.get_mut(&number) {
                        open.sent = true;
                        let request = Some(open.request.clone());
                        room.send(ToEngine { number, request });
                    }
                }
                changed = self.leader.changed() => {
                    // An epoch that the same process started, as a barrier: what it took it still answers.
                    let now = self.leader.borrow_and_update();
                    let same = |now: &Leader| (now.id, &now.address) == (leader.id, &leader.address);
                    if changed.is_err() || !now.as_ref().is_some_and(same) {
                        return Ended::Broken;
                    }
                }
            }
        }
    }

    fn answer(&mut self, message: ToGateway) {
        let (Some(open), Some(answer)) = (self.open.remove(&message.number), message.answer) else {
            return;
        };
        let answer = match answer {
            Answer::Unavailable(unavailable) => Err(EngineError::Unavailable {
                retry_after_ms: unavailable.retry_after_ms,
                reason: unavailable.reason,
            }),
            answer => Ok(answer),
        };
        // A caller that has gone asks again.
        let _ = open.reply.send(answer);
    }
}

/// Whether a leader answers, leads, and its journal takes records: asked by one who might take over. A
/// process that was stopped takes connections, and answers nothing.
pub async fn leads(leader: &Leader, options: &LinkOptions) -> bool {
    let asked = async {
        let channel = channel(&leader.address, options.authority.as_deref()).await?;
        let (_nothing_to_send, outgoing) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        options.secret.put(&mut request);
        EngineLinkClient::new(channel).exchange(request).await
    };
    let answered = tokio::time::timeout(CONNECT_WITHIN, asked).await;
    answered.is_ok_and(|answer| {
        answer.is_ok_and(|response| !response.metadata().contains_key(HINDERED))
    })
}

pub(crate) async fn channel(address: &str, authority: Option<&str>) -> Result<Channel, Status> {
    let failed = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let mut endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(failed)?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(CONNECT_WITHIN)
        .keep_alive_while_idle(true);
    if let Some(pem) = authority.filter(|_| address.starts_with("https://")) {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).map_err(failed)?;
    }
    endpoint.connect().await.map_err(failed)
}
