//! An engine's side: while it leads, it takes what gateways send, in the order of each stream.

use crate::report::{self, TakeReport};
use crate::{HINDERED, MESSAGE_BYTES_MAX, Secret};
use bytes::Bytes;
use settlement_core::command::Command;
use settlement_core::instruction::Submissions;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use valuta_engine::{EngineError, Handle};
use valuta_proto::link::engine_link_server::{EngineLink, EngineLinkServer};
use valuta_proto::link::to_engine::Request as Asked;
use valuta_proto::link::to_gateway::Answer;
use valuta_proto::link::{ProcessReport, Roster, ToEngine, ToGateway, Unavailable};

/// The engine while this process leads; `None` while it stands by.
pub type Leading = watch::Receiver<Option<Lead>>;

/// An engine that leads.
#[derive(Clone)]
pub struct Lead {
    /// Takes requests.
    pub engine: Handle,
    /// Why its journal cannot take records now: then new requests are refused, and what was taken waits.
    pub hindrance: watch::Receiver<Option<String>>,
}

/// A gateway may try again after this while the journal is hindered.
const HINDERED_RETRY_MS: u32 = 1_000;

/// Answers of one stream that wait for the gateway to read them.
const ANSWERS_WAITING: usize = 256;

/// `EngineLink` over the engine of this process.
#[derive(Clone)]
pub struct EngineLinkService {
    leading: Leading,
    secret: Secret,
    reports: TakeReport,
}

impl EngineLinkService {
    /// As a service to be served.
    pub fn server(leading: Leading, secret: Secret, reports: TakeReport) -> EngineLinkServer<Self> {
        let service = Self {
            leading,
            secret,
            reports,
        };
        EngineLinkServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl EngineLink for EngineLinkService {
    type ExchangeStream = ReceiverStream<Result<ToGateway, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<ToEngine>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        self.secret.check(request.metadata())?;
        let leading = self.leading.borrow().clone();
        let lead = leading.ok_or_else(does_not_lead)?;
        let hindered = lead.hindrance.borrow().is_some();
        let (answers, outgoing) = mpsc::channel(ANSWERS_WAITING);
        tokio::spawn(take_all(lead, request.into_inner(), answers));
        let mut response = Response::new(ReceiverStream::new(outgoing));
        if hindered {
            let yes = tonic::metadata::MetadataValue::from_static("1");
            response.metadata_mut().insert(HINDERED, yes);
        }
        Ok(response)
    }

    async fn report(&self, request: Request<ProcessReport>) -> Result<Response<Roster>, Status> {
        self.secret.check(request.metadata())?;
        if self.leading.borrow().is_none() {
            return Err(does_not_lead());
        }
        let roster = report::answer(&request.into_inner(), &self.reports)?;
        Ok(Response::new(roster))
    }
}

fn does_not_lead() -> Status {
    Status::unavailable("this engine does not lead")
}

type Answers = mpsc::Sender<Result<ToGateway, Status>>;

async fn take_all(lead: Lead, mut requests: Streaming<ToEngine>, answers: Answers) {
    // A gateway that is gone needs no word.
    while let Ok(Some(ToEngine { number, request })) = requests.message().await {
        let engine = &lead.engine;
        let hindrance = lead.hindrance.borrow().clone();
        if let Some(reason) = hindrance {
            let hindered = EngineError::Unavailable {
                retry_after_ms: HINDERED_RETRY_MS,
                reason: format!("the journal takes no records: {reason}"),
            };
            send(&answers, number, Err(hindered)).await;
            continue;
        }
        let taken = match request {
            Some(Asked::Submit(bytes)) => submit(engine, number, &bytes, &answers).await,
            Some(Asked::Command(bytes)) => command(engine, number, &bytes, &answers).await,
            None => Err(malformed("no request")),
        };
        if let Err(status) = taken {
            let _ = answers.send(Err(status)).await;
            return;
        }
    }
}

async fn submit(
    engine: &Handle,
    number: u64,
    bytes: &Bytes,
    answers: &Answers,
) -> Result<(), Status> {
    let batch: Submissions = minicbor::decode(bytes).map_err(malformed)?;
    let ticket = engine.take_submissions(batch).await.map_err(stopped)?;
    let answers = answers.clone();
    tokio::spawn(async move {
        let answer = ticket.answer().await.and_then(|answer| answer);
        let answer = answer.map(|answer| Answer::Submitted(encode(&answer)));
        send(&answers, number, answer).await;
    });
    Ok(())
}

async fn command(
    engine: &Handle,
    number: u64,
    bytes: &Bytes,
    answers: &Answers,
) -> Result<(), Status> {
    let command: Command = minicbor::decode(bytes).map_err(malformed)?;
    let ticket = engine.take_command(command).await.map_err(stopped)?;
    let answers = answers.clone();
    tokio::spawn(async move {
        let answer = ticket.answer().await.and_then(|answer| answer);
        let answer = answer.map(|answer| Answer::Commanded(encode(&answer)));
        send(&answers, number, answer).await;
    });
    Ok(())
}

/// An engine that has stopped has no answer: what became of the request is for the next leader to say.
async fn send(answers: &Answers, number: u64, answer: Result<Answer, EngineError>) {
    let answer = match answer {
        Ok(answer) => Ok(answer),
        Err(EngineError::Unavailable {
            retry_after_ms,
            reason,
        }) => Ok(Answer::Unavailable(Unavailable {
            retry_after_ms,
            reason,
        })),
        Err(EngineError::Stopped) => Err(stopped(EngineError::Stopped)),
    };
    let message = answer.map(|answer| ToGateway {
        number,
        answer: Some(answer),
    });
    // A gateway that is gone asks again.
    let _ = answers.send(message).await;
}

fn encode(answer: &impl minicbor::Encode<()>) -> Bytes {
    Bytes::from(minicbor::to_vec(answer).expect("a Vec takes every byte"))
}

fn stopped(_: EngineError) -> Status {
    Status::unavailable("the engine has stopped")
}

fn malformed(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("not a request of this version: {error}"))
}
