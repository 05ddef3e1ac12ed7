//! A stream both ways: requests are decoded and handed to the engine in order, up to
//! [`IN_FLIGHT_MAX`] ahead of their answers, and answered in the same order.
//!
//! One task a stream does it all: while the engine makes one request durable, the next is decoded.
//! When the client does not read its answers, or that many wait, the stream is not read on, and HTTP/2
//! flow control holds the client back.

use super::Outgoing;
use super::submit;
use crate::errors;
use crate::gateway::stopped;
use crate::ports::Engine;
use crate::undecodable;
use settlement_core::ids::Bic;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use valuta_proto::raw;

/// Requests of one stream that are read and not yet answered.
pub const IN_FLIGHT_MAX: usize = 16;

type Outcome = Result<raw::SubmitInstructionsResponse, Status>;

/// A request that the engine has, or its answer.
enum InFlight {
    Waiting(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// Taken once.
    Done(Option<Box<Outcome>>),
}

impl InFlight {
    /// Polls once, which hands the batch to the engine: the order of the stream is that of the journal.
    async fn start(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        let mut future = Box::pin(future);
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(outcome) => Self::Done(Some(Box::new(outcome))),
            Poll::Pending => Self::Waiting(future),
        }
    }

    async fn outcome(&mut self) -> Outcome {
        match self {
            Self::Waiting(future) => future.await,
            Self::Done(outcome) => *outcome.take().expect("an answer is taken once"),
        }
    }
}

/// Answers a stream of requests from a task of its own.
pub(super) fn answer<E: Engine>(
    engine: E,
    bank: Bic,
    requests: impl tokio_stream::Stream<Item = Result<raw::SubmitInstructionsRequest, Status>>
    + Send
    + Unpin
    + 'static,
    shutdown: watch::Receiver<bool>,
) -> Outgoing<raw::SubmitInstructionsResponse> {
    // What waits here is answered already, so that it does not count as in flight.
    let (answers, outgoing) = mpsc::channel(1);
    tokio::spawn(run(engine, bank, requests, shutdown, answers));
    ReceiverStream::new(outgoing)
}

async fn run<E: Engine>(
    engine: E,
    bank: Bic,
    mut requests: impl tokio_stream::Stream<Item = Result<raw::SubmitInstructionsRequest, Status>>
    + Unpin,
    mut shutdown: watch::Receiver<bool>,
    answers: mpsc::Sender<Outcome>,
) {
    let mut in_flight: VecDeque<InFlight> = VecDeque::with_capacity(IN_FLIGHT_MAX);
    let mut reading = true;
    while reading || !in_flight.is_empty() {
        let room = reading && in_flight.len() < IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            outcome = front(&mut in_flight), if !in_flight.is_empty() => {
                in_flight.pop_front();
                let failed = outcome.is_err();
                // No receiver: the client is gone. What the engine has, it keeps.
                if answers.send(outcome).await.is_err() || failed {
                    return;
                }
            }
            request = requests.next(), if room => match request {
                Some(Ok(request)) => in_flight.push_back(started(&engine, bank, &request).await),
                Some(Err(status)) => {
                    let status = undecodable::to_sender(status);
                    in_flight.push_back(InFlight::Done(Some(Box::new(Err(status)))));
                    reading = false;
                }
                None => reading = false,
            },
            // What was read gets its answers first; then the stream says why it ends.
            () = stopped(&mut shutdown), if reading => {
                in_flight.push_back(InFlight::Done(Some(Box::new(Err(errors::stopping())))));
                reading = false;
            }
        }
    }
}

async fn front(in_flight: &mut VecDeque<InFlight>) -> Outcome {
    match in_flight.front_mut() {
        Some(first) => first.outcome().await,
        None => std::future::pending().await,
    }
}

async fn started<E: Engine>(
    engine: &E,
    bank: Bic,
    request: &raw::SubmitInstructionsRequest,
) -> InFlight {
    match submit::many(engine, bank, request) {
        Ok(future) => InFlight::start(future).await,
        Err(status) => InFlight::Done(Some(Box::new(Err(status)))),
    }
}
